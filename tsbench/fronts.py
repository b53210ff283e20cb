"""Which cells lie on a Pareto front, which are off it within the noise, and which are dominated, and by whom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsbench.metrics import METRICS, Metric
from tsbench.stats import difference_interval, mean_interval, prompt_differences

FRONTS = {"on_front": "speedup", "on_front_denoise": "denoise_speedup", "on_front_flops": "flops_speedup"}
RANKED_PSNR = "psnr_db_ranked"  # the column in which identical images count


@dataclass(frozen=True)
class RawFigures:
    """What the figures of a cell are taken from.

    Attributes:
        prompts: number of prompts.
        log_speedups: the logarithm of every pair's speed-up, 0 of the reference's.
        scores: by column, one per sample.
    """

    prompts: int
    log_speedups: Sequence[float]
    scores: Mapping[str, Sequence[float]]


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other point dominates, both coordinates to be maximised; equal points stay together."""
    from moocore import is_nondominated

    if not points:
        return []
    return [bool(x) for x in is_nondominated(np.asarray(points, dtype=float), maximise=True, keep_weakly=True)]


def fronts(table: pd.DataFrame, speed: str) -> pd.Series:
    """For each cell the metrics on whose front with a speed-up it lies, within its workload: `lpips;ssim`.

    Only cells take part that are faster than full compute, which therefore dominates none of them; where the speed-up
    is measured, only those that skip steps and that noise alone cannot have made faster.
    """
    found: dict[Any, list[str]] = {index: [] for index in table.index}
    for _, drawn in table[table["status"] == "ok"].groupby("reference"):
        faster = drawn[drawn[speed].astype(float) > 1]
        group = faster if speed == FRONTS["on_front_flops"] else faster[faster["competes"].astype(bool)]
        for metric in METRICS.values():
            if metric.column not in table:
                continue
            values = [metric.sign * ranked_value(row, metric.column) for row in group.itertuples()]
            scored = group.assign(value=values)[[speed, "value"]].dropna()
            points = list(scored.itertuples(index=False, name=None))
            for index, is_on in zip(scored.index, on_front(points)):
                if is_on:
                    found[index].append(metric.name)
    return pd.Series({index: ";".join(names) for index, names in found.items()}, dtype=object)


def against_front(table: pd.DataFrame, raw: Mapping[str, RawFigures]) -> tuple[pd.Series, pd.Series]:
    """For each cell off a front: the metrics for which it is so within the noise, and who dominates it.

    Full compute takes part with a speed-up of 1 and a perfect score, or its own in a metric against the prompt, and no
    figure of its own is in doubt. A front cell dominates another that it beats by the figures, being at least as fast
    and as good, if it is better in one of the two by the whole interval of the difference; of several, the fastest is
    named. A cell that no front cell dominates is near the front, unless it computes every step. Intervals are wide
    enough for a cell's comparisons with all others of its workload together (Bonferroni).

    Args:
        table: with `on_front`.
        raw: of every finished cell whose timing is believed, by key; others are neither near nor dominated.

    Returns:
        `lpips;ssim`, and `psnr:KEY;lpips:KEY`.
    """
    near: dict[Any, list[str]] = {index: [] for index in table.index}
    by: dict[Any, list[str]] = {index: [] for index in table.index}
    for _, group in table[table["status"] == "ok"].groupby("reference"):
        rows = list(group.itertuples())
        for metric in METRICS.values():
            if metric.column not in table:
                continue
            for row, better in _off_front(rows, metric, raw):
                if better is None and row.computed_steps < row.steps:
                    near[row.Index].append(metric.name)
                elif better is not None:
                    by[row.Index].append(f"{metric.name}:{better.key}")
    return (
        pd.Series({index: ";".join(names) for index, names in near.items()}, dtype=object),
        pd.Series({index: ";".join(names) for index, names in by.items()}, dtype=object),
    )


def _off_front(rows: Sequence[Any], metric: Metric, raw: Mapping[str, RawFigures]) -> Iterator[tuple[Any, Any]]:
    """Each scored cell off the front of a metric, with the fastest front cell that surely beats it, or None."""
    front: list[tuple[Any, float, float]] = []
    others: list[tuple[Any, float, float]] = []
    for row in rows:
        is_full = row.key == row.reference
        perfect = is_full and metric.against == "reference"
        point = (row, row.speedup, np.inf if perfect else metric.sign * ranked_value(row, metric.column))
        if is_full or metric.name in row.on_front.split(";"):
            front.append(point)
        elif row.key in raw and not np.isnan(point[2]):
            others.append(point)
    front.sort(key=lambda point: -point[1])
    coverage = 1 - 0.05 / max(1, len(rows) - 1)  # either of two figures, in one direction
    for row, speedup, value in others:
        above = (better for better, fast, good in front if fast >= speedup and good >= value)
        yield row, next((better for better in above if _surely_better(better, row, metric, raw, coverage)), None)


def ranked_value(row: Any, column: str) -> float:
    """What a cell is ranked by in a metric: its mean, NaN if there is none; identical images count in the PSNR's."""
    value = getattr(row, RANKED_PSNR if column == "psnr_db" else column)
    return np.nan if pd.isna(value) else value


def _surely_better(one: Any, other: Any, metric: Metric, raw: Mapping[str, RawFigures], coverage: float) -> bool:
    """Whether a cell is faster, or better in a metric, by the whole interval; never where there is none.

    Never where the other one has identical images that this one has not: in PSNR these are better than any other, by
    more than can be averaged. Full compute's images are perfect.
    """
    is_full = one.key == one.reference
    if is_full and metric.against == "reference":  # SSIM of identical images is 1 but for rounding
        differing = (not math.isclose(x, metric.best, abs_tol=1e-6) for x in raw[other.key].scores[metric.column])
        return any(differing) or _surely_faster(one, other, raw, coverage)
    ours, theirs = raw[one.key].scores[metric.column], raw[other.key].scores[metric.column]
    if metric.name == "psnr" and any(math.isinf(y) and not math.isinf(x) for x, y in zip(ours, theirs)):
        return False
    if _surely_faster(one, other, raw, coverage):
        return True
    differences = prompt_differences(theirs, ours, raw[one.key].prompts)  # both have drawn the same prompts
    better = mean_interval([metric.sign * difference for difference in differences], coverage)
    return better is not None and better[0] > 0


def _surely_faster(one: Any, other: Any, raw: Mapping[str, RawFigures], coverage: float) -> bool:
    """By the pairs of either cell, which are independent; full compute's speed-up of 1 is exact."""
    faster = difference_interval(raw[other.key].log_speedups, raw[one.key].log_speedups, coverage)
    return faster is not None and faster[0] > 0
