"""What a sweep would compute and cost, without weights and without images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from tsbench import published
from tsbench.cell import Cell
from tsbench.cost import COST_COLUMNS
from tsbench.disturbance import disturbance
from tsbench.errors import UserError, first_line
from tsbench.grid import cells_of, impossible
from tsbench.methods import Method
from tsbench.paths import expanded
from tsbench.point import Point
from tsbench.schedule import computed_steps
from tsbench.schema import ModelConfig
from tsbench.stats import full_step_s
from tsbench.store import Store
from tsbench.stored import DrawnCell
from tsbench.titles import DRAWN_WITH, drawn_columns

COLUMNS = [
    "setting", "model", "backend", "method", "params", "dtype", "quantization", "offload", "compile", "height", "width",
    "steps", "n_samples", *DRAWN_WITH, "seeds", "first_prompt", "weights", "random_weights", "text_encoders", "prompts",
    "schedule", "computed_steps", *COST_COLUMNS, "max_flops_speedup", "published_tflop", "published_difference",
    "published", "published_latency_s", "published_speedup", "published_hardware", "published_speed", "reason",
]  # fmt: skip


def planned_cells(points: Sequence[Point]) -> tuple[list[Cell], dict[str, Method]]:
    """`cells_of` without weights: a model's identity is its source, and methods are as for its architecture."""
    architectures = _architectures(points)
    cells, methods = cells_of((point.cell(str(point.config.model.source)), point.method) for point in points)
    return cells, {cell.key: methods[cell.key].for_architecture(architectures[cell.workload.model]) for cell in cells}


def _architectures(points: Sequence[Point]) -> dict[str, dict[str, Any]]:
    """The configurations of the transformers, by the sources of their models."""
    models = {str(point.config.model.source): point.config.model for point in points}
    return {source: architecture(model) for source, model in models.items()}


def plan_table(points: Sequence[Point], cells: Sequence[Cell], methods: dict[str, Method]) -> pd.DataFrame:
    """A row per cell: `reference`, the key of the workload's full compute, `skipped` by design, and `COLUMNS`."""
    from tsbench.flops import step_cost

    models = {str(point.config.model.source): point.config.model for point in points}
    architectures = _architectures(points)
    rows = []
    for cell in cells:
        work, method = cell.workload, methods[cell.key]
        skipped = impossible(cell, method)
        row: dict[str, Any] = {
            "reference": cell.reference.key,
            "setting": method.full_name(json.loads(cell.parameters)),
            "backend": cell.backend,
            "method": cell.method,
            "params": cell.parameters,
            **drawn_columns(work, cell.settings),
            "weights": " ".join(filter(None, models[work.model].source)),
            "skipped": skipped is not None,
            "reason": skipped,
        }
        if skipped:
            rows.append(row)
            continue
        schedule = method.promised_schedule(work.steps)
        try:
            cost = step_cost(architectures[work.model], cell, method)
        except Exception as error:  # of a method that is not tsbench's, it may be any
            rows.append(row | {"reason": first_line(error)})
            continue
        figures = cost.columns([] if schedule is None else [schedule], work.steps, work.batch_size)
        fewest = schedule or method.fewest_computed(work.steps)
        most = cost.columns([fewest], work.steps, work.batch_size).get("flops_speedup")
        row |= {
            "schedule": schedule,
            "computed_steps": None if schedule is None else computed_steps(schedule),
            **figures,
            "max_flops_speedup": most,
            "reason": figures.get("cost_reason") if schedule is not None else f"depends on {method.decides_by}",
        }
        rows.append(row | published.columns(row) | published.speed_columns(row))
    return pd.DataFrame(rows, columns=["reference", "skipped", *COLUMNS])


def measured_step_s(store: Store, cell: Cell) -> float | None:
    """Median seconds of a full step, from an undisturbed run of the same work with the same settings, or None.

    Whatever the prompts, their seeds and the number of steps; of the weights a plan knows only the name.
    """

    def drawn_by(one: Cell | DrawnCell) -> tuple[Any, ...]:
        return replace(one.workload, model="", prompts=(), seeds=(), steps=1), one.backend, one.settings

    for kept in store.all_drawn():
        if kept.is_reference and drawn_by(kept) == drawn_by(cell) and not disturbance(kept):
            return full_step_s(kept.pairs)
    return None


def architecture(model: ModelConfig) -> dict[str, Any]:
    """The configuration of a model's transformer: its own in a folder or in the hub's cache, else the carried one.

    Raises:
        UserError: if there is neither, or it is no Flux.
    """
    from tsbench.models.source import check_is_flux, configuration, find_architecture, find_model, in_hub_cache

    is_folder = model.path != "architecture" and expanded(model.path).is_dir()
    if model.path == "embedded" or is_folder:
        folder = find_model(model.path)
        check_is_flux(folder)
        return configuration(folder, "transformer/config.json")
    if cached := in_hub_cache(model.path, "transformer/config.json"):
        return configuration(cached.parent, cached.name)
    if model.architecture is None:
        raise UserError(
            f"model.path is {model.path!r}, whose architecture is not known here; "
            "try model=flux1-dev, or model.architecture=flux1-dev for a model of that architecture."
        )
    return configuration(find_architecture(model.architecture), "transformer/config.json")
