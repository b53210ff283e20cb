"""What a workload is, in columns and in a title; without pandas, which a sweep that only draws does not need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from tsbench.cell import Settings, Workload, canonical_json, digest

DRAWN_WITH = ("guidance_scale", "max_sequence_length", "batch_size")
TELLING_APART = {  # columns of a workload that its title has only where titles would be equal without
    "guidance_scale": "guidance {:g}",
    "max_sequence_length": "{} text tokens",
    "batch_size": "batches of {}",
    "quantization": "{}",
    "seeds": "seeds {}",
    "first_prompt": 'prompts from "{:.40}"',
    "prompts": "prompts {}",
    "random_weights": "random weights: {}",
    "text_encoders": "text encoders: {}",
    "weights": "weights {}",
}


def counted(number: int, what: str) -> str:
    """1 cell, 2 cells."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def drawn_columns(workload: Workload, settings: Settings) -> dict[str, Any]:
    """The columns that say what is drawn and with which settings, whatever the method."""
    return {
        "model": workload.model_name,
        **asdict(settings),
        **{name: getattr(workload, name) for name in ("height", "width", "steps", *DRAWN_WITH)},
        "n_samples": len(workload.samples),
        "seeds": canonical_json(workload.seeds),
        "first_prompt": workload.prompts[0],
        "weights": f"sha256:{workload.model[:8]}",  # digits alone would be read as a number
        "random_weights": workload.random_weights,
        "text_encoders": workload.text_encoders,
        "prompts": f"sha256:{digest(workload.prompts)[:8]}",
    }


def titles_of(rows: Iterable[dict[str, Any]], without: str = "") -> dict[str, str]:
    """What every workload of a run draws, and how, by the key of its reference.

    Args:
        rows: of all cells of the run, since a title says no more than it takes to tell its workload from the others:
            `reference`, `backend` and `drawn_columns`.
        without: what an axis shows already, one of `size`, `steps` and `backend`; workloads that differ in nothing
            else have the same title.
    """
    firsts: dict[str, dict[str, Any]] = {}
    for row in rows:
        firsts.setdefault(row["reference"], row)
    titles = {reference: _title(row, without) for reference, row in firsts.items()}
    for column, form in TELLING_APART.items():
        values: dict[str, set[Any]] = {}
        for reference, row in firsts.items():
            values.setdefault(titles[reference], set()).add(row[column])
        for reference, row in firsts.items():
            if len(values[titles[reference]]) > 1:
                titles[reference] += f", {form.format(row[column])}"
    return titles


def _title(row: dict[str, Any], without: str) -> str:
    quantization, offload = row["quantization"], row["offload"]
    parts = {
        "model": row["model"],
        "size": f"{row['height']} x {row['width']}",
        "steps": f"{row['steps']} steps",
        "images": counted(row["n_samples"], "image"),
        "backend": f"backend {row['backend']}" if row["backend"] != "diffusers" else "",
        "dtype": row["dtype"],
        "quantization": f"quantization {json.loads(quantization)['backend']}" if quantization else "",
        "offload": f"offload {offload}" if offload != "none" else "",
        "compile": "compiled" if row["compile"] else "",
    }
    return ", ".join(text for name, text in parts.items() if text and name != without)
