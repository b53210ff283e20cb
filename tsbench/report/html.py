"""`report.html`: a run in one file that needs no network, with its answer at the top and its images to look at."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from tsbench.answers import BARS, FASTER, as_fast, beside, candidates, gives, nearest, qualified, unjudged
from tsbench.cell import Workload
from tsbench.chain import chain, limits
from tsbench.files import write_text
from tsbench.fronts import FRONTS
from tsbench.metrics import METRICS
from tsbench.paths import ASSETS
from tsbench.present import by_workload, interval, notes_of, provenance, series_and_label, workload_titles
from tsbench.report.difference import amplified_difference
from tsbench.report.paper import FRONT, front_text, published_beside, quantities
from tsbench.report.plots.style import styles, with_series
from tsbench.snippet import overrides, snippet
from tsbench.store import Store
from tsbench.stored import DrawnCell, Manifest

SCRIPTS = ("elements", "plot", "table", "cell", "start")
IMAGES_SIZE = 30_000_000  # characters: all images of a report together
LARGEST = 512  # pixels: the longer side of an image
LEVELS = {"nearly the same image": 0.05, "a close image": 0.1, "a similar image": 0.2}  # LPIPS
SPEEDS = {
    "speedup": "Speed-up",
    "denoise_speedup": "Denoising speed-up",
    "flops_speedup": "FLOPs speed-up",
    "computed_steps": "Computed steps",
}
FIGURES = [
    "key", "reference", "status", "computed_steps", "steps", "latency_s", "speedup", "speedup_low", "speedup_high",
    "denoise_speedup", "tflop", "flops_speedup",
    "n_identical", "n_samples", *FRONTS,
]  # fmt: skip


def write_html(store: Store, cells: pd.DataFrame, manifest: Manifest) -> Path:
    """Write `report.html`; every name and prompt in it is escaped."""
    parts = ASSETS / "report"
    page = Environment(autoescape=True).from_string((parts / "report.html").read_text(encoding="utf-8"))
    data = json.dumps(_data(store, cells), ensure_ascii=False, allow_nan=False)
    data = data.replace("<", "\\u003c")  # ends no script
    text = page.render(
        name=store.folder.resolve().name,
        provenance=provenance(manifest, cells).replace("`", ""),  # which are for Markdown
        answers=answers(store, cells),
        reading=FRONT,
        commands=manifest.commands,
        environment=json.dumps(manifest.environment, indent=1),
        data=Markup(data),
        style=Markup((parts / "report.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((parts / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)),
    )
    path = store.folder / "report.html"
    write_text(path, text)
    return path


def answers(store: Store, cells: pd.DataFrame) -> list[dict[str, Any]]:
    """For every workload and level of quality the fastest setting whose interval meets it; equal answers once."""
    found: list[dict[str, Any]] = []
    for title, group in by_workload(cells):
        if "lpips" not in group or group["lpips"].isna().all():
            text = _without_lpips(group)
            found.append({"workload": title, "wanted": "", "key": None, "text": text, "beside": []})
            continue
        for level, limit in LEVELS.items():
            bars = [replace(BARS["--max-lpips"], limit=limit), FASTER]
            good, unknown = qualified(group, bars), unjudged(group, bars)
            answer: dict[str, Any] = {"workload": title, "key": None, "text": nearest(group, bars), "beside": []}
            if good:
                text = f"{good[0].setting}: {gives(good[0], bars)}"
                told = beside(as_fast(store, good, bars), group, good[0], bars)
                answer |= {"key": good[0].key, "text": text, "beside": told}
            elif unknown:
                answer["text"] = f"not known: {'; '.join(unknown)}"
            wanted = f"{level} (LPIPS up to {limit:g})"
            if found and found[-1] == answer | {"wanted": found[-1]["wanted"]}:
                found[-1]["wanted"] += f", {wanted}"
            else:
                found.append(answer | {"wanted": wanted})
    return found


def _without_lpips(group: pd.DataFrame) -> str:
    if group["random_weights"].iloc[0]:
        return "images of random weights mean nothing"
    if not candidates(group) and (failed := (group["status"] == "failed").sum()):
        return f"{failed} of {len(group)} cells have failed: see the table"
    return nearest(group, [BARS["--max-lpips"]])


def _data(store: Store, cells: pd.DataFrame) -> dict[str, Any]:
    drawn = cells[cells["status"] == "ok"]
    metrics = [m for m in METRICS.values() if m.column in cells and cells[m.column].notna().any()]
    pictures = _pictures(store, drawn)
    shown = quantities(cells)
    workloads = workload_titles(cells)
    return {
        "workloads": workloads,
        "speeds": SPEEDS,
        "fronts": {speed: column for column, speed in FRONTS.items()},
        "looks": _looks(cells),
        "metrics": [
            {
                "name": m.name,
                "column": m.column,
                "label": m.title,
                "higher_is_better": m.higher_is_better,
                "digits": m.digits,
                "best": m.best if m.by_distance else None,
            }
            for m in metrics
        ],
        "cells": [
            _cell(store, row, [m.name for m in metrics], workloads)
            | {"published": published_beside(row, shown) if row.status == "ok" else []}
            | pictures.get(row.key, {"images": [], "differences": []})
            for row in cells.itertuples()
        ],
    }


def _looks(cells: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What every series looks like in the plots; black is the colour of the text, on any background."""
    return {
        name: {
            "colour": "currentColor" if look["color"] == "black" else look["color"],
            "marker": look["marker"],
            "dashed": look["linestyle"] == "--",
        }
        for name, look in styles(with_series(cells)["series"]).items()
    }


def _cell(store: Store, row: Any, metrics: list[str], workloads: dict[str, str]) -> dict[str, Any]:
    drawn = store.cell(row.key)
    columns = [f"{METRICS[name].column}{end}" for name in metrics for end in ("", "_low", "_high")]
    cell = {name: _plain(getattr(row, name, None)) for name in (*FIGURES, *columns)}
    cell |= {
        "name": row.setting,
        "series": series_and_label(row)[0],
        "workload": workloads[row.reference],
        "front": front_text(row),
        "speedup_interval": interval(row),
        "says": "; ".join(notes_of(row)),
        "disturbed": isinstance(row.timing_disturbed, str),
        "schedules": [],
        "errors": [],
        "samples": [],
        "explanation": [],
    }
    if not isinstance(drawn, DrawnCell):
        return cell
    cell["schedules"] = drawn.schedules
    cell["errors"] = [*map(_plain, drawn.step_errors or [])]  # none of full compute, of fewer steps
    if row.key != row.reference:
        cell["explanation"] = [
            f"{link.latency_s:.4g} s ({link.factor:.3f}x): {link.what}" for link in chain(drawn)
        ] + limits(drawn)
    cell |= {"python": "\n".join(snippet(drawn)), "command": overrides(drawn)}
    scores = {name.partition(":")[0]: values for name, values in store.scores(row.key).items()}
    cell["samples"] = _worst_first(drawn.workload, scores, metrics)
    return cell


def _worst_first(workload: Workload, scores: dict[str, list[float]], metrics: list[str]) -> list[dict[str, Any]]:
    """The samples of a cell with their scores, ordered by LPIPS, or by the first metric that there is."""
    known = [name for name in metrics if name in scores]
    samples: list[dict[str, Any]] = []
    for number, sample in enumerate(workload.samples):
        figures = [f"{METRICS[name].label} {_figure(scores[name][number], METRICS[name].digits)}" for name in known]
        values = {METRICS[name].column: _plain(scores[name][number]) for name in known}
        text = ": ".join(filter(None, (f"{sample.prompt} (seed {sample.seed})", ", ".join(figures))))
        samples.append({"number": number, "text": text, "values": values})
    if known:
        name = "lpips" if "lpips" in known else known[0]
        samples.sort(key=lambda sample: METRICS[name].sign * scores[name][sample["number"]])
    return samples


def _figure(value: float, digits: int) -> str:
    return "identical" if math.isinf(value) else f"{value:.{digits}f}"


def _pictures(store: Store, drawn: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Of the drawn cells the images and their differences to full compute, taken before anything is compressed.

    All are scaled down alike, as far as it takes to keep within `IMAGES_SIZE`.
    """
    side = min(LARGEST, int(drawn[["height", "width"]].to_numpy().max(initial=1)))
    while True:
        found: dict[str, dict[str, list[str]]] = {}
        size = 0
        references: dict[str, list[np.ndarray]] = {}
        for row in drawn.itertuples():
            images, full = store.images(row.key), []
            if row.key != row.reference:
                if row.reference not in references:
                    references[row.reference] = store.images(row.reference) if store.is_done(row.reference) else []
                full = references[row.reference]
            found[row.key] = {
                "images": [_picture(image, side) for image in images],
                "differences": [_picture(amplified_difference(*both), side) for both in zip(images, full)],
            }
            size += sum(len(text) for texts in found[row.key].values() for text in texts)
            if size > IMAGES_SIZE and side > 1:
                break
        else:
            return found
        whole = size * len(drawn) / len(found)
        side = max(1, int(0.95 * side * math.sqrt(IMAGES_SIZE / whole)))  # the size goes as the area


def _picture(image: np.ndarray, side: int) -> str:
    """A WebP as text, no longer than `side` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=82, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _plain(value: Any) -> Any:
    """A figure as JSON has it; None for what is missing or not finite."""
    if pd.isna(value) or (isinstance(value, float) and math.isinf(value)):
        return None
    return value.item() if hasattr(value, "item") else value
