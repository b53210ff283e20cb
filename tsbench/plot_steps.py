"""Plots of what happens inside a run: errors after every step above the schedules, and speed-up against interval."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from tsbench.plot import COLOURS, MARKERS
from tsbench.present import full_name, series_and_point, workload_title
from tsbench.store import Store

MOST = 8  # settings in one panel: more cannot be told apart


def steps(cells: pd.DataFrame, store: Store) -> Any:
    """Relative error of the latents after every step, above the schedules as strips; a column a workload.

    Shown are the settings on a front, at most `MOST` of them, spread over the front.

    Returns:
        A matplotlib figure, or None where no cell on a front has errors.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = []
    for _, group in cells.groupby("reference", sort=False):
        front = group[(group["on_front"] != "") & (group["status"] == "ok")].sort_values("speedup")
        documents = [(row, store.document(row.key)) for row in front.itertuples()]
        drawn = [(row, document) for row, document in documents if document and document["step_errors"]]
        if drawn:
            columns.append((workload_title(next(group.itertuples())), _spread(drawn)))
    if not columns:
        return None
    rows = max(len(drawn) for _, drawn in columns)
    figure, axes = pyplot.subplots(
        2, len(columns), figsize=(6.2 * len(columns), 3.6 + 0.28 * rows), squeeze=False, sharex="col",
        gridspec_kw={"height_ratios": [3.2, 0.28 * rows + 0.2]},
    )  # fmt: skip
    for (title, drawn), errors, strips in zip(columns, axes[0], axes[1]):
        for place, (_row, document) in enumerate(drawn):
            colour = COLOURS[place % len(COLOURS)]
            values = document["step_errors"]
            shown = [(step, value) for step, value in enumerate(values) if value > 0]
            errors.plot(*zip(*shown), color=colour, linewidth=1.2, linestyle="-" if place < len(COLOURS) else "--")
            schedule = document["schedules"][0]
            strips.barh(
                [place] * len(schedule), [0.86] * len(schedule), left=[step - 0.43 for step in range(len(schedule))],
                height=0.7, color=[colour if letter == "C" else "0.88" for letter in schedule],
            )  # fmt: skip
        errors.set_yscale("log")
        errors.set_ylabel("relative error of the latents")
        errors.set_title(title, loc="left", fontsize=9, fontweight="bold")
        errors.grid(color="0.93")
        strips.set_yticks(range(len(drawn)), [f"{full_name(row)} ({row.speedup:.2f}x)" for row, _ in drawn], fontsize=7)
        strips.invert_yaxis()
        strips.set_xlabel("denoising step; coloured: computed")
        for axis in (errors, strips):
            axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def _spread(drawn: list[Any]) -> list[Any]:
    """At most `MOST`, evenly over the front, its ends among them."""
    if len(drawn) <= MOST:
        return drawn
    return [drawn[round(place * (len(drawn) - 1) / (MOST - 1))] for place in range(MOST)]


def intervals(cells: pd.DataFrame, hardware: str) -> Any:
    """Speed-up against the cache interval: a panel a size, a line a series.

    Returns:
        A matplotlib figure, or None where no series has several intervals.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])]
    drawn = drawn.assign(interval=[json.loads(params).get("cache_interval") for params in drawn["params"]])
    drawn = drawn[drawn["interval"].notna()]
    if drawn.empty:
        return None
    drawn = drawn.assign(series=[series_and_point(row)[0] for row in drawn.itertuples()])
    names = [name for name, line in drawn.groupby("series", sort=False) if len(set(line["interval"])) > 1]
    groups = [group for _, group in drawn[drawn["series"].isin(names)].groupby("reference", sort=False)]
    if not groups:
        return None
    figure, axes = pyplot.subplots(1, len(groups), figsize=(4.2 * len(groups), 4.2), squeeze=False, sharey=True)
    for axis, group in zip(axes[0], groups):
        for name, line in group.groupby("series", sort=False):
            colour, marker = COLOURS[names.index(name) % len(COLOURS)], MARKERS[names.index(name) % len(MARKERS)]
            line = line.sort_values("interval")
            axis.plot(line["interval"], line["speedup"], color=colour, marker=marker, label=name)
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        axis.set_xlabel("cache interval")
        first = next(group.itertuples())
        axis.set_title(
            f"{first.height} x {first.width}, {first.steps} steps", loc="left", fontsize=9, fontweight="bold"
        )
        axis.grid(color="0.93")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("speed-up (x)")
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    figure.suptitle(f"Speed-up against full compute on {hardware}", x=0.01, ha="left", fontsize=10)
    rows = -(-len(handles) // 2)
    figure.set_figheight(4.2 + 0.22 * rows)
    figure.tight_layout(rect=(0, 0.22 * rows / figure.get_figheight(), 1, 1))
    figure.legend(handles.values(), handles, loc="lower center", ncols=2, frameon=False, fontsize=8)
    return figure
