"""The drawing of cells: warm-ups, interleaved pairs and samples, whatever draws them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tsbench.budget import method_first
from tsbench.cell import Cell, Sample, Workload
from tsbench.drawing.measure import PeakMemory, most
from tsbench.errors import DrawingFailed, ModelSpoilt
from tsbench.methods import Method
from tsbench.stored import WarmUp
from tsbench.timing import Pair, Timing

LONGEST_WARM_UP = 5  # runs in a row that may compile something
LEAST_SAME_DB = 40.0  # PSNR of two runs of full compute; where every byte is off by one it is 48


@dataclass(frozen=True)
class Drawn:
    """A finished batch: uint8 images [n, height, width, 3], its schedule, and its timing."""

    images: np.ndarray
    schedule: str
    timing: Timing
    latents: tuple[np.ndarray, ...] = ()  # after every step, float32, where they were asked for
    cache_bytes: int | None = None  # the most that the method kept between two steps, where that was asked for
    warm: bool = True  # False if something was compiled meanwhile


@dataclass(frozen=True)
class CellResult:
    """All that a cell leaves: an image and a schedule a sample, and the raw figures as in `tsbench.stored.DrawnCell`.

    `method` is as calibrated.
    """

    method: Method
    images: list[np.ndarray]
    schedules: list[str]
    repeat_psnr_db: float | None
    warmups: list[WarmUp]
    step_errors: list[float] | None
    cache_bytes: int | None
    pairs: list[Pair]
    peak_memory_bytes: int | None
    peak_memory_reason: str | None


@dataclass
class FullCompute:
    """What full compute has drawn of the present workload, for other runs to be held against.

    Attributes:
        key: of the reference.
        latents: after every step of its warm-up; none if there was none yet.
        images: of a batch, by its number, as they were drawn first.
    """

    key: str = ""
    latents: tuple[np.ndarray, ...] = ()
    images: dict[int, np.ndarray] = field(default_factory=dict)

    def check_repeats(self, cell: Cell, batch: int, images: np.ndarray) -> float:
        """The `psnr_db` of a batch's images, drawn in full beside a cell, to those drawn before.

        Raises:
            ModelSpoilt: if they are other images. Code that is compiled anew may be tuned otherwise, and random weights
                may make much of a rounding: these are let pass.
        """
        apart_db = psnr_db(self.images.setdefault(batch, images), images)
        if apart_db < LEAST_SAME_DB and not (cell.settings.compile or cell.workload.random_weights):
            why = "the method leaves something on the pipeline that its disable does not undo"
            if cell.is_reference:
                why = "this model does not draw the same image twice"
            raise ModelSpoilt(f"full compute drew another image than before ({apart_db:.1f} dB apart): {why}")
        return apart_db


class Backend(ABC):
    """A library that draws, on one device.

    Attributes:
        device: as the library calls it.
    """

    device: str

    @property
    @abstractmethod
    def hardware(self) -> str:
        """The device's name for people."""

    @abstractmethod
    def load(self, folder: Path, cell: Cell) -> Session:
        """The model that a cell needs.

        Args:
            folder: of the model.
            cell: gives the settings.
        """


class Session(ABC):
    """A model in memory. It draws any number of cells that share the model and the settings."""

    def __init__(self, memory: PeakMemory) -> None:
        self.memory = memory
        self.pipeline_s = 0.0  # spent inside the pipeline so far
        self._full = FullCompute()

    @abstractmethod
    def draw(
        self,
        workload: Workload,
        batch: list[Sample],
        method: Method,
        reuse_text: bool = False,
        inspect: bool = False,
    ) -> Drawn:
        """Draw one batch.

        Args:
            workload: size, steps and the rest.
            batch: the samples; each starts from its own CPU generator, so that the noise depends on nothing else.
            method: applied before and taken away after.
            reuse_text: the run is not timed, and text that was encoded before may be used again.
            inspect: the run is not timed; the latents after every step are kept, and what the method keeps is added up.
        """

    def cut_prompts(self, workload: Workload) -> str | None:
        """What to say of prompts that are longer than `max_sequence_length`, as far as the library tells."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give the model's memory back."""

    def calibrated(self, method: Method, workload: Workload, image_drawn: Callable[[int], None]) -> Method:
        """The method with what is measured on the model first; `image_drawn` is called with every batch's images."""
        return method

    def draw_cell(self, cell: Cell, method: Method, pairs: int, image_drawn: Callable[[int], None]) -> CellResult:
        """Draw a cell's samples and time it.

        A pair has two arms: a run of the method and one of full compute, each drawn whole, text encoding included; the
        order alternates. The samples that no pair covers follow, with the text encoded beforehand. Every run has a
        copy of the method of its own, so that nothing that a method keeps on itself goes from one image to the next.

        Args:
            cell: what to draw.
            method: the method of the cell.
            pairs: how many pairs of runs to time.
            image_drawn: called with the number of images after every batch.

        Raises:
            DrawingFailed: if an image is not finite or the cache did not take hold.
            ModelSpoilt: if full compute draws another image than before.
        """
        workload = cell.workload
        method = self.calibrated(method, workload, image_drawn)
        full = [i for i, batch in enumerate(workload.batches) if len(batch) == workload.batch_size]
        arms = {"method": method} if cell.is_reference else {"reference": Method(), "method": method}
        peaks: list[int | None] = []
        warmups, warm = self._warm_up(cell, method, full[0], peaks, image_drawn)
        compiles = not peaks  # then timed runs tell the peak, since compiling takes memory of its own
        apart_db: list[float] = []
        images: dict[int, Drawn] = {}
        timed: list[Pair] = []
        for number in range(pairs):
            index = full[number % len(full)]
            runs: dict[str, Drawn] = {}
            for name in reversed(arms) if method_first(number, len(full)) else arms:
                measured = (peaks if name == "method" else []) if compiles else None
                runs[name] = self._timed(workload, workload.batches[index], arms[name], measured, image_drawn)
                if arms[name] == Method():
                    apart_db.append(self._full.check_repeats(cell, index, runs[name].images))
            its = runs["method"]
            reference = None if cell.is_reference else runs["reference"].timing
            timed.append(Pair(index, its.schedule, its.timing, reference))
            apart_db.append(psnr_db(images.setdefault(index, its).images, its.images))
        for index, batch in enumerate(workload.batches):
            if index not in images:
                images[index] = self.draw(workload, batch, replace(method), reuse_text=True)
                image_drawn(len(batch))
        apart_db.append(psnr_db(warm.images, images[full[0]].images))
        return CellResult(
            method=method,
            images=[image for index in sorted(images) for image in images[index].images],
            schedules=[images[index].schedule for index in sorted(images) for _ in images[index].images],
            repeat_psnr_db=min(filter(math.isfinite, apart_db), default=None),
            warmups=warmups,
            step_errors=None if cell.is_reference else _relative_errors(warm.latents, self._full.latents),
            cache_bytes=warm.cache_bytes,
            pairs=timed,
            peak_memory_bytes=most(peaks),
            peak_memory_reason=self.memory.missing,
        )

    def _timed(
        self,
        workload: Workload,
        batch: list[Sample],
        method: Method,
        peaks: list[int | None] | None,
        image_drawn: Callable[[int], None],
    ) -> Drawn:
        """Draw until a run compiles nothing, and return that run.

        Args:
            workload, batch, method, image_drawn: as of `draw_cell`.
            peaks: to which its peak memory in bytes is added; None leaves the memory as it is.
        """
        for _ in range(LONGEST_WARM_UP):
            if peaks is not None:
                self.memory.reset()
            drawn = self.draw(workload, batch, replace(method))
            image_drawn(len(batch))
            if drawn.warm:
                if peaks is not None:
                    peaks.append(self.memory.read())
                return drawn
        raise DrawingFailed(f"torch.compile still compiles in run {LONGEST_WARM_UP} of the same setting")

    def _warm_up(
        self,
        cell: Cell,
        method: Method,
        index: int,
        peaks: list[int | None],
        image_drawn: Callable[[int], None],
    ) -> tuple[list[WarmUp], Drawn]:
        """One run of either arm at the full number of steps, on one batch, the reference's once per workload.

        Memory is measured here, unless something is compiled, since a process that has just given back all that it
        does not use is slower at first.

        Returns:
            All runs, and the method's.
        """
        runs: list[WarmUp] = []
        batch = cell.workload.batches[index]

        def run(arm: Method) -> Drawn:
            self.memory.reset()
            drawn = self.draw(cell.workload, batch, replace(arm), inspect=True)
            if drawn.warm and arm is method:
                peaks.append(self.memory.read())
            runs.append(WarmUp(arm.name, drawn.timing))
            image_drawn(len(batch))
            return drawn

        if cell.is_reference or self._full.key != cell.reference.key:
            drawn = run(method if cell.is_reference else Method())
            self._full = FullCompute(cell.reference.key, drawn.latents, {index: drawn.images})
        return runs, drawn if cell.is_reference else run(method)


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    """The lowest PSNR of two batches' images, in dB; infinite if they are the same.

    Args:
        one, other: uint8 [n, height, width, 3].
    """
    if np.array_equal(one, other):
        return math.inf
    errors = np.square(one.astype(np.float64) - other).mean(axis=(1, 2, 3))
    return 10 * math.log10(255**2 / float(errors.max()))


def _relative_errors(latents: tuple[np.ndarray, ...], reference: tuple[np.ndarray, ...]) -> list[float] | None:
    if len(latents) != len(reference):
        return None
    return [float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in zip(latents, reference)]
