"""Tables as people read them: Markdown, LaTeX and the console's."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from tsbench.methods import METHODS
from tsbench.metrics import METRICS


def workload_title(row: Any) -> str:
    """What a group of cells drew, from any of its rows."""
    settings = [row.dtype]
    settings += [f"quantization {json.loads(row.quantization)['backend']}"] if row.quantization else []
    settings += [f"offload {row.offload}"] if row.offload != "none" else []
    settings += ["compiled"] if row.compile else []
    images = f"{row.n_samples} image{'s' if row.n_samples > 1 else ''}"
    return f"{row.model}, {row.height} x {row.width}, {row.steps} steps, {images}, {', '.join(settings)}"


def series_and_point(row: Any) -> tuple[str, str]:
    """The method with the settings that a series shares, and the label of the cell within it."""
    method, params = METHODS[row.method], json.loads(row.params)
    return method.series(params), method.point(params)


def readable(cells: pd.DataFrame) -> pd.DataFrame:
    """One workload's cells with the columns and roundings that people read."""
    rows = []
    for row in cells.itertuples():
        series, point = series_and_point(row)
        shown = {
            "Method": f"{series}, {point}" if point else series,
            "Computed": "" if pd.isna(row.computed_steps) else f"{row.computed_steps:g}/{row.steps}",
            "Latency (s)": "" if pd.isna(row.latency_s) else f"{row.latency_s:.3g}",
            "Speed-up": _with_interval(row.speedup, row.speedup_low, row.speedup_high),
            "Denoising": _number(row.denoise_speedup, 2, "x"),
        }
        for metric in METRICS.values():
            if metric.column in cells and cells[metric.column].notna().any():
                unit = f" ({metric.unit})" if metric.unit else ""
                arrow = "↑" if metric.higher_is_better else "↓"
                shown[f"{metric.label}{unit} {arrow}"] = _number(getattr(row, metric.column), metric.digits)
        if cells["peak_memory_bytes"].notna().any():
            shown["Memory (GB)"] = _number(row.peak_memory_bytes / 1e9, 2)
        shown["Front"] = (row.on_front or "").replace(";", ", ")
        shown["Note"] = "; ".join(_notes(row))
        rows.append(shown)
    table = pd.DataFrame(rows)
    return table.drop(columns=[name for name in ("Front", "Note") if (table[name] == "").all()])


def markdown(cells: pd.DataFrame, manifest: dict[str, Any]) -> str:
    """`table.md`: a table a workload, and what made it."""
    parts = ["# Results", "", provenance(manifest), ""]
    for _, group in cells.groupby("reference", sort=False):
        title = workload_title(next(group.itertuples()))
        parts += [f"## {title}", "", readable(group).to_markdown(index=False, disable_numparse=True), ""]
    parts.append(READING)
    return "\n".join(parts) + "\n"


def latex(cells: pd.DataFrame, manifest: dict[str, Any]) -> str:
    """`table.tex`: a booktabs table a workload."""
    parts = [f"% {provenance(manifest)}", "% needs \\usepackage{booktabs}"]
    for _, group in cells.groupby("reference", sort=False):
        table = readable(group).rename(columns=_latex_text).map(_latex_text)
        style = table.style.hide(axis="index")
        title = _latex_text(workload_title(next(group.itertuples())))
        align = "l" + "r" * (len(table.columns) - 1)
        parts.append(style.to_latex(hrules=True, caption=title, column_format=align, position_float="centering"))
    return "\n".join(parts)


def best_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """For the console: of every workload the cells on a front, the nearest to full compute first."""
    parts = []
    for _, group in cells.groupby("reference", sort=False):
        front = group[(group["on_front"] != "") & (group["status"] == "ok")].sort_values("speedup")
        if len(front):
            shown = readable(front.assign(speedup_low=None))
            first = next(front.itertuples())
            shown.insert(0, "Size", f"{first.height}x{first.width}")
            parts.append(shown)
    columns = ["Latency (s)", "Denoising", "Memory (GB)", "Front", "Note"]
    return pd.concat(parts).drop(columns=columns, errors="ignore").fillna("") if parts else pd.DataFrame()


def provenance(manifest: dict[str, Any]) -> str:
    """What made the figures: hardware, versions, command."""
    environment = manifest["environment"]
    libraries = ", ".join(f"{name} {number}" for name, number in environment["libraries"].items())
    command = manifest["commands"][-1]
    return (
        f"Made on {manifest['hardware']} ({environment['platform']}) with {libraries}, "
        f"Python {environment['python']}, by `{command['command']}`, {command['started'][:10]}."
    )


READING = """\
Latency is the median of the timed runs of one image, text encoding and decoding included. Speed-up is the median of
paired ratios to full compute, with its 95 % order-statistic interval in brackets (from six pairs on); denoising is
the same of the denoising steps alone. Metrics are means over images against the same images computed in full;
identical images are counted, not averaged. Front: the metrics for which no other setting is both faster and better.
"""


def _notes(row: Any) -> list[str]:
    notes = [] if row.status == "ok" else [f"{row.status}: {row.reason}"]
    if isinstance(row.note, str):
        notes.append(row.note)
    if row.n_identical and row.n_identical == row.n_identical:
        notes.append(f"{int(row.n_identical)} of {row.n_samples} images identical")
    return notes


def _number(value: Any, digits: int, suffix: str = "") -> str:
    return "" if value is None or pd.isna(value) else f"{value:.{digits}f}{suffix}"


def _with_interval(value: Any, low: Any, high: Any) -> str:
    if low is None or pd.isna(low):
        return _number(value, 2, "x")
    return f"{value:.2f}x [{low:.2f}, {high:.2f}]"


def _latex_text(text: str) -> str:
    for plain, escaped in (("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#"), ("↑", r"$\uparrow$")):
        text = text.replace(plain, escaped)
    return text.replace("↓", r"$\downarrow$")
