"""`python -m tsbench compare A B`: two runs of the same cells, before and after."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tsbench.errors import UserError
from tsbench.flags import number_of, read_flags
from tsbench.methods import method_class
from tsbench.metrics import METRICS, metric_of
from tsbench.present import full_name
from tsbench.progress import output
from tsbench.score import ACROSS
from tsbench.stats import finite_mean, holm, mean_interval, shift_interval
from tsbench.store import Store
from tsbench.tables import cells_table, opened

USAGE = """\
usage: python -m tsbench compare A B [--fail-if slower=5% lpips=0.01 …] [--across-hardware]

Per common cell the ratio of latencies, B over A, and the differences of metrics, B - A, with 95 % intervals; a star
marks what is significant after correction for the number of comparisons (Holm). Of two backends, cells of the same
method and schedule are compared. --fail-if exits with 1 where a whole interval lies beyond a threshold: slower=5%, or
a metric's name with how much worse it may get. Timings of different hardware are shown, but fail nothing unless
--across-hardware is given."""


@dataclass(frozen=True)
class Change:
    """One figure of one cell, from A to B; `worse` is positive where B is worse."""

    cell: str
    what: str
    value: float
    interval: tuple[float, float] | None
    p: float
    worse_sign: int  # 1 where more is worse

    @property
    def surely_worse_by(self) -> float:
        """The least by which it is worse, by the whole interval; minus infinity where it may be better."""
        if self.interval is None:
            return -math.inf
        low, high = self.interval
        return low if self.worse_sign > 0 else -high


def main(arguments: list[str]) -> int:
    """The verb `compare`."""
    known = ("--fail-if", "--across-hardware")
    rest, flags = read_flags("compare", arguments, known, many=("--fail-if",), bare=("--across-hardware",))
    if len(rest) != 2:
        raise UserError("compare takes two results folders: python -m tsbench compare A B.")
    limits = thresholds(flags.get("--fail-if", []))
    a, b = opened(rest[0]), opened(rest[1])
    same_hardware = _hardware(a) == _hardware(b) or "--across-hardware" in flags
    rows, others = _rows(a), _rows(b)
    same = counterparts(a.documents(), b.documents())
    changes = all_changes(a, b, rows, others, same)
    console = output()
    if not changes:
        raise UserError(f"{rest[0]} and {rest[1]} have no finished cell in common.")
    if _hardware(a) != _hardware(b):
        console.print(f"different hardware: {_hardware(a)} and {_hardware(b)}", highlight=False)
    corrected = holm([change.p for change in changes])
    failures = []
    for change, p in zip(changes, corrected):
        star = "*" if p < 0.05 else " "
        between = "" if change.interval is None else f" [{change.interval[0]:+.4g}, {change.interval[1]:+.4g}]"
        console.print(
            f"{star} {change.cell}: {change.what} {change.value:+.4g}{between}", highlight=False, markup=False
        )
        limit = limits.get(change.what.split()[0])
        if limit is None or (change.what.startswith("slower") and not same_hardware):
            continue
        if change.surely_worse_by > limit:
            failures.append(
                f"{change.cell}: {change.what} by at least {change.surely_worse_by:.4g}, more than {limit:g}"
            )
        elif change.interval is None or change.worse_sign * change.value > limit:
            console.print("    inconclusive: the interval does not lie beyond the threshold", highlight=False)
    for key, their_key in same.items():
        counts = [row.n_identical for row in (rows[key], others[their_key])]
        if counts[0] != counts[1] and not any(map(pd.isna, counts)):
            told = f"{counts[0]:g}, then {counts[1]:g} images are the reference's; they are in no PSNR difference"
            console.print(f"  {_name(rows[key])}: {told}", highlight=False, markup=False, soft_wrap=True)
    for name, one, matched in ((rest[0], rows, same.keys()), (rest[1], others, same.values())):
        for key in sorted(one.keys() - matched):
            console.print(f"only in {name}: {full_name(one[key])}", highlight=False, markup=False)
    for failure in failures:
        console.print(f"FAILED {failure}", highlight=False, markup=False, soft_wrap=True)
    return int(bool(failures))


def thresholds(given: Sequence[str]) -> dict[str, float]:
    """`slower=5%` and `lpips=0.01` as figures by name."""
    limits = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in ("slower", *METRICS):
            names = ", ".join(("slower", *METRICS))
            raise UserError(f"--fail-if is {text!r}, but must be NAME=HOW MUCH WORSE, with a name of: {names}.")
        limits[name] = number_of("--fail-if", value)
    return limits


def counterparts(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The keys of the cells of A that B has too, and B's keys for them.

    Cells of different backends are the same where they draw the same workload in the same steps with the same method,
    as far as both backends have its settings (`Method.elsewhere`).
    """
    keys = {document["key"] for document in theirs}
    found = {document["key"]: document["key"] for document in ours if document["key"] in keys}
    for one in ours:
        for other in theirs:
            if one["key"] not in found and other["key"] not in found.values() and _same_across_backends(one, other):
                found[one["key"]] = other["key"]
    return found


def _same_across_backends(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def drawn(document: dict[str, Any]) -> tuple[Any, ...]:
        workload = {name: value for name, value in document["workload"].items() if name != "model_name"}
        return workload, document["settings"], document["method"], document.get("schedules")

    def has(document: dict[str, Any], settings: dict[str, Any]) -> bool:
        return all(document["params"].get(name, value) == value for name, value in settings.items())

    if one["backend"] == other["backend"] or drawn(one) != drawn(other):
        return False
    kinds = [method_class(document["backend"], document["method"]) for document in (one, other)]
    return has(one, kinds[1].elsewhere) and has(other, kinds[0].elsewhere)


def all_changes(a: Store, b: Store, rows: dict[str, Any], others: dict[str, Any], same: dict[str, str]) -> list[Change]:
    """Every figure of every cell that both runs have drawn; `rows` and `others` are their tables by key."""
    changes = []
    for key, their_key in same.items():
        row = rows[key]
        if row.status == others[their_key].status == "ok":
            one, other = a.document(key), b.document(their_key)
            assert one is not None and other is not None
            changes.append(latency_change(_name(row), one, other))
            changes += metric_changes(_name(row), one, a.scores(key), b.scores(their_key))
    return changes


def latency_change(name: str, a: dict[str, Any], b: dict[str, Any]) -> Change:
    """The relative change of the latency: ranks of the logarithms, so that the interval is one of a ratio."""
    from scipy.stats import mannwhitneyu

    one, other = ([math.log(pair["method"]["latency_s"]) for pair in document["pairs"]] for document in (a, b))
    shift = statistics.median(y - x for x in one for y in other)
    interval = shift_interval(one, other)
    ends = None if interval is None else (math.expm1(interval[0]), math.expm1(interval[1]))
    p = float(mannwhitneyu(one, other, method="exact").pvalue) if len(set(one + other)) > 1 else 1.0
    return Change(name, "slower (share)", math.expm1(shift), ends, p, 1)


def metric_changes(name: str, document: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> list[Change]:
    """The differences of metrics: the same prompts, so a paired interval over them."""
    from scipy.stats import ttest_1samp

    changes = []
    prompts = len(document["workload"]["prompts"])
    for scored in a:
        if scored == ACROSS or scored not in b:
            continue
        metric = metric_of(scored)
        pairs = [(float(x), float(y)) for x, y in zip(a[scored], b[scored], strict=True)]
        seeds = len(pairs) // prompts
        means = [
            finite_mean([0.0 if x == y else y - x for x, y in pairs[i * seeds : (i + 1) * seeds]])
            for i in range(prompts)
        ]
        differences = [mean for mean in means if mean is not None]
        if not differences:
            continue
        changed = max(differences) - min(differences) > 1e-9 * max(map(abs, differences))
        p = float(ttest_1samp(differences, 0).pvalue) if changed else float(not any(differences))
        value = statistics.fmean(differences)
        interval = mean_interval(differences)
        sign = -1 if metric.higher_is_better else 1
        changes.append(Change(name, metric.name, value, interval, p, sign))
    return changes


def _rows(store: Store) -> dict[str, Any]:
    return {row.key: row for row in cells_table(store).itertuples()}


def _name(row: Any) -> str:
    return f"{row.height}x{row.width} {full_name(row)}"


def _hardware(store: Store) -> str:
    return (store.manifest() or {}).get("hardware", "")
