"""Cells and samples as tables, derived from the stored cells alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsbench import published
from tsbench.cell import canonical_json
from tsbench.cost import COST_COLUMNS, StepCost
from tsbench.metrics import METRICS
from tsbench.schedule import computed_steps
from tsbench.score import ACROSS
from tsbench.stats import finite_mean, median_interval, on_front
from tsbench.store import Store, image_name

COLUMNS = [
    "key", "status", "reason", "model", "backend", "method", "params", "dtype", "quantization", "offload", "compile",
    "height", "width", "steps", "n_samples", "schedule", "computed_steps", *COST_COLUMNS, "published_tflop",
    "published_difference", "latency_s", "denoise_s", "speedup", "speedup_low", "speedup_high", "denoise_speedup",
    "psnr_db", "ssim", "lpips", "peak_memory_bytes", "on_front",
]  # fmt: skip
EXTRA_COLUMNS = [
    "n_identical",
    "note",
    "cost_reason",
    "published",
    "reference",
    "n_pairs",
    "encode_s",
    "decode_s",
    "peak_memory_reason",
    "energy_j",
    ACROSS,
    "hardware",
]


def cells_table(store: Store) -> pd.DataFrame:
    """A row a cell: `COLUMNS`, then `EXTRA_COLUMNS`, then a column for every other metric that was computed."""
    manifest = store.manifest() or {}
    documents = store.documents()
    by_key = {document["key"]: document for document in documents}
    rows = [_cell_row(document, store) | {"hardware": manifest.get("hardware")} for document in documents]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *EXTRA_COLUMNS, *_further_metrics(rows)])
    table["on_front"] = _fronts(table)
    order = {key: number for number, key in enumerate(_readable_order(by_key))}
    return table.sort_values("key", key=lambda keys: keys.map(order)).reset_index(drop=True)


def samples_table(store: Store) -> pd.DataFrame:
    """A row an image: its cell, prompt, seed, file, schedule and scores (infinite where identical)."""
    rows = []
    for document in store.documents():
        scores = store.scores(document["key"])
        workload = document["workload"]
        samples = [(prompt, seed) for prompt in workload["prompts"] for seed in workload["seeds"]]
        for number, schedule in enumerate(document.get("schedules", [])):
            prompt, seed = samples[number]
            row = {
                "key": document["key"],
                "sample": number,
                "prompt": prompt,
                "seed": seed,
                "image": None if workload["random_weights"] else f"cells/{document['key']}/{image_name(number)}",
                "schedule": schedule,
                "computed_steps": computed_steps(schedule),
            }
            named = {name if name == ACROSS else METRICS[name].column: values for name, values in scores.items()}
            rows.append(row | {column: float(values[number]) for column, values in named.items()})
    return pd.DataFrame(rows)


def write_tables(store: Store, cells: pd.DataFrame) -> str | None:
    """Write `cells.csv` and the two Parquet files.

    Returns:
        Why a file is missing, or None.
    """
    cells.to_csv(store.folder / "cells.csv", index=False)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return "cells.parquet and samples.parquet were not written, because pyarrow is not installed"
    cells.to_parquet(store.folder / "cells.parquet", index=False)
    samples_table(store).to_parquet(store.folder / "samples.parquet", index=False)
    return None


def _cell_row(document: dict[str, Any], store: Store) -> dict[str, Any]:
    workload, settings = document["workload"], document["settings"]
    row: dict[str, Any] = {
        "key": document["key"],
        "status": document["status"],
        "reason": document.get("reason"),
        "model": workload["model_name"],
        "backend": document["backend"],
        "method": document["method"],
        "params": canonical_json(document["params"]),
        **settings,
        **{name: workload[name] for name in ("height", "width", "steps")},
        "n_samples": len(workload["prompts"]) * len(workload["seeds"]),
        "reference": document["reference"],
    }
    if document["status"] != "ok":
        return row
    schedules = document["schedules"]
    row |= {
        "schedule": schedules[0] if len(set(schedules)) == 1 else "varies",
        "computed_steps": statistics.fmean(computed_steps(schedule) for schedule in schedules),
        "cost_reason": document["cost_reason"],
    }
    if document["cost"] is not None:
        row |= StepCost(**document["cost"]).columns(schedules, workload["steps"], workload["batch_size"])
        row |= published.columns(row)
    return {
        **row,
        "note": "; ".join(_notes(document)) or None,
        **_speed(document["pairs"], document["key"] == document["reference"]),
        **_quality(store.scores(document["key"])),
        "peak_memory_bytes": document["peak_memory_bytes"],
        "peak_memory_reason": document["peak_memory_reason"],
    }


def _notes(document: dict[str, Any]) -> list[str]:
    note = schedule_note(document["promised_schedule"], document["schedules"])
    workload = document["workload"]
    notes = [note] if note else []
    notes += ["random weights"] if workload["random_weights"] else []
    return notes + ([] if workload["text_encoders"] else ["random embeddings, text encoders left out"])


def schedule_note(promised: str | None, measured: list[str]) -> str | None:
    """What is to be said of a measured schedule; None where it is what the method's rule promises."""
    if "." in (promised or ".") and all("." not in schedule for schedule in measured):
        return "inert: every step was computed"
    if promised is not None and any(schedule != promised for schedule in measured):
        return f"computed other steps than its rule, {promised}"
    return None


def _speed(pairs: list[dict[str, Any]], is_reference: bool) -> dict[str, Any]:
    method = [pair["method"] for pair in pairs]
    row: dict[str, Any] = {
        name: statistics.median(timing[name] for timing in method)
        for name in ("latency_s", "encode_s", "denoise_s", "decode_s")
    }
    energies = [timing["energy_j"] for timing in method if timing.get("energy_j") is not None]
    row["energy_j"] = statistics.median(energies) if energies else None
    row["n_pairs"] = len(pairs)
    if is_reference:
        return row | {"speedup": 1.0, "denoise_speedup": 1.0}
    ratios = {
        name: [pair["reference"][name] / pair["method"][name] for pair in pairs] for name in ("latency_s", "denoise_s")
    }
    row["speedup"] = statistics.median(ratios["latency_s"])
    row["denoise_speedup"] = statistics.median(ratios["denoise_s"])
    row["speedup_low"], row["speedup_high"] = median_interval(ratios["latency_s"]) or (None, None)
    return row


def _quality(scores: dict[str, list[float | str]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, values in scores.items():
        numbers = [float(value) for value in values]
        if name == ACROSS:
            row[ACROSS] = finite_mean(numbers)
            continue
        row[METRICS[name].column] = finite_mean(numbers)
        if name == "psnr":
            row["n_identical"] = sum(map(math.isinf, numbers))
    return row


def _further_metrics(rows: Iterable[dict[str, Any]]) -> list[str]:
    present = {column for row in rows for column in row}
    return [metric.column for metric in METRICS.values() if metric.column in present - set(COLUMNS)]


def _fronts(table: pd.DataFrame) -> pd.Series:
    """For each cell the metrics on whose front with the speed-up it lies, within its workload: `lpips;ssim`.

    The reference takes part as a speed-up of 1 with a perfect score, so that a cell that is slower than full compute
    is on no front.
    """
    found: dict[Any, list[str]] = {index: [] for index in table.index}
    for _, group in table[table["status"] == "ok"].groupby("reference"):
        for metric in METRICS.values():
            if metric.column not in table or group[metric.column].isna().all():
                continue
            sign = 1.0 if metric.higher_is_better else -1.0
            scored = group[group[metric.column].notna() & (group["key"] != group["reference"])]
            points = [(row.speedup, sign * getattr(row, metric.column)) for row in scored.itertuples()]
            for index, is_on in zip(scored.index, on_front([*points, (1.0, np.inf)])):
                if is_on:
                    found[index].append(metric.name)
    return pd.Series({index: ";".join(names) for index, names in found.items()}, dtype=object)


def _readable_order(documents: dict[str, dict[str, Any]]) -> list[str]:
    """Workload by workload, the reference first, then by method and parameters."""

    def place(key: str) -> tuple[Any, ...]:
        document = documents[key]
        workload, params = document["workload"], document["params"]
        pixels = workload["height"] * workload["width"]
        numbers = [(name, value) for name, value in sorted(params.items()) if isinstance(value, int | float)]
        numbers.sort(key=lambda pair: pair[0] == "cache_interval")  # the interval changes fastest
        return (
            workload["model_name"], pixels, workload["steps"], document["reference"], key != document["reference"],
            document["method"], [value for _, value in numbers], key,
        )  # fmt: skip

    return sorted(documents, key=place)


def results_folder(argument: str) -> Path:
    """The folder of a run, given as a path or as its name in results/."""
    path = Path(argument)
    return path if path.is_dir() else Path("results") / argument
