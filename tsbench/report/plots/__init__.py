"""All plots of a run, written to its folder."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tsbench.report.plots import quality, speed, steps
from tsbench.store import Store, replaced


def write_plots(store: Store, cells: pd.DataFrame, hardware: str) -> list[str]:
    """Write each plot as PNG and SVG; the names of the files, of those for which there is something to draw."""
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
        if figure is not None:
            for ending in ("png", "svg"):
                with replaced(store.folder / f"{name}.{ending}") as partial:
                    figure.savefig(partial, dpi=150)
                written.append(f"{name}.{ending}")
            pyplot.close(figure)
    return written
