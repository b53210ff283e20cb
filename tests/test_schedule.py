"""The rules of three implementations, held against diffusers' own hook, measured schedules and one another."""

from __future__ import annotations

import itertools

import pytest
import torch
from diffusers import TaylorSeerCacheConfig
from diffusers.hooks import apply_taylorseer_cache
from diffusers.hooks.hooks import CacheContext, _set_cache_context

from tsbench.schedule import (
    computed_steps,
    diffusers_taylorseer,
    formable_order,
    official_taylorseer,
    openvino_taylorseer,
)


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


OPENVINO_MEASURED = {  # read off the durations of the transformer in openvino_genai 2026.4.1, 28 steps
    (3, 6, -2): "CCCCCC..C..C..C..C..C..C..CC",
    (3, 4, 20): "CCCC..C..C..C..C..C.CCCCCCCC",
    (3, 0, -2): "CC..C..C..C..C..C..C..C..CCC",
    (3, 6, 40): "CCCCCC..C..C..C..C..C..C..C.",
    (3, 6, 7): "CCCCCC.CCCCCCCCCCCCCCCCCCCCC",
    (3, 6, -21): "CCCCCC.CCCCCCCCCCCCCCCCCCCCC",
    (3, 6, 6): "C" * 28,
    (3, 6, 0): "C" * 28,
    (3, 6, -29): "C" * 28,
}


@pytest.mark.parametrize("parameters", OPENVINO_MEASURED)
def test_openvino_schedules_are_the_measured_ones(parameters: tuple[int, int, int]) -> None:
    assert openvino_taylorseer(28, *parameters) == OPENVINO_MEASURED[parameters]


@pytest.mark.parametrize(
    ("parameters", "computed"),
    [((3, 6, -2), 14), ((2, 6, -2), 18), ((4, 6, -2), 13), ((5, 6, -2), 12), ((50, 2, -1), 3), ((3, 27, 28), 27)],
)
def test_openvino_counts_are_the_measured_ones(parameters: tuple[int, int, int], computed: int) -> None:
    assert computed_steps(openvino_taylorseer(28, *parameters)) == computed


@pytest.mark.parametrize("steps", [4, 8])
def test_openvino_computes_a_short_run_in_full(steps: int) -> None:
    assert openvino_taylorseer(steps, 3, 6, -2) == "C" * steps


def test_openvino_has_no_interval_of_one() -> None:
    with pytest.raises(ValueError, match="cache_interval is 1, but must be 2 or more"):
        openvino_taylorseer(28, 1, 6, -2)


def test_diffusers_computes_the_official_steps_two_later_and_forecasts_one_more() -> None:
    for steps, before, interval in itertools.product((5, 28, 50), range(1, 12), range(2, 16)):
        official = official_taylorseer(steps, before + 2, interval)
        expected = official[:before] + "." * (before < steps) + official[before + 1 :]
        assert diffusers_taylorseer(steps, interval, before) == expected, (steps, before, interval)


def test_no_setting_of_diffusers_gives_the_official_schedule() -> None:
    official = official_taylorseer(50, 3, 6)
    settings = itertools.product(range(1, 51), range(1, 51), (None, *range(51)))
    assert all(diffusers_taylorseer(50, *setting) != official for setting in settings)


def test_a_series_of_an_order_needs_one_computed_step_more() -> None:
    """As a polynomial does of points; those before the first step that counts are none."""
    assert [formable_order(order, "CC.C.") for order in (0, 1, 2, 3)] == [0, 1, 2, 2]
    assert [formable_order(3, "CC.C.", first) for first in (1, 2, 4)] == [1, 0, 0]
