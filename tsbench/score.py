"""Stored images against their reference, with metrics that can be added at any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from tsbench.cell import Cell, Settings, Workload
from tsbench.metrics import METRICS
from tsbench.metrics.base import Score
from tsbench.store import Store

ACROSS = "psnr_db_across_backends"


def score_cells(store: Store, metrics: Iterable[str], cell_scored: Callable[[], None] = lambda: None) -> None:
    """Score every finished cell in each metric it has no scores of yet.

    Scores are kept beside the cell, one a sample, exact: `"inf"` for the PSNR of identical images.
    """
    for document in store.documents():
        key, reference = document["key"], document["reference"]
        drawn = document["status"] == "ok" and not document["workload"]["random_weights"]
        if drawn:
            _score_across_backends(store, document)
        if not drawn or key == reference or not store.is_done(reference):
            continue
        scores = store.scores(key)
        missing = [name for name in metrics if name not in scores]
        if missing:
            pairs = list(zip(store.images(key), store.images(reference), strict=True))
            for name in missing:
                scores[name] = [_exact(scorer(name)(image, wanted)) for image, wanted in pairs]
            store.write_scores(key, scores)
        cell_scored()


def _score_across_backends(store: Store, document: dict[str, Any]) -> None:
    """The PSNR of another backend's images against the same images computed in full by diffusers."""
    key, scores = document["key"], store.scores(document["key"])
    if document["backend"] == "diffusers" or ACROSS in scores:
        return
    workload = Workload(**{name: _frozen(value) for name, value in document["workload"].items()})
    other = Cell(workload, Settings(**document["settings"]), "none", "{}").key
    if store.is_done(other):
        pairs = zip(store.images(key), store.images(other), strict=True)
        store.write_scores(key, scores | {ACROSS: [_exact(scorer("psnr")(image, wanted)) for image, wanted in pairs]})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@cache
def scorer(metric: str) -> Score:
    return METRICS[metric].load()


def _exact(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
