"""Clocks, peak memory and energy."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch


class Clock:
    """Marks in time: CUDA events on a GPU, so that nothing waits in the middle of an image; `perf_counter` elsewhere.

    Marks are read after the image, by `durations_s`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def wait(self) -> None:
        """Let the device finish what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def durations_s(self, marks: Sequence[Any]) -> list[float]:
        """Seconds between consecutive marks."""
        self.wait()
        if self.device.type == "cuda":
            return [start.elapsed_time(end) / 1000 for start, end in pairwise(marks)]
        return [end - start for start, end in pairwise(marks)]


class PeakMemory:
    """The largest use of memory since `reset`: the CUDA allocator's on a GPU, the process's resident set elsewhere.

    Before a reset the C library gives back what it kept of freed memory, which would count as used.
    """

    STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.missing: str | None = None  # why there is no figure

    def reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        _trim()
        try:
            self.CLEAR.write_text("5")
        except OSError as error:
            self.missing = f"the kernel's high-water mark cannot be reset here ({error.__class__.__name__})"

    def read(self) -> int | None:
        """Bytes, or None if it cannot be known (`missing` says why)."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if self.missing is not None:
            return None
        for line in self.STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        self.missing = "the kernel does not tell a high-water mark"
        return None


def _trim() -> None:
    with suppress(AttributeError, OSError, TypeError):  # where it is not glibc, there is nothing to ask
        ctypes.CDLL(None).malloc_trim(0)


def release_memory() -> None:
    """Give back what nothing refers to any more, of a GPU too."""
    gc.collect()
    if torch.cuda.is_initialized():
        with suppress(RuntimeError):  # of a GPU that is lost; the next run on it says so
            torch.cuda.empty_cache()


class EnergyMeter:
    """The energy that the GPU uses, as NVML counts it; nothing elsewhere."""

    LEAST_S = 1.0  # the counter moves on every 20 to 100 ms

    def __init__(self, device: torch.device) -> None:
        self.handle: Any = None
        self.missing: str | None = "the device has no energy counter"
        if device.type != "cuda":
            return
        try:
            import pynvml

            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self.handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
            self.missing = None
        except ImportError:
            self.missing = "nvidia-ml-py is not installed"
        except pynvml.NVMLError as error:
            self.handle, self.missing = None, f"NVML gives no energy ({error})"

    def start(self) -> None:
        self._before_j, self._started_s = self._read_j(), time.perf_counter()

    def used_j(self) -> float | None:
        """Joules since `start`; None if there is no counter (`missing` says why), or too short a time for it."""
        long_enough = time.perf_counter() - self._started_s >= self.LEAST_S
        return self._read_j() - self._before_j if self.handle is not None and long_enough else None

    def _read_j(self) -> float:
        if self.handle is None:
            return 0.0
        import pynvml

        return pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000


def most(figures: Iterable[int | None]) -> int | None:
    """The largest of the figures that are known; None if none is."""
    return max((figure for figure in figures if figure is not None), default=None)
