"""The one style of all plots: colours that colour-blind people tell apart, and what every panel and legend has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from tsbench.methods.fewer_steps import FewerSteps
from tsbench.present import series_and_point

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito, 2008
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTROL = FewerSteps.title  # every cache has to beat it
LEGEND_ROW = 0.22  # inches


def with_series(cells: pd.DataFrame) -> pd.DataFrame:
    """The drawn cells but the references, with the series of each and its place in it."""
    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])]
    named = [series_and_point(row) for row in drawn.itertuples()]
    return drawn.assign(series=[series for series, _ in named], point=[point for _, point in named])


def styles(series: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A look for every series, the control's black and dashed; no two of the first 36 are the same."""
    looks: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(series):
        number = len(looks.keys() - {CONTROL})
        looks[name] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
            "linestyle": "-",
        }
        if name == CONTROL:
            looks[name] = {"color": "black", "marker": "x", "linestyle": "--"}
    return looks


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    """A figure and its axes, [rows, columns]; the size of a panel is in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, **options)
    for axis in axes.flat:
        axis.grid(color="0.93")
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Any, axes: Any, title: str) -> None:
    """The title above and one legend of all panels below, in as many columns as fit, with room for both."""
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    for columns in range(min(4, len(handles)), 0, -1):
        legend = figure.legend(handles.values(), handles, loc="lower center", ncols=columns, frameon=False, fontsize=9)
        if legend.get_window_extent().width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    below = LEGEND_ROW * -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + below + 0.3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.tight_layout(rect=(0, below / figure.get_figheight(), 1, 1))
