"""A plan as text: on the console, as a file, and what it adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import pandas as pd
from rich.console import Console

from tsbench.budget import planned_images
from tsbench.cell import Cell
from tsbench.methods import Method
from tsbench.plan import COLUMNS
from tsbench.present import (
    by_workload,
    footnote,
    markdown_text,
    number,
    series_and_label,
    significant,
    size_of,
    tflop_text,
)
from tsbench.progress import duration
from tsbench.titles import counted


def print_plan(table: pd.DataFrame, console: Console) -> None:
    """The plan on the console: a block per workload, in it a heading and a row per cell for every series."""
    for title, group in by_workload(table):
        console.print(title, style="bold", soft_wrap=True)
        marks: list[str] = []
        by_series: dict[str, list[Any]] = {}
        for row in group.itertuples():
            by_series.setdefault(_series_heading(row), []).append(row)
        rows = [
            (heading, {"  Setting": f"  {series_and_label(row)[1]}"} | plan_row(row, marks))
            for heading, members in by_series.items()
            for row in members
        ]
        widths = {name: max(len(name), *(len(row[name]) for _, row in rows)) for name in rows[0][1]}
        shown = [name for name in widths if any(row[name] for _, row in rows)]
        console.print("  ".join(_padded(name, name, widths) for name in shown), style="bold", soft_wrap=True)
        before = None
        for heading, row in rows:
            if heading != before:
                console.print(heading, style="cyan", soft_wrap=True)
            console.print("  ".join(_padded(name, row[name], widths) for name in shown), soft_wrap=True)
            before = heading
        for note in plan_footnotes(marks):
            console.print(note)
        console.print()


def _series_heading(row: Any) -> str:
    parts = [series_and_label(row)[0]]
    if not pd.isna(row.forecast_share):
        parts.append(f"a forecast step takes {100 * row.forecast_share:.3g} % of a full one's FLOPs")
    if row.cache_bytes > 0:
        parts.append(f"the cache keeps {size_of(row.cache_bytes)}")
    return "; ".join(parts)


def plan_row(row: Any, marks: list[str]) -> dict[str, str]:
    """What a plan shows of a cell.

    Args:
        row: of the plan's table.
        marks: what published figures are of, as far as rows before refer to it by a number; is added to.
    """

    def marked(text: str, source: Any) -> str:
        return f"{text} ({footnote(source, marks)})" if text else ""

    speed = [number(row.published_speedup, 2, "x"), number(row.published_latency_s, 4, " s", kind="g")]
    on = "" if pd.isna(row.published_hardware) else f" on {row.published_hardware}"
    off_by = "" if pd.isna(row.published_difference) else f"{100 * row.published_difference:+.3f} %"
    unknown = not pd.isna(row.reason)
    return {
        "Schedule": row.reason if unknown else row.schedule,
        "Computed": number(row.computed_steps, 0),
        "TFLOP": tflop_text(row.tflop),
        "By FLOPs": number(row.max_flops_speedup, 2, "x", prefix="< " if unknown else ""),
        "Published TFLOP": number(row.published_tflop, 2),
        "Off by": marked(off_by, row.published),
        "Published speed": marked(", ".join(filter(None, speed)) + on if any(speed) else "", row.published_speed),
    }


def plan_footnotes(marks: list[str]) -> list[str]:
    """What the numbers of `plan_row` stand for."""
    return [f"({place}) published: {text}" for place, text in enumerate(marks, start=1)]


def _padded(name: str, text: str, widths: dict[str, int]) -> str:
    return text.ljust(widths[name]) if name in ("  Setting", "Schedule") else text.rjust(widths[name])


def written(table: pd.DataFrame, form: str) -> str:
    """The plan as text: all of its columns for programs, and what the console shows for people."""
    if form == "csv":
        return table[COLUMNS].to_csv(index=False)
    if form == "json":
        return table[COLUMNS].to_json(orient="records", indent=1) + "\n"
    return _markdown(table)


def _markdown(table: pd.DataFrame) -> str:
    """What the console shows, a table per workload, in which every row names its method."""
    parts = []
    for title, group in by_workload(table):
        marks: list[str] = []
        texts = [{"Method": row.setting} | plan_row(row, marks) for row in group.itertuples()]
        rows = pd.DataFrame(texts).map(markdown_text)
        rows = rows.loc[:, (rows != "").any()]
        align = ["left" if name in ("Method", "Schedule") else "right" for name in rows]
        parts += [
            f"## {title}",
            "",
            rows.to_markdown(index=False, disable_numparse=True, colalign=align),
        ]
        parts += ["", *(f"{note}\n" for note in plan_footnotes(marks))]
    return "\n".join(parts)


def totals(
    table: pd.DataFrame,
    cells: Sequence[Cell],
    methods: dict[str, Method],
    pairs: int,
    step_s: float | None,
    source: str = "",
) -> list[str]:
    """What the sweep would draw, how long it would take and what it would leave, a sentence each.

    Args:
        table: of the plan.
        cells, methods: as of `planned_cells`.
        pairs: timed pairs per cell.
        step_s: seconds of a full step of the first cell, per image.
        source: where they are from, in parentheses.
    """
    skipped = int(table["skipped"].sum())
    cells, table = list(compress(cells, ~table["skipped"])), table[~table["skipped"]]
    planned = planned_images(cells, pairs, methods)
    images = sum(count.total for count in planned.values())
    calibrations = ", calibrations" if any(methods[cell.key].calibrator() for cell in cells) else ""
    timed = counted(pairs, "timed pair")
    stored = sum(len(cell.workload.samples) for cell in cells)
    works = [cell.workload for cell in cells if not cell.workload.random_weights]  # whose images are stored
    pixels = sum(len(work.samples) * work.height * work.width for work in works)
    lines = [
        f"{counted(len(cells), 'cell')}, {counted(sum(cell.is_reference for cell in cells), 'reference')} among them"
        + (f", and {skipped} that will be skipped" if skipped else "")
        + f"; {counted(images, 'image')} to draw "
        f"({counted(stored, 'sample')}, the others warm-ups{calibrations} and {timed} per cell); "
        + (f"at most {size_of(3 * pixels)} of images to store" if pixels else "no images to store")
    ]
    rows = [row._asdict() for row in table.itertuples(index=False)]
    full = [None if pd.isna(row["tflop"]) else row["tflop"] * row["flops_speedup"] for row in rows]
    drawn = [
        None if whole is None else planned[cell.key].method * row["tflop"] + planned[cell.key].reference * whole
        for cell, row, whole in zip(cells, rows, full)
    ]
    known = sum(tflop for tflop in drawn if tflop is not None)
    work = f"{significant(known, 3)} TFLOP" if known < 1000 else f"{significant(known / 1000, 3)} PFLOP"
    rest = "" if None not in drawn else "; cells whose FLOPs are not known beforehand are not in it"
    if step_s is None:
        lines.append(f"{work} in the transformer{rest}; --step-s SECONDS turns it into device hours")
    elif full[0] is None:
        lines.append(f"{work} in the transformer{rest}; no device hours, since those of the first cell are not known")
    else:
        seconds = known / (full[0] / rows[0]["steps"] / step_s)
        lines.append(
            f"{work} in the transformer, {duration(seconds)} at {step_s:.3g} s a full step and image of the first "
            f"cell{source}, others by their FLOPs; text encoders, decoding and compilation come on top{rest}"
        )
    return lines
