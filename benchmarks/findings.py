"""What the timing of FLUX.1-dev's architecture shows.

`python benchmarks/findings.py RUN RATES`, of a results folder and the rates that `benchmarks/gpu.py` has left. Each
line is a figure, what it is held against, and whether that holds. What is published stands beside what was measured
and is held against nothing: it was measured on another machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tsbench.errors import UserError
from tsbench.flops import TOKEN_SIDE
from tsbench.present import number, workload_titles
from tsbench.report.paper import published_beside, quantities
from tsbench.stats import full_step_s
from tsbench.store import opened
from tsbench.stored import DrawnCell
from tsbench.tables import cells_table

NEAR_PREDICTION, NEAR_IDEAL, LEAST_SHARE = 0.25, 0.03, 0.97


def main(run: str, rates: str) -> int:
    """Print the findings; 1 if something does not hold."""
    known = Path(rates).exists()
    found = [] if known else [(f"there are no rates in {rates} to hold a step against", False)]
    found += findings(run, json.loads(Path(rates).read_text()) if known else {})
    for text, holds in found:
        print({True: "holds ", False: "FAILS ", None: "      "}[holds] + text)
    return int(any(holds is False for _, holds in found))


def findings(run: str, rates: dict[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Sentences, and whether what they say is as it should be; None if nothing is asked of it."""
    store = opened(run)
    cells = cells_table(store)
    titles, shown = workload_titles(cells), quantities(cells)
    for row in cells.itertuples():
        name = f"{titles[row.reference]}, {row.setting}"
        if row.status != "ok":
            yield f"{name}: {row.status}: {row.reason}", False if row.status == "failed" else None
            continue
        cell = store.drawn(row.key)
        if cell.is_reference:
            yield from step_time(name, row, cell, rates)
            continue
        outside = 1 - row.denoise_s / row.latency_s
        energy = number(row.energy_j, 0, " J an image", prefix=", ")
        yield f"{name}: {row.speedup:.2f}x, {100 * outside:.1f} % outside denoising{energy}", None
        ideal = row.steps / row.computed_steps
        if json.loads(row.params).get("use_lite_mode"):
            holds = abs(row.denoise_speedup / ideal - 1) <= NEAR_IDEAL
            yield f"{name}: denoising {row.denoise_speedup:.3f}x, T/C is {ideal:.3f}x", holds
        elif pd.notna(row.flops_speedup):
            holds = row.denoise_speedup <= row.flops_speedup * (1 + NEAR_IDEAL)
            yield f"{name}: denoising {row.denoise_speedup:.3f}x, by FLOPs {row.flops_speedup:.3f}x", holds
        if cell.cost is not None:
            planned = cell.cost.cache_bytes
            yield f"{name}: the cache keeps {row.cache_bytes:.0f} bytes, planned {planned}", row.cache_bytes == planned
        for said in published_beside(row, shown):
            text = f"{name}: {said['figure']} {said['measured']}, published {said['published']} ({said['of']})"
            yield text, None
    for command in store.manifest().commands:
        if (share := command.pipeline_share) is not None:  # none where no cell was finished
            yield f"{100 * share:.1f} % of the time inside the pipeline, {command.started}", share >= LEAST_SHARE


def step_time(name: str, row: Any, cell: DrawnCell, rates: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """A full step beside the one that rates of products and attention predict, and what goes through memory adds."""
    tokens = str(row.height // TOKEN_SIDE * (row.width // TOKEN_SIDE))
    if tokens not in rates or row.compile:
        return
    step_s = full_step_s(cell.pairs)
    predicted_s, beside_s = rates[tokens]["predicted_step_s"], rates[tokens]["beside_s"]
    for what, by_rates_s in (
        ("products and attention", predicted_s),
        ("these and what goes through memory beside them", predicted_s + beside_s),
    ):
        ratio = step_s / by_rates_s
        text = f"{name}: a step takes {step_s:.4f} s, {ratio:.2f} times {by_rates_s:.4f} s, by rates of {what}"
        yield text, abs(ratio - 1) <= NEAR_PREDICTION


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("rates")
    try:
        sys.exit(main(**vars(parser.parse_args())))
    except (UserError, OSError) as error:
        sys.exit(f"findings: {error}")
