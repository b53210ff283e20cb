"""Bars that settings have to meet, and which settings meet them: what `recommend` and the report say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tsbench.fronts import ranked_value
from tsbench.metrics import METRICS, Metric
from tsbench.present import identical_images, is_same, number, told_apart, with_interval
from tsbench.stats import difference_interval, log_speedups
from tsbench.store import Store
from tsbench.tables import NO_REFERENCE


@dataclass(frozen=True)
class Bar:
    """A limit on a column.

    Attributes:
        flag: by which it is given.
        column: the column of the table.
        sign: 1 for a least value, -1 for a largest one.
        limit: in the unit.
        label: the name for people.
        unit: behind the figure.
        scale: how much of the column one of the unit is.
    """

    flag: str
    column: str
    sign: int
    limit: float
    label: str
    unit: str = ""
    scale: float = 1.0

    def worst(self, row: Any) -> float | None:
        """The end of the interval that has to meet the bar, in its unit; None if it is not known.

        Peak memory has no interval: the figure itself. Identical images meet every bar on the PSNR, so that the
        interval is that of the others.
        """
        if self.column == "psnr_db" and getattr(row, "n_identical", None) == row.n_samples:
            return math.inf
        end = "" if self.column == "peak_memory_bytes" else "_low" if self.sign > 0 else "_high"
        value = getattr(row, f"{self.column}{end}", None)
        return None if value is None or pd.isna(value) else float(value) / self.scale

    def missed_by(self, row: Any) -> float | None:
        """How far `worst` lies on the wrong side, as a share of the limit; None if it is not known."""
        worst = self.worst(row)
        if worst is None:
            return None
        return 0.0 if is_same(worst, self.limit) else max(0.0, self.sign * (self.limit - worst) / abs(self.limit or 1))

    def why_unknown(self, row: Any) -> str:
        """Why `worst` is not known."""
        if self.column == "peak_memory_bytes":
            return str(row.peak_memory_reason)
        if pd.isna(getattr(row, self.column, None)) and not getattr(row, "n_identical", 0) > 0:
            if row.random_weights:
                return "with random weights the images mean nothing"
            forms = [f"{self.label} {verb} " for verb in ("needs", "failed:", "is")]  # another's may begin with it
            reasons = row.metric_reason.split("; ") if isinstance(row.metric_reason, str) else []
            if its := [reason for reason in reasons if reason.startswith((*forms, NO_REFERENCE))]:
                return "; ".join(its)
            (metric,) = (metric for metric in METRICS.values() if metric.column == self.column)
            name = metric.name if metric.against == "reference" else f"{metric.name}:CHECKPOINT"
            return f"{self.label} was not computed (python -m tsbench score RESULTS 'metrics=[{name}]' adds it)"
        reasons = str(row.interval_reason).split("; ")
        return "; ".join(reason for reason in reasons if ("speed-up" in reason) == (self.column == "speedup"))

    def reached(self, row: Any) -> str:
        """The figure of a row, and the end of its interval that is held against the bar."""
        worst = self.worst(row)
        if worst is None or self.column == "peak_memory_bytes":
            return f"{self.label} is {self.shown(worst or 0.0)}"
        figure, end = self.shown(getattr(row, self.column)), "down to" if self.sign > 0 else "up to"
        return f"{self.label} is {figure}, its 95 % interval goes {end} {self.shown(worst)}"

    def missed(self, row: Any) -> str:
        """How a row misses the bar."""
        return f"{self.reached(row)}, and {self.limit:.12g}{self.unit} is wanted"

    def shown(self, figure: float) -> str:
        """A figure with the unit."""
        return told_apart(figure, self.limit, 4) + self.unit

    def __str__(self) -> str:
        return f"{self.label} {'>=' if self.sign > 0 else '<='} {self.limit:.12g}{self.unit}"


def _metric_bar(metric: Metric) -> Bar:
    flag = f"--{'min' if metric.higher_is_better else 'max'}-{metric.column.replace('_', '-')}"
    unit = f" {metric.unit}" if metric.unit else ""
    return Bar(flag, metric.column, metric.sign, metric.example, metric.label, unit)


BARS = {
    bar.flag: bar  # each with the limit that an error shows as an example
    for bar in (
        *map(_metric_bar, METRICS.values()),
        Bar("--min-speedup", "speedup", 1, 1.5, "speed-up", "x"),
        Bar("--max-memory-gb", "peak_memory_bytes", -1, 40, "peak memory", " GB", 1e9),
    )
}
FASTER = replace(BARS["--min-speedup"], limit=1.0)  # than full compute: what every setting has to be
NEARLY = 0.9  # of the fastest setting's speed-up: what may stand beside it as equally fast


def candidates(group: pd.DataFrame) -> list[Any]:
    """The cells of a workload that were drawn and skip steps."""
    return [row for row in group.itertuples() if row.computed_steps < row.steps]  # never of a cell that has failed


def qualified(group: pd.DataFrame, bars: Sequence[Bar]) -> list[Any]:
    """The cells of a workload that meet all bars, the fastest first."""
    good = [row for row in candidates(group) if all(bar.missed_by(row) == 0 for bar in bars)]
    return sorted(good, key=lambda row: -row.speedup)


def unjudged(group: pd.DataFrame, bars: Sequence[Bar]) -> dict[str, list[Any]]:
    """The cells that miss no bar as far as is known, and lack a figure for another one, by the reason why."""
    found: dict[str, list[Any]] = {}
    for row in candidates(group):
        unknown = [bar for bar in bars if bar.missed_by(row) is None]
        if unknown and not any(bar.missed_by(row) for bar in bars):
            found.setdefault("; ".join(dict.fromkeys(bar.why_unknown(row) for bar in unknown)), []).append(row)
    return found


def beside(rival: Any | None, group: pd.DataFrame, best: Any, bars: Sequence[Bar]) -> list[str]:
    """What is to be known beside the fastest setting that qualifies; `rival` is `as_fast`."""
    nearer = f"as fast within the noise, and nearer to full compute by {_nearness(bars)[0].label}"
    told = [f"{nearer}: {rival.setting}: {gives(rival, bars)}"] if rival else []
    return [*told, *filter(None, [given_up(group, best, bars)])]


def _nearness(bars: Sequence[Bar]) -> list[Bar]:
    """The bars on metrics against full compute, or LPIPS."""
    compared = {metric.column for metric in METRICS.values() if metric.against == "reference"}
    return [bar for bar in bars if bar.column in compared] or [BARS["--max-lpips"]]


def as_fast(store: Store, good: Sequence[Any], bars: Sequence[Bar]) -> Any | None:
    """Of the cells that may be as fast as the first, the nearest to full compute; None if that is the first.

    Nearest by the first metric against full compute that has a bar, or by LPIPS, and no worse in any other that has
    one. As fast: within a tenth, and perhaps faster by the interval of the difference of their pairs' speed-ups.
    """
    measures, best = _nearness(bars), good[0]
    fastest = log_speedups(store.drawn(best.key).pairs)

    def goodness(row: Any, bar: Bar) -> float:
        return bar.sign * ranked_value(row, bar.column)

    def is_rival(row: Any) -> bool:
        is_no_worse = all(goodness(row, bar) >= goodness(best, bar) for bar in measures)
        if not is_no_worse or row.speedup < NEARLY * best.speedup:
            return False
        slower = difference_interval(log_speedups(store.drawn(row.key).pairs), fastest)
        return slower is None or slower[0] <= 0

    nearest_one = max([best, *filter(is_rival, good[1:])], key=lambda row: goodness(row, measures[0]))
    return None if nearest_one is best else nearest_one


def is_same_drawing(one: Any, other: Any) -> bool:
    """Whether two cells of a method compute the same steps and are the same in every metric that they are scored in."""
    columns = [metric.column for metric in METRICS.values() if metric.column in one._fields]
    figures = [(getattr(one, column), getattr(other, column)) for column in columns]
    known = [(a, b) for a, b in figures if pd.notna(a) or pd.notna(b)]
    steps = [(row.method, row.schedule, row.computed_steps) for row in (one, other)]
    return steps[0] == steps[1] and bool(known) and all(a == b for a, b in known)


def nearest(group: pd.DataFrame, bars: Sequence[Bar]) -> str:
    """The cell that misses the bars by least, and by how much; or why there is none to be held against them."""
    rows = candidates(group)
    if not rows:
        return "nothing qualifies: no setting that skips steps was drawn"
    known = [row for row in rows if all(bar.missed_by(row) is not None for bar in bars)]
    if not known:
        unknown = (bar.why_unknown(row) for row in rows for bar in bars if bar.missed_by(row) is None)
        reasons = dict.fromkeys(reason for text in unknown for reason in text.split("; "))
        return f"nothing qualifies: {'; '.join(reasons)}"
    row = min(known, key=lambda row: max(bar.missed_by(row) or 0.0 for bar in bars))
    missed = "; ".join(bar.missed(row) for bar in bars if bar.missed_by(row))
    return f"nothing qualifies; nearest: {row.setting}, {number(row.speedup, 2, 'x')}: {missed}"


def gives(row: Any, bars: Sequence[Bar]) -> str:
    """What a cell brings: its speed-up, its metrics and what else the bars ask for."""
    columns = {metric.column for metric in METRICS.values()} | {bar.column for bar in bars} - {FASTER.column}
    asked = {bar.column: bar for bar in (*BARS.values(), *bars) if bar.column in columns}
    known = [bar for bar in asked.values() if not pd.isna(getattr(row, bar.column, None))]
    figures = [f"{bar.label} {bar.shown(getattr(row, bar.column) / bar.scale)}" for bar in known]
    disturbed = f" ({row.timing_disturbed})" if isinstance(row.timing_disturbed, str) else ""
    return ", ".join(filter(None, [with_interval(row), *figures, identical_images(row)])) + disturbed


def given_up(group: pd.DataFrame, best: Any, bars: Sequence[Bar]) -> str:
    """What the fastest cell that misses a bar would have brought more, and how it misses; if its timing is believed."""
    failing = [row for row in candidates(group) if any(bar.missed_by(row) for bar in bars)]
    timed = [row for row in failing if FASTER.worst(row) is not None]
    fastest = max(timed, key=lambda row: row.speedup, default=best)
    if fastest.speedup <= best.speedup:
        return ""
    reached = "; ".join(bar.reached(fastest) for bar in bars if bar.missed_by(fastest))
    return f"{fastest.setting} is faster ({fastest.speedup:.2f}x), but {reached}"
