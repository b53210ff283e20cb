"""`python -m tsbench recommend RESULTS --max-lpips 0.1`: the fastest setting whose intervals meet the bars."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from tsbench.errors import UserError
from tsbench.flags import Arguments, number_of
from tsbench.fronts import ranked_value
from tsbench.metrics import METRICS, Metric
from tsbench.present import full_name, number, with_interval, workload_titles
from tsbench.progress import output
from tsbench.snippet import overrides, snippet
from tsbench.stats import difference_interval, log_speedups
from tsbench.store import Store, opened
from tsbench.tables import NO_REFERENCE, cells_table


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
        """The end of the interval that has to meet the bar, in its unit; None where it is not known.

        Peak memory has no interval: the figure itself. Identical images meet every bar on the PSNR, so that the
        interval is that of the others.
        """
        if self.column == "psnr_db" and getattr(row, "n_identical", None) == row.n_samples:
            return math.inf
        end = "" if self.column == "peak_memory_bytes" else "_low" if self.sign > 0 else "_high"
        value = getattr(row, f"{self.column}{end}", None)
        return None if value is None or pd.isna(value) else float(value) / self.scale

    def missed_by(self, row: Any) -> float | None:
        """How far `worst` lies on the wrong side, as a share of the limit; None where it is not known."""
        worst = self.worst(row)
        return None if worst is None else max(0.0, self.sign * (self.limit - worst) / abs(self.limit or 1))

    def why_unknown(self, row: Any) -> str:
        """Why `worst` is not known."""
        if self.column == "peak_memory_bytes":
            return str(row.peak_memory_reason)
        if pd.isna(getattr(row, self.column, None)) and not getattr(row, "n_identical", 0) > 0:
            reasons = row.metric_reason if isinstance(row.metric_reason, str) else ""
            if NO_REFERENCE in reasons or re.search(rf"(^|; ){re.escape(self.label)} ", reasons):
                return reasons
            (metric,) = (metric for metric in METRICS.values() if metric.column == self.column)
            name = metric.name if metric.against == "reference" else f"{metric.name}:CHECKPOINT"
            return f"{self.label} was not computed (python -m tsbench score RESULTS 'metrics=[{name}]' adds it)"
        return str(row.interval_reason)

    def missed(self, row: Any) -> str:
        """How a row misses the bar: the figure, and the end of its interval."""
        worst, wanted = self.worst(row), f"{self.shown(self.limit)} is wanted"
        if worst is None or self.column == "peak_memory_bytes":
            return f"{self.label} is {self.shown(worst or 0.0)}, and {wanted}"
        figure, end = self.shown(getattr(row, self.column)), "down to" if self.sign > 0 else "up to"
        return f"{self.label} is {figure}, its 95 % interval goes {end} {self.shown(worst)}, and {wanted}"

    def shown(self, figure: float) -> str:
        """A figure with the unit."""
        return f"{figure:.4g}{self.unit}"

    def __str__(self) -> str:
        return f"{self.label} {'>=' if self.sign > 0 else '<='} {self.shown(self.limit)}"


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
_FLAGS = textwrap.fill(
    "   ".join(f"{bar.flag}\u00a0{bar.limit:g}" for bar in BARS.values()), 110, break_on_hyphens=False
)
USAGE = f"""\
usage: python -m tsbench recommend RESULTS BAR…

Names, for every workload of a run, the fastest setting whose whole 95 % intervals meet the bars, with Python to paste.
Beside it stands the runner-up, or a setting that is nearer to full compute and, as far as the pairs can tell, as fast
(within a tenth). A setting that skips no step, or whose interval reaches below full compute's speed, is never
recommended. Bars:
{_FLAGS}"""


def main(arguments: list[str]) -> int:
    """The verb `recommend`: 0 where every workload has a setting that meets the bars, else 1."""
    parser = Arguments(f"usage: python -m tsbench recommend RESULTS BAR…, with bars of: {', '.join(BARS)}")
    parser.add_argument("RESULTS")
    for flag in BARS:
        parser.add_argument(flag, dest=flag)
    given = parser.parse_args(arguments)
    bars = [bar_of(flag, text) for flag in BARS if (text := getattr(given, flag)) is not None]
    if not bars:
        parser.error("a bar is needed, such as --max-lpips 0.1")
    if FASTER.flag not in {bar.flag for bar in bars}:
        bars.append(FASTER)
    store = opened(given.RESULTS)
    console = output()
    table = cells_table(store)
    found, titles = True, workload_titles(table)
    for reference, group in table.groupby("reference", sort=False):
        lines, ok = advice(store, titles[str(reference)], group, bars)
        found = found and ok
        for line in lines:
            console.print(line, soft_wrap=True)
    return 0 if found else 1


def bar_of(flag: str, text: str) -> Bar:
    """The bar of a flag with its value as typed.

    Raises:
        UserError: for a limit that is not a number, that no value can miss or meet, or below full compute's speed.
    """
    example = f"{flag} {BARS[flag].limit:g}"
    bar = replace(BARS[flag], limit=number_of(flag, text, example))
    if bar.flag == FASTER.flag and bar.limit < FASTER.limit:
        raise UserError(f"{flag} is {text}, but nothing slower than full compute is ever recommended; try {example}.")
    if bar.column == "peak_memory_bytes" and bar.limit <= 0:
        raise UserError(f"{flag} is {text}, but must be more than 0; try {example}.")
    for metric in METRICS.values():
        least, largest = metric.range
        if metric.column == bar.column and not least <= bar.limit <= largest:
            raise UserError(
                f"{flag} is {text}, but {metric.label} lies between {least:g} and {largest:g}; try {example}."
            )
    return bar


def candidates(group: pd.DataFrame) -> list[Any]:
    """The cells of a workload that were drawn and skip steps."""
    drawn = [row for row in group.itertuples() if row.status == "ok" and row.key != row.reference]
    return [row for row in drawn if row.computed_steps < row.steps]


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


def advice(store: Store, title: str, group: pd.DataFrame, bars: Sequence[Bar]) -> tuple[list[str], bool]:
    """What to say of one workload, and whether a setting qualifies."""
    lines = [f"{title}; wanted: {', '.join(map(str, bars))}"]
    unknown = unjudged(group, bars)
    if sum(map(len, unknown.values())) == len(candidates(group)):  # then `nearest` says why
        unknown = {}
    not_judged = [
        f"  not judged, {reason}: {', '.join(full_name(row) for row in rows)}" for reason, rows in unknown.items()
    ]
    good = qualified(group, bars)
    if not good:
        return [*lines, f"  {nearest(group, bars)}", *not_judged, ""], False
    best = good[0]
    rival = as_fast(store, good, bars)
    lines += [f"  use {full_name(best)}: {gives(best)}", *(f"  {text}" for text in beside(rival, group, best, bars))]
    if len(good) > 1 and not rival:
        lines += [f"  runner-up: {full_name(good[1])}: {gives(good[1])}"]
    if (count := len(candidates(group))) > 1:
        lines += [
            f"  the best of {count} settings, partly by luck: before a close decision, draw it again with other prompts"
        ]
    document = store.document(best.key)
    lines += [*not_judged, "", *snippet(document), "", "# tsbench overrides", f"# {overrides(document)}", ""]
    return lines, True


def beside(rival: Any | None, group: pd.DataFrame, best: Any, bars: Sequence[Bar]) -> list[str]:
    """What is to be known beside the fastest setting that qualifies; `rival` is `as_fast`."""
    nearer = (
        f"as fast within the noise, and nearer to full compute: {full_name(rival)}: {gives(rival)}" if rival else ""
    )
    return list(filter(None, [nearer, given_up(group, best, bars)]))


def as_fast(store: Store, good: Sequence[Any], bars: Sequence[Bar]) -> Any | None:
    """Of the cells that may be as fast as the first, the nearest to full compute; None where that is the first.

    Nearest by the first metric against full compute that has a bar, or by LPIPS. As fast: within a tenth, and perhaps
    faster by the interval of the difference of their pairs' speed-ups.
    """
    compared = {metric.column for metric in METRICS.values() if metric.against == "reference"}
    bar = next((bar for bar in bars if bar.column in compared), BARS["--max-lpips"])
    best = good[0]
    if bar.column not in best._fields:
        return None
    fastest = log_speedups(store.document(best.key)["pairs"])

    def is_alike(row: Any) -> bool:
        if row.speedup < NEARLY * best.speedup:
            return False
        slower = difference_interval(log_speedups(store.document(row.key)["pairs"]), fastest)
        return slower is None or slower[0] <= 0

    scored = [row for row in good if not math.isnan(ranked_value(row, bar.column)) and (row is best or is_alike(row))]
    nearest_one = max(scored, key=lambda row: bar.sign * ranked_value(row, bar.column), default=best)
    return None if nearest_one is best else nearest_one


def nearest(group: pd.DataFrame, bars: Sequence[Bar]) -> str:
    """The cell that misses the bars by least, and by how much; or why there is none to be held against them."""
    rows = candidates(group)
    if not rows:
        return "nothing qualifies: no setting that skips steps was drawn"
    known = [row for row in rows if all(bar.missed_by(row) is not None for bar in bars)]
    if not known:
        reasons = dict.fromkeys(bar.why_unknown(row) for row in rows for bar in bars if bar.missed_by(row) is None)
        return f"nothing qualifies: {'; '.join(reasons)}"
    row = min(known, key=lambda row: max(bar.missed_by(row) or 0.0 for bar in bars))
    missed = "; ".join(bar.missed(row) for bar in bars if bar.missed_by(row))
    return f"nothing qualifies; nearest: {full_name(row)}, {number(row.speedup, 2, 'x')}: {missed}"


def gives(row: Any) -> str:
    """What a cell brings."""
    columns = {metric.column for metric in METRICS.values()}
    known = [bar for bar in BARS.values() if bar.column in columns and not pd.isna(getattr(row, bar.column, None))]
    brings = [with_interval(row), *(f"{bar.label} {bar.shown(getattr(row, bar.column))}" for bar in known)]
    disturbed = f" ({row.timing_disturbed})" if isinstance(row.timing_disturbed, str) else ""
    return f"{', '.join(brings)}{disturbed}"


def given_up(group: pd.DataFrame, best: Any, bars: Sequence[Bar]) -> str:
    """What the fastest cell that misses a bar would have brought more, and how it misses; if its timing is believed."""
    failing = [row for row in candidates(group) if any(bar.missed_by(row) for bar in bars)]
    timed = [row for row in failing if FASTER.worst(row) is not None]
    fastest = max(timed, key=lambda row: row.speedup, default=best)
    if fastest.speedup <= best.speedup:
        return ""
    missed = "; ".join(bar.missed(fastest) for bar in bars if bar.missed_by(fastest))
    return f"{full_name(fastest)} is faster ({fastest.speedup:.2f}x), but {missed}"
