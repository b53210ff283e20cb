"""Everything that is derived from the cells of a results folder, written anew."""

from __future__ import annotations

import shlex
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tsbench import present
from tsbench.files import write_text
from tsbench.report import paper
from tsbench.report.html import write_html
from tsbench.report.latex import latex
from tsbench.report.plots import write_plots
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.tables import cells_table, write_tables
from tsbench.titles import counted


def build_report(store: Store, console: Console) -> int:
    """Score in all metrics that the folder has been asked for, write tables and plots, and print the best rows.

    Returns:
        0, or 1 if a cell has failed.
    """
    manifest = store.manifest()
    score_cells(store, manifest.metrics)
    cells = cells_table(store)
    for reason, count in cells["metric_reason"].value_counts().items():
        console.print(Text.assemble(("not scored ", "red"), f"{counted(count, 'cell')}: {reason}"), soft_wrap=True)
    write_html(store, cells, manifest)  # first, since it reads all images: no table is new if one is damaged
    write_tables(store, cells)
    write_text(store.folder / "table.md", paper.markdown(cells, manifest))
    write_text(store.folder / "table.tex", latex(cells, manifest))
    plots = write_plots(store, cells, present.hardware(cells))
    _print_best(cells, console)
    for row in cells[cells["status"] == "failed"].itertuples():
        place = store.cells / row.key
        text = f"{row.setting}: {row.reason}; delete {place} to forget it"
        console.print(Text.assemble(("failed ", "red"), text), soft_wrap=True)
    keys = set(cells["key"])
    for reference, title in present.workload_titles(cells).items():
        if reference not in keys:
            text = f"full compute of {title}; the same sweep draws it again"
            console.print(Text.assemble(("missing ", "red"), text), soft_wrap=True)
    if left := present.not_drawn(manifest, cells):
        text = f"{manifest.commands[-1].command}: {left}"
        console.print(Text.assemble(("missing ", "red"), text), soft_wrap=True)
    _print_disturbed(store, cells, console)
    _print_files(store.folder, plots, console)
    if "lpips_high" in cells and (cells["speedup_low"].notna() & cells["lpips_high"].notna()).any():
        console.print(
            f"Which setting to use: python -m tsbench recommend {shlex.quote(str(store.folder))} --max-lpips 0.1",
            soft_wrap=True,
        )
    return int((cells["status"] == "failed").any())


def _print_best(cells: pd.DataFrame, console: Console) -> None:
    best = present.best_rows(cells)
    if not best:
        return
    console.print("\nOn a Pareto front (no other setting is both faster and better by some metric)", style="italic")
    for title, rows in best.items():
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("Method")
        for name in list(rows[0])[1:]:
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row.values())
        console.print(f"\n{title}", style="bold")
        console.print(table)


def _print_disturbed(store: Store, cells: pd.DataFrame, console: Console) -> None:
    """Which timings other work disturbed, and one line to type that has them drawn again."""
    disturbed = cells[cells["timing_disturbed"].notna()]
    if disturbed.empty:
        return
    console.print()
    for row in disturbed.itertuples():
        console.print(f"{row.setting}: {row.timing_disturbed}", soft_wrap=True)
    places = shlex.join(str(store.cells / key) for key in disturbed["key"])
    console.print(f"to draw that again, type the same sweep after: rm -r {places}", soft_wrap=True)


def _print_files(folder: Path, plots: list[str], console: Console) -> None:
    names = ["report.html", "table.md", "table.tex", "cells.csv", *plots]
    console.print(f"\nIn {folder}/: {', '.join(names)}", soft_wrap=True)
