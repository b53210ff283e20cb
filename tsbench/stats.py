"""Statistics of cells: means, the median's interval, the Pareto front."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

LEAST_MEAN = 5  # values of which an interval of their mean is given
LEAST_MEDIAN = 6  # and of their median: with fewer no pair of them reaches 95 %


def finite_mean(values: Sequence[float]) -> float | None:
    """The mean of the finite values, None where there is none: identical images have no PSNR to average."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else None


def mean_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of a mean.

    Args:
        values: independent draws; infinite ones are left out, as they are of the mean.
        coverage: of normal draws; of skewed ones (a log-normal of sigma 1) it covers about 86 % with six draws.

    Returns:
        Lower and upper end, or None with fewer than `LEAST_MEAN` finite values.
    """
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < LEAST_MEAN:
        return None
    from scipy.stats import t

    mean = statistics.fmean(finite)
    half = t.ppf((1 + coverage) / 2, len(finite) - 1) * statistics.stdev(finite) / math.sqrt(len(finite))
    return float(mean - half), float(mean + half)


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


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, 1979): none is a false alarm with more than its probability."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = worst
    return corrected


def shift_interval(a: Sequence[float], b: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """Interval of the shift from a to b by ranks (Hodges and Lehmann, 1963; Hollander and Wolfe, 1999, section 4.3).

    Returns:
        The pair of ordered differences b - a that the exact distribution of the rank sum gives; None where even the
        smallest and the largest difference do not reach the coverage.
    """
    differences = sorted(y - x for x in a for y in b)
    counts = _rank_sum_counts(len(a), len(b))
    total, below, rank = sum(counts), 0, 0
    while rank < len(differences) // 2 and 2 * (below + counts[rank]) / total <= 1 - coverage:
        below += counts[rank]
        rank += 1
    return None if rank == 0 else (differences[rank - 1], differences[-rank])


def _rank_sum_counts(m: int, n: int) -> list[int]:
    """How many orders of m and n values have each value of Mann and Whitney's U, from 0 to m n."""
    table = [[[0]] * (n + 1) for _ in range(m + 1)]
    for i in range(m + 1):
        for j in range(n + 1):
            counts = [0] * (i * j + 1)
            if i == 0 or j == 0:
                counts = [1]
            else:
                for u, count in enumerate(table[i - 1][j]):
                    counts[u + j] += count
                for u, count in enumerate(table[i][j - 1]):
                    counts[u] += count
            table[i][j] = counts
    return table[m][n]


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point dominates, both coordinates to be maximised; equal points stay together."""
    from moocore import is_nondominated

    if not points:
        return []
    return [bool(x) for x in is_nondominated(np.asarray(points, dtype=float), maximise=True, keep_weakly=True)]
