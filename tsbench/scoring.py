"""Stored images against their reference, with metrics that can be added at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tsbench.errors import first_line
from tsbench.metrics import Metric, metric_of, scorer
from tsbench.store import Store
from tsbench.stored import DrawnCell


def score_cells(store: Store, metrics: Iterable[str]) -> None:
    """Score every finished cell in each metric it has no scores of yet.

    If a metric raises an error, the reason is kept beside the cell, and it is tried again next time.
    """
    for cell in store.all_drawn():
        if cell.workload.random_weights:
            continue
        key = cell.key
        _score_across_backends(store, cell)
        if not store.is_done(cell.reference):
            continue
        scores = store.scores(key)
        missing = [name for name in metrics if name not in scores and applies(metric_of(name), cell)]
        if missing:
            images = store.images(key)
            beside: dict[str, list[Any]] = {
                "reference": store.images(cell.reference),
                "prompt": [sample.prompt for sample in cell.workload.samples],
            }
            new: dict[str, list[float]] = {}
            reasons: dict[str, str] = {}
            for name in missing:
                pairs = zip(images, beside[metric_of(name).against], strict=True)
                try:
                    values = [scorer(name)(image, other) for image, other in pairs]
                    if any(map(math.isnan, values)):
                        raise ValueError("it is not a number (NaN)")
                    new[name] = values
                except Exception as error:
                    why = first_line(error).replace("; ", ", ")  # reasons are joined by semicolons
                    reasons[name] = f"{metric_of(name).label} failed: {why}"
            scores = store.scores(key) | new  # read again: another process may have scored other metrics meanwhile
            store.write_scores(key, scores)
            before = store.unscored(key)
            reasons = {name: reason for name, reason in (before | reasons).items() if name not in scores}
            if reasons != before:
                store.write_unscored(key, reasons)


def applies(metric: Metric, cell: DrawnCell) -> bool:
    """Whether a cell can have a score: its images are large enough, and it is not its own reference."""
    large = metric.applies(cell.workload.height, cell.workload.width)
    return large and (metric.against == "prompt" or not cell.is_reference)


def _score_across_backends(store: Store, cell: DrawnCell) -> None:
    """The PSNR of another backend's images against the same images computed in full by diffusers."""
    if cell.backend == "diffusers" or store.scores(cell.key, across=True):
        return
    other = cell.full_compute_by_diffusers.key
    if store.is_done(other):
        pairs = zip(store.images(cell.key), store.images(other), strict=True)
        store.write_scores(cell.key, {"psnr": [scorer("psnr")(image, wanted) for image, wanted in pairs]}, across=True)
