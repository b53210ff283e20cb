"""Plots: speed-up against every metric, and speed-up against size and steps."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tsbench.methods.fewer_steps import FewerSteps
from tsbench.metrics import METRICS, Metric
from tsbench.present import series_and_point, workload_title

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito, 2008
CONTROL, CONTROL_NAME = FewerSteps.title, FewerSteps.name  # every cache has to beat it
MARKERS = ("o", "s", "^", "D", "v", "P")


def pareto(cells: pd.DataFrame, hardware: str) -> Any:
    """A matplotlib figure, or None where no cell has a score."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scored = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])]
    metrics = [m for m in METRICS.values() if m.column in scored and scored[m.column].notna().any()]
    if not metrics:
        return None
    scored = scored.assign(series=[series_and_point(row)[0] for row in scored.itertuples()])
    names = [series for series in scored["series"].unique() if series != CONTROL]
    styles = {
        series: (COLOURS[number % len(COLOURS)], MARKERS[(number + number // len(COLOURS)) % len(MARKERS)])
        for number, series in enumerate(names)
    } | {CONTROL: ("black", "x")}
    groups = [group for _, group in scored.groupby("reference", sort=False)]
    figure, axes = pyplot.subplots(
        len(groups), len(metrics), figsize=(4.6 * len(metrics), 3.9 * len(groups) + 0.8), squeeze=False, sharex="row"
    )
    for row, group in zip(axes, groups):
        for axis, metric in zip(row, metrics):
            _panel(axis, group, metric, styles)
        row[0].set_title(workload_title(next(group.itertuples())), loc="left", fontsize=10, fontweight="bold")
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    labels = list(handles)
    figure.legend(handles.values(), labels, loc="lower center", ncols=min(3, len(labels)), frameon=False, fontsize=9)
    figure.suptitle(f"Speed-up against full compute on {hardware}", x=0.01, ha="left", fontsize=11)
    figure.tight_layout(rect=(0, 0.04 + 0.03 * (len(labels) // 3) / len(groups), 1, 1))
    return figure


def speed(cells: pd.DataFrame, hardware: str) -> Any:
    """Denoising speed-up against computed steps, where images mean nothing: a panel a workload, with the ideal T/C.

    Returns:
        A matplotlib figure, or None where no cell was drawn with random weights.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    random = cells["note"].fillna("").str.contains("random weights")
    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"]) & random]
    if drawn.empty:
        return None
    drawn = drawn.assign(series=[series_and_point(row)[0] for row in drawn.itertuples()])
    names = list(dict.fromkeys(drawn["series"]))
    groups = [group for _, group in drawn.groupby("reference", sort=False)]
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.6 * len(groups), 4.8), squeeze=False)
    for axis, group in zip(axes[0], groups):
        steps = int(group["steps"].iloc[0])
        reach = range(max(1, int(group["computed_steps"].min())), steps + 1)
        axis.plot(reach, [steps / computed for computed in reach], color="0.6", linestyle=":", label="ideal, T/C")
        for name, line in group.groupby("series", sort=False):
            colour, marker = COLOURS[names.index(name) % len(COLOURS)], MARKERS[names.index(name) % len(MARKERS)]
            line = line.sort_values("computed_steps")
            axis.plot(line["computed_steps"], line["denoise_speedup"], color=colour, marker=marker, label=name)
        axis.set_title(workload_title(next(group.itertuples())), loc="left", fontsize=9, fontweight="bold")
        axis.set_xlabel("computed steps")
        axis.set_ylabel("denoising speed-up (x)")
        axis.grid(color="0.93")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    figure.suptitle(f"Random weights, on {hardware}", x=0.01, ha="left", fontsize=11)
    figure.tight_layout()
    return figure


def implementations(cells: pd.DataFrame, hardware: str) -> Any:
    """PSNR against computed steps, where several backends drew the same: the axis that they share.

    Returns:
        A matplotlib figure, a panel a size, each cell against full compute by its own backend; or None for one backend.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"]) & cells["psnr_db"].notna()]
    if len(set(drawn["backend"])) < 2:
        return None
    drawn = drawn.assign(series=[series_and_point(row)[0] for row in drawn.itertuples()])
    names = [name for name in dict.fromkeys(drawn["series"]) if name != CONTROL]
    groups = [group for _, group in drawn.groupby(["height", "width", "steps"], sort=False)]
    figure, axes = pyplot.subplots(1, len(groups), figsize=(9.6 * len(groups), 5.4), squeeze=False)
    for axis, group in zip(axes[0], groups):
        for name, line in group.groupby("series", sort=False):
            colour, marker = ("black", "x")
            if name != CONTROL:
                number = names.index(name)
                colour = COLOURS[number % len(COLOURS)]
                marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
            line = line.sort_values(["computed_steps", "psnr_db"])
            style = "--" if name == CONTROL else "-"
            axis.plot(line["computed_steps"], line["psnr_db"], style, color=colour, marker=marker, label=name)
        first = next(group.itertuples())
        title = f"{first.model}, {first.height} x {first.width}, {first.steps} steps"
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.set_xlabel("computed steps")
        axis.set_ylabel("PSNR (dB) to full compute by the same backend, higher is better")
        axis.grid(color="0.93")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    return figure


def scaling(cells: pd.DataFrame, hardware: str) -> Any:
    """Speed-up against the size and against the number of steps, a line a setting.

    Returns:
        A matplotlib figure with a panel for each of the two that a setting was drawn at several values of, the other
        held at its most frequent value; None where there is none.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"]) & (cells["method"] != CONTROL_NAME)]
    if drawn.empty:
        return None
    drawn = drawn.assign(
        pixels=[f"{row.height} x {row.width}" for row in drawn.itertuples()],
        series=[series_and_point(row)[0] for row in drawn.itertuples()],
        point=[series_and_point(row)[1] for row in drawn.itertuples()],
        area=drawn["height"] * drawn["width"],
    )
    panels = []
    for column, held, label in (("pixels", "steps", "size (pixels)"), ("steps", "pixels", "denoising steps")):
        usual = drawn[held].mode()[0]
        group = drawn[drawn[held] == usual]
        if len(set(group[column])) > 1:
            title = f"{usual} steps" if held == "steps" else f"{usual} pixels"
            panels.append((group.sort_values(["area", "steps"]), column, label, title))
    if not panels:
        return None
    lines = list(dict.fromkeys(zip(drawn["series"], drawn["point"])))
    series = list(dict.fromkeys(name for name, _ in lines))
    points = list(dict.fromkeys(point for _, point in lines))
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.4 * len(panels), 4.6), squeeze=False, sharey=True)
    for axis, (group, column, label, title) in zip(axes[0], panels):
        for name, point in lines:
            line = group[(group["series"] == name) & (group["point"] == point)]
            colour, marker = COLOURS[series.index(name) % len(COLOURS)], MARKERS[points.index(point) % len(MARKERS)]
            axis.plot(
                line[column].astype(str), line["speedup"], color=colour, marker=marker, markersize=6, linewidth=0.9,
                label=f"{name}, {point}",
            )  # fmt: skip
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        axis.set_xlabel(label)
        axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
        axis.grid(color="0.93")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("speed-up (x)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.suptitle(f"Speed-up against full compute on {hardware}", x=0.01, ha="left", fontsize=11)
    legend_rows = -(-len(labels) // 3)
    figure.set_figheight(4.6 + 0.2 * legend_rows)
    figure.tight_layout(rect=(0, 0.22 * legend_rows / figure.get_figheight(), 1, 1))
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _label(row: Any) -> str:
    """What tells a cell from the others of its series; of a step map only how much it computes."""
    point = series_and_point(row)[1]
    return point if len(point) <= 12 else f"{row.computed_steps:g} computed"


def _panel(axis: Any, group: pd.DataFrame, metric: Metric, styles: dict[str, tuple[str, str]]) -> None:
    shown = group[group[metric.column].notna()]
    front = shown[[metric.name in text.split(";") for text in shown["on_front"]]].sort_values("speedup")
    axis.plot(
        front["speedup"], front[metric.column], color="0.55", linewidth=5, alpha=0.35, zorder=1, label="Pareto front"
    )
    for series, cells in shown.groupby("series", sort=False):
        colour, marker = styles[str(series)]
        axis.plot(
            cells["speedup"], cells[metric.column], color=colour, marker=marker, markersize=6, alpha=0.9, zorder=2,
            linestyle="--" if series == CONTROL else "-", linewidth=1.2 if series == CONTROL else 0.8, label=series,
        )  # fmt: skip
    for place, row in enumerate(front.itertuples()):
        axis.annotate(
            _label(row), (row.speedup, getattr(row, metric.column)), textcoords="offset points",
            xytext=(0, 9 if place % 2 == 0 else -15), ha="center", fontsize=8, color=styles[row.series][0], zorder=3,
        )  # fmt: skip
    axis.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    unit = f" ({metric.unit})" if metric.unit else ""
    axis.set_xlabel("speed-up (x)")
    axis.set_ylabel(f"{metric.label}{unit}, {'higher' if metric.higher_is_better else 'lower'} is better")
    axis.margins(0.08, 0.12)
    axis.grid(color="0.93")
    axis.spines[["top", "right"]].set_visible(False)
    corner = 0.97 if metric.higher_is_better else 0.03
    axis.text(
        0.985, corner, "best", transform=axis.transAxes, ha="right", va="top" if corner > 0.5 else "bottom",
        fontsize=9, color="0.45", style="italic",
    )  # fmt: skip
