"""The rule of diffusers' TaylorSeer, held against diffusers' own hook and against schedules measured elsewhere."""

from __future__ import annotations

import itertools

import pytest
import torch
from diffusers import TaylorSeerCacheConfig
from diffusers.hooks import apply_taylorseer_cache
from diffusers.hooks.hooks import CacheContext, _set_cache_context

from tsbench.schedule import computed_steps, diffusers_taylorseer


class Attention(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer_blocks = torch.nn.ModuleList([torch.nn.Module()])
        self.transformer_blocks[0].attn = Attention()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.transformer_blocks[0].attn(x)


def measured(steps: int, interval: int, before: int, after: int | None) -> str:
    model = Model()
    config = TaylorSeerCacheConfig(interval, before, after)
    apply_taylorseer_cache(model, config)
    letters = []
    for step in range(steps):
        calls = model.transformer_blocks[0].attn.calls
        _set_cache_context(model, CacheContext("cond"))
        model(torch.tensor([float(step)]))
        letters.append("C" if model.transformer_blocks[0].attn.calls > calls else ".")
    return "".join(letters)


@pytest.mark.parametrize("steps", [1, 9, 28])
def test_the_rule_is_what_the_hook_computes(steps: int) -> None:
    for interval, before, after in itertools.product((1, 2, 3, 5, 8), (1, 3, 6), (None, 0, 5, 20)):
        rule = diffusers_taylorseer(steps, interval, before, after)
        assert rule == measured(steps, interval, before, after), (interval, before, after)


def test_published_counts() -> None:
    """Counts that diffusers users report, and the opening of the default schedule."""
    assert diffusers_taylorseer(50, 5, 3, None).startswith("CCC.C....C....C")
    assert computed_steps(diffusers_taylorseer(50, 5, 3, None)) == 13
    assert computed_steps(diffusers_taylorseer(50, 5, 10, None)) == 18
    assert computed_steps(diffusers_taylorseer(28, 5, 3, None)) == 8
