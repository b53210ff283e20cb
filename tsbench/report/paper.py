"""Tables in the style of the papers: methods in groups, the best in bold, published figures beside measured ones."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tsbench import published
from tsbench.fronts import ranked_value
from tsbench.metrics import METRICS
from tsbench.present import (
    by_workload,
    footnote,
    interval,
    markdown_text,
    notes_of,
    number,
    provenance,
    series_and_label,
    significant,
    tflop_text,
)
from tsbench.stored import Manifest

BEST, SECOND = 1, 2
TIMES = "{:.2f}x".format


@dataclass(frozen=True)
class Entry:
    """A text in a table, whether it is the best or the second best, and its footnotes."""

    text: str
    rank: int = 0
    footnotes: tuple[int, ...] = ()


Field = tuple[Entry, ...]  # of a table: none, one, or several published figures


@dataclass(frozen=True)
class Quantity:
    """A column of figures."""

    column: str
    title: str
    figure: Callable[[Any], str]  # of a row
    published_text: Callable[[float], str]
    better: int  # 1 if more is better, -1 if less is, 0 if rows are not to be compared
    behind: Callable[[Any], str] = lambda row: ""  # what the figure is followed by

    @property
    def heading(self) -> str:
        return self.title + {1: " ↑", -1: " ↓", 0: ""}[self.better]

    def text(self, row: Any) -> str:
        return self.figure(row) + self.behind(row)


IMAGE_REWARD = Quantity("imagereward", "ImageReward", lambda row: "", lambda v: f"{v:.4f}", 1)


@dataclass
class PaperTable:
    """One workload's table, before it is written in a language."""

    title: str
    headings: list[str]
    rows: list[list[Field]]
    notes: list[str]  # one a row
    footnotes: list[str]


def quantities(cells: pd.DataFrame) -> list[Quantity]:
    """The columns that at least one of the cells has figures for."""
    found = [
        Quantity("latency_s", "Latency (s)", lambda r: significant(r.latency_s, 3), lambda v: f"{v:.4g}", 0),
        Quantity("speedup", "Speed-up", lambda r: number(r.speedup, 2, "x"), TIMES, 1, interval),
        Quantity("tflop", "TFLOP", lambda r: tflop_text(r.tflop), lambda v: f"{v:.2f}", -1),
        Quantity("flops_speedup", "FLOPs speed-up", lambda r: number(r.flops_speedup, 2, "x"), TIMES, 1),
    ]
    for metric in METRICS.values():

        def figure(row: Any, column: str = metric.column, digits: int = metric.digits) -> str:
            return number(getattr(row, column), digits)

        found.append(Quantity(metric.column, metric.title, figure, lambda v: f"{v:g}", metric.sign))
    return [quantity for quantity in found if quantity.column in cells and cells[quantity.column].notna().any()]


def paper_tables(cells: pd.DataFrame) -> Iterator[PaperTable]:
    """A table for every workload."""
    for title, group in by_workload(cells):
        yield paper_table(group, title)


def paper_table(group: pd.DataFrame, title: str) -> PaperTable:
    """The table of one workload's cells, the reference first, the rows of a series together; no column is empty."""
    by_series: dict[str, list[tuple[str, Any]]] = {}
    for row in group.itertuples():
        series, label = series_and_label(row)
        by_series.setdefault(series, []).append((label, row))
    rows = [row for members in by_series.values() for _, row in members]
    footnotes: list[str] = []
    columns = [(heading, fields) for heading, fields in _columns(rows, quantities(group), footnotes) if any(fields)]
    headings = ["Method", "Setting", "Computed", *(heading for heading, _ in columns)]
    table = PaperTable(title, headings, [], ["; ".join(notes_of(row)) for row in rows], footnotes)
    for series, members in by_series.items():
        for number_in_series, (label, row) in enumerate(members):
            computed = row.status if pd.isna(row.computed_steps) else f"{row.computed_steps:g}/{row.steps}"
            first = [_field("" if number_in_series else series), _field(label), _field(computed)]
            table.rows.append(first + [fields[len(table.rows)] for _, fields in columns])
    return table


def _field(text: str, rank: int = 0) -> Field:
    return (Entry(text, rank),) if text else ()


def _columns(rows: Sequence[Any], shown: Sequence[Quantity], footnotes: list[str]) -> Iterator[tuple[str, list[Field]]]:
    """Headings and fields, one per row, of all that a table may show; footnotes are added to."""
    matches = [published.matches(row._asdict()) for row in rows]
    for quantity in shown:
        measured = [_field(quantity.text(row), rank) for row, rank in zip(rows, ranked(rows, quantity))]
        yield quantity.heading, measured
        yield f"{quantity.title}, published", _published(quantity, matches, footnotes)
    yield f"{IMAGE_REWARD.title}, published", _published(IMAGE_REWARD, matches, footnotes)
    for heading, text in (
        ("PSNR (dB) to diffusers in full", lambda row: number(row.psnr_db_across_backends, 2)),
        ("Memory (GB)", lambda row: "" if pd.isna(row.peak_memory_bytes) else f"{row.peak_memory_bytes / 1e9:.2f}"),
        ("Energy (J)", lambda row: number(row.energy_j, 0)),
        ("Front", front_text),
    ):
        yield heading, [_field(text(row)) for row in rows]


def front_text(row: Any) -> str:
    """The metrics on whose front a cell is, and in parentheses those on whose front it may be: `ssim (lpips)`."""
    on, near = ((text or "").replace(";", ", ") for text in (row.on_front, row.near_front))
    return " ".join(filter(None, [on, f"({near})" if near else ""]))


def ranked(rows: Sequence[Any], quantity: Quantity) -> list[int]:
    """The best and the second best of the cells that may be on a front; those that show the same share a place."""
    values = [ranked_value(row, quantity.column) for row in rows]
    taking_part = [
        bool(quantity.better) and not math.isnan(value) and row.competes is True for value, row in zip(values, rows)
    ]
    shown = [(quantity.figure(row), row.n_identical if quantity.column == "psnr_db" else None) for row in rows]
    best = {figure: value for figure, value, takes in zip(shown, values, taking_part) if takes}
    order = sorted(best, key=lambda figure: -quantity.better * best[figure])
    places = {figure: place for place, figure in enumerate(order[:2], start=1)} if len(order) > 1 else {}
    return [places.get(figure, 0) if takes and figure[0] else 0 for figure, takes in zip(shown, taking_part)]


def _published(quantity: Quantity, matches: Sequence[Sequence[published.Match]], footnotes: list[str]) -> list[Field]:
    """What is published of a quantity, a field a row; what is to be said of each figure goes to its footnotes."""
    fields = []
    for found in matches:
        numbers: dict[str, list[int]] = {}  # by figure
        for match in found:
            if match.figure(quantity.column) is None:
                continue
            place = footnote(match.footnote, footnotes)
            numbers.setdefault(_as_published(quantity, match), []).append(place)
        fields.append(tuple(Entry(text, 0, tuple(sorted(set(notes)))) for text, notes in numbers.items()))
    return fields


def published_beside(row: Any, shown: Sequence[Quantity]) -> list[dict[str, str]]:
    """Every published figure that speaks of a cell, with the cell's own: `figure`, `measured`, `published`, `of`."""
    matches = published.matches(row._asdict())
    return [
        {
            "figure": quantity.title,
            "measured": quantity.text(row),
            "published": _as_published(quantity, match),
            "of": match.footnote,
        }
        for quantity in (*shown, IMAGE_REWARD)
        for match in matches
        if match.figure(quantity.column) is not None
    ]


def _as_published(quantity: Quantity, match: published.Match) -> str:
    comparable = quantity.column != "psnr_db" or match.row["psnr_comparable"]
    return quantity.published_text(match.row[quantity.column]) + ("" if comparable else " (not comparable)")


def markdown(cells: pd.DataFrame, manifest: Manifest) -> str:
    """`table.md`: a table a workload, and what made it."""
    parts = ["# Results", "", provenance(manifest, cells), ""]
    for table in paper_tables(cells):
        texts = [[", ".join(map(_in_markdown, field)) for field in row] for row in table.rows]
        frame = pd.DataFrame(texts, columns=table.headings)
        align = ["left", "left", *["right"] * (len(frame.columns) - 2)]
        if any(table.notes):
            frame["Note"] = [markdown_text(note) for note in table.notes]
            align.append("left")
        parts += [f"## {table.title}", "", frame.to_markdown(index=False, disable_numparse=True, colalign=align), ""]
        parts += [f"{place}. {note}" for place, note in enumerate(table.footnotes, start=1)]
        parts += [""] if table.footnotes else []
    parts.append(READING)
    return "\n".join(parts) + "\n"


def _in_markdown(entry: Entry) -> str:
    text = markdown_text(entry.text)
    text = {BEST: f"**{text}**", SECOND: f"<u>{text}</u>"}.get(entry.rank, text)
    return text + (f"<sup>{','.join(map(str, entry.footnotes))}</sup>" if entry.footnotes else "")


FRONT = (
    "Front: the metrics for which no other setting is both faster and better, and in parentheses those for which one "
    "is, but within the noise."
)
_READING = f"""
Computed: steps in which everything is computed, of the reference's. Latency is the median of the timed runs of one
image, text encoding and decoding included; do not divide one row's by another's, since they were timed at different
times. Speed-up is the median of paired ratios to full compute, timed side by side, with its 95 % order-statistic
interval in brackets (from six pairs on). TFLOP are the transformer's, counted for the steps that were measured.
Metrics are means over prompts, of several seeds a prompt's mean first, against the same images computed in full
(CLIP: against the prompt); their intervals are in cells.csv, and with few prompts wide. PSNR averages the images that
differ, and the note counts identical ones. Only settings that skip steps, and whose whole interval of the speed-up is
above 1, are ranked: of these, the best is bold and the second best underlined, and equal digits share the mark. For
this ranking, an identical image has the PSNR of one in which a single byte is off by one level. {FRONT} Published
figures are shown as published; *same schedule* marks FLOPs of another method that computes the same steps.
"""
READING = textwrap.fill(" ".join(_READING.split()), 120)
