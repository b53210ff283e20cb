"""Plots of quality: speed-up against every metric, and PSNR of several backends against computed steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tsbench.metrics import METRICS, Metric
from tsbench.present import identical_images, workload_titles
from tsbench.report.plots.style import (
    CONTROL,
    Label,
    finish,
    label_points,
    mark_disturbed,
    name_panel,
    panel_grid,
    panels,
    short_label,
    speed_limits,
    styles,
    with_series,
)

ROUNDING = 1e-9  # which a metric of identical images may be off by


def pareto(cells: pd.DataFrame, hardware: str) -> Any:
    """A matplotlib figure, a row per workload and a column per metric, or None if no cell has a score."""
    scored = with_series(cells)
    metrics = [m for m in METRICS.values() if m.column in scored and scored[m.column].notna().any()]
    if not metrics:
        return None
    looks, titles = styles(scored["series"]), workload_titles(cells)
    groups = list(scored.groupby("reference", sort=False))
    figure, axes = panels(len(groups), len(metrics), 4.6, 3.9, sharex="row")
    for row, (reference, group) in zip(axes, groups):
        for axis, metric in zip(row, metrics):
            if group[metric.column].notna().any():
                _panel(axis, group, metric, looks)
            else:
                axis.set_axis_off()
                axis.text(0.5, 0.5, f"no {metric.title} here", ha="center", color="0.45", transform=axis.transAxes)
        name_panel(row[0], titles[str(reference)], across=len(metrics))
    finish(figure, axes.flat, f"Speed-up against full compute on {hardware}")
    for row, (_, group) in zip(axes, groups):
        for axis, metric in zip(row, metrics):
            if axis.axison:
                _label_front(axis, group, metric, looks)
    return figure


def _panel(axis: Any, group: pd.DataFrame, metric: Metric, looks: dict[str, dict[str, Any]]) -> None:
    shown, front = group[group[metric.column].notna()], _front(group, metric)
    axis.plot(
        front["speedup"], _heights(front, metric), color="0.55", linewidth=5, alpha=0.35, zorder=1,
        drawstyle="steps-pre", solid_joinstyle="miter", label="Pareto front",
    )  # fmt: skip
    for series, cells in shown.groupby("series", sort=False):
        heights, look = _heights(cells, metric), looks[str(series)] | {"markersize": 6, "zorder": 2}
        axis.plot(
            cells["speedup"], heights, **look, alpha=0.9, linewidth=1.2 if series == CONTROL else 0.8, label=series,
        )  # fmt: skip
        mark_disturbed(axis, cells["speedup"], heights, cells["timing_disturbed"], look)
        axis.hlines(
            heights, cells["speedup_low"], cells["speedup_high"], alpha=0.3, linewidth=1,
            colors=looks[str(series)]["color"], zorder=1,
        )  # fmt: skip
    axis.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xlabel("speed-up (x)")
    axis.set_ylabel(f"{metric.title}, {'higher' if metric.higher_is_better else 'lower'} is better")
    axis.margins(0.08, 0.12)
    axis.set_xlim(speed_limits(group))
    if metric.by_distance:
        _mark_distances(axis, metric)
    _mark_identical(axis, group, metric, looks)
    corner = 0.97 if metric.higher_is_better else 0.03
    axis.text(
        0.985, corner, "best", transform=axis.transAxes, ha="right", va="top" if corner > 0.5 else "bottom",
        fontsize=9, color="0.45", style="italic",
    )  # fmt: skip


def _heights(cells: pd.DataFrame, metric: Metric) -> pd.Series:
    """Where cells lie on a panel's upright axis: by the metric itself, or the logarithm of its distance to `best`.

    Infinite for those whose images all are full compute's.
    """
    values = cells[metric.column].astype(float)
    if metric.against != "reference":
        return values
    identical = cells["n_identical"] == cells["n_samples"]
    if metric.by_distance:
        distance = metric.sign * (metric.best - values)
        identical |= distance <= ROUNDING  # also where no PSNR has counted them
        values = -metric.sign * np.log10(distance.mask(identical))
    return values.mask(identical, metric.sign * np.inf)


def _mark_distances(axis: Any, metric: Metric) -> None:
    """Name the heights of round distances to identical images, as many as an axis has room for."""
    from matplotlib.ticker import MaxNLocator

    sign = -metric.sign
    low, high = sorted(sign * height for height in axis.get_ylim())
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        distances = [float(f"{digit}e{power}") for power in powers for digit in digits]
        ticks = [distance for distance in distances if low <= math.log10(distance) <= high]
        if len(ticks) <= 7:
            break
    if len(ticks) < 2:  # of an axis too short for a second one
        distances = list(MaxNLocator(4).tick_values(10**low, 10**high))
        ticks = [distance for distance in distances if distance > 0 and low <= math.log10(distance) <= high]
    labels = [f"{metric.best + sign * distance:.12f}".rstrip("0").rstrip(".") for distance in ticks]
    axis.set_yticks([sign * math.log10(distance) for distance in ticks], labels)


def _mark_identical(axis: Any, group: pd.DataFrame, metric: Metric, looks: dict[str, dict[str, Any]]) -> None:
    """At the panel's edge the cells whose images all are full compute's."""
    edge, identical = 1 if metric.higher_is_better else 0, group[np.isinf(_heights(group, metric))]
    at_edge = {"transform": axis.get_xaxis_transform(), "clip_on": False}
    for row in identical.itertuples():
        look = looks[row.series] | {"linestyle": "none", "markersize": 6} | at_edge
        axis.plot(row.speedup, edge, **look)
        mark_disturbed(axis, [row.speedup], [edge], [row.timing_disturbed], look)
    if len(identical):
        text = "identical" if len(identical) == 1 else f"{len(identical)} identical"
        axis.annotate(
            text, (identical["speedup"].max(), edge), xycoords=at_edge["transform"], xytext=(6, 0 if edge else 6),
            textcoords="offset points", va="center", fontsize=8, color="0.35",
        )  # fmt: skip


def _front(group: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    return group[[metric.name in text.split(";") for text in group["on_front"]]].sort_values("speedup")


def _label_front(axis: Any, group: pd.DataFrame, metric: Metric, looks: dict[str, dict[str, Any]]) -> None:
    """Name the cells on the front, the fastest first, on its far side, where nothing else can lie."""
    front = _front(group, metric).iloc[::-1]
    labels = [
        Label(row.speedup, height, _label(row, metric), looks[row.series]["color"])
        for row, height in zip(front.itertuples(), _heights(front, metric))
        if math.isfinite(height)
    ]
    points = np.column_stack([group["speedup"], _heights(group, metric)])
    label_points(axis, points[np.isfinite(points).all(axis=1)], labels, metric.sign)


def _label(row: Any, metric: Metric) -> str:
    """With the identical images, by which a cell may be on the front although the others' PSNR is low."""
    identical = identical_images(row) if metric.column == "psnr_db" else ""
    return ", ".join(filter(None, [short_label(row.label, row.computed_steps), identical]))


def implementations(cells: pd.DataFrame) -> Any:
    """PSNR against computed steps, where several backends drew the same: the axis that they share.

    Returns:
        A matplotlib figure, a panel per workload, each cell against full compute by its own backend; or None
        for one backend.
    """
    drawn, titles = with_series(cells), workload_titles(cells, without="backend")
    looks = styles(drawn["series"])
    drawn = drawn[drawn["psnr_db"].notna()]
    if len(set(drawn["backend"])) < 2:
        return None
    groups = list(drawn.groupby(drawn["reference"].map(titles), sort=False))
    figure, axes = panel_grid(len(groups), 8, 5)
    for axis, (title, group) in zip(axes, groups):
        for name, line in group.groupby("series", sort=False):
            line = line.sort_values(["computed_steps", "psnr_db"])
            axis.plot(line["computed_steps"], line["psnr_db"], **looks[str(name)], label=name)
        name_panel(axis, str(title))
        axis.set_xlabel("computed steps")
        axis.set_ylabel("PSNR (dB), higher is better")
    finish(figure, axes, "Against full compute by the same backend")
    return figure
