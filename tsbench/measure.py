"""Clocks, peak memory and the description of the machine."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import inspect
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

LIBRARIES = (
    "tsbench", "torch", "diffusers", "transformers", "accelerate", "tokenizers", "numpy", "bitsandbytes",
    "optimum-quanto", "cache-dit", "openvino", "openvino-genai", "openvino-tokenizers",
)  # fmt: skip

DRAWING = (
    "backends", "methods", "models", "cell", "cost", "flops", "forecast", "generate", "measure", "probe", "schedule",
)  # fmt: skip


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
        """Bytes, or None where it cannot be known (`missing` says why)."""
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
        """Joules since `start`; None where there is no counter (`missing` says why), or too short a time for it."""
        long_enough = time.perf_counter() - self._started_s >= self.LEAST_S
        return self._read_j() - self._before_j if self.handle is not None and long_enough else None

    def _read_j(self) -> float:
        if self.handle is None:
            return 0.0
        import pynvml

        return pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000


def environment(device: torch.device, openvino_device: str | None = None) -> dict[str, Any]:
    """The hardware, the versions and the threads that figures depend on: one environment a results folder."""
    from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND

    found: dict[str, Any] = {
        "device": device.type,
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: installed for name in LIBRARIES if (installed := installed_version(name))},
        "drawing_code": drawing_code(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "attention_backend": DIFFUSERS_ATTN_BACKEND,
    }
    if openvino_device not in (None, "CPU"):
        found["openvino_device"] = openvino_device
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "driver": _driver_version(),
        }
    return found


def drawing_code() -> str:
    """Eight hexadecimal digits over the source that a stored cell depends on, methods of other packages included."""
    from tsbench.methods import PLUGINS

    here = Path(__file__).resolve().parent
    files = [path for name in DRAWING for path in ((here / f"{name}.py"), *(here / name).rglob("*.py"))]
    named = [(path.relative_to(here), path) for path in files if path.is_file()]
    for package in sorted({method.__module__.partition(".")[0] for method in PLUGINS.values()}):
        module = sys.modules[package]
        for folder in map(Path, getattr(module, "__path__", ())):
            named += [(package / path.relative_to(folder), path) for path in folder.rglob("*.py")]
        if not hasattr(module, "__path__"):
            named.append((Path(package), Path(inspect.getfile(module))))
    digest = hashlib.sha256()
    for name, path in sorted(named):
        digest.update(name.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def installed_version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def device_name(device: torch.device) -> str:
    """A device as it is shown to people."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).name
    return f"{processor_name()}, {torch.get_num_threads()} threads"


def processor_name() -> str:
    """The CPU's model name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _driver_version() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def git_revision() -> str | None:
    """The commit of the checkout that runs, marked where it has changes; None outside a checkout."""
    folder = str(Path(__file__).resolve().parent)
    try:
        describe = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(describe, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
