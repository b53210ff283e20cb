"""FLOPs of full and forecast steps, counted on tensors without data: no weights and no GPU are needed."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tsbench.cell import Cell, canonical_json
from tsbench.cost import StepCost
from tsbench.drawing.hooks import cached_bytes
from tsbench.drawing.measure import most
from tsbench.drawing.probe import probed
from tsbench.errors import DrawingFailed
from tsbench.methods import Method, method_class

TOKEN_SIDE = 16  # pixels: an image token stands for a square, eight by the autoencoder times two by packing


def step_cost(architecture: dict[str, Any], cell: Cell, method: Method) -> StepCost:
    """Count what a step of a cell costs, with the method really applied.

    Args:
        architecture: the transformer's configuration, as in its config.json.
        cell: gives size, text length, batch and dtype.
        method: the cell's method.

    Raises:
        DrawingFailed: if the method finds no module to hook, does not undo what it does, or computes unseen.
    """
    short, steps = method.condensed(cell.workload.steps)
    return _counted(
        json.dumps(architecture, sort_keys=True),
        (cell.workload.height, cell.workload.width, cell.workload.max_sequence_length, cell.workload.batch_size),
        cell.settings.dtype,
        cell.backend,
        short.name,
        canonical_json(short.parameters()),
        steps,
    )


@cache
def _counted(
    architecture: str,
    shape: tuple[int, int, int, int],
    dtype: str,
    backend: str,
    name: str,
    parameters: str,
    steps: int,
) -> StepCost:
    model = _transformer(architecture, dtype)
    method = method_class(backend, name)(**json.loads(parameters))
    inputs = _inputs(model, *shape)
    pipeline = SimpleNamespace(transformer=model)
    flops: dict[str, float] = {}
    kept: list[int | None] = []
    with probed(method, pipeline, steps, method.enable_for_counting) as probe, torch.no_grad():
        for step in range(steps):
            pipeline.current_timestep = 500 if step else 1000  # first outside, then inside of ranges of timesteps
            with FlopCounterMode(display=False) as counter, model.cache_context("cond"):
                model(**inputs)
            probe.end_step()
            letter, flop = probe.schedule[-1], counter.get_total_flops()
            if flops.setdefault(letter, flop) != flop and letter == "C":
                share = f"{100 * flop / flops['C']:.3g} % of the first one"
                raise DrawingFailed(
                    f"a step that seems computed takes {share}: which steps this method computes is not seen"
                )
            kept.append(cached_bytes(model, method))
    return StepCost(flops["C"], flops.get("."), most(kept))


@cache
def _transformer(architecture: str, dtype: str) -> Any:
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        return FluxTransformer2DModel.from_config(json.loads(architecture)).to(getattr(torch, dtype)).eval()


def _inputs(model: Any, height: int, width: int, text_tokens: int, batch: int) -> dict[str, Any]:
    config, image_tokens = model.config, height // TOKEN_SIDE * (width // TOKEN_SIDE)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=model.dtype, device="meta")

    return {
        "hidden_states": tensor(batch, image_tokens, config.in_channels),
        "timestep": tensor(batch),
        "guidance": tensor(batch) if config.guidance_embeds else None,
        "pooled_projections": tensor(batch, config.pooled_projection_dim),
        "encoder_hidden_states": tensor(batch, text_tokens, config.joint_attention_dim),
        "txt_ids": tensor(text_tokens, 3),
        "img_ids": tensor(image_tokens, 3),
        "return_dict": False,
    }
