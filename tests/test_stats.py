"""Statistics against closed forms and tables."""

from __future__ import annotations

import math

import pytest

from tsbench.stats import finite_mean, median_interval, on_front


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
