"""`python -m tsbench recommend RESULTS --max-lpips 0.1`: the fastest setting whose intervals meet the bars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from tsbench.answers import (
    BARS,
    FASTER,
    Bar,
    as_fast,
    beside,
    candidates,
    gives,
    is_same_drawing,
    nearest,
    qualified,
    unjudged,
)
from tsbench.errors import UserError
from tsbench.flags import Arguments, number_of
from tsbench.metrics import METRICS
from tsbench.present import by_workload
from tsbench.progress import output
from tsbench.snippet import overrides, snippet
from tsbench.store import Store, opened
from tsbench.tables import cells_table

_FLAGS = textwrap.fill(
    "   ".join(f"{bar.flag}\u00a0{bar.limit:g}" for bar in BARS.values()), 110, break_on_hyphens=False
)
USAGE = f"""\
usage: python -m tsbench recommend RESULTS BAR…

Names, for every workload of a run, the fastest setting whose whole 95 % intervals meet the bars, with Python to paste.
Beside it stands the runner-up, or a setting that is nearer to full compute and, as far as the pairs can tell, as fast
(within a tenth). Settings that draw the same images in the same steps are named together. A setting that skips no
step, or whose interval reaches below full compute's speed, is never recommended. Bars:
{_FLAGS}"""


def main(arguments: list[str]) -> int:
    """The verb `recommend`: 0 if every workload has a setting that meets the bars, else 1."""
    parser = Arguments(f"usage: python -m tsbench recommend RESULTS BAR…, with bars of: {', '.join(BARS)}")
    parser.add_argument("RESULTS")
    for flag in BARS:
        parser.add_argument(flag, dest=flag, action="append", default=[])
    given = parser.parse_args(arguments)
    if repeated := [f"{flag} {' and '.join(texts)}" for flag in BARS if len(texts := getattr(given, flag)) > 1]:
        parser.error(f"a bar is one limit, but {repeated[0]} are given")
    bars = [bar_of(flag, text) for flag in BARS for text in getattr(given, flag)]
    if not bars:
        parser.error("a bar is needed, such as --max-lpips 0.1")
    if FASTER.flag not in {bar.flag for bar in bars}:
        bars.append(FASTER)
    store = opened(given.RESULTS)
    console = output()
    table = cells_table(store)
    found = True
    for title, group in by_workload(table):
        lines, ok = advice(store, title, group, bars)
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


def advice(store: Store, title: str, group: pd.DataFrame, bars: Sequence[Bar]) -> tuple[list[str], bool]:
    """What to say of one workload, and whether a setting qualifies."""
    lines = [f"{title}; wanted: {', '.join(map(str, bars))}"]
    unknown = unjudged(group, bars)
    if sum(map(len, unknown.values())) == len(candidates(group)):  # then `nearest` says why
        unknown = {}
    not_judged = [
        f"  not judged, {reason}: {'; '.join(row.setting for row in rows)}" for reason, rows in unknown.items()
    ]
    good = qualified(group, bars)
    if not good:
        return [*lines, f"  {nearest(group, bars)}", *not_judged, ""], False
    best = good[0]
    rival = as_fast(store, good, bars)
    lines += [f"  use {best.setting}: {gives(best, bars)}"]
    lines += [f"  {text}" for text in beside(rival, group, best, bars)]
    same = {row.key: row.setting for row in good[1:] if is_same_drawing(row, best)}
    if same:
        lines += [f"  the same steps and images, so that only noise differs: {'; '.join(same.values())}"]
    others = [row for row in good[1:] if row.key not in same]
    if others and not rival:
        lines += [f"  runner-up: {others[0].setting}: {gives(others[0], bars)}"]
    if (count := len(candidates(group))) > 1:
        lines += [
            f"  the best of {count} settings, partly by luck: before a close decision, draw it again with other prompts"
        ]
    cell = store.drawn(best.key)
    lines += [*not_judged, "", *snippet(cell), "", "# tsbench overrides", f"# {overrides(cell)}", ""]
    return lines, True
