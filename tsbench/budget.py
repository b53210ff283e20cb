"""How many images a sweep draws: samples, timed runs and warm-ups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tsbench.cell import Cell


def method_first(pair: int, batches: int) -> bool:
    """Whether the method's run is the first of a pair; it alternates, from batch to batch and for each batch.

    Args:
        pair: number of the pair; pair k draws batch k modulo `batches`.
        batches: that are timed.
    """
    return (pair % batches + pair // batches) % 2 == 0


@dataclass(frozen=True)
class Images:
    """Images that one cell draws with its own method, and with everything computed for the pairs."""

    method: int
    reference: int

    @property
    def total(self) -> int:
        return self.method + self.reference


def planned_images(cells: Iterable[Cell], pairs: int) -> dict[str, Images]:
    """By cell key; the first cell of a workload pays for the reference's warm-up."""
    planned: dict[str, Images] = {}
    warm = ""
    for cell in cells:
        batch, samples = cell.workload.batch_size, len(cell.workload.samples)
        untimed = samples - min(pairs, samples // batch) * batch
        reference = 0 if cell.is_reference else (pairs + (cell.reference.key != warm)) * batch
        method = (pairs + 1) * batch + untimed
        if cell.settings.compile and not cell.is_reference:  # which compiles again at every change of arms
            first = [method_first(pair, samples // batch) for pair in range(pairs)]
            runs = [True, *(arm for is_method in first for arm in (is_method, not is_method))]  # the warm-up's first
            again = [after for before, after in pairwise(runs) if before != after]
            method, reference = method + sum(again) * batch, reference + (len(again) - sum(again)) * batch
        planned[cell.key] = Images(method, reference)
        warm = cell.reference.key
    return planned
