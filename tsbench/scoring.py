"""Stored images against their reference, with metrics that can be added at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tsbench.cell import Cell, Settings, Workload
from tsbench.errors import first_line
from tsbench.metrics import Metric, metric_of, scorer
from tsbench.store import Store


def score_cells(store: Store, metrics: Iterable[str]) -> None:
    """Score every finished cell in each metric it has no scores of yet.

    If a metric raises an error, the reason is kept beside the cell, and it is tried again next time.
    """
    for document in store.documents():
        key, reference = document["key"], document["reference"]
        drawn = document["status"] == "ok" and not document["workload"]["random_weights"]
        if drawn:
            _score_across_backends(store, document)
        if not drawn or not store.is_done(reference):
            continue
        scores = store.scores(key)
        missing = [name for name in metrics if name not in scores and _applies(metric_of(name), document)]
        if missing:
            images = store.images(key)
            beside: dict[str, list[Any]] = {
                "reference": store.images(reference),
                "prompt": [sample.prompt for sample in Workload.of_document(document["workload"]).samples],
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
                    reasons[name] = f"{metric_of(name).label} failed: {first_line(error)}"
            scores = store.scores(key) | new  # read again: another process may have scored other metrics meanwhile
            store.write_scores(key, scores)
            before = store.unscored(key)
            reasons = {name: reason for name, reason in (before | reasons).items() if name not in scores}
            if reasons != before:
                store.write_unscored(key, reasons)


def _applies(metric: Metric, document: dict[str, Any]) -> bool:
    """Whether a cell can have a score: its images are large enough, and it is not its own reference."""
    large = metric.applies(document["workload"]["height"], document["workload"]["width"])
    return large and (metric.against == "prompt" or document["key"] != document["reference"])


def _score_across_backends(store: Store, document: dict[str, Any]) -> None:
    """The PSNR of another backend's images against the same images computed in full by diffusers."""
    key = document["key"]
    if document["backend"] == "diffusers" or store.scores(key, across=True):
        return
    other = Cell(Workload.of_document(document["workload"]), Settings(**document["settings"]), "none", "{}").key
    if store.is_done(other):
        pairs = zip(store.images(key), store.images(other), strict=True)
        store.write_scores(key, {"psnr": [scorer("psnr")(image, wanted) for image, wanted in pairs]}, across=True)
