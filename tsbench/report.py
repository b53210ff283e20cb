"""`python -m tsbench report RESULTS`: score what is unscored and rebuild tables and plots from the cells alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tsbench import paper, present
from tsbench.errors import UserError
from tsbench.html import write_html
from tsbench.plots import write_plots
from tsbench.progress import output
from tsbench.score import score_cells
from tsbench.store import Store, opened
from tsbench.tables import cells_table, write_tables

USAGE = """\
usage: python -m tsbench report RESULTS

Scores the images that have no scores yet and rebuilds report.html, cells.csv, the Parquet files, table.md, table.tex
and the plots from the cells alone. RESULTS is a folder, or its name in results/."""


def main(arguments: list[str]) -> int:
    """The verb `report`."""
    if len(arguments) != 1:
        raise UserError("report takes one results folder: python -m tsbench report RESULTS.")
    store = opened(arguments[0])
    manifest = store.manifest()
    return build_report(store, manifest["metrics"], output())


def build_report(store: Store, metrics: Iterable[str], console: Console) -> int:
    """Score, write tables and plots, and print the best rows.

    Returns:
        0, or 1 where a cell has failed.
    """
    for failure in score_cells(store, metrics):
        console.print(f"[red]not scored[/red] {escape(failure)}", highlight=False)
    cells = cells_table(store)
    manifest = store.manifest()
    missing = write_tables(store, cells)
    (store.folder / "table.md").write_text(paper.markdown(cells, manifest), encoding="utf-8")
    (store.folder / "table.tex").write_text(paper.latex(cells, manifest), encoding="utf-8")
    write_html(store, cells, manifest)
    hardware = "; ".join(cells["hardware"].dropna().unique())
    plots = write_plots(store, cells, hardware)
    _print_best(cells, console)
    for row in cells[cells["status"] == "failed"].itertuples():
        console.print(f"[red]failed[/red] {present.full_name(row)}: {row.reason}", highlight=False)
    if missing:
        console.print(f"note: {missing}", highlight=False)
    _print_files(store.folder, plots, console)
    return int((cells["status"] == "failed").any())


def _print_best(cells: pd.DataFrame, console: Console) -> None:
    best = present.best_rows(cells)
    if best.empty:
        return
    table = Table(
        title="On a Pareto front (no other setting is both faster and better by some metric)",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for name in best.columns:
        text = name in ("Size", "Method")
        table.add_column(str(name), justify="left" if text else "right", no_wrap=name != "Method")
    for row in best.itertuples(index=False):
        table.add_row(*map(str, row))
    console.print()
    console.print(table)


def _print_files(folder: Path, plots: list[str], console: Console) -> None:
    names = ["report.html", "table.md", "table.tex", "cells.csv", *plots]
    console.print(f"\nIn {folder}/: {', '.join(names)}", highlight=False, soft_wrap=True)
