"""How many images a sweep draws: samples, timed runs and warm-ups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tsbench.cell import Cell


@dataclass(frozen=True)
class Images:
    """Images that one cell draws with its own method, and with everything computed for the pairs."""

    method: int
    reference: int

    @property
    def total(self) -> int:
        return self.method + self.reference


def planned_images(cells: Iterable[Cell], pairs: int) -> dict[str, Images]:
    """By cell key; the first cell that needs a warm-up pays for it."""
    planned: dict[str, Images] = {}
    warm: set[str] = set()
    for cell in cells:
        batch, samples = cell.workload.batch_size, len(cell.workload.samples)
        untimed = samples - min(pairs, samples // batch) * batch
        reference = 0 if cell.is_reference else (pairs + (cell.reference.key not in warm)) * batch
        method = (pairs + (cell.key not in warm)) * batch + untimed
        if cell.settings.compile and not cell.is_reference:  # which compiles again at every change of arms
            method, reference = method + pairs // 2 * batch, reference + (pairs - pairs // 2) * batch
        planned[cell.key] = Images(method, reference)
        warm |= {cell.key, cell.reference.key}
    return planned
