"""How figures, settings and workloads are written for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from tsbench.methods.registry import method_class
from tsbench.metrics import METRICS
from tsbench.stored import Manifest
from tsbench.titles import counted, titles_of


def workload_titles(cells: pd.DataFrame, without: str = "") -> dict[str, str]:
    """`titles_of` the cells of a run, a row each."""
    return titles_of(cells.drop_duplicates("reference").to_dict("records"), without)


def by_workload(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The title and the cells of every workload of a run."""
    titles = workload_titles(cells)
    for reference, group in cells.groupby("reference", sort=False):
        yield titles[str(reference)], group


def series_and_label(row: Any) -> tuple[str, str]:
    """The method with the settings that a series shares, and the label of the cell within it."""
    return method_class(row.backend, row.method).series_and_label(json.loads(row.params))


def best_rows(cells: pd.DataFrame) -> dict[str, list[dict[str, str]]]:
    """For the console: by the title of every workload the cells on a front, the slowest first."""
    titles, tables = workload_titles(cells), {}
    front = cells[cells["on_front"] != ""]
    for reference, group in front.groupby("reference", sort=False):
        rows = []
        for row in group.sort_values("speedup").itertuples():
            shown = {
                "Method": row.setting,
                "Computed": f"{row.computed_steps:g}/{row.steps}",
                "Speed-up": number(row.speedup, 2, "x")
                + (" (timing disturbed)" if isinstance(row.timing_disturbed, str) else ""),
            }
            for metric in METRICS.values():
                if metric.column in cells and cells[metric.column].notna().any():
                    arrow = "↑" if metric.higher_is_better else "↓"
                    figure = number(getattr(row, metric.column), metric.digits)
                    remark = identical_images(row) if metric.column == "psnr_db" else ""
                    shown[f"{metric.title} {arrow}"] = ", ".join(filter(None, [figure, remark]))
            rows.append(shown)
        tables[titles[reference]] = rows
    return tables


def size_of(count: float) -> str:
    """3221225472 -> "3.00 GiB"; nothing for nothing."""
    if not count:
        return ""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def hardware(cells: pd.DataFrame) -> str:
    """What drew the cells."""
    return "; ".join(cells["hardware"].unique())


def provenance(manifest: Manifest, cells: pd.DataFrame) -> str:
    """What made the figures: hardware, versions, command."""
    environment = manifest.environment
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    command = manifest.commands[-1]
    others = len({run.command for run in manifest.commands}) - 1
    more = f" and {counted(others, 'other command')}" if others else ""
    left = f" {text}" if (text := not_drawn(manifest, cells)) else ""
    return (
        f"Made on {hardware(cells)} ({environment['platform']}) with {libraries}, "
        f"Python {environment['python']}, by `{command.command}`{more}, {command.started[:10]}.{left}"
    )


def not_drawn(manifest: Manifest, cells: pd.DataFrame) -> str:
    """How many cells of the last command are not there, as after an interruption; nothing if all are."""
    keys = manifest.commands[-1].cells
    left = len(set(keys) - set(cells["key"]))
    return f"{left} of its {len(keys)} cells are not drawn yet." if left else ""


def notes_of(row: Any) -> list[str]:
    """Remarks on a cell: failure, disturbance, missing figures, identical images."""
    notes = [] if row.status == "ok" else [f"{row.status}: {row.reason}"]
    remarks = (row.note, row.timing_disturbed, row.cost_reason, row.metric_reason)
    notes += [remark for remark in remarks if isinstance(remark, str)]
    return notes + list(filter(None, [identical_images(row)]))


def identical_images(row: Any) -> str:
    """How many of a cell's images are full compute's: those are not in its PSNR."""
    some = pd.notna(row.n_identical) and row.n_identical
    return f"{int(row.n_identical)} of {row.n_samples} images identical" if some else ""


def number(value: Any, digits: int, suffix: str = "", kind: str = "f", prefix: str = "") -> str:
    """A figure with so many decimals (or, of kind `g`, significant digits); nothing for none."""
    return "" if pd.isna(value) else f"{prefix}{value:.{digits}{kind}}{suffix}"


def told_apart(figure: float, limit: float, digits: int, sign: str = "") -> str:
    """A figure with so many significant digits, or with as many more as tell it from a limit."""
    while not is_same(figure, limit) and f"{figure:.{digits}g}" == f"{limit:.{digits}g}":
        digits += 1
    return f"{figure:{sign}.{digits}g}"


def is_same(figure: float, limit: float) -> bool:
    """Whether a figure differs from a limit by rounding alone."""
    return math.isclose(figure, limit, rel_tol=1e-9)


def tflop_text(value: Any) -> str:
    """As the papers write it, and of small models as many digits as are of use."""
    return number(value, 2) if pd.isna(value) or value >= 1 else significant(value, 3)


def significant(value: Any, digits: int) -> str:
    """A figure with so many significant digits, zeros at its end included, and never an exponent; nothing for none."""
    if pd.isna(value):
        return ""
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, decimals)}f}"


def with_interval(row: Any) -> str:
    """The speed-up of a row, with its interval where there is one."""
    return number(row.speedup, 2, "x") + interval(row)


def interval(row: Any) -> str:
    """What stands behind the speed-up of a row."""
    if pd.isna(row.speedup_low):
        return ""
    digits = 2
    while row.speedup_low < 1 and float(f"{row.speedup_low:.{digits}f}") == 1:  # what reaches below 1 shows it
        digits += 1
    return f" [{row.speedup_low:.{digits}f}, {row.speedup_high:.2f}]"


def footnote(note: str, footnotes: list[str]) -> int:
    """The number of a footnote, which is added to the others if it is not among them."""
    if note not in footnotes:
        footnotes.append(note)
    return footnotes.index(note) + 1


def markdown_text(text: str) -> str:
    """Plain text, for a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|")
