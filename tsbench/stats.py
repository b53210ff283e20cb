"""Statistics of cells: means, speed-ups of pairs, and intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from tsbench.timing import Pair

LEAST_MEAN = 5  # values of which an interval of their mean is given
LEAST_MEDIAN = 6  # and of their median: with fewer no pair of them reaches 95 %
TRIMMED = 0.2  # the share of draws that a trimmed mean leaves out on either side


def finite_mean(values: Sequence[float]) -> float | None:
    """The mean of the finite values, None if there is none: identical images have no PSNR to average."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else None


def mean_interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of a mean, widened where skewness asks for it (Hall, 1992, J. R. Statist. Soc. B 54, 221).

    Hall's correction also narrows, on the side away from the tail, by a skewness that few values tell badly: there the
    end is Student's.

    Args:
        values: independent draws; infinite ones are left out, as they are of the mean.
        coverage: of normal draws at least; docs/reading-results.md has what it is of skewed ones.

    Returns:
        Lower and upper end, or None with fewer than `LEAST_MEAN` finite values.
    """
    from scipy.stats import t

    finite = [value for value in values if math.isfinite(value)]
    n = len(finite)
    if n < LEAST_MEAN:
        return None
    mean = statistics.fmean(finite)
    spread = statistics.stdev(finite)
    if spread == 0:
        return mean, mean
    quantile, error = float(t.ppf((1 + coverage) / 2, n - 1)), spread / math.sqrt(n)
    skewness = n / ((n - 1) * (n - 2)) * sum(((value - mean) / spread) ** 3 for value in finite)
    low, high = (_unskewed(end, skewness, n) for end in (quantile, -quantile))
    return mean - error * max(quantile, low), mean - error * min(-quantile, high)


def _unskewed(quantile: float, skewness: float, n: int) -> float:
    """The quantile of Student's statistic T of skewed draws: T + k T^2 + k^2 T^3 / 3 + k / 2 has Student's own."""
    k = skewness / (3 * math.sqrt(n))
    return quantile if abs(k) < 1e-9 else (math.cbrt(1 + 3 * k * (quantile - k / 2)) - 1) / k


def trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the lowest and the highest fifth: one run that something disturbed moves it little."""
    from scipy.stats import trim_mean

    return float(trim_mean(values, TRIMMED))


def difference_interval(a: Sequence[float], b: Sequence[float], coverage: float = 0.95) -> tuple[float, float] | None:
    """Interval of the `trimmed_mean` of b less that of a, whose spreads may differ (Yuen, 1974, Biometrika 61, 165).

    Args:
        a, b: independent draws, finite.
        coverage: of the interval; about met by normal draws, and by normal draws with some outliers.

    Returns:
        Lower and upper end, or None with fewer than `LEAST_MEAN` draws of either.
    """
    from scipy.stats import ttest_ind

    if min(len(a), len(b)) < LEAST_MEAN:
        return None
    kept = [_without_ends(values) for values in (a, b)]
    if all(values[0] == values[-1] for values in kept):  # no spread, which the test would divide by
        return kept[1][0] - kept[0][0], kept[1][0] - kept[0][0]
    low, high = ttest_ind(b, a, equal_var=False, trim=TRIMMED).confidence_interval(coverage)
    return float(low), float(high)


def _without_ends(values: Sequence[float]) -> list[float]:
    """Sorted, without those that a `trimmed_mean` leaves out."""
    cut = int(TRIMMED * len(values))
    return sorted(values)[cut : len(values) - cut]


def prompt_means(values: Sequence[float], prompts: int) -> list[float]:
    """Each prompt's mean over its finite values; prompts without any are left out.

    Args:
        values: one per sample, all prompts with one seed before the next seed.
        prompts: number of prompts.
    """
    means = [finite_mean(values[prompt::prompts]) for prompt in range(prompts)]
    return [mean for mean in means if mean is not None]


def prompt_differences(a: Sequence[float], b: Sequence[float], prompts: int) -> list[float]:
    """`prompt_means` of b - a; two infinite values differ by nothing, one alone is left out."""
    return prompt_means([0.0 if x == y else y - x for x, y in zip(a, b, strict=True)], prompts)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The order-statistic interval of a median, whatever the distribution (Conover, 1999, section 3.2).

    Args:
        values: independent draws.

    Returns:
        The shortest symmetric pair of order statistics that holds the true median with a probability of 95 % or more,
        or None with fewer than `LEAST_MEDIAN` values, where even the smallest and the largest do not.
    """
    from scipy.stats import quantile_test

    if len(values) < LEAST_MEDIAN:
        return None
    low, high = quantile_test(values, p=0.5).confidence_interval(0.95)
    return float(low), float(high)


def speedups(pairs: Sequence[Pair]) -> list[float]:
    """The ratio of the latencies of every pair of runs, full compute's over the method's."""
    return [pair.full.latency_s / pair.method.latency_s for pair in pairs]


def denoise_speedups(pairs: Sequence[Pair]) -> list[float]:
    """The same of the denoising steps alone."""
    return [pair.full.denoise_s / pair.method.denoise_s for pair in pairs]


def log_speedups(pairs: Sequence[Pair]) -> list[float]:
    """The logarithms of `speedups`, of which differences and means are taken."""
    return [math.log(ratio) for ratio in speedups(pairs)]


def full_step_s(pairs: Sequence[Pair]) -> float:
    """The median of full compute's steps, in seconds per image, of the pairs of a reference."""
    return statistics.median(second for pair in pairs for second in pair.method.step_s)
