"""Two runs cell by cell: what changed, what is missing, and what is to be said beside it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tsbench.disturbance import disturbance, impossibly_fast
from tsbench.errors import UserError
from tsbench.methods.registry import method_class
from tsbench.metrics import METRICS, metric_of, scorer
from tsbench.present import told_apart, workload_titles
from tsbench.stats import (
    difference_interval,
    finite_mean,
    log_speedups,
    mean_interval,
    prompt_differences,
    prompt_means,
    trimmed_mean,
)
from tsbench.store import Store
from tsbench.stored import DrawnCell, StoredCell
from tsbench.tables import cells_table
from tsbench.titles import DRAWN_WITH

SLOWER, FULL = "slower", "latency"
DRAWN = (  # columns by which cells differ
    "weights", "height", "width", "steps", *DRAWN_WITH, "seeds", "prompts", "backend", "dtype", "quantization",
    "offload", "compile", "method",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One figure of one cell, from A to B.

    Attributes:
        cell: what it is of, for people.
        figure: `slower`, of full compute `latency` (both shares: 0.05 is 5 % more), or the name of a metric.
        value: of a metric B - A, of the others B over A less 1.
        interval: of the value; None if there are too few pairs or prompts.
        higher_is_better: the direction.
        hardware: that drew the cell in A and in B, where the figure is a time and they differ.
        equal: whether the figure, a metric, is the same of every prompt.
    """

    cell: str
    figure: str
    value: float
    interval: tuple[float, float] | None
    higher_is_better: bool = False
    hardware: tuple[str, str] | None = None
    equal: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def worse_by(self) -> float:
        """How much worse it became; negative where it became better."""
        return -self.value if self.higher_is_better else self.value

    @property
    def worse_by_at_least(self) -> float:
        """The same at the better end of the interval; minus infinity without one."""
        if self.interval is None:
            return -math.inf
        return -self.interval[1] if self.higher_is_better else self.interval[0]

    def shown(self, figure: float, sign: str = "+", limit: float = math.inf) -> str:
        """A figure as it is written, told from a limit: a share in percent."""
        scale, digits, unit = (1, 4, "") if self.figure in METRICS else (100, 3, " %")
        return told_apart(scale * figure, scale * limit, digits, sign) + unit

    def __str__(self) -> str:
        ends = "" if self.interval is None else f" [{', '.join(map(self.shown, self.interval))}]"
        return f"{self.cell}: {self.figure} {self.shown(self.value)}{ends}"


@dataclass(frozen=True)
class Comparison:
    """What there is to say of two runs.

    Attributes:
        changes: the figures that both have.
        lost: what A has and B lacks, by figure; a whole cell's is "".
        told: remarks that are not figures.
    """

    changes: list[Change]
    lost: list[tuple[str, str]]
    told: list[str]


def compared(a: Store, b: Store, names: Sequence[str], judged_by: Collection[str] = ()) -> Comparison:
    """Two runs, cell by cell.

    Args:
        a, b: the runs.
        names: how they were typed.
        judged_by: the metrics by which the images of full compute are compared too, where they differ.

    Raises:
        UserError: if they have no cell in common.
    """
    rows, others = _rows(a), _rows(b)
    same = counterparts(a.all_cells(), b.all_cells())
    if not same:
        told = f": they differ in {', '.join(differing)}" if (differing := _differing(rows, others)) else ""
        raise UserError(
            f"{names[0]} and {names[1]} have no cell in common{told}; compare two runs of the same settings."
        )
    both = [key for key, their_key in same.items() if rows[key].status == others[their_key].status == "ok"]
    coverage = 1 - 0.05 / max(1, len(both))  # Bonferroni's: each so that all of a figure hold together
    backends = {other.backend for other in others.values()}  # another one need not have all methods
    found = Comparison([], [], [])
    for key, row in rows.items():
        name, other = row.name, others.get(same.get(key, ""))
        if key in both:
            _compare_cell(a, b, row, other, coverage, found)
            if row.key == row.reference:
                _compare_full_compute(a, b, row, other, coverage, judged_by, found)
        elif row.status == "ok" and other is not None:
            found.lost.append(("", f"{name}: {other.status}: {other.reason}"))
        elif row.status == "ok" and row.backend in backends:
            found.lost.append(("", f"{name}: missing"))
        elif row.status == "ok":
            found.told.append(f"only in {names[0]}: {name}")
        else:
            then = "missing" if other is None else other.status
            found.told.append(f"{name}: {row.status} in {names[0]} ({row.reason}), {then} in {names[1]}")
    found.told.extend(
        f"only in {names[1]}: {other.name}" + ("" if other.status == "ok" else f" ({other.status}: {other.reason})")
        for key, other in others.items()
        if key not in same.values()
    )
    return found


def _differing(rows: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """The columns of which two runs share no value."""

    def values(name: str, of: dict[str, Any]) -> set[Any]:
        return {getattr(row, name) for row in of.values()}

    return [name for name in DRAWN if values(name, rows).isdisjoint(values(name, others))]


def _compare_cell(a: Store, b: Store, row: Any, other: Any, coverage: float, found: Comparison) -> None:
    """Add to what was found the figures of a cell that both runs have drawn."""
    one, two = a.drawn(row.key), b.drawn(other.key)
    name = row.name if row.key == other.key or row.name == other.name else f"{row.name}, then {other.name}"
    hardware = None if row.hardware == other.hardware else (row.hardware, other.hardware)
    found.changes.append(replace(latency_change(name, one, two, coverage), hardware=hardware))
    for run, cell in (("A", one), ("B", two)):
        if disturbed := disturbance(cell):
            found.told.append(f"{name}, in {run}: {disturbed}")
    scores, theirs = a.scores(row.key), b.scores(other.key)
    for scored in scores:
        if scored in theirs:
            prompts = len(one.workload.prompts)
            found.changes.extend(metric_change(name, scored, scores[scored], theirs[scored], prompts, coverage))
        else:
            found.lost.append((metric_of(scored).name, f"{name}: {scored} is not scored"))
    was, now = ([math.isinf(value) for value in run.get("psnr", [])] for run in (scores, theirs))
    if was and now and was != now:
        told = f"{sum(was)}, then {sum(now)} images are the reference's; they count in no PSNR difference"
        if any(before and not after for before, after in zip(was, now)):  # worse by more than any threshold
            found.lost.append(("psnr", f"{name}: {told}"))
        else:
            found.told.append(f"{name}: {told}")


def _compare_full_compute(
    a: Store, b: Store, row: Any, other: Any, coverage: float, judged_by: Collection[str], found: Comparison
) -> None:
    """Add to what was found how its images in B differ from those in A, if they do."""
    pairs = list(zip(a.images(row.key), b.images(other.key), strict=True))
    differing = sum(not np.array_equal(one, two) for one, two in pairs)
    if not differing:
        return
    psnr = finite_mean([scorer("psnr")(two, one) for one, two in pairs])
    name = f"{row.name}, B's images against A's"
    found.told.append(f"{name}: {differing} of {len(pairs)} differ, by {psnr:.2f} dB on average")
    if row.backend != other.backend:  # which never draw the same in every bit
        return
    for metric in (METRICS[figure] for figure in judged_by if figure in METRICS):
        if missing := metric.missing():
            found.told.append(f"{name}: not judged by {metric.label}: {missing}")
        elif metric.by_distance and metric.applies(row.height, row.width):
            values = [scorer(metric.name)(two, one) - metric.best for one, two in pairs]
            means = prompt_means(values, len(a.drawn(row.key).workload.prompts))
            interval = mean_interval(means, coverage)
            found.changes.append(Change(name, metric.name, statistics.fmean(means), interval, metric.higher_is_better))


def counterparts(ours: Sequence[StoredCell], theirs: Sequence[StoredCell]) -> dict[str, str]:
    """The keys of the cells of A that B has too, and B's keys for them.

    Cells of different backends are the same where they draw the same workload in the same steps with the same method,
    as far as both backends have its settings (`Method.equivalent_parameters`). Where several are the same as one, none
    is taken.
    """
    keys = {cell.key for cell in theirs}
    found = {cell.key: cell.key for cell in ours if cell.key in keys}
    across = [
        (one.key, other.key)
        for one in ours
        for other in theirs
        if not {one.key, other.key} & found.keys() and _same_across_backends(one, other)
    ]
    of_ours, of_theirs = Counter(one for one, _ in across), Counter(other for _, other in across)
    return found | {one: other for one, other in across if of_ours[one] == of_theirs[other] == 1}


def _same_across_backends(one: StoredCell, other: StoredCell) -> bool:
    if one.backend == other.backend or not (isinstance(one, DrawnCell) and isinstance(other, DrawnCell)):
        return False

    def drawn(cell: DrawnCell) -> tuple[Any, ...]:
        return replace(cell.workload, model_name=""), cell.settings, cell.method, cell.schedules

    def has(cell: StoredCell, settings: dict[str, Any]) -> bool:
        return all(cell.params.get(name, value) == value for name, value in settings.items())

    if drawn(one) != drawn(other):
        return False
    kinds = [method_class(cell.backend, cell.method) for cell in (one, other)]
    return has(one, kinds[1].equivalent_parameters) and has(other, kinds[0].equivalent_parameters)


def latency_change(name: str, a: DrawnCell, b: DrawnCell, coverage: float) -> Change:
    """How much slower a cell became beside its own full compute, from the logarithms of the pairs' speed-ups.

    A pair's two runs are neighbours, so that a machine that is slower as a whole changes neither figure. Full compute
    has nothing beside it: its seconds are compared.
    """
    full = a.is_reference
    one, two = (
        [math.log(pair.method.latency_s) for pair in cell.pairs]
        if full
        else [-logarithm for logarithm in log_speedups(cell.pairs)]
        for cell in (a, b)
    )
    believed = not (impossibly_fast(a) or impossibly_fast(b))
    interval = difference_interval(one, two, coverage) if believed else None
    ends = None if interval is None else (math.expm1(interval[0]), math.expm1(interval[1]))
    return Change(name, FULL if full else SLOWER, math.expm1(trimmed_mean(two) - trimmed_mean(one)), ends)


def metric_change(
    name: str, scored: str, a: Sequence[float], b: Sequence[float], prompts: int, coverage: float
) -> list[Change]:
    """The difference of a metric, paired by prompt; none where it is of identical images only on one side."""
    differences = prompt_differences(a, b, prompts)
    if not differences:
        return []
    metric = metric_of(scored)
    interval = mean_interval(differences, coverage)
    equal = not any(differences)
    return [
        Change(name, metric.name, statistics.fmean(differences), interval, metric.higher_is_better, equal=equal),
    ]


def _rows(store: Store) -> dict[str, Any]:
    """The cells by key, named by size and method, and by the whole workload where that would name several."""
    table = cells_table(store)
    titles = workload_titles(table)
    short = [f"{row.height}x{row.width} {row.setting}" for row in table.itertuples()]
    whole = [f"{titles[row.reference]}: {row.setting}" for row in table.itertuples()]
    table["name"] = [long if short.count(name) > 1 else name for name, long in zip(short, whole)]
    return {row.key: row for row in table.itertuples()}
