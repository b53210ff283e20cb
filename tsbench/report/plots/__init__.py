"""All plots of a run, written to its folder."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tsbench.files import replaced
from tsbench.report.plots import quality, speed, steps
from tsbench.store import Store


def write_plots(store: Store, cells: pd.DataFrame, hardware: str) -> list[str]:
    """Write each plot as PNG and SVG, and delete those for which there is nothing to draw; the names of the files."""
    from matplotlib import pyplot

    figures: dict[str, Any] = {
        "pareto": quality.pareto(cells, hardware),
        "speed": speed.speed(cells, hardware),
        "implementations": quality.implementations(cells),
        "scaling": speed.scaling(cells, hardware),
        "intervals": speed.intervals(cells, hardware),
        "steps": steps.steps(cells, store),
    }
    written = []
    for name, figure in figures.items():
        files = [f"{name}.{ending}" for ending in ("png", "svg")]
        if figure is None:  # any more: cells were deleted, or lost their scores
            for file in files:
                (store.folder / file).unlink(missing_ok=True)
            continue
        for file in files:
            with replaced(store.folder / file) as partial:
                figure.savefig(partial, dpi=150)
        written += files
        pyplot.close(figure)
    return written
