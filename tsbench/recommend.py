"""`python -m tsbench recommend RESULTS --max-lpips 0.1`: the fastest setting that is surely good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tsbench.errors import UserError
from tsbench.flags import number_of, read_flags
from tsbench.metrics import METRICS
from tsbench.present import full_name, number, workload_title
from tsbench.progress import output
from tsbench.snippet import overrides, snippet
from tsbench.stats import LEAST_MEDIAN
from tsbench.store import Store
from tsbench.tables import cells_table, opened

USAGE = """\
usage: python -m tsbench recommend RESULTS BAR…

For every workload of a run the fastest setting whose whole interval meets the bars, the runner-up, and Python to paste.
  --max-lpips 0.1  --min-ssim 0.9  --min-psnr-db 25  --min-speedup 1.5  --max-memory-gb 40"""


@dataclass(frozen=True)
class Bar:
    """A limit on a column; `sign` is 1 for a least value and -1 for a largest one."""

    flag: str
    column: str
    sign: int
    limit: float
    unit: str = ""

    def worst(self, row: Any) -> float | None:
        """The end of the interval that has to meet the bar; the figure itself where its column has no interval."""
        value = getattr(row, self.column, None)
        if value is None or pd.isna(value):
            identical = self.column == "psnr_db" and row.n_identical == row.n_samples
            return float("inf") if identical else None
        if self.column == "peak_memory_bytes":
            return value / 1e9
        end = getattr(row, f"{self.column}_{'low' if self.sign > 0 else 'high'}", None)
        return None if end is None or pd.isna(end) else float(end)

    def missed_by(self, row: Any) -> float | None:
        """How far the interval's end lies on the wrong side, as a share of the limit; None without an interval."""
        worst = self.worst(row)
        return None if worst is None else max(0.0, self.sign * (self.limit - worst) / abs(self.limit or 1))

    def __str__(self) -> str:
        return f"{self.column} {'>=' if self.sign > 0 else '<='} {self.limit:g}{self.unit}"


BARS = {
    "--max-lpips": ("lpips", -1),
    "--min-ssim": ("ssim", 1),
    "--min-psnr-db": ("psnr_db", 1),
    "--min-speedup": ("speedup", 1),
    "--max-memory-gb": ("peak_memory_bytes", -1),
}
EXAMPLES = {"--max-lpips": 0.1, "--min-ssim": 0.9, "--min-psnr-db": 25}


def main(arguments: list[str]) -> int:
    """The verb `recommend`: 0 where every workload has a setting that meets the bars, else 1."""
    rest, flags = read_flags("recommend", arguments, tuple(BARS))
    if len(rest) != 1 or not flags:
        raise UserError(
            "recommend takes a results folder and a bar: python -m tsbench recommend RESULTS --max-lpips 0.1."
        )
    bars = [Bar(flag, *BARS[flag], number_of(flag, values[-1])) for flag, values in flags.items()]
    for bar in bars:
        _check_possible(bar)
    store = opened(rest[0])
    console = output()
    found = True
    for _, group in cells_table(store).groupby("reference", sort=False):
        lines, ok = advice(store, group, bars)
        found = found and ok
        for line in lines:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0 if found else 1


def _check_possible(bar: Bar) -> None:
    for metric in METRICS.values():
        least, largest = metric.range
        if metric.column == bar.column and not least <= bar.limit <= largest:
            raise UserError(
                f"{bar.flag} is {bar.limit:g}, but {metric.label} lies between {least:g} and {largest:g}; "
                f"try {bar.flag} {EXAMPLES[bar.flag]}."
            )


def qualified(group: pd.DataFrame, bars: Sequence[Bar]) -> list[Any]:
    """The cells of a workload that meet all bars, the fastest first."""
    rows = [row for row in group.itertuples() if row.status == "ok" and row.key != row.reference]
    return sorted((r for r in rows if all(bar.missed_by(r) == 0 for bar in bars)), key=lambda r: -r.speedup)


def advice(store: Store, group: pd.DataFrame, bars: Sequence[Bar]) -> tuple[list[str], bool]:
    """What to say of one workload, and whether a setting qualifies."""
    first = next(group.itertuples())
    lines = [f"{workload_title(first)}; wanted: {', '.join(map(str, bars))}"]
    good = qualified(group, bars)
    if not good:
        return [*lines, nearest(group, bars), ""], False
    best = good[0]
    lines += [f"  use {full_name(best)}: {gives(group, best)}"]
    if len(good) > 1:
        lines += [f"  runner-up: {full_name(good[1])}: {gives(group, good[1])}"]
    document = store.document(best.key)
    assert document is not None
    lines += ["", *snippet(document), "", "# tsbench overrides", f"# {overrides(document)}", ""]
    return lines, True


def nearest(group: pd.DataFrame, bars: Sequence[Bar]) -> str:
    """The cell that misses the bars by least, and by how much; or why nothing can be said."""
    rows = [row for row in group.itertuples() if row.status == "ok" and row.key != row.reference]
    known = [row for row in rows if all(bar.missed_by(row) is not None for bar in bars)]
    if not known:
        reasons = {row.interval_reason for row in rows if isinstance(row.interval_reason, str)} or {
            f"an interval of the speed-up needs {LEAST_MEDIAN} pairs, and there are {rows[0].n_pairs:g}"
            if rows
            else "nothing drawn"
        }
        return f"  nothing qualifies: without an interval a setting is not surely good enough ({'; '.join(reasons)})"
    row = min(known, key=lambda row: max(bar.missed_by(row) or 0.0 for bar in bars))
    missed = [
        f"{bar.column} reaches {bar.worst(row):.4g} where {bar.limit:g} is wanted" for bar in bars if bar.missed_by(row)
    ]
    return f"  nothing qualifies; nearest: {full_name(row)}, {number(row.speedup, 2, 'x')}: {'; '.join(missed)}"


def gives(group: pd.DataFrame, row: Any) -> str:
    """What a cell brings, and what was given up for it."""
    parts = [f"{row.speedup:.2f}x"]
    parts += [
        f"{name} {getattr(row, name):.4g}" for name in ("psnr_db", "ssim", "lpips") if not pd.isna(getattr(row, name))
    ]
    faster = group[(group["status"] == "ok") & (group["speedup"] > row.speedup)]["speedup"]
    if len(faster):
        parts.append(f"up to {faster.max():.2f}x given up for quality")
    return ", ".join(parts)
