"""`python -m tsbench try "PROMPT" [overrides]`: one prompt with and without a method."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tsbench.errors import UserError
from tsbench.methods import Method
from tsbench.progress import output

USAGE = """\
usage: python -m tsbench try "PROMPT" [overrides]

Draws one prompt in full and with a method (diffusers' TaylorSeer unless told otherwise), prints timings, schedule and
metrics, and writes try.png: in full, with the method, and their difference four times as bright. Overrides are those of
sweep; timing.pairs is 1 unless told otherwise."""


def main(arguments: list[str]) -> int:
    """The verb `try`."""
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    prompts = [argument for argument in arguments if "=" not in argument]
    if len(prompts) != 1 or prompts[0].startswith("-"):
        raise UserError('try takes one prompt and overrides: python -m tsbench try "PROMPT" method.cache_interval=3.')
    overrides = [argument for argument in arguments if "=" in argument]
    if any(override.startswith(("prompts", "experiment", "seeds", "batch_size")) for override in overrides):
        raise UserError("try draws its one prompt: prompts, experiment, seeds and batch_size are for sweep.")
    if not any(override.startswith("timing.pairs") for override in overrides):
        overrides.append("timing.pairs=1")
    from tsbench.sweep import Sweep

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(prompts[0])
        file.flush()
        sweep = Sweep([*overrides, f"prompts.file={file.name}"])
    return _try(sweep)


def _try(sweep: Any) -> int:
    console = output()
    reference = sweep.cells[0]
    session = sweep.load(reference)
    pictures = []
    full = None
    for cell in sweep.cells:
        method = sweep.methods.get(cell.key, Method())
        result = session.draw_cell(cell, method, Method(), sweep.pairs, lambda count: None)
        name = ", ".join(filter(None, (method.series(method.parameters()), method.point(method.parameters()))))
        latency_s = median(pair["method"]["latency_s"] for pair in result.pairs)
        line = f"{name}: {latency_s:.3g} s"
        if full is None:
            full = result.images[0]
        else:
            ratio = median(pair["reference"]["latency_s"] / pair["method"]["latency_s"] for pair in result.pairs)
            line += f", {ratio:.2f}x, {_metrics(sweep.metrics, result.images[0], full)}"
            pictures.append(result.images[0])
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        console.print(f"  {result.schedules[0]}", highlight=False, markup=False)
    assert full is not None
    _write(full, pictures)
    console.print("try.png: in full, then with the method and its difference four times as bright", highlight=False)
    return 0


def _metrics(names: list[str], image: Any, reference: Any) -> str:
    from tsbench.metrics import METRICS
    from tsbench.score import scorer

    metrics = [METRICS[name] for name in names]
    return ", ".join(f"{m.label} {scorer(m.name)(image, reference):.{m.digits}f} {m.unit}".strip() for m in metrics)


def _write(full: Any, pictures: list[Any]) -> None:
    import numpy as np
    from PIL import Image

    rows = []
    for picture in pictures or [full]:
        difference = np.minimum(4 * np.abs(picture.astype(int) - full), 255).astype(np.uint8)
        rows.append(np.concatenate([full, picture, difference], axis=1))
    Image.fromarray(np.concatenate(rows)).save(Path("try.png"))
