"""A composed configuration held against what is allowed, and what it says as a cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tsbench.cell import Cell, Settings, Workload, canonical_json
from tsbench.checks import DTYPES, at_least, between, one_of
from tsbench.drawing.quantization import COMPONENTS, QUANTIZATION_CLASSES
from tsbench.errors import UserError, first_line
from tsbench.methods import Method
from tsbench.metrics import check_names
from tsbench.prompts import read_prompts
from tsbench.schema import QuantizationConfig, SweepConfig
from tsbench.titles import counted

MOST_STEPS, MOST_PAIRS = 1000, 1000  # far more than anybody draws
LARGEST_SIDE = 8192  # pixels: far more than any Flux draws
MOST_THREADS = 1024  # a system may refuse to start more
OFFLOADS = ("none", "model", "sequential")


@dataclass(frozen=True)
class Point:
    """A cell before its model is known: one composed configuration, checked."""

    config: SweepConfig
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    height: int
    width: int

    @property
    def method(self) -> Method:
        return self.config.method

    def cell(self, model: str) -> Cell:
        """The cell, with the identity of its model's weights."""
        config = self.config
        quantization = config.runtime.quantization
        listed = vars(quantization) | {"components": sorted(set(quantization.components))}
        return Cell(
            workload=Workload(
                model=model,
                model_name=config.model.name,
                prompts=self.prompts,
                seeds=self.seeds,
                height=self.height,
                width=self.width,
                steps=config.steps,
                guidance_scale=config.guidance_scale,
                max_sequence_length=config.max_sequence_length,
                batch_size=config.batch_size,
                random_weights=config.model.random_weights,
                text_encoders=config.model.text_encoders,
            ),
            settings=Settings(
                dtype=config.runtime.dtype,
                offload=config.runtime.offload,
                compile=config.runtime.compile,
                quantization="" if quantization.backend is None else canonical_json(listed),
            ),
            method=self.method.name,
            parameters=canonical_json(self.method.resolved(config.steps)),
            backend=config.backend,
        )


def checked(config: SweepConfig, prompts: tuple[str, ...] | None) -> Point:
    """The point of a composed configuration.

    Args:
        config: to be checked.
        prompts: what is drawn; None reads `prompts.file`.

    Raises:
        UserError: for the first mistake.
    """
    name = config.folder_name
    if not name.isprintable() or not name.strip() or name[0] in "-." or "/" in name or len(name.encode()) > 200:
        raise UserError(f"name is {name!r}, but must be a plain folder name of at most 200 bytes; try name=first.")
    height, width = _parse_size(config.size)
    file = config.prompts.file if prompts is None else None
    prompts = prompts or read_prompts(config.prompts.file, config.prompts.limit)
    if config.model.trained_sizes is not None and len(config.model.trained_sizes) != 2:
        raise UserError(
            f"model.trained_sizes is {config.model.trained_sizes}, but must be the least and the largest side in "
            "pixels; try model.trained_sizes=[128,192]."
        )
    if config.model.captions_only:
        _check_captions(prompts, config.model.name, file)
    between("steps", config.steps, 1, MOST_STEPS, 28)
    at_least("guidance_scale", config.guidance_scale, 0, 3.5)
    at_least("batch_size", config.batch_size, 1, 1)
    between("timing.pairs", config.timing.pairs, 1, MOST_PAIRS, 6)
    check_names(config.metrics)
    between("max_sequence_length", config.max_sequence_length, 1, 512, 512, "text tokens")
    seeds = _parse_seeds(config.seeds)
    samples = len(prompts) * len(seeds)
    if config.batch_size > samples:
        raise UserError(
            f"batch_size is {config.batch_size}, but the sweep has only {counted(samples, 'sample')}; try batch_size=1."
        )
    one_of("runtime.dtype", config.runtime.dtype, DTYPES)
    one_of("runtime.offload", config.runtime.offload, OFFLOADS)
    _check_quantization(config)
    if not config.model.text_encoders and not config.model.random_weights:
        raise UserError("model.text_encoders=false is for random weights only; try model=flux1-dev-architecture.")
    if config.runtime.threads is not None:
        threads = config.runtime.threads
        between("runtime.threads", threads, 1, MOST_THREADS, 2, "or null, which leaves them to the library")
    if config.backend == "openvino":
        _check_openvino(config, seeds)
    if missing := config.method.missing():
        raise UserError(f"method={config.method.name} cannot be drawn here: {missing}.")
    config.method.check(config.steps)
    _check_has_name(config.method, config.steps)
    return Point(config, prompts, seeds, height, width)


def _check_has_name(method: Method, steps: int) -> None:
    """Raise `UserError` for a setting whose name cannot be made: no table could show its cell."""
    parameters = json.loads(canonical_json(method.resolved(steps)))
    try:
        method.full_name(parameters)
    except Exception as error:  # of a method that is not tsbench's, it may be any
        raise UserError(
            f"method={method.name} has no name for this setting ({first_line(error)}); fix its label or series, or try "
            "other parameters."
        ) from error


def unusual_size(point: Point) -> str | None:
    """What to say of a size that the model was not trained for; None if that is not known."""
    model, size = point.config.model, (point.height, point.width)
    if model.trained_sizes is None or model.trained_sizes[0] <= min(size) <= max(size) <= model.trained_sizes[1]:
        return None
    least, most = model.trained_sizes
    return (
        f"model={model.name} was trained for {least} to {most} pixels: what it draws at {size[0]}x{size[1]} is seldom "
        "what the prompt says, and metrics compare such images all the same"
    )


def _check_quantization(config: SweepConfig) -> None:
    quantization = config.runtime.quantization
    if quantization == QuantizationConfig():
        return
    if quantization.backend is None:
        raise UserError(
            "runtime.quantization.backend is null, but other keys of runtime.quantization are set; "
            f"try runtime.quantization.backend={' or '.join(QUANTIZATION_CLASSES)}."
        )
    one_of("runtime.quantization.backend", str(quantization.backend), tuple(QUANTIZATION_CLASSES))
    if not isinstance(quantization.kwargs, dict) or not quantization.kwargs:
        raise UserError(
            f"runtime.quantization.kwargs is {quantization.kwargs!r}, but must say what the backend needs; "
            "try 'runtime.quantization.kwargs={weights_dtype: int8}' for quanto or '{load_in_4bit: true}' for "
            "bitsandbytes."
        )
    if not quantization.components or not set(quantization.components) <= set(COMPONENTS):
        raise UserError(
            f"runtime.quantization.components is {quantization.components}, but must be one or more of: "
            f"{', '.join(COMPONENTS)}; try runtime.quantization.components=[transformer]."
        )
    if quantization.backend == "quanto" and config.runtime.offload == "sequential":
        raise UserError(
            "runtime.offload is 'sequential', but layers quantized by quanto cannot be moved one by one; "
            "try runtime.offload=model."
        )
    if config.model.random_weights:
        raise UserError(
            f"runtime.quantization.backend is {quantization.backend!r}, but the random weights of "
            f"model={config.model.name} are drawn, and only weights that are loaded can be quantized; "
            "try runtime.quantization.backend=null."
        )


def _check_openvino(config: SweepConfig, seeds: tuple[int, ...]) -> None:
    foreign = {
        "runtime.offload": config.runtime.offload != "none",
        "runtime.compile": config.runtime.compile,
        "runtime.quantization.backend": config.runtime.quantization.backend is not None,
        "model.random_weights": config.model.random_weights,
        "batch_size": config.batch_size > 1,
    }
    defaults = {"runtime.offload": "none", "runtime.quantization.backend": "null", "batch_size": "1"}
    key = next((key for key, given in foreign.items() if given), None)
    if key is not None:
        raise UserError(f"{key} is set, but backend=openvino does not have it; try {key}={defaults.get(key, 'false')}.")
    if max(seeds) >= 2**32:
        raise UserError(f"seeds is {list(seeds)}, but backend=openvino accepts seeds below 2^32 only; try seeds=[0,1].")


def _check_captions(prompts: tuple[str, ...], model: str, file: str | None) -> None:
    from tsbench.models.tiny.pictures import parse

    place, instead = (f" in {file!r}", "prompts=captions") if file is not None else ("", "one of them")
    for prompt in prompts:
        try:
            parse(prompt)
        except ValueError as error:
            raise UserError(
                f"The prompt {prompt!r}{place} cannot be drawn by model={model}: "
                f'{error}, which knows captions such as "large striped red circle at top-right, thin white diagonal '
                f'line, blue background" (python -m tsbench.models.tiny.pictures shows all); '
                f"try {instead}, or another model, such as model=flux1-dev."
            ) from error


def _parse_seeds(seeds: Any) -> tuple[int, ...]:
    """[0, 1] -> (0, 1); 3 -> (3,)."""
    numbers = seeds if isinstance(seeds, list) else [seeds]
    whole = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    if not whole or not numbers or len(set(numbers)) < len(numbers):
        raise UserError(
            f"seeds is {seeds!r}, but must be distinct whole numbers, 0 or more and below 2^63; try seeds=[0,1]."
        )
    return tuple(numbers)


def _parse_size(size: Any) -> tuple[int, int]:
    """128 -> (128, 128); "1024x768" -> (1024, 768): height, width."""
    parts = str(size).split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 and int(part) % 16 == 0 for part in parts):
        raise UserError(
            f"size is {size!r}, but must be a positive multiple of 16 pixels, or two of them as height x width; "
            "try size=128 or size=1024x768."
        )
    height, width = int(parts[0]), int(parts[-1])
    if max(height, width) > LARGEST_SIDE:
        raise UserError(f"size is {size!r}, but must be {LARGEST_SIDE} pixels or less; try size=1024.")
    return height, width
