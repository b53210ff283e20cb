"""Statistics against closed forms and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import skew, t

from tsbench.fronts import on_front
from tsbench.stats import (
    difference_interval,
    finite_mean,
    mean_interval,
    median_interval,
    prompt_differences,
    prompt_means,
    trimmed_mean,
)


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


def test_the_interval_of_a_mean_is_students_where_nothing_is_skewed() -> None:
    """1 to 5: 3 +- 2.7764 sqrt(2.5 / 5), with the tabulated quantile of four degrees of freedom."""
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - 1.96324, 3 + 1.96324), abs=1e-4)
    assert mean_interval([1, 2, 3, 4]) is None
    assert mean_interval([1, 2, 3, 4, 5, math.inf]) == mean_interval([1, 2, 3, 4, 5])


@pytest.mark.parametrize("values", [[1.0, 1, 2, 3, 9], [-9.0, -3, -2, -1, -1], [0.02, 0.05, 0.03, 0.4, 0.04, 0.06]])
def test_the_interval_of_skewed_draws_is_halls_towards_the_tail(values: list[float]) -> None:
    """Hall's (1992) cubic of Student's statistic there is Student's quantile; the other end is Student's own, which
    Hall's would narrow. SciPy gives the skewness."""
    n, interval = len(values), mean_interval(values)
    assert interval is not None
    skewness, quantile = float(skew(values, bias=False)), t.ppf(0.975, n - 1)
    tail = int(skewness > 0)
    for number, expected in enumerate((quantile, -quantile)):
        statistic = (np.mean(values) - interval[number]) / (np.std(values, ddof=1) / math.sqrt(n))
        cubic = skewness**2 * statistic**3 / (27 * n) + skewness * statistic**2 / (3 * math.sqrt(n))
        halls = statistic + cubic + skewness / (6 * math.sqrt(n))
        assert (halls if number == tail else statistic) == pytest.approx(expected)


@pytest.mark.filterwarnings("error")
def test_the_interval_of_equal_values_is_one_point() -> None:
    """Without SciPy's warning, which a user would see."""
    assert mean_interval([0.3] * 5) == (0.3, 0.3) and difference_interval([1.0] * 5, [3.0] * 5) == (2.0, 2.0)
    assert difference_interval([0.0, 1, 1, 1, 9], [3.0] * 5) == (2.0, 2.0)


def test_the_interval_of_a_difference_is_yuens() -> None:
    """His formula, worked out: of six and of five draws one is left out at either end, and takes its neighbour's value
    in the variance."""
    a, b = [0.0, 0.1, 0.2, 0.3, 0.4, 9.0], [1.0, 1.7, 2.4, 3.1, -8.0]
    winsorized = [0.1, 0.1, 0.2, 0.3, 0.4, 0.4], [1.0, 1.0, 1.7, 2.4, 2.4]
    errors = [np.var(values, ddof=1) * (len(values) - 1) / (h * (h - 1)) for values, h in zip(winsorized, (4, 3))]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 3 + errors[1] ** 2 / 2)
    middle = (1.0 + 1.7 + 2.4) / 3 - (0.1 + 0.2 + 0.3 + 0.4) / 4
    assert trimmed_mean(b) - trimmed_mean(a) == pytest.approx(middle)
    for coverage in (0.95, 0.999):
        half = t.ppf((1 + coverage) / 2, freedom) * math.sqrt(sum(errors))
        assert difference_interval(a, b, coverage) == pytest.approx((middle - half, middle + half))
    assert difference_interval(a, b[:4]) is None and difference_interval([], b) is None


def test_one_disturbed_pair_hides_no_difference() -> None:
    """Of twelve pairs with 3 % noise, one of either run is off by a factor of 2.2: 10 % are still found, of ten cells.

    By Welch's interval hardly ever.
    """
    rng = np.random.default_rng(0)

    def logarithms(shift: float) -> list[float]:
        drawn = rng.normal(shift, 0.03, 12)
        drawn[rng.integers(12)] += math.log(2.2) * rng.choice([-1, 1])
        return list(drawn)

    found = [difference_interval(logarithms(0), logarithms(math.log(1.1)), 1 - 0.05 / 10)[0] > 0 for _ in range(300)]
    assert np.mean(found) > 0.95


def test_prompts_are_averaged_over_their_seeds_without_infinities() -> None:
    """Three prompts with two seeds: identical images differ by nothing, one identical image by no finite amount."""
    inf = math.inf
    assert prompt_means([1, inf, inf, 3, 5, inf], 3) == [2, 5]
    assert prompt_differences([1, inf, inf, 2, 5, inf], [2, inf, 1, 4, 6, inf], 3) == [1.5, 0.5, 0]
    assert prompt_differences([inf, inf], [1, 2], 1) == []


COVERAGES = {
    "normal": (lambda rng, n: rng.normal(3, 2, n), 3.0, 0.95, 0.975),
    "with heavy tails": (lambda rng, n: rng.standard_t(3, n), 0.0, 0.95, 0.98),
    "skewed": (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5), 0.89, 0.94),
    "less skewed": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125), 0.935, 0.96),
}


@pytest.mark.parametrize("draws", COVERAGES)
@pytest.mark.parametrize("n", [6, 8, 12])
def test_intervals_of_means_cover_what_is_said_of_them(draws: str, n: int) -> None:
    """By simulation; docs/reading-results.md states the coverage on skewed draws."""
    draw, truth, least, most = COVERAGES[draws]
    rng = np.random.default_rng(0)
    held = [low <= truth <= high for low, high in (mean_interval(list(draw(rng, n))) for _ in range(4000))]
    assert least <= np.mean(held) <= most


@pytest.mark.parametrize(("prompts", "least", "most"), [(6, 0.20, 0.35), (16, 0.12, 0.23)])
def test_of_many_settings_above_a_bar_some_run_finds_one_below_it(prompts: int, least: float, most: float) -> None:
    """As docs/reading-results.md warns: 18 settings, all a tenth above it, their LPIPS correlated over the prompts."""
    rng = np.random.default_rng(0)
    for correlation, share in ((0.8, most), (0.95, least)):
        shared, own = math.sqrt(correlation), math.sqrt(1 - correlation)
        runs = [
            np.exp(shared * rng.normal(size=(1, prompts)) + own * rng.normal(size=(18, prompts)) - 0.5)
            for _ in range(400)
        ]
        found = [any(mean_interval(list(1.1 * values))[1] <= 1 for values in settings) for settings in runs]
        assert np.mean(found) == pytest.approx(share, abs=0.05)


NOISE = {
    "normal": lambda rng: rng.normal(0, 1, 6),
    "skewed": lambda rng: rng.exponential(1, 6),
    "with some far off": lambda rng: rng.normal(0, 1, 6) + 20 * (rng.random(6) < 0.1),
}


@pytest.mark.parametrize("noise", NOISE)
def test_thirty_intervals_of_differences_hold_together(noise: str) -> None:
    """As compare asks for them: 95 % or more of runs of thirty cells have no false alarm, whatever the noise."""
    rng, draw = np.random.default_rng(0), NOISE[noise]
    runs = [difference_interval(list(draw(rng)), list(draw(rng)), 1 - 0.05 / 30) for _ in range(3000)]
    alarms = sum(not interval[0] <= 0 <= interval[1] for interval in runs)
    assert alarms <= 3000 * 0.05 / 30 + 5


@pytest.mark.parametrize(("spread", "least", "most"), [(2, 0.02, 0.09), (3, 0.06, 0.14)])
def test_runs_of_unequal_noise_raise_as_many_alarms_as_is_said(spread: float, least: float, most: float) -> None:
    """docs/reading-results.md: 18 cells of six pairs have a false one in 6 % of comparisons, and in 9 %."""
    rng = np.random.default_rng(0)
    pairs = [(list(rng.normal(0, 1, 6)), list(rng.normal(0, spread, 6))) for _ in range(4000)]
    intervals = [difference_interval(*pair, 1 - 0.05 / 18) for pair in pairs]
    held = np.mean([low <= 0 <= high for low, high in intervals])
    assert least <= 1 - held**18 <= most


def test_thirty_intervals_of_means_hold_together() -> None:
    """As compare asks for them of metrics; Hall's interval alone raised three times as many alarms as it may."""
    rng = np.random.default_rng(0)
    runs = [mean_interval(list(rng.normal(0, 1, 6)), 1 - 0.05 / 30) for _ in range(6000)]
    alarms = sum(not interval[0] <= 0 <= interval[1] for interval in runs)
    assert alarms <= 6000 * 0.05 / 30 + 5
