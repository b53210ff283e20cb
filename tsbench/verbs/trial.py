"""`python -m tsbench try "PROMPT" [overrides]`: one prompt with and without a method."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tsbench.cell import Cell
from tsbench.errors import ModelSpoilt, UserError, first_line
from tsbench.grid import impossible
from tsbench.methods import Method
from tsbench.progress import output
from tsbench.schedule import schedule_note
from tsbench.stats import speedups
from tsbench.sweep import Sweep

if TYPE_CHECKING:
    from tsbench.drawing.generate import CellResult, Session

OVERRIDE = re.compile(r"[~+]*[\w./@]+=")  # a prompt may have an equals sign, but not after its first word
USAGE = """\
usage: python -m tsbench try "PROMPT" [overrides]

Draws one prompt in full and with a method (diffusers' TaylorSeer unless told otherwise), prints timings, schedule and
metrics, and writes try.png: in full, with the method, and their difference four times as bright. Overrides are those of
sweep but for prompts, seeds, batch_size and experiment, with one size; timing.pairs is 1 unless told otherwise."""

GAP = 4  # pixels of white around each picture


def main(arguments: list[str]) -> int:
    """The verb `try`."""
    overrides = [argument for argument in arguments if OVERRIDE.match(argument)]
    prompts = [argument for argument in arguments if argument not in overrides]
    if len(prompts) != 1 or prompts[0].startswith("-"):
        raise UserError('try takes one prompt and overrides: python -m tsbench try "PROMPT" method.cache_interval=3.')
    if any(override.startswith(("prompts", "experiment", "seeds", "batch_size")) for override in overrides):
        raise UserError(
            "try draws the one prompt that it is given; prompts, experiment, seeds and batch_size are for sweep."
        )
    if not any(override.startswith("timing.pairs") for override in overrides):
        overrides.append("timing.pairs=1")
    if not prompts[0].strip():
        raise UserError('The prompt of try is empty; type what to draw: python -m tsbench try "PROMPT".')
    sweep = Sweep(overrides, prompts=(prompts[0],))
    if any(cell.workload.random_weights for cell in sweep.cells):
        raise UserError("try shows a picture, but those of random weights mean nothing; sweep measures their speed.")
    sizes = dict.fromkeys(f"{cell.workload.height}x{cell.workload.width}" for cell in sweep.cells)
    if len(sizes) > 1:
        raise UserError(
            f"try draws images of one size, but size is {', '.join(sizes)}; type one: size={next(iter(sizes))}."
        )
    if all(cell.is_reference for cell in sweep.cells):
        raise UserError("try compares a method with full compute, which method=none is; try method=taylorseer.")
    methods = sweep.suited(sweep.cells)
    for cell in sweep.cells:
        if reason := impossible(cell, methods[cell.key]):
            raise UserError(f"{methods[cell.key].full_name(json.loads(cell.parameters))} cannot be drawn: {reason}.")
    return _try(sweep, methods)


def _try(sweep: Sweep, methods: dict[str, Method]) -> int:
    from tsbench.sessions import NotLoaded

    console = output()
    for sentence in sweep.unusual_sizes:
        console.print(sentence, soft_wrap=True)
    full: dict[str, Any] = {}  # images by the key of their reference
    rows, failed = [], False
    for cell in sweep.cells:
        session = sweep.sessions.of(cell)
        if isinstance(session, NotLoaded):
            raise UserError(session.reason)
        if cell.is_reference and (cut := session.cut_prompts(cell.workload)):
            console.print(cut, soft_wrap=True)
        method = methods[cell.key]
        name = method.full_name(json.loads(cell.parameters))
        result = _drawn(sweep, session, cell, method, name)
        if result is None:
            failed = True
            if cell.is_reference:
                break  # there is nothing to compare with
            continue
        latency_s = median(pair.method.latency_s for pair in result.pairs)
        line = f"{name}: {latency_s:.4g} s"
        if cell.is_reference:
            full[cell.key] = result.images[0]
        else:
            reference = full[cell.reference.key]
            ratio = median(speedups(result.pairs))
            beside_s = median(pair.full.latency_s for pair in result.pairs)
            scores = _metrics(sweep.metrics, result.images[0], reference, cell.workload.prompts[0])
            line += f", {ratio:.2f}x (full compute beside it {beside_s:.4g} s){scores and ', '}{scores}"
            rows.append((reference, result.images[0]))
        console.print(line, soft_wrap=True)
        steps = cell.workload.steps
        note = None
        if not cell.is_reference:
            note = schedule_note(result.method.promised_schedule(steps), result.schedules, steps)
        console.print("  " + "; ".join(filter(None, [*result.schedules, note])), soft_wrap=True)
    if rows:
        _write(rows)
        console.print("try.png: in full, then with the method and its difference four times as bright")
    return int(failed)


def _drawn(sweep: Sweep, session: Session, cell: Cell, method: Method, name: str) -> CellResult | None:
    """A cell; None, with the reason on standard error, if it cannot be drawn."""
    from tsbench.drawing.measure import release_memory

    try:
        return session.draw_cell(cell, method, sweep.pairs, lambda count: None)
    except Exception as error:
        print(f"tsbench: {name} could not be drawn: {first_line(error)}.", file=sys.stderr)
        if isinstance(error, ModelSpoilt):
            sweep.sessions.close()  # the next cell has it loaded anew
    release_memory()
    return None


def _metrics(names: list[str], image: Any, reference: Any, prompt: str) -> str:
    from tsbench.metrics import metric_of, scorer

    parts = []
    for name in names:
        metric = metric_of(name)
        if not metric.applies(*image.shape[:2]):
            parts.append(metric.too_small)
        else:
            try:
                value = scorer(name)(image, prompt if metric.against == "prompt" else reference)
            except Exception as error:  # of any kind of other code; the picture is worth more than the figure
                parts.append(f"{metric.label} failed: {first_line(error)}")
            else:
                parts.append(f"{metric.label} {value:.{metric.digits}f} {metric.unit}".strip())
    return ", ".join(parts)


def _write(rows: list[tuple[Any, Any]]) -> None:
    import numpy as np
    from PIL import Image

    from tsbench.report.difference import amplified_difference

    strips = []
    for full, picture in rows:
        beside = [full, picture, amplified_difference(picture, full)]
        framed = [np.pad(image, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255) for image in beside]
        strips.append(np.concatenate(framed, axis=1))
    Image.fromarray(np.concatenate(strips)).save(Path("try.png"))
