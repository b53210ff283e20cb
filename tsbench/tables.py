"""Cells and samples as tables, derived from the stored cells alone."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import pandas as pd

from tsbench import published
from tsbench.cell import Workload, canonical_json
from tsbench.cost import COST_COLUMNS
from tsbench.disturbance import disturbance, impossibly_fast
from tsbench.files import replaced
from tsbench.fronts import FRONTS, RANKED_PSNR, RawFigures, against_front, fronts
from tsbench.methods.registry import method_class
from tsbench.metrics import METRICS, metric_of
from tsbench.schedule import computed_steps, schedule_note
from tsbench.scoring import applies
from tsbench.stats import (
    LEAST_MEAN,
    LEAST_MEDIAN,
    denoise_speedups,
    finite_mean,
    log_speedups,
    mean_interval,
    median_interval,
    prompt_means,
    speedups,
)
from tsbench.store import Store, image_name
from tsbench.stored import DrawnCell, StoredCell
from tsbench.titles import DRAWN_WITH, counted, drawn_columns

COLUMNS = [
    "key", "setting", "status", "reason", "model", "backend", "method", "params", "dtype", "quantization", "offload",
    "compile", "height", "width", "steps", "n_samples", *DRAWN_WITH, "seeds", "first_prompt", "schedule",
    "computed_steps", *COST_COLUMNS, "published_tflop", "published_difference", "latency_s", "denoise_s", "speedup",
    "speedup_low", "speedup_high", "denoise_speedup", "psnr_db", "ssim", "lpips", "peak_memory_bytes", "on_front",
]  # fmt: skip
NOT_YET = "is not computed yet (python -m tsbench report {} computes it)"
NO_REFERENCE = "there is no image of full compute to compare with (the same sweep draws it again)"
EXTRA_COLUMNS = [
    "n_identical",
    RANKED_PSNR,
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
    metrics = store.manifest().metrics
    cells = {cell.key: cell for cell in store.all_cells()}
    scores = {key: store.scores(key) for key in cells}
    rows = [_cell_row(store, cell, scores[key], metrics) for key, cell in cells.items()]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *EXTRA_COLUMNS, *_further_metrics(rows)])
    drawn = [cell for cell in cells.values() if isinstance(cell, DrawnCell)]
    raw = {cell.key: _raw_figures(cell, scores[cell.key]) for cell in drawn if not impossibly_fast(cell)}
    for column, speed in FRONTS.items():
        table[column] = fronts(table, speed)
    table["near_front"], table["dominated_by"] = against_front(table, raw)
    order = {key: number for number, key in enumerate(_readable_order(cells))}
    return table.sort_values("key", key=lambda keys: keys.map(order)).reset_index(drop=True)


def samples_table(store: Store) -> pd.DataFrame:
    """A row per image: its cell, prompt, seed, file, schedule and scores (infinite if identical)."""
    rows = []
    for cell in store.all_drawn():
        scores, across = store.scores(cell.key), store.scores(cell.key, across=True)
        for number, (sample, schedule) in enumerate(zip(cell.workload.samples, cell.schedules)):
            row = {
                "key": cell.key,
                "sample": number,
                "prompt": sample.prompt,
                "seed": sample.seed,
                "image": None if cell.workload.random_weights else f"cells/{cell.key}/{image_name(number)}",
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


def _cell_row(store: Store, cell: StoredCell, scores: dict[str, list[float]], metrics: Iterable[str]) -> dict[str, Any]:
    workload = cell.workload
    row: dict[str, Any] = {
        "key": cell.key,
        "setting": method_class(cell.backend, cell.method).full_name(cell.params),
        "status": cell.status,
        "reason": cell.reason,
        "backend": cell.backend,
        "method": cell.method,
        "params": canonical_json(cell.params),
        "reference": cell.reference,
        "hardware": cell.hardware,
        **drawn_columns(workload, cell.settings),
    }
    if not isinstance(cell, DrawnCell):
        return row
    row |= {
        "schedule": cell.schedules[0] if len(set(cell.schedules)) == 1 else "varies",
        "computed_steps": statistics.fmean(computed_steps(schedule) for schedule in cell.schedules),
        "cost_reason": cell.cost_reason,
    }
    if cell.cost is not None:
        row |= cell.cost.columns(cell.schedules, workload.steps, workload.batch_size)
        row |= published.columns(row)
    if cell.cache_bytes is not None:
        row["cache_bytes"] = cell.cache_bytes
    speed = _speed(cell)
    skips, low = row["computed_steps"] < workload.steps, speed.get("speedup_low")
    faster = (speed["speedup"] if low is None else low) > 1
    return {
        **row,
        "competes": skips and faster and not impossibly_fast(cell),
        "note": "; ".join(_notes(cell)) or None,
        "timing_disturbed": disturbance(cell),
        **speed,
        **_quality(scores, workload),
        "psnr_db_across_backends": finite_mean(store.scores(cell.key, across=True).get("psnr", [])),
        "interval_reason": "; ".join(_without_interval(cell, scores)) or None,
        "metric_reason": "; ".join(_unscored(store, cell, metrics, scores)) or None,
        "peak_memory_bytes": cell.peak_memory_bytes,
        "peak_memory_reason": cell.peak_memory_reason,
    }


def _notes(cell: DrawnCell) -> list[str]:
    workload, notes = cell.workload, []
    if not cell.is_reference:
        note = schedule_note(cell.promised_schedule, cell.schedules, workload.steps)
        notes += [note] if note else []
    if any(pair.schedule != cell.schedules[pair.batch * workload.batch_size] for pair in cell.pairs):
        notes.append("the schedule of an image differed between runs")
    if cell.repeat_psnr_db is not None:
        notes.append(f"two runs of an image differ ({cell.repeat_psnr_db:.1f} dB apart)")
    compiled_note = method_class(cell.backend, cell.method).compiled_note
    notes += [compiled_note] if compiled_note and cell.settings.compile else []
    notes += ["random weights"] if workload.random_weights else []
    return notes + ([] if workload.text_encoders else ["random embeddings, text encoders left out"])


def _speed(cell: DrawnCell) -> dict[str, Any]:
    pairs = cell.pairs
    its = [pair.method for pair in pairs]
    row: dict[str, Any] = {
        name: statistics.median(getattr(timing, name) for timing in its)
        for name in ("latency_s", "encode_s", "denoise_s", "decode_s")
    }
    energies = [timing.energy_j for timing in its if timing.energy_j is not None]
    row["energy_j"] = statistics.median(energies) if len(energies) == len(its) else None  # those without were shorter
    row["n_pairs"] = len(pairs)
    if cell.is_reference:
        return row | {"speedup": 1.0, "denoise_speedup": 1.0}
    row["speedup"] = statistics.median(speedups(pairs))
    row["denoise_speedup"] = statistics.median(denoise_speedups(pairs))
    interval = None if impossibly_fast(cell) else median_interval(speedups(pairs))
    row["speedup_low"], row["speedup_high"] = interval or (None, None)
    return row


def _quality(scores: dict[str, list[float]], workload: Workload) -> dict[str, Any]:
    """Means over prompts, the seeds of one averaged first, and their intervals, as far as the metric's range goes."""
    prompts = len(workload.prompts)
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
            most_db = 10 * math.log10(255**2 * 3 * workload.height * workload.width)  # one byte differs by one level
            row[RANKED_PSNR] = statistics.fmean(min(value, most_db) for value in values)
    return row


def _without_interval(cell: DrawnCell, scores: dict[str, list[float]]) -> list[str]:
    """Why the speed-up, all metrics, or those of identical images have no interval."""
    pairs, prompts = len(cell.pairs), len(cell.workload.prompts)
    reasons = []
    if not cell.is_reference and pairs < LEAST_MEDIAN:
        reasons.append(f"{counted(pairs, 'pair')}: an interval of the speed-up needs {LEAST_MEDIAN}")
    elif impossible := impossibly_fast(cell):
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


def _raw_figures(cell: DrawnCell, scores: dict[str, list[float]]) -> RawFigures:
    return RawFigures(
        len(cell.workload.prompts),
        [0.0] * len(cell.pairs) if cell.is_reference else log_speedups(cell.pairs),
        {metric_of(name).column: values for name, values in scores.items()},
    )


def _unscored(store: Store, cell: DrawnCell, metrics: Iterable[str], scores: dict[str, list[float]]) -> list[str]:
    """Why metrics that were asked for are empty: each reason begins with the metric's label, or holds for all."""
    workload, failed = cell.workload, store.unscored(cell.key)
    empty = {name: metric_of(name) for name in metrics if name not in scores}
    small = [metric.too_small for metric in empty.values() if not metric.applies(workload.height, workload.width)]
    if len(empty) == len(small) or workload.random_weights:
        return [*small, *failed.values()]
    if not store.is_done(cell.reference):
        return [*small, NO_REFERENCE, *failed.values()]
    due = [metric for name, metric in empty.items() if name not in failed and applies(metric, cell)]
    return [
        *small,
        *failed.values(),
        *(f"{metric.label} {NOT_YET.format(shlex.quote(str(store.folder)))}" for metric in due),
    ]


def _further_metrics(rows: Iterable[dict[str, Any]]) -> list[str]:
    present = {column for row in rows for column in row} - set(COLUMNS)
    named = [f"{metric.column}{end}" for metric in METRICS.values() for end in ("", "_low", "_high", "_checkpoint")]
    return [column for column in named if column in present]


def _readable_order(cells: dict[str, StoredCell]) -> list[str]:
    """Workload by workload, the reference first, then by method and parameters."""

    def place(key: str) -> tuple[Any, ...]:
        cell = cells[key]
        workload, params = cell.workload, cell.params
        pixels = workload.height * workload.width
        full = cells.get(cell.reference, cell)  # whose name the model has, where its cells have several
        numbers = [(name, value) for name, value in sorted(params.items()) if isinstance(value, int | float)]
        numbers.sort(key=lambda pair: pair[0] == "cache_interval")  # the interval changes fastest
        return (
            full.workload.model_name, pixels, workload.height, workload.steps,
            *(getattr(workload, name) for name in DRAWN_WITH), cell.backend, astuple(cell.settings), workload.seeds,
            cell.reference, not cell.is_reference, cell.method, [value for _, value in numbers], key,
        )  # fmt: skip

    return sorted(cells, key=place)
