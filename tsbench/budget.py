"""How many images a sweep draws: samples, timed runs, warm-ups and calibrations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tsbench.cell import Cell
from tsbench.methods import Method


def method_first(pair: int, batches: int) -> bool:
    """Whether the method's run is the first of a pair; it alternates, from batch to batch and for each batch.

    Args:
        pair: number of the pair; pair k draws batch k modulo `batches`.
        batches: that are timed.
    """
    return (pair % batches + pair // batches) % 2 == 0


@dataclass(frozen=True)
class Images:
    """Images that one cell draws with its own method, and with everything computed."""

    method: int
    reference: int

    @property
    def total(self) -> int:
        return self.method + self.reference


def planned_images(cells: Iterable[Cell], pairs: int, methods: Mapping[str, Method]) -> dict[str, Images]:
    """How many images every cell draws, by key.

    Args:
        cells: in the order in which they are drawn: the first of a workload warms up the reference, and the first that
            has to be calibrated draws the images for that.
        pairs: timed in every cell.
        methods: of the cells, by key, as they are for the architecture of their models.
    """
    planned: dict[str, Images] = {}
    warm, calibrated = "", None
    for cell in cells:
        batch, samples = cell.workload.batch_size, len(cell.workload.samples)
        untimed = samples - min(pairs, samples // batch) * batch
        reference = 0 if cell.is_reference else (pairs + (cell.reference.key != warm)) * batch
        if (calibrator := methods[cell.key].calibrator()) and calibrated != (type(calibrator), cell.reference.key):
            calibrated = type(calibrator), cell.reference.key
            reference += samples
        method = (pairs + 1) * batch + untimed
        if cell.settings.compile and not cell.is_reference:  # which compiles again at every change of arms
            first = [method_first(pair, samples // batch) for pair in range(pairs)]
            runs = [True, *(arm for is_method in first for arm in (is_method, not is_method))]  # the warm-up's first
            again = [after for before, after in pairwise(runs) if before != after]
            method, reference = method + sum(again) * batch, reference + (len(again) - sum(again)) * batch
        planned[cell.key] = Images(method, reference)
        warm = cell.reference.key
    return planned
