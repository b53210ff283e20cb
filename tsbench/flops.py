"""FLOPs of full and forecast steps, counted on tensors without data: no weights and no GPU are needed."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tsbench.cell import Cell, canonical_json
from tsbench.cost import StepCost
from tsbench.drawing.hooks import cached_bytes
from tsbench.drawing.measure import most
from tsbench.drawing.probe import probed
from tsbench.errors import DrawingFailed
from tsbench.methods import Method
from tsbench.methods.registry import method_class

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
            with FlopCounter() as counter, model.cache_context("cond"):
                model(**inputs)
            probe.end_step()
            letter, flop = probe.schedule[-1], counter.flop
            if flops.setdefault(letter, flop) != flop and letter == "C":
                share = f"{100 * flop / flops['C']:.3g} % of the first one"
                raise DrawingFailed(
                    f"a step that seems computed takes {share}: which steps this method computes is not seen"
                )
            kept.append(cached_bytes(model, method))
    return StepCost(flops["C"], flops.get("."), most(kept))


class FlopCounter(TorchDispatchMode):
    """The FLOPs of what runs within it, as torch's `FlopCounterMode` counts them: each operation once for given shapes.

    Tensors without data tell operations apart by their shapes alone, and a step of FLUX has 8,000 operations of 200
    kinds: to remember what came of each takes an eighth of the time.
    """

    known: ClassVar[dict[Any, tuple[int, list[Any], bool]]] = {}  # FLOPs, outputs, and whether it was one tensor

    def __init__(self) -> None:
        super().__init__()
        self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        key = func, _shapes(args), _shapes(list(kwargs.items()))
        if key in self.known:
            flop, shapes, single = self.known[key]
            self.flop += flop
            made = [torch.empty_strided(*shape, dtype=dtype, device=device) for *shape, dtype, device in shapes]
            return made[0] if single else made
        with FlopCounterMode(display=False) as counter:
            out = func(*args, **kwargs)
        flop = counter.get_total_flops()
        self.flop += flop
        outs = [out] if isinstance(out, Tensor) else out
        without_data = isinstance(outs, list | tuple) and all(isinstance(one, Tensor) and one.is_meta for one in outs)
        if without_data and not func._schema.is_mutable:
            self.known[key] = flop, [_shapes(one) for one in outs], outs is not out
        return out


def _shapes(value: Any) -> Any:
    """What tells a tensor without data, or a list of any arguments, from others."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, list | tuple):
        return tuple(map(_shapes, value))
    return type(value), value


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
