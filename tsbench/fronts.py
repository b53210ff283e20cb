"""Which cells lie on a Pareto front, which cannot be told apart from it, and which are dominated, and by whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsbench.metrics import METRICS, Metric
from tsbench.stats import difference_interval, mean_interval, on_front, prompt_differences

FRONTS = {"on_front": "speedup", "on_front_denoise": "denoise_speedup", "on_front_flops": "flops_speedup"}


@dataclass(frozen=True)
class Draws:
    """What the figures of a cell are taken from.

    Attributes:
        prompts: number of prompts.
        log_speedups: the logarithm of every pair's speed-up; none of the reference.
        scores: by column, a value a sample.
    """

    prompts: int
    log_speedups: Sequence[float]
    scores: Mapping[str, Sequence[float]]


def fronts(table: pd.DataFrame, speed: str) -> pd.Series:
    """For each cell the metrics on whose front with a speed-up it lies, within its workload: `lpips;ssim`.

    Full compute takes part with a speed-up of 1 and a perfect score, or its own in a metric against the prompt. A cell
    that computes every step is on no front: only noise can make it faster.
    """
    found: dict[Any, list[str]] = {index: [] for index in table.index}
    for reference, drawn in table[table["status"] == "ok"].groupby("reference"):
        group = drawn[drawn["computed_steps"] < drawn["steps"]]
        full = next(drawn[drawn["key"] == reference].itertuples(), None)
        for metric in METRICS.values():
            if metric.column not in table:
                continue
            values = [metric.sign * ranked_value(row, metric.column) for row in group.itertuples()]
            scored = group.assign(value=values)[[speed, "value"]].dropna()
            if scored.empty:
                continue
            points = list(scored.itertuples(index=False, name=None))
            if metric.against == "reference":
                points.append((1.0, np.inf))
            elif full is not None and not pd.isna(getattr(full, metric.column)):
                points.append((1.0, metric.sign * getattr(full, metric.column)))
            for index, is_on in zip(scored.index, on_front(points)):
                if is_on:
                    found[index].append(metric.name)
    return pd.Series({index: ";".join(names) for index, names in found.items()}, dtype=object)


def against_front(table: pd.DataFrame, draws: Mapping[str, Draws]) -> tuple[pd.Series, pd.Series]:
    """For each cell off a front: the metrics for which it cannot be told apart from it, and who dominates it.

    Full compute takes part as in `fronts`, and no figure of its own is in doubt. A front cell dominates that by the
    figures is at least as fast and as good, and is better in one of the two by the whole interval of the
    difference. Where front cells are so by the figures only, the cell is near the front. Intervals are wide enough for
    a cell's comparisons with all others of its workload together (Bonferroni).

    Args:
        table: with `on_front`.
        draws: of every finished cell, by key.

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
            points: list[tuple[Any, float, float]] = []
            front: list[tuple[Any, float, float]] = []
            for row in rows:
                is_full = row.key == row.reference
                perfect = is_full and metric.against == "reference"
                point = (row, row.speedup, np.inf if perfect else metric.sign * ranked_value(row, metric.column))
                (front if is_full or metric.name in row.on_front.split(";") else points).append(point)
            front.sort(key=lambda point: -point[1])
            coverage = 1 - 0.05 / max(1, len(points) + len(front) - 1)  # either of two figures, in one direction
            for row, speedup, value in points:
                above = [f for f, fast, good in front if fast >= speedup and good >= value]
                if not above:
                    continue
                best = next((f for f in above if _surely_better(f, row, metric, draws, coverage)), None)
                if best is None:
                    near[row.Index].append(metric.name)
                else:
                    by[row.Index].append(f"{metric.name}:{best.key}")
    return (
        pd.Series({index: ";".join(names) for index, names in near.items()}, dtype=object),
        pd.Series({index: ";".join(names) for index, names in by.items()}, dtype=object),
    )


def ranked_value(row: Any, column: str) -> float:
    """What a cell is ranked by in a metric: its mean, NaN where there is none.

    PSNR is infinite for an identical image, which counts here as one in which a single byte differs by one level.
    """
    value = getattr(row, column)
    value = np.nan if pd.isna(value) else value
    if column == "psnr_db" and pd.notna(row.n_identical) and row.n_identical > 0:
        identical = row.n_identical / row.n_samples
        most_db = 10 * math.log10(255**2 * 3 * row.height * row.width)
        return most_db if identical == 1 else identical * most_db + (1 - identical) * value
    return value


def _surely_better(one: Any, other: Any, metric: Metric, draws: Mapping[str, Draws], coverage: float) -> bool:
    """Whether a cell is faster, or better in a metric, by the whole interval, or by the figures where there is none.

    Speed-ups by their pairs, which are independent; the metric by prompts, which both have drawn.
    """
    mine, theirs, column = draws[one.key], draws[other.key], metric.column
    is_full = one.key == one.reference
    if is_full:
        faster = mean_interval([-logarithm for logarithm in theirs.log_speedups], coverage)
    else:
        faster = difference_interval(theirs.log_speedups, mine.log_speedups, coverage)
    surely_faster = one.speedup > other.speedup if faster is None else faster[0] > 0
    others = theirs.scores[column]
    if is_full and metric.against == "reference":
        is_better = not all(math.isclose(score, metric.best, abs_tol=1e-6) for score in others)  # rounding of SSIM
        return is_better or surely_faster
    ours = mine.scores[column]
    if metric.name == "psnr" and any(math.isinf(y) and not math.isinf(x) for x, y in zip(ours, others)):
        return False  # an identical image is better than any other, by more than can be averaged
    if surely_faster:
        return True
    differences = [metric.sign * difference for difference in prompt_differences(others, ours, mine.prompts)]
    better = mean_interval(differences, coverage)
    by = metric.sign * (ranked_value(one, column) - ranked_value(other, column)) if better is None else better[0]
    return by > 0
