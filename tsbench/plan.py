"""`python -m tsbench plan [overrides]`: what a sweep would compute and cost, without weights and without images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from tsbench import published
from tsbench.budget import planned_images
from tsbench.cell import Cell
from tsbench.config import ModelConfig
from tsbench.cost import COST_COLUMNS
from tsbench.disturbance import disturbance
from tsbench.errors import UserError, first_line
from tsbench.flags import Arguments, number_of
from tsbench.grid import cells_of, expand, impossible
from tsbench.methods import Method
from tsbench.paper import markdown_text
from tsbench.paths import expanded
from tsbench.point import Point
from tsbench.present import full_name, plan_footnotes, plan_row, print_plan, size_of, workload_titles
from tsbench.progress import duration, output
from tsbench.schedule import computed_steps
from tsbench.stats import full_step_s
from tsbench.store import Store
from tsbench.titles import DRAWN_WITH, counted, drawn_columns

USAGE = """\
usage: python -m tsbench plan [overrides] [--step-s SECONDS] [--format csv|json|md]

Shows a row for every cell that `sweep` would draw with the same overrides: the steps it computes, what a forecast step
costs, its FLOPs and the speed-up that they allow, the bytes that its cache keeps, and any published FLOPs and speeds.
  --step-s SECONDS      seconds of a full step of the first cell, per image, for device hours; by default as measured in
                        results/NAME
  --format csv|json|md  write only the table, to standard output; csv and json have all columns"""

FORMATS = ("csv", "json", "md")
COLUMNS = [
    "model", "backend", "method", "params", "dtype", "quantization", "offload", "compile", "height", "width", "steps",
    "n_samples", *DRAWN_WITH, "seeds", "first_prompt", "weights", "random_weights", "text_encoders", "prompts",
    "schedule", "computed_steps", *COST_COLUMNS, "max_flops_speedup", "published_tflop", "published_difference",
    "published", "published_latency_s", "published_speedup", "published_hardware", "published_speed", "reason",
]  # fmt: skip


def main(arguments: list[str]) -> int:
    """The verb `plan`."""
    overrides, form, step_s = _flags(arguments)
    points = expand(overrides)
    cells, methods = planned_cells(points)
    with Console(stderr=True).status("counting FLOPs"):  # on a terminal only; of a real FLUX it takes half a minute
        table = plan_table(points, cells, methods)
    if form is not None:
        sys.stdout.write(written(table, form))
        return 0
    console = output()
    print_plan(table, console)
    first = points[0].config
    store, source = Store(Path("results") / first.folder_name), ""
    if step_s is None and (step_s := measured_step_s(store, cells[0])) is not None:
        source = f" (as measured in {store.folder}; --step-s gives another)"
    for line in totals(table, cells, methods, first.timing.pairs, step_s, source):
        console.print(line, soft_wrap=True)
    return 0


def _flags(arguments: list[str]) -> tuple[list[str], str | None, float | None]:
    """The overrides, the format and the time of a step."""
    parser = Arguments(USAGE)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--step-s")
    given = parser.parse_intermixed_args(arguments)
    if given.step_s is None:
        return given.overrides, given.format, None
    step_s = number_of("--step-s", given.step_s, "--step-s 0.3")
    if step_s <= 0:
        raise UserError(f"--step-s is {given.step_s!r}, but must be seconds, more than 0; try --step-s 0.3.")
    return given.overrides, given.format, step_s


def planned_cells(points: Sequence[Point]) -> tuple[list[Cell], dict[str, Method]]:
    """`cells_of` without weights: a model's identity is its source, and methods are as for its architecture."""
    architectures = _architectures(points)
    cells, methods = cells_of(points, {point.config.model.source: str(point.config.model.source) for point in points})
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
            "backend": cell.backend,
            "method": cell.method,
            "params": cell.parameters,
            **drawn_columns(asdict(work), asdict(cell.settings)),
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
    ignored = dict.fromkeys(("model", "prompts", "seeds", "steps"))
    work, drawn_by = asdict(cell.workload) | ignored, (cell.backend, asdict(cell.settings))
    for document in store.documents():
        same = document["workload"] | ignored == work and (document["backend"], document["settings"]) == drawn_by
        drawn = document["method"] == "none" and document["status"] == "ok"
        if same and drawn and disturbance(document) is None:
            return full_step_s(document["pairs"])
    return None


def architecture(model: ModelConfig) -> dict[str, Any]:
    """The configuration of a model's transformer: its own where it lies in a folder, else the one that is carried.

    Raises:
        UserError: where there is neither, or it is no Flux.
    """
    from tsbench.models.source import check_is_flux, configuration, find_architecture, find_model

    is_folder = model.path != "architecture" and expanded(model.path).is_dir()
    if model.path == "embedded" or is_folder:
        folder = find_model(model.path)
        check_is_flux(folder)
        return configuration(folder, "transformer/config.json")
    if model.architecture is None:
        raise UserError(
            f"model.path is {model.path!r}, whose architecture is not known here; "
            "try model=flux1-dev, or model.architecture=flux1-dev for a model of that architecture."
        )
    return configuration(find_architecture(model.architecture), "transformer/config.json")


def written(table: pd.DataFrame, form: str) -> str:
    """The plan as text: all of its columns for programs, and what the console shows for people."""
    if form == "csv":
        return table[COLUMNS].to_csv(index=False)
    if form == "json":
        return table[COLUMNS].to_json(orient="records", indent=1) + "\n"
    return _markdown(table)


def _markdown(table: pd.DataFrame) -> str:
    """What the console shows, a table per workload, in which every row names its method."""
    titles, parts = workload_titles(table), []
    for reference, group in table.groupby("reference", sort=False):
        marks: list[str] = []
        texts = [{"Method": full_name(row)} | plan_row(row, marks) for row in group.itertuples()]
        rows = pd.DataFrame(texts).map(markdown_text)
        rows = rows.loc[:, (rows != "").any()]
        align = ["left" if name in ("Method", "Schedule") else "right" for name in rows]
        parts += [
            f"## {titles[str(reference)]}",
            "",
            rows.to_markdown(index=False, disable_numparse=True, colalign=align),
        ]
        parts += ["", *(f"{footnote}\n" for footnote in plan_footnotes(marks))]
    return "\n".join(parts)


def totals(
    table: pd.DataFrame,
    cells: Sequence[Cell],
    methods: dict[str, Method],
    pairs: int,
    step_s: float | None,
    source: str = "",
) -> list[str]:
    """What the sweep would draw, how long it would take and what it would leave, a sentence each.

    Args:
        table: of the plan.
        cells, methods: as of `planned_cells`.
        pairs: timed pairs a cell.
        step_s: seconds of a full step of the first cell, per image.
        source: where they are from, in parentheses.
    """
    skipped = int(table["skipped"].sum())
    cells, table = list(compress(cells, ~table["skipped"])), table[~table["skipped"]]
    planned = planned_images(cells, pairs, methods)
    images = sum(count.total for count in planned.values())
    calibrations = ", calibrations" if any(methods[cell.key].calibrator() for cell in cells) else ""
    stored = sum(len(cell.workload.samples) for cell in cells)
    works = [cell.workload for cell in cells if not cell.workload.random_weights]  # whose images are stored
    pixels = sum(len(work.samples) * work.height * work.width for work in works)
    lines = [
        f"{counted(len(cells), 'cell')}, {counted(sum(cell.is_reference for cell in cells), 'reference')} among them"
        + (f", and {skipped} that will be skipped" if skipped else "")
        + f"; {counted(images, 'image')} to draw "
        f"({counted(stored, 'sample')}, the others warm-ups{calibrations} and {pairs} timed pairs a cell); "
        + (f"at most {size_of(3 * pixels)} of images to store" if pixels else "no images to store")
    ]
    rows = [row._asdict() for row in table.itertuples(index=False)]
    full = [None if pd.isna(row["tflop"]) else row["tflop"] * row["flops_speedup"] for row in rows]
    drawn = [
        None if whole is None else planned[cell.key].method * row["tflop"] + planned[cell.key].reference * whole
        for cell, row, whole in zip(cells, rows, full)
    ]
    known = sum(tflop for tflop in drawn if tflop is not None)
    peta = known / 1000
    work = f"{known:.3g} TFLOP" if peta < 1 else f"{peta:.3g} PFLOP" if peta < 1000 else f"{peta:.0f} PFLOP"
    rest = "" if None not in drawn else "; cells whose FLOPs are not known beforehand are not in it"
    if step_s is None:
        lines.append(f"{work} in the transformer{rest}; --step-s SECONDS turns it into device hours")
    elif full[0] is None:
        lines.append(f"{work} in the transformer{rest}; no device hours, since those of the first cell are not known")
    else:
        seconds = known / (full[0] / rows[0]["steps"] / step_s)
        lines.append(
            f"{work} in the transformer, {duration(seconds)} at {step_s:.3g} s a full step and image of the first "
            f"cell{source}, others by their FLOPs; text encoders, decoding and compilation come on top{rest}"
        )
    return lines
