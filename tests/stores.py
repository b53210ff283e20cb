"""Stores filled by hand, for tests of what is made of stored cells.

Their figures are chosen so that a table's, a front's or an interval's can be worked out on paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import cell
from tsbench.cell import Cell
from tsbench.files import write_json
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.stored import StoredCell, parsed
from tsbench.tables import cells_table

ENVIRONMENT = {"platform": "Linux x", "python": "3", "libraries": {"torch": "2"}, "processor": "P_1", "threads": 2}
FOCA = (  # where many published figures stand
    "FoCa (arXiv:2508.16211), as quoted by the cache-dit benchmark (DrawBench, 200 prompts), "
    "https://github.com/vipshop/cache-dit/blob/f86744af/bench/cache/README.md ; https://arxiv.org/abs/2508.16211"
)
INFERRED = "the warm-up of 3 is inferred from the defaults of the authors' code"
PROMPTS = tuple(f"prompt {number}" for number in range(6))
GOOD, FAIR = [0.04, 0.05, 0.06, 0.05, 0.04, 0.06], [0.08, 0.10, 0.12, 0.02, 0.16, 0.06]  # LPIPS of six prompts


def timed(latency: float, step_s: list[float]) -> dict[str, object]:
    """A run's timing in seconds; half of what is left of the latency is encoding, half decoding."""
    denoise = sum(step_s)
    outside = (latency - denoise) / 2
    return {"latency_s": latency, "encode_s": outside, "denoise_s": denoise, "decode_s": outside, "step_s": step_s}


def timing(latency: float, denoise: float) -> dict[str, object]:
    """The same of a run whose denoising is one step."""
    return timed(latency, [denoise])


def image(level: int, side: int = 64) -> np.ndarray:
    """Grey, uint8 [side, side, 3], with every other column brighter by so many levels."""
    picture = np.full((side, side, 3), 100, np.uint8)
    picture[:, ::2] += np.uint8(level)
    return picture


def body(schedules: list[str], pairs: list[dict[str, object]], promised: str | None = "CC.C") -> dict[str, object]:
    """What a store keeps of a finished cell."""
    return {
        "promised_schedule": promised,
        "schedules": schedules,
        "pairs": [{"schedule": schedules[pair["batch"]]} | pair for pair in pairs],
        "peak_memory_bytes": 3_000_000,
        "peak_memory_reason": None,
        "model_path": "embedded",
        "device": "cpu",
        "threads": None,
        "cache_bytes": None,
        "cost": {"full_flop": 4e12, "forecast_flop": 1e12, "cache_bytes": 7},
        "cost_reason": None,
        "calibration": {},
        "warmups": [],
        "repeat_psnr_db": None,
        "step_errors": [0.0, 0.0, 0.1, 0.2] if promised and "." in promised else None,
    }


def put(store: Store, cell: Cell, status: str, kept: dict[str, object], images: Iterable[np.ndarray] = ()) -> None:
    """Write a cell with what is kept of it beside its identity."""
    store.write(stored(store, cell, status, kept), images)


def stored(store: Store, cell: Cell, status: str, kept: dict[str, object]) -> StoredCell:
    """The same as it is read again."""
    document = {"hardware": "P"} | store.identity(cell) | {"status": status} | kept
    return parsed(json.loads(json.dumps(document, default=asdict)))


def drawn_cell(cell: Cell, schedules: list[str], pairs: list[dict[str, object]], **changes: object) -> StoredCell:
    """A finished cell that is in no folder."""
    return stored(Store(Path("nowhere")), cell, "ok", body(schedules, pairs) | changes)


def document(store: Store, key: str) -> dict[str, Any]:
    """What is written of a cell, to be changed and written again."""
    return json.loads((store.cells / key / "cell.json").read_text())


def rewrite(store: Store, key: str, **changes: object) -> None:
    """Change what is written of a cell."""
    write_json(store.cells / key / "cell.json", document(store, key) | changes)


def by_interval(store: Store) -> dict[int, object]:
    """The rows of a run's table by their cache interval; 0 is full compute."""
    rows = cells_table(store).itertuples()
    return {json.loads(row.params).get("cache_interval", 0): row for row in rows}


def keys(store: Store) -> dict[int, str]:
    """Their keys likewise."""
    return {number: row.key for number, row in by_interval(store).items()}


def parameters(interval: int) -> str:
    """Of a TaylorSeer cell of four steps."""
    return json.dumps(TaylorSeer(cache_interval=interval).resolved(4))


def run(
    folder: Path, lpips: dict[int, list[float]], seconds: dict[int, float], hardware: str = "P", full_s: float = 1.0
) -> Store:
    """A run of 4 steps and six prompts: LPIPS of every prompt and the latency by interval, and that of full compute."""
    store = Store(folder)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", ["lpips"])
    spread, jitter = [0.98, 0.99, 1.0, 1.01, 1.02, 1.03], [0.97, 1.03, 1.0, 1.0, 0.98, 1.02]
    full = [{"batch": i, "method": timed(full_s * r, [full_s / 5 * r] * 4)} for i, r in enumerate(spread)]
    images, made = [image(0)] * 6, {"hardware": hardware}
    work = {"steps": 4, "prompts": PROMPTS}
    put(store, cell(**work), "ok", body(["CCCC"] * 6, full, "CCCC") | made, images)
    for interval, values in lpips.items():
        method = cell("taylorseer", parameters(interval), **work)
        second = seconds[interval]
        pairs = [
            {
                "batch": i,
                "reference": timed(full_s * r, [full_s / 5 * r] * 4),
                "method": timed(second * r * j, [second / 5 * r * j] * 4),
            }
            for i, (r, j) in enumerate(zip(spread, jitter))
        ]
        put(store, method, "ok", body(["C..."] * 6, pairs, "C...") | made, images)
        store.write_scores(method.key, {"lpips": values})
    return store


def scored_run(folder: Path) -> Store:
    """A reference and three cells, scored: fast and poor, slow and good, fast and poorest; a fourth has failed."""
    store = Store(folder)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", ["psnr", "ssim"])
    reference = cell(steps=4)
    full = [{"batch": 0, "method": timing(1.0, 0.8)}] * 6
    put(store, reference, "ok", body(["CCCC", "CCCC"], full, "CCCC"), [image(0), image(40)])
    for interval, seconds, levels in ((4, 0.4, (32, 72)), (2, 0.8, (16, 40)), (6, 0.4, (64, 104))):
        ratios = [0.9, 0.95, 1.0, 1.05, 1.1, 1.4]
        pairs = [
            {"batch": 0, "reference": timing(1.0 * r, 0.8), "method": timing(seconds, seconds / 2)} for r in ratios
        ]
        put(
            store,
            cell("taylorseer", parameters(interval), steps=4),
            "ok",
            body(["C...", "C..." if interval == 4 else "CCCC"], pairs, "C...") | {"hardware": "P_1, 2 threads"},
            [image(level) for level in levels],
        )
    put(store, cell("taylorseer", parameters(8), steps=4), "failed", {"reason": "no memory", "traceback": "…"})
    score_cells(store, ["psnr", "ssim"])
    return store
