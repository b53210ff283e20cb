"""Published rows, beside the cells that they speak of: shown as published, never adjusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from tsbench.paths import ASSETS
from tsbench.schedule import official_taylorseer

FILE = ASSETS / "published.csv"
OF_SCHEDULES = ("tflop", "flops_speedup")  # figures that follow from the computed steps, whatever forecasts the others
OF_CLOCKS = ("latency_s", "speedup")
TEXT_TOKENS = 512  # that the published rows were drawn with: the default of FLUX.1-dev


@dataclass(frozen=True)
class Match:
    """A published row that speaks of a cell.

    Attributes:
        row: as published.
        same_method: it is of the cell's method and parameters; else only of the steps that the cell computes.
        same_run: the cell is drawn as the published times are: one image at a time, in bfloat16, the weights on the
            device, and compiled if the row says so.
    """

    row: dict[str, Any]
    same_method: bool
    same_run: bool

    def figure(self, column: str) -> Any:
        """A figure that may stand beside the cell's: another method's only if it follows from the computed steps."""
        speaks = column in OF_SCHEDULES or (self.same_method and (self.same_run or column not in OF_CLOCKS))
        return self.row.get(column) if speaks else None

    @property
    def title(self) -> str:
        return self.row["label"] if self.same_method else f"same schedule, {self.row['label']}"

    @property
    def footnote(self) -> str:
        """What it is of, where it stands, on what machine, and with what caveat."""
        row = self.row
        parts = [f"{self.title}: {row['source']}, {row['url']}", row["hardware"], row["caveat"]]
        return "; ".join(str(part) for part in parts if part)


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """The published rows: figures as published, `params` and `schedule_rule` read, None if nothing is said."""
    table = pd.read_csv(FILE).astype(object)
    table = table.where(table.notna(), None)
    records = table.to_dict(orient="records")
    for record in records:
        record["params"] = json.loads(record["params"])
        record["schedule_rule"] = json.loads(record["schedule_rule"] or "null")
    return tuple(records)


def matches(cell: Mapping[str, Any]) -> list[Match]:
    """The published rows that speak of a cell: of the same model, size, steps and number of text tokens.

    None of them was quantized or drawn by OpenVINO, and none says its guidance scale and prompts but in its source.

    Args:
        cell: a row of the plan or of the cells' table; `params` is JSON.

    Returns:
        First those of the same method and parameters, then those of the same schedule.
    """
    params = json.loads(cell["params"])
    same, alike = [], []
    if cell["backend"] != "diffusers" or cell["quantization"] or cell["max_sequence_length"] != TEXT_TOKENS:
        return []
    usual = cell["dtype"] == "bfloat16" and cell["batch_size"] == 1 and cell["offload"] == "none"
    for row in rows():
        sized = cell["height"] == cell["width"] == row["size"]
        if not sized or row["model"] != cell["model"].removesuffix("-architecture") or row["steps"] != cell["steps"]:
            continue
        same_run = usual and cell["compile"] == bool(row["compile"])
        if row["method"] == cell["method"] and row["params"].items() <= params.items():
            same.append(Match(row, same_method=True, same_run=same_run))
        elif row["schedule_rule"] and official_taylorseer(row["steps"], **row["schedule_rule"]) == cell["schedule"]:
            alike.append(Match(row, same_method=False, same_run=same_run))
    return same + alike


def columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    """`published_tflop`, its relative difference to the cell's `tflop`, and `published`, its footnote."""
    found = [match for match in matches(cell) if match.row["tflop"] is not None]
    if not found or cell.get("tflop") is None:
        return {"published_tflop": None, "published_difference": None, "published": None}
    first = found[0].row["tflop"]
    further = [f"; {match.row['tflop']:.2f}: {match.footnote}" for match in found[1:] if match.row["tflop"] != first]
    return {
        "published_tflop": first,
        "published_difference": cell["tflop"] / first - 1,
        "published": found[0].footnote + "".join(dict.fromkeys(further)),
    }


def speed_columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What is published of the speed of a cell's method at its setting: seconds per image, speed-up, and on what.

    Returns:
        `published_latency_s`, `published_speedup`, `published_hardware`, and `published_speed`, which says what they
        are of; None if nothing is.
    """
    timed = [match.row for match in matches(cell) if any(match.figure(column) is not None for column in OF_CLOCKS)]
    row = timed[0] if timed else {}
    of = "; ".join(filter(None, map(row.get, ("source", "caveat"))))
    return {f"published_{name}": row.get(name) for name in ("latency_s", "speedup", "hardware")} | {
        "published_speed": of or None
    }
