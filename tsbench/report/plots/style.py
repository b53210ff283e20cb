"""The one style of all plots: colours that colour-blind people tell apart, and what every panel and legend has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import pandas as pd

from tsbench.methods.fewer_steps import FewerSteps
from tsbench.present import series_and_label

COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",  # Okabe and Ito, 2008
    "#7570B3", "#A6761D", "#888888", "#882255",  # of ColorBrewer's Dark2, grey, and wine of Paul Tol's
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTROL = FewerSteps.title  # every cache has to beat it
LEGEND_ROW, TITLE = 0.22, 0.3  # inches
ACROSS = 3  # panels in a row
AS_IT_IS = {"parse_math": False}  # of text with prompts and parameters in it: a dollar begins no formula
POINT_RADIUS, LABEL_GAP = 3.5, 5  # points of 1/72 inch
# Of a label beside its point: how far to the right, and how far to the free side.
PLACES = ((0, 1), (1, 0), (1, 1), (-1, 1), (0, -1))


@dataclass(frozen=True)
class Label:
    """What is written beside a point, in units of its panel."""

    x: float
    y: float
    text: str
    colour: str


def with_series(cells: pd.DataFrame) -> pd.DataFrame:
    """The drawn cells but the references, with the series of each and its place in it."""
    drawn = cells[(cells["status"] == "ok") & (cells["key"] != cells["reference"])]
    named = [series_and_label(row) for row in drawn.itertuples()]
    return drawn.assign(series=[series for series, _ in named], label=[label for _, label in named])


def short_label(label: str, computed_steps: float) -> str:
    """What tells a cell from the others of its series; of a step map only how much it computes."""
    return label if len(label) <= 12 else f"{computed_steps:g} computed"


def styles(series: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A look for every series, the control's black and dashed; no two of the first 60 are the same.

    Each has a colour of its own while there are enough of them; then each method has, whose series differ in their
    markers; and where one method has too many for that, colours begin again with other markers.
    """
    names = list(dict.fromkeys(series))
    others = [name for name in names if name != CONTROL]
    methods = Counter(map(_method, others))
    by_method = len(others) > len(COLOURS) >= len(methods) and max(methods.values()) <= len(MARKERS)
    owners = [method for method, _ in methods.most_common()] if by_method else others
    looks: dict[str, dict[str, Any]] = {}
    used: Counter[str] = Counter()
    for name in names:
        if name == CONTROL:
            looks[name] = {"color": "black", "marker": "x", "linestyle": "--"}
            continue
        place = owners.index(_method(name) if by_method else name)
        colour = COLOURS[place % len(COLOURS)]
        looks[name] = {"color": colour, "marker": MARKERS[(place + used[colour]) % len(MARKERS)], "linestyle": "-"}
        used[colour] += 1
    return looks


def _method(series: str) -> str:
    return series.split(", ")[0]


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


def panel_grid(count: int, width: float, height: float, **options: Any) -> tuple[Any, list[Any]]:
    """A figure and so many axes, `ACROSS` in a row at most."""
    columns = min(count, ACROSS)
    figure, axes = panels(-(-count // columns), columns, width, height, **options)
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def speed_limits(cells: pd.DataFrame) -> tuple[float, float]:
    """Ends of an axis that show all speed-ups and 1, and of their bars as much as half of that span beyond."""
    low, high = min(1.0, cells["speedup"].min()), max(1.0, cells["speedup"].max())
    reach = max(high - low, 0.2) / 2
    least = max(low - reach, min([low, *cells["speedup_low"].dropna()]))
    most = min(high + reach, max([high, *cells["speedup_high"].dropna()]))
    return least - 0.1 * reach, most + 0.1 * reach


def mark_disturbed(
    axis: Any, places: Iterable[float], heights: Iterable[float], disturbed: Iterable[Any], look: Any
) -> None:
    """Draw the points of a line again, hollow, whose timing was disturbed, and say so in the legend.

    Args:
        places, heights: of the cells on the axis.
        disturbed: what disturbed the timing of each, a text, or something else where nothing did.
        look: of the line.
    """
    hollow = {"markerfacecolor": "white", "linestyle": "none"}
    found = [point for *point, why in zip(places, heights, disturbed) if isinstance(why, str)]
    if found:
        crossed = {"marker": "o"} if look["marker"] == "x" else {}  # which cannot be hollow
        axis.plot(*zip(*found), **look | hollow | crossed)
        axis.plot([], [], marker="o", color="0.4", label="timing disturbed", **hollow)


def name_panel(axis: Any, title: str, across: int = 1) -> None:
    """The title of a panel, or of so many beside each other, in as many lines as their width takes."""
    inches = across * axis.get_window_extent().width / axis.figure.dpi
    axis.set_title(fill(title, round(13.5 * inches)), loc="left", fontsize=9, fontweight="bold", **AS_IT_IS)


def label_points(axis: Any, points: Any, labels: Iterable[Label], upwards: int) -> None:
    """Write each label beside its point, where it covers no point and no other label; else not at all.

    Args:
        axis: of a finished figure, since places are tried on its pixels.
        points: [points, 2], all that the panel shows, in its units.
        labels: the most important ones first.
        upwards: 1 if it is free above the points, -1 if it is below.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    renderer = axis.figure.canvas.get_renderer()
    reach = POINT_RADIUS * axis.figure.dpi / 72
    taken = [Bbox.from_bounds(x - reach, y - reach, 2 * reach, 2 * reach) for x, y in axis.transData.transform(points)]
    taken += [text.get_window_extent(renderer) for text in axis.texts]
    for label in labels:
        for right, up in PLACES:
            note = axis.annotate(
                label.text, (label.x, label.y), textcoords="offset points", fontsize=8, color=label.colour, zorder=3,
                xytext=(right * LABEL_GAP, up * upwards * LABEL_GAP), ha=("center", "left", "right")[right],
                va=("center", "bottom", "top")[up * upwards], **AS_IT_IS,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],  # or bars would strike it through
            )  # fmt: skip
            box = note.get_window_extent(renderer)
            if axis.bbox.containsx(box.x0) and axis.bbox.containsx(box.x1) and not box.count_overlaps(taken):
                taken.append(box.padded(reach))
                break
            note.remove()


def finish(figure: Any, axes: Iterable[Any], title: str) -> None:
    """The title above and one legend of all panels below, in as many columns as fit, with room for both."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    for columns in range(min(4, len(handles)), 0, -1):
        legend = figure.legend(handles.values(), handles, loc="lower center", ncols=columns, frameon=False, fontsize=9)
        for text in legend.get_texts():
            text.set(**AS_IT_IS)
        if legend.get_window_extent().width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    below = LEGEND_ROW * -(-len(handles) // columns)
    title = fill(title, round(11 * figure.get_figwidth()))
    above = TITLE * (1 + 0.7 * title.count("\n"))
    height = figure.get_figheight() + below + above
    figure.set_figheight(height)
    figure.text(0.01, 1 - 0.3 * TITLE / height, title, va="top", fontsize=11, **AS_IT_IS)
    figure.tight_layout(rect=(0, below / height, 1, 1 - above / height))
