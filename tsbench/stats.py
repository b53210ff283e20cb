"""Statistics of cells: means, the median's interval, the Pareto front."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np


def finite_mean(values: Sequence[float]) -> float | None:
    """The mean of the finite values, None where there is none: identical images have no PSNR to average."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else None


def median_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """The order-statistic interval of a median, whatever the distribution (Conover, 1999, section 3.2).

    Args:
        values: independent draws.
        coverage: the least probability with which the interval holds the true median.

    Returns:
        The shortest symmetric pair of order statistics that reaches the coverage, or None where even the smallest
        and the largest value do not: 95 % needs six values.
    """
    ordered, n = sorted(values), len(values)
    best = None
    for rank in range(1, n // 2 + 1):
        outside = 2 * sum(math.comb(n, below) for below in range(rank)) / 2**n
        if 1 - outside < coverage:
            break
        best = ordered[rank - 1], ordered[n - rank]
    return best


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point dominates, both coordinates to be maximised; equal points stay together."""
    from moocore import is_nondominated

    if not points:
        return []
    return [bool(x) for x in is_nondominated(np.asarray(points, dtype=float), maximise=True, keep_weakly=True)]
