"""Plots of speed: against computed steps, against size and number of steps, and against the cache interval."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from tsbench.methods.fewer_steps import FewerSteps
from tsbench.present import workload_titles
from tsbench.report.plots.style import (
    ACROSS,
    MARKERS,
    finish,
    mark_disturbed,
    name_panel,
    panel_grid,
    speed_limits,
    styles,
    with_series,
)

BESIDE = 0.1  # steps of the cache interval, between the lines of a panel, so that bars do not cover bars


def speed(cells: pd.DataFrame, hardware: str) -> Any:
    """Denoising speed-up against computed steps, where images mean nothing: a panel per workload, with the ideal T/C.

    Returns:
        A matplotlib figure, or None if no cell was drawn with random weights.
    """
    drawn, titles = with_series(cells), workload_titles(cells)
    looks = styles(drawn["series"])
    drawn = drawn[drawn["random_weights"]]
    if drawn.empty:
        return None
    groups = list(drawn.groupby("reference", sort=False))
    figure, axes = panel_grid(len(groups), 5.6, 4.4)
    for axis, (reference, group) in zip(axes, groups):
        steps = int(group["steps"].iloc[0])
        reach = range(max(1, int(group["computed_steps"].min())), steps + 1)
        axis.plot(reach, [steps / computed for computed in reach], color="0.6", linestyle=":", label="ideal, T/C")
        for name, line in group.groupby("series", sort=False):
            line = line.sort_values("computed_steps")
            axis.plot(line["computed_steps"], line["denoise_speedup"], **looks[str(name)], label=name)
            mark_disturbed(
                axis, line["computed_steps"], line["denoise_speedup"], line["timing_disturbed"], looks[str(name)]
            )
        name_panel(axis, titles[str(reference)])
        axis.set_xlabel("computed steps")
        axis.set_ylabel("denoising speed-up (x)")
    finish(figure, axes, f"Random weights, on {hardware}")
    return figure


def scaling(cells: pd.DataFrame, hardware: str) -> Any:
    """Speed-up against the size and against the number of steps, a line per setting, with the 95 % intervals as bars.

    Returns:
        A matplotlib figure with a panel for every workload that a setting was drawn at several sizes of, and for every
        one that it was drawn in several numbers of steps of; None if there is none.
    """
    drawn = with_series(cells)
    looks = styles(drawn["series"])
    drawn = drawn[drawn["method"] != FewerSteps.name]
    if drawn.empty:
        return None
    drawn = drawn.assign(
        pixels=[f"{row.height} x {row.width}" for row in drawn.itertuples()], area=drawn["height"] * drawn["width"]
    )
    shown = []
    for column, without, swept in (("pixels", "size", "size (pixels)"), ("steps", "steps", "denoising steps")):
        for title, group in drawn.groupby(drawn["reference"].map(workload_titles(cells, without)), sort=False):
            group = group[group.groupby(["series", "label"])[column].transform("nunique") > 1]
            if len(group):
                shown.append((group.sort_values(["area", "steps"]), column, swept, str(title)))
    if not shown:
        return None
    lines = pd.concat([group for group, *_ in shown])
    series, labels = (list(dict.fromkeys(lines[name])) for name in ("series", "label"))
    colours = {name: looks[name]["color"] for name in series}
    markers = {label: MARKERS[number % len(MARKERS)] for number, label in enumerate(labels)}
    figure, axes = panel_grid(len(shown), 5.4, 4.3, sharey=True)
    for axis, (group, column, swept, title) in zip(axes, shown):
        values = list(dict.fromkeys(group[column]))  # in order, also where a line lacks one
        axis.set_xticks(range(len(values)), map(str, values))
        settings = list(group.groupby(["series", "label"], sort=False))
        for number, ((name, label), line) in enumerate(settings):
            aside = _aside(number, len(settings)) / 5
            look = {"color": colours[name], "marker": markers[label], "markersize": 6, "linewidth": 0.9}
            places = [values.index(value) + aside for value in line[column]]
            axis.plot(places, line["speedup"], **look)
            mark_disturbed(axis, places, line["speedup"], line["timing_disturbed"], look)
            axis.vlines(
                places, line["speedup_low"], line["speedup_high"], colors=colours[name], alpha=0.3, linewidth=1.2
            )
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        axis.set_xlabel(swept)
        name_panel(axis, title)
    axes[0].set_ylim(speed_limits(lines))
    for name, colour in colours.items():
        axes[0].plot([], [], color=colour, label=name)
    for label, marker in markers.items():
        axes[0].plot([], [], color="0.4", marker=marker, linestyle="", label=label)
    for axis in axes[::ACROSS]:
        axis.set_ylabel("speed-up (x)")
    finish(figure, axes, f"Speed-up against full compute on {hardware}")
    return figure


def intervals(cells: pd.DataFrame, hardware: str) -> Any:
    """Speed-up against the cache interval: a panel per workload, a line per series, with the 95 % intervals as bars.

    Returns:
        A matplotlib figure, or None if no series has several intervals.
    """
    from matplotlib.ticker import MaxNLocator

    drawn, titles = with_series(cells), workload_titles(cells)
    looks = styles(drawn["series"])
    drawn = drawn.assign(interval=[json.loads(params).get("cache_interval") for params in drawn["params"]])
    drawn = drawn[drawn["interval"].notna()]
    drawn = drawn[drawn.groupby(["reference", "series"])["interval"].transform("nunique") > 1]
    if drawn.empty:
        return None
    groups = list(drawn.groupby("reference", sort=False))
    figure, axes = panel_grid(len(groups), 4.2, 4, sharey=True)
    for axis, (reference, group) in zip(axes, groups):
        lines = list(group.groupby("series", sort=False))
        for place, (name, line) in enumerate(lines):
            line = line.sort_values("interval")
            beside = line["interval"] + _aside(place, len(lines))
            axis.plot(beside, line["speedup"], **looks[str(name)], label=name)
            mark_disturbed(axis, beside, line["speedup"], line["timing_disturbed"], looks[str(name)])
            colour = looks[str(name)]["color"]
            axis.vlines(beside, line["speedup_low"], line["speedup_high"], colors=colour, alpha=0.4, linewidth=1.5)
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("cache interval")
        name_panel(axis, titles[str(reference)])
    axes[0].set_ylim(speed_limits(drawn))
    for axis in axes[::ACROSS]:
        axis.set_ylabel("speed-up (x)")
    finish(figure, axes, f"Speed-up against full compute on {hardware}")
    return figure


def _aside(place: int, lines: int) -> float:
    """How far one of several lines is moved, so that the lines together stay in the middle."""
    return BESIDE * (place - (lines - 1) / 2)
