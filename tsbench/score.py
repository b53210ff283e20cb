"""Stored images against their reference, with metrics that can be added at any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache

from tsbench.metrics import METRICS
from tsbench.metrics.base import Score
from tsbench.store import Store


def score_cells(store: Store, metrics: Iterable[str], cell_scored: Callable[[], None] = lambda: None) -> None:
    """Score every finished cell in each metric it has no scores of yet.

    Scores are kept beside the cell, one a sample, exact: `"inf"` for the PSNR of identical images.
    """
    for document in store.documents():
        key, reference = document["key"], document["reference"]
        drawn = document["status"] == "ok" and not document["workload"]["random_weights"]
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


@cache
def scorer(metric: str) -> Score:
    return METRICS[metric].load()


def _exact(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
