"""Statistics against closed forms and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tsbench.stats import finite_mean, holm, mean_interval, median_interval, on_front, shift_interval


def test_means_leave_infinities_out() -> None:
    assert finite_mean([10.0, math.inf, 30.0]) == 20.0
    assert finite_mean([math.inf]) is None
    assert finite_mean([]) is None


def test_the_interval_of_a_median_is_the_tabulated_one() -> None:
    """Ranks for 95 % from the standard table of the sign test (Conover, 1999, table A3)."""
    ranks = {6: (1, 6), 8: (1, 8), 9: (2, 8), 12: (3, 10), 15: (4, 12), 20: (6, 15), 25: (8, 18)}
    for n, expected in ranks.items():
        assert median_interval([float(i) for i in range(n, 0, -1)]) == expected


def test_five_values_have_no_interval() -> None:
    """[min, max] of five holds the median with 1 - 2 / 2**5 = 93.75 % only."""
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None


@pytest.mark.parametrize("values", [[], [1.0]])
def test_too_few_values(values: list[float]) -> None:
    assert median_interval(values) is None


def test_front() -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 3.0), (3.0, 1.0), (0.5, 5.0), (3.0, 1.0), (2.5, 1.0)]
    assert on_front(points) == [True, True, False, True, False, True, False]
    assert on_front([]) == []


def test_the_interval_of_a_mean_is_students() -> None:
    """1 to 5: 3 +- 2.7764 sqrt(2.5 / 5), with the tabulated quantile of four degrees of freedom."""
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - 1.96324, 3 + 1.96324), abs=1e-4)
    assert mean_interval([1, 2, 3, 4]) is None
    assert mean_interval([1, 2, 3, 4, 5, math.inf]) == mean_interval([1, 2, 3, 4, 5])


def test_the_interval_of_a_shift_is_the_tabulated_one() -> None:
    """Six against six: the critical value of Mann and Whitney's U at 5 % is 5: the sixth difference from each end."""
    a, b = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 1.7, 2.4, 3.1, 3.8, 4.5]
    differences = sorted(y - x for x in a for y in b)
    assert shift_interval(a, b) == (differences[5], differences[-6])
    assert shift_interval([1, 2, 3], [4, 5, 6]) is None  # 20 orders: the extreme ones already are 10 %
    assert shift_interval([1, 2, 3, 4], [11, 12, 13, 14]) == (7, 13)  # 2 / 70: smallest and largest difference


def test_p_values_are_corrected_as_published() -> None:
    """Holm's step-down on 0.01, 0.04, 0.03, 0.005: 4, 3, 2, 1 times, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


COVERAGES = {
    "mean of normal draws": (mean_interval, lambda rng, n: rng.normal(3, 2, n), 3.0, 0.935, 0.965),
    "median of normal draws": (median_interval, lambda rng, n: rng.normal(3, 2, n), 3.0, 0.95, 1.0),
    "median of skewed draws": (median_interval, lambda rng, n: rng.lognormal(0, 1, n), 1.0, 0.95, 1.0),
    "mean of skewed draws": (mean_interval, lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5), 0.80, 0.90),
}


@pytest.mark.parametrize("what", COVERAGES)
@pytest.mark.parametrize("n", [6, 8, 12])
def test_intervals_cover_what_they_promise(what: str, n: int) -> None:
    """By simulation; docs/reading-results.md states the coverage on skewed draws. 0.945: the noise of 4,000 runs."""
    interval, draw, truth, least, most = COVERAGES[what]
    rng = np.random.default_rng(0)
    held = [low <= truth <= high for low, high in (interval(list(draw(rng, n))) for _ in range(4000))]
    assert least - 0.005 * (most == 1.0) <= np.mean(held) <= most


def test_the_interval_of_a_shift_covers() -> None:
    rng = np.random.default_rng(0)
    runs = [shift_interval(list(rng.normal(0, 1, 6)), list(rng.normal(1, 1, 6))) for _ in range(2000)]
    assert np.mean([low <= 1 <= high for low, high in runs]) >= 0.945
