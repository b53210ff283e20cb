"""Plots of quality: speed-up against every metric, and PSNR of several backends against computed steps."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tsbench.metrics import METRICS, Metric
from tsbench.plots.style import CONTROL, finish, panels, styles, with_series
from tsbench.present import workload_title


def pareto(cells: pd.DataFrame, hardware: str) -> Any:
    """A matplotlib figure, a row a workload and a column a metric, or None where no cell has a score."""
    scored = with_series(cells)
    metrics = [m for m in METRICS.values() if m.column in scored and scored[m.column].notna().any()]
    if not metrics:
        return None
    looks = styles(scored["series"])
    groups = [group for _, group in scored.groupby("reference", sort=False)]
    figure, axes = panels(len(groups), len(metrics), 4.6, 3.9, sharex="row")
    for row, group in zip(axes, groups):
        for axis, metric in zip(row, metrics):
            _panel(axis, group, metric, looks)
        row[0].set_title(workload_title(next(group.itertuples())), loc="left", fontsize=10, fontweight="bold")
    finish(figure, axes, f"Speed-up against full compute on {hardware}")
    return figure


def _panel(axis: Any, group: pd.DataFrame, metric: Metric, looks: dict[str, dict[str, Any]]) -> None:
    shown = group[group[metric.column].notna()]
    front = shown[[metric.name in text.split(";") for text in shown["on_front"]]].sort_values("speedup")
    axis.plot(
        front["speedup"], front[metric.column], color="0.55", linewidth=5, alpha=0.35, zorder=1, label="Pareto front"
    )
    for series, cells in shown.groupby("series", sort=False):
        axis.plot(
            cells["speedup"], cells[metric.column], **looks[str(series)], markersize=6, alpha=0.9, zorder=2,
            linewidth=1.2 if series == CONTROL else 0.8, label=series,
        )  # fmt: skip
    for place, row in enumerate(front.itertuples()):
        axis.annotate(
            _label(row), (row.speedup, getattr(row, metric.column)), textcoords="offset points",
            xytext=(0, 9 if place % 2 == 0 else -15), ha="center", fontsize=8, color=looks[row.series]["color"],
            zorder=3,
        )  # fmt: skip
    axis.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xlabel("speed-up (x)")
    axis.set_ylabel(f"{metric.title}, {'higher' if metric.higher_is_better else 'lower'} is better")
    axis.margins(0.08, 0.12)
    corner = 0.97 if metric.higher_is_better else 0.03
    axis.text(
        0.985, corner, "best", transform=axis.transAxes, ha="right", va="top" if corner > 0.5 else "bottom",
        fontsize=9, color="0.45", style="italic",
    )  # fmt: skip


def _label(row: Any) -> str:
    """What tells a cell from the others of its series; of a step map only how much it computes."""
    return row.point if len(row.point) <= 12 else f"{row.computed_steps:g} computed"


def implementations(cells: pd.DataFrame) -> Any:
    """PSNR against computed steps, where several backends drew the same: the axis that they share.

    Returns:
        A matplotlib figure, a panel a size, each cell against full compute by its own backend; or None for one backend.
    """
    drawn = with_series(cells)
    drawn = drawn[drawn["psnr_db"].notna()]
    if len(set(drawn["backend"])) < 2:
        return None
    looks = styles(drawn["series"])
    groups = [group for _, group in drawn.groupby(["height", "width", "steps"], sort=False)]
    figure, axes = panels(1, len(groups), 8, 5)
    for axis, group in zip(axes[0], groups):
        for name, line in group.groupby("series", sort=False):
            line = line.sort_values(["computed_steps", "psnr_db"])
            axis.plot(line["computed_steps"], line["psnr_db"], **looks[str(name)], label=name)
        first = next(group.itertuples())
        axis.set_title(f"{first.model}, {first.height} x {first.width}, {first.steps} steps", loc="left", fontsize=10)
        axis.set_xlabel("computed steps")
        axis.set_ylabel("PSNR (dB), higher is better")
    finish(figure, axes, "Against full compute by the same backend")
    return figure
