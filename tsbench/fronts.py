"""Which cells lie on a Pareto front, which cannot be told apart from it, and which are dominated, and by whom."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tsbench.metrics import METRICS
from tsbench.stats import on_front

FRONTS = {"on_front": "speedup", "on_front_denoise": "denoise_speedup", "on_front_flops": "flops_speedup"}


def fronts(table: pd.DataFrame, speed: str) -> pd.Series:
    """For each cell the metrics on whose front with a speed-up it lies, within its workload: `lpips;ssim`.

    The reference takes part as a speed-up of 1 with a perfect score, so that a cell that is slower than full compute
    is on no front.
    """
    found: dict[Any, list[str]] = {index: [] for index in table.index}
    for _, group in table[table["status"] == "ok"].groupby("reference"):
        for metric in METRICS.values():
            if metric.column not in table:
                continue
            sign = 1.0 if metric.higher_is_better else -1.0
            scored = group[group[metric.column].notna() & group[speed].notna()]
            if scored.empty:
                continue
            points = [(getattr(row, speed), sign * getattr(row, metric.column)) for row in scored.itertuples()]
            perfect = [(1.0, np.inf)] if metric.against == "reference" else []
            for index, is_on in zip(scored.index, on_front([*points, *perfect])):
                if is_on:
                    found[index].append(metric.name)
    return pd.Series({index: ";".join(names) for index, names in found.items()}, dtype=object)


def against_front(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """For each cell off a front: the metrics for which it cannot be told apart from it, and who dominates it.

    A front cell that is at least as fast and as good dominates, unless both the intervals of the speed-up and those of
    the metric overlap; cells without intervals are compared by their figures.

    Returns:
        `lpips;ssim`, and `psnr:KEY;lpips:KEY`.
    """
    near: dict[Any, list[str]] = {index: [] for index in table.index}
    by: dict[Any, list[str]] = {index: [] for index in table.index}
    drawn = table[(table["status"] == "ok") & (table["key"] != table["reference"])]
    for _, group in drawn.groupby("reference"):
        for metric in METRICS.values():
            if metric.column not in table:
                continue
            sign = 1.0 if metric.higher_is_better else -1.0
            scored = [row for row in group.itertuples() if not pd.isna(getattr(row, metric.column))]
            front = [row for row in scored if metric.name in row.on_front.split(";")]
            for row in scored:
                value = sign * getattr(row, metric.column)
                above = [f for f in front if f.speedup >= row.speedup and sign * getattr(f, metric.column) >= value]
                if row in front or not above:
                    continue
                best = max(above, key=lambda f: (not _overlap(f, row, metric.column), f.speedup))
                if _overlap(best, row, metric.column):
                    near[row.Index].append(metric.name)
                else:
                    by[row.Index].append(f"{metric.name}:{best.key}")
    return (
        pd.Series({index: ";".join(names) for index, names in near.items()}, dtype=object),
        pd.Series({index: ";".join(names) for index, names in by.items()}, dtype=object),
    )


def _overlap(one: Any, other: Any, column: str) -> bool:
    """Whether two cells have intervals that overlap, of the speed-up and of the metric."""

    def ends(row: Any, name: str) -> tuple[float, float]:
        return getattr(row, f"{name}_low", math.nan), getattr(row, f"{name}_high", math.nan)

    def touch(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return not any(pd.isna(end) for end in (*a, *b)) and a[0] <= b[1] and b[0] <= a[1]

    return all(touch(ends(one, name), ends(other, name)) for name in ("speedup", column))
