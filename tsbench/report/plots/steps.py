"""The plot of what happens inside a run: errors after every step above the schedules."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import pandas as pd

from tsbench.present import by_workload, series_and_label
from tsbench.report.plots.style import AS_IT_IS, COLOURS, name_panel, panels, short_label
from tsbench.store import Store

MOST = 8  # settings in one panel: more cannot be told apart
IN_A_ROW = 2  # workloads


def steps(cells: pd.DataFrame, store: Store) -> Any:
    """Relative error of the latents after every step, above the schedules as strips, for every workload.

    Shown are the settings on a front, at most `MOST` of them, spread over the front.

    Returns:
        A matplotlib figure, or None if no cell on a front has errors.
    """
    from matplotlib.ticker import MaxNLocator

    columns = []
    for title, group in by_workload(cells):
        front = group[group["on_front"] != ""].sort_values("speedup")
        drawn = [(row, cell) for row in front.itertuples() if (cell := store.drawn(row.key)).step_errors]
        if drawn:
            columns.append((title, _spread(drawn)))
    if not columns:
        return None
    rows = max(len(drawn) for _, drawn in columns)
    heights = [3.2, 0.28 * rows + 0.2]
    blocks = -(-len(columns) // IN_A_ROW)
    across = min(len(columns), IN_A_ROW)
    figure, axes = panels(
        2 * blocks, across, 7, sum(heights) / 2 + 0.1, gridspec_kw={"height_ratios": heights * blocks}
    )
    above, below = axes[::2].flatten(), axes[1::2].flatten()
    for axis in [*above[len(columns) :], *below[len(columns) :]]:
        axis.remove()
    settings = list(dict.fromkeys(row.setting for _, drawn in columns for row, _ in drawn))
    for (_title, drawn), errors, strips in zip(columns, above, below):
        errors.sharex(strips)
        errors.tick_params(labelbottom=False)
        for place, (row, cell) in enumerate(drawn):
            colour = COLOURS[settings.index(row.setting) if len(settings) <= len(COLOURS) else place]
            shown = [(step, value) for step, value in enumerate(cell.step_errors or []) if value > 0]
            errors.plot(*zip(*shown), color=colour, linewidth=1.2)
            schedule = cell.schedules[0]
            strips.barh(
                [place] * len(schedule), [0.86] * len(schedule), left=[step - 0.43 for step in range(len(schedule))],
                height=0.7, color=[colour if letter == "C" else "0.88" for letter in schedule],
            )  # fmt: skip
        errors.set_yscale("log")
        errors.set_ylabel("relative error of the latents\n(first batch)")
        strips.grid(visible=False)
        strips.set_yticks(range(len(drawn)), [_name(row) for row, _ in drawn], fontsize=7, **AS_IT_IS)
        strips.xaxis.set_major_locator(MaxNLocator(integer=True))
        strips.invert_yaxis()
        strips.set_xlabel("denoising step; coloured: computed")
    figure.tight_layout()  # tells how much the names leave of the width
    for (title, _), axis in zip(columns, above):
        name_panel(axis, title)
    figure.tight_layout()
    return figure


def _name(row: Any) -> str:
    """A setting and its speed-up; the steps of a map are what the strip shows."""
    series, label = series_and_label(row)
    speed = f"{row.speedup:.2f}x{', timing disturbed' if isinstance(row.timing_disturbed, str) else ''}"
    return fill(f"{series}, {short_label(label, row.computed_steps)} ({speed})", 54)


def _spread(drawn: list[Any]) -> list[Any]:
    """At most `MOST`, evenly over the front, its ends among them."""
    if len(drawn) <= MOST:
        return drawn
    return [drawn[round(place * (len(drawn) - 1) / (MOST - 1))] for place in range(MOST)]
