"""Cells and samples as tables, derived from the stored cells alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any

import pandas as pd

from tsbench import published
from tsbench.cell import Workload, canonical_json
from tsbench.cost import COST_COLUMNS, StepCost
from tsbench.disturbance import disturbance, impossibly_fast
from tsbench.fronts import FRONTS, RawFigures, against_front, fronts
from tsbench.methods import method_class
from tsbench.metrics import METRICS, metric_of
from tsbench.schedule import computed_steps, schedule_note
from tsbench.stats import (
    LEAST_MEAN,
    LEAST_MEDIAN,
    finite_mean,
    log_speedups,
    mean_interval,
    median_interval,
    prompt_means,
    speedups,
)
from tsbench.store import Store, image_name, replaced
from tsbench.titles import DRAWN_WITH, counted, drawn_columns

COLUMNS = [
    "key", "status", "reason", "model", "backend", "method", "params", "dtype", "quantization", "offload", "compile",
    "height", "width", "steps", "n_samples", *DRAWN_WITH, "seeds", "first_prompt", "schedule", "computed_steps",
    *COST_COLUMNS, "published_tflop", "published_difference", "latency_s", "denoise_s", "speedup", "speedup_low",
    "speedup_high", "denoise_speedup", "psnr_db", "ssim", "lpips", "peak_memory_bytes", "on_front",
]  # fmt: skip
NO_REFERENCE = "there is no image of full compute to compare with (the same sweep draws it again)"
EXTRA_COLUMNS = [
    "n_identical",
    "note",
    "timing_disturbed",
    "competes",
    "cost_reason",
    "published",
    "reference",
    "n_pairs",
    "encode_s",
    "decode_s",
    "peak_memory_reason",
    "energy_j",
    "psnr_db_across_backends",
    "interval_reason",
    "metric_reason",
    "on_front_denoise",
    "on_front_flops",
    "weights",
    "random_weights",
    "text_encoders",
    "prompts",
    "near_front",
    "dominated_by",
    "hardware",
]


def cells_table(store: Store) -> pd.DataFrame:
    """A row per cell: `COLUMNS`, then `EXTRA_COLUMNS`, then a column for every other metric that was computed."""
    manifest = store.manifest()
    documents = store.documents()
    by_key = {document["key"]: document for document in documents}
    metrics = manifest.get("metrics", [])
    scores = {key: store.scores(key) for key in by_key}
    rows = [_cell_row(store, d, scores[d["key"]], metrics) for d in documents]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *EXTRA_COLUMNS, *_further_metrics(rows)])
    credible = [d for d in documents if d["status"] == "ok" and not impossibly_fast(d)]
    raw = {d["key"]: _raw_figures(d, scores[d["key"]]) for d in credible}
    for column, speed in FRONTS.items():
        table[column] = fronts(table, speed)
    table["near_front"], table["dominated_by"] = against_front(table, raw)
    order = {key: number for number, key in enumerate(_readable_order(by_key))}
    return table.sort_values("key", key=lambda keys: keys.map(order)).reset_index(drop=True)


def samples_table(store: Store) -> pd.DataFrame:
    """A row per image: its cell, prompt, seed, file, schedule and scores (infinite if identical)."""
    rows = []
    for document in store.documents():
        scores, across = store.scores(document["key"]), store.scores(document["key"], across=True)
        workload = Workload.of_document(document["workload"])
        for number, (sample, schedule) in enumerate(zip(workload.samples, document.get("schedules", []))):
            row = {
                "key": document["key"],
                "sample": number,
                "prompt": sample.prompt,
                "seed": sample.seed,
                "image": None if workload.random_weights else f"cells/{document['key']}/{image_name(number)}",
                "schedule": schedule,
                "computed_steps": computed_steps(schedule),
            }
            named = {metric_of(name).column: values for name, values in scores.items()}
            if across:
                named["psnr_db_across_backends"] = across["psnr"]
            rows.append(row | {column: values[number] for column, values in named.items()})
    return pd.DataFrame(rows)


def write_tables(store: Store, cells: pd.DataFrame) -> None:
    """Write `cells.csv` and the two Parquet files."""
    with replaced(store.folder / "cells.csv") as partial:
        cells.to_csv(partial, index=False)
    for name, table in (("cells", cells), ("samples", samples_table(store))):
        with replaced(store.folder / f"{name}.parquet") as partial:
            table.to_parquet(partial, index=False)


def _cell_row(
    store: Store, document: dict[str, Any], scores: dict[str, list[float]], metrics: Iterable[str]
) -> dict[str, Any]:
    workload = document["workload"]
    row: dict[str, Any] = {
        "key": document["key"],
        "status": document["status"],
        "reason": document.get("reason"),
        "backend": document["backend"],
        "method": document["method"],
        "params": canonical_json(document["params"]),
        "reference": document["reference"],
        "hardware": document.get("hardware"),
        **drawn_columns(workload, document["settings"]),
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
    if document.get("cache_bytes") is not None:
        row["cache_bytes"] = document["cache_bytes"]
    speed = _speed(document)
    skips, low = row["computed_steps"] < workload["steps"], speed.get("speedup_low")
    return {
        **row,
        "competes": skips and not impossibly_fast(document) and (low is None or low > 1),
        "note": "; ".join(_notes(document)) or None,
        "timing_disturbed": disturbance(document),
        **speed,
        **_quality(scores, len(workload["prompts"])),
        "psnr_db_across_backends": finite_mean(store.scores(document["key"], across=True).get("psnr", [])),
        "interval_reason": "; ".join(_without_interval(document, scores)) or None,
        "metric_reason": "; ".join(_unscored(store, document, metrics, scores)) or None,
        "peak_memory_bytes": document["peak_memory_bytes"],
        "peak_memory_reason": document["peak_memory_reason"],
    }


def _notes(document: dict[str, Any]) -> list[str]:
    workload, notes = document["workload"], []
    if document["key"] != document["reference"]:
        note = schedule_note(document["promised_schedule"], document["schedules"], workload["steps"])
        notes += [note] if note else []
    if pair_schedules(document) != _image_schedules(document):
        notes.append("the schedule of an image differed between runs")
    compiled_note = method_class(document["backend"], document["method"]).compiled_note
    notes += [compiled_note] if compiled_note and document["settings"]["compile"] else []
    notes += ["random weights"] if workload["random_weights"] else []
    return notes + ([] if workload["text_encoders"] else ["random embeddings, text encoders left out"])


def pair_schedules(document: dict[str, Any]) -> list[str]:
    """What every timed run of the method computed."""
    return [pair["schedule"] for pair in document["pairs"]]


def _image_schedules(document: dict[str, Any]) -> list[str]:
    """Of every pair what was computed of the stored images of its batch."""
    size = document["workload"]["batch_size"]
    return [document["schedules"][pair["batch"] * size] for pair in document["pairs"]]


def _speed(document: dict[str, Any]) -> dict[str, Any]:
    pairs = document["pairs"]
    method = [pair["method"] for pair in pairs]
    row: dict[str, Any] = {
        name: statistics.median(timing[name] for timing in method)
        for name in ("latency_s", "encode_s", "denoise_s", "decode_s")
    }
    energies = [timing["energy_j"] for timing in method if timing.get("energy_j") is not None]
    row["energy_j"] = statistics.median(energies) if energies else None
    row["n_pairs"] = len(pairs)
    if document["key"] == document["reference"]:
        return row | {"speedup": 1.0, "denoise_speedup": 1.0}
    row["speedup"] = statistics.median(speedups(pairs))
    row["denoise_speedup"] = statistics.median(speedups(pairs, "denoise_s"))
    interval = None if impossibly_fast(document) else median_interval(speedups(pairs))
    row["speedup_low"], row["speedup_high"] = interval or (None, None)
    return row


def _quality(scores: dict[str, list[float]], prompts: int) -> dict[str, Any]:
    """Means over prompts, the seeds of one averaged first, and their intervals, as far as the metric's range goes."""
    row: dict[str, Any] = {}
    for name, values in scores.items():
        column = metric_of(name).column
        if checkpoint := name.partition(":")[2]:
            row[f"{column}_checkpoint"] = checkpoint
        means, (least, largest) = prompt_means(values, prompts), metric_of(name).range
        row[column] = finite_mean(means)
        low, high = mean_interval(means) or (None, None)
        row[f"{column}_low"] = None if low is None else max(low, least)
        row[f"{column}_high"] = None if high is None else min(high, largest)
        if name == "psnr":
            row["n_identical"] = sum(map(math.isinf, values))
    return row


def _without_interval(document: dict[str, Any], scores: dict[str, list[float]]) -> list[str]:
    """Why the speed-up, all metrics, or those of identical images have no interval."""
    pairs, prompts = len(document["pairs"]), len(document["workload"]["prompts"])
    reasons = []
    if document["key"] != document["reference"] and pairs < LEAST_MEDIAN:
        reasons.append(f"{counted(pairs, 'pair')}: an interval of the speed-up needs {LEAST_MEDIAN}")
    elif impossible := impossibly_fast(document):
        reasons.append(f"{impossible}: an interval of that speed-up would mean nothing")
    if not scores:
        return reasons
    if prompts < LEAST_MEAN:
        return [*reasons, f"{counted(prompts, 'prompt')}: an interval of a mean needs {LEAST_MEAN}"]
    differing = len(prompt_means(scores["psnr"], prompts)) if "psnr" in scores else prompts
    if differing < LEAST_MEAN:
        told = f"{differing} of {prompts} prompts differ from full compute"
        reasons.append(f"{told}: an interval of the PSNR of those that do needs {LEAST_MEAN}")
    return reasons


def _raw_figures(document: dict[str, Any], scores: dict[str, list[float]]) -> RawFigures:
    return RawFigures(
        len(document["workload"]["prompts"]),
        [0.0] * len(document["pairs"]) if document["key"] == document["reference"] else log_speedups(document["pairs"]),
        {metric_of(name).column: values for name, values in scores.items()},
    )


def _unscored(
    store: Store, document: dict[str, Any], metrics: Iterable[str], scores: dict[str, list[float]]
) -> list[str]:
    """Why metrics that were asked for are empty: each reason begins with the metric's label, or holds for all."""
    workload = document["workload"]
    empty = [metric_of(name) for name in metrics if name not in scores]
    small = [metric for metric in empty if not metric.applies(workload["height"], workload["width"])]
    reasons = [f"{metric.label} needs images of {metric.least_side} pixels or more" for metric in small]
    if len(empty) > len(small) and not store.is_done(document["reference"]) and not workload["random_weights"]:
        reasons.append(NO_REFERENCE)
    return [*reasons, *store.unscored(document["key"]).values()]


def _further_metrics(rows: Iterable[dict[str, Any]]) -> list[str]:
    present = {column for row in rows for column in row} - set(COLUMNS)
    named = [f"{metric.column}{end}" for metric in METRICS.values() for end in ("", "_low", "_high", "_checkpoint")]
    return [column for column in named if column in present]


def _readable_order(documents: dict[str, dict[str, Any]]) -> list[str]:
    """Workload by workload, the reference first, then by method and parameters."""

    def place(key: str) -> tuple[Any, ...]:
        document = documents[key]
        workload, params = document["workload"], document["params"]
        pixels = workload["height"] * workload["width"]
        numbers = [(name, value) for name, value in sorted(params.items()) if isinstance(value, int | float)]
        numbers.sort(key=lambda pair: pair[0] == "cache_interval")  # the interval changes fastest
        return (
            workload["model_name"], pixels, workload["steps"], workload["guidance_scale"], document["reference"],
            key != document["reference"], document["method"], [value for _, value in numbers], key,
        )  # fmt: skip

    return sorted(documents, key=place)
