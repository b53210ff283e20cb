"""Counted FLOPs against published ones and closed forms."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import FLOAT32
from tsbench.cell import Cell, Workload
from tsbench.cost import UNCOUNTED, StepCost
from tsbench.flops import FlopCounter, step_cost
from tsbench.methods import Method
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.first_block_cache import FirstBlockCache
from tsbench.methods.registry import METHODS
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial
from tsbench.paths import ASSETS

FLUX = json.loads((ASSETS / "architectures" / "flux1-dev" / "transformer" / "config.json").read_text())
TINY = json.loads((ASSETS / "tiny" / "transformer" / "config.json").read_text())


def flux_cell(size: int = 1024, text: int = 512, batch: int = 1, steps: int = 50) -> Cell:
    work = Workload("flux1-dev", "flux1-dev", ("a", "b"), (0,), size, size, steps, 3.5, text, batch)
    return Cell(work, replace(FLOAT32, dtype="bfloat16"), "none", "{}")


def row(method: Method, size: int = 1024) -> dict[str, float]:
    cost = step_cost(FLUX, flux_cell(size), method)
    return cost.columns([method.promised_schedule(50)], 50, 1)


def test_a_full_step_of_flux() -> None:
    """The publications say 3719.50 TFLOP for 50 steps at 1024 x 1024."""
    assert row(Method())["tflop"] == pytest.approx(3719.50, rel=1e-4)
    assert row(Method())["tflop"] == pytest.approx(3719.23, abs=0.01)
    assert row(Method(), 512)["tflop"] == pytest.approx(50 * 21.5026, abs=0.01)


def test_a_full_step_is_the_sum_of_its_matrix_products() -> None:
    """The closed form: two FLOPs a multiplication, with n image and m text tokens and width d.

    A double block has 2 (3 + 1 + 8) d^2 a token, a single one 2 (3 + 4 + 5) d^2, attention 4 (n + m)^2 d in each;
    modulation, embeddings and the output layers are counted once an image.
    """
    d, n, m = 3072, 4096, 512
    blocks = (n + m) * 24 * d * d * (19 + 38) + 4 * (n + m) ** 2 * d * (19 + 38)
    modulation = 2 * d * d * (19 * 12 + 38 * 3 + 2)
    time_text = 2 * (256 * d + d * d) * 2 + 2 * (768 * d + d * d)
    ends = 2 * n * 64 * d * 2 + 2 * m * 4096 * d
    counted = step_cost(FLUX, flux_cell(), Method()).full_flop
    assert counted == blocks + modulation + time_text + ends


@pytest.mark.parametrize(("interval", "published"), [(4, 1042.27), (5, 893.54), (7, 670.44), (8, 596.07)])
def test_published_flops_of_the_official_schedule(interval: int, published: float) -> None:
    method = TaylorSeerOfficial(first_enhance=3, cache_interval=interval)
    assert row(method)["tflop"] == pytest.approx(published, rel=1e-4)


def test_what_a_forecast_step_costs() -> None:
    official = step_cost(FLUX, flux_cell(), TaylorSeerOfficial())
    assert official.forecast_flop == pytest.approx(0.022663e12, rel=1e-4)
    default = row(TaylorSeer(cache_interval=5, disable_cache_before_step=10))
    assert default["forecast_share"] == pytest.approx(0.578, abs=5e-4)
    assert default["flops_speedup"] == pytest.approx(1.37, abs=5e-3)
    lite = TaylorSeer(cache_interval=5, disable_cache_before_step=10, use_lite_mode=True)
    assert step_cost(FLUX, flux_cell(), lite).forecast_flop == pytest.approx(0.0146e12, rel=2e-3)
    assert row(lite)["flops_speedup"] == pytest.approx(2.78, abs=5e-3)


def test_a_short_schedule_keeps_no_more_factors_than_it_has_computed_steps() -> None:
    """Four steps, of which TaylorSeer computes three; the authors' derivatives start at the second of their three."""
    few, work = dict(FLUX, num_layers=1, num_single_layers=1), flux_cell(steps=4)
    lite = TaylorSeer(use_lite_mode=True)
    by_order = {order: step_cost(few, work, replace(lite, max_order=order)).cache_bytes for order in (1, 2, 3)}
    assert by_order[3] == by_order[2] == 3 * 4096 * 64 * 2 and by_order[1] == 2 * 4096 * 64 * 2
    official = [step_cost(few, work, TaylorSeerOfficial(max_order=order)).cache_bytes for order in (1, 2)]
    assert official[0] == official[1]


def test_the_bytes_of_the_cache() -> None:
    """Lite mode keeps the output, 4096 tokens of 64 numbers in two bytes, once an order; the default mode what the
    attention of every block gives: here 2 double blocks and 3 single ones of 4608 tokens of 3072 numbers."""
    few = FLUX | {"num_layers": 2, "num_single_layers": 3}  # the others take their time and cost the same
    for order in (0, 1, 2):
        lite = TaylorSeer(use_lite_mode=True, max_order=order)
        assert step_cost(few, flux_cell(), lite).cache_bytes == (order + 1) * 4096 * 64 * 2
    default = step_cost(few, flux_cell(), TaylorSeer(max_order=1)).cache_bytes
    assert default == 2 * (2 + 3) * 4608 * 3072 * 2
    wide = TaylorSeer(use_lite_mode=True, taylor_factors_dtype="float32")
    assert step_cost(few, flux_cell(), wide).cache_bytes == 2 * 4096 * 64 * 4


def test_openvino_forecasts_the_output_for_nothing() -> None:
    method = METHODS["openvino"]["taylorseer"]()
    cost = step_cost(FLUX, replace(flux_cell(512), backend="openvino"), method)
    assert cost.forecast_flop == 0 and cost.cache_bytes == 2 * 1024 * 64 * 2
    assert cost.columns([method.promised_schedule(28)], 28, 1)["flops_speedup"] == 2


def test_what_is_remembered_of_an_operation_is_what_torch_counts() -> None:
    """Of operations that differ in a number, its type, a stride or a dtype alone; in place; and of several outputs."""
    image, kernel = torch.empty(1, 4, 8, 8, device="meta"), torch.empty(6, 4, 3, 3, device="meta")
    whole = torch.empty(8, 8, device="meta", dtype=torch.int64)

    def everything() -> list[torch.Tensor]:
        one, two, three = image.flatten(2)[0].split([16, 32, 16], dim=1)
        made = [one @ two.T[:16, :4], one.T.contiguous() @ two, torch.nn.functional.linear(image, image[0, 0])]
        made += [torch.nn.functional.conv2d(image, kernel, stride=stride) for stride in (1, 2)]
        made += [whole * 1, whole * 1.0, whole * True, whole.to(torch.bfloat16) @ whole.to(torch.bfloat16)]
        return [*made, three.mul_(2), torch.empty(4, 16, device="meta").addmm_(one, one.T @ one), *whole.unbind()]

    with FlopCounterMode(display=False) as expected:
        outputs = everything()
    for _ in range(2):
        with FlopCounter() as counter:
            again = everything()
        assert counter.flop == expected.get_total_flops() > 0
        alike = [(out.shape, out.stride(), out.dtype, out.device) for out in again]
        assert alike == [(out.shape, out.stride(), out.dtype, out.device) for out in outputs]


def test_a_batch_costs_its_images() -> None:
    one, two = (step_cost(FLUX, flux_cell(batch=batch), Method()).columns(["CC"], 2, batch) for batch in (1, 2))
    assert one["tflop"] == pytest.approx(two["tflop"], rel=1e-12)


def test_counting_repeats_and_leaves_nothing_behind() -> None:
    """The second count meets the model of the first."""
    cell = flux_cell(128, 32)
    first = step_cost(TINY, cell, TaylorSeer(cache_interval=3))
    assert step_cost(TINY, cell, Method()).full_flop == first.full_flop
    assert step_cost(TINY, cell, TaylorSeer(cache_interval=8, disable_cache_before_step=6)) == first
    assert step_cost(TINY, cell, FewerSteps()).forecast_flop is None


def test_columns_of_a_schedule() -> None:
    cost = StepCost(full_flop=4e12, forecast_flop=1e12, cache_bytes=7)
    assert cost.columns(["CC..", "CCC."], 4, 1) == {
        "forecast_share": 0.25,
        "cache_bytes": 7,
        "tflop": (10 + 13) / 2,
        "flops_speedup": 4 / (2.875),
    }
    undecided = {"forecast_share": 0.25, "cache_bytes": 7}
    assert cost.columns([], 4, 1) == undecided


def test_a_forecast_that_was_never_counted_costs_nothing_known() -> None:
    """Its FLOPs are missing with a reason, not those of the computed steps alone."""
    cost = StepCost(full_flop=4e12, forecast_flop=None, cache_bytes=0)
    for schedules in (["C.C."], []):
        figures = cost.columns(schedules, 4, 1)
        assert not {"tflop", "flops_speedup"} & set(figures) and figures["cost_reason"] == UNCOUNTED
    assert cost.columns(["CCCC"], 4, 1)["tflop"] == 16


@pytest.mark.parametrize("kind", ["num_layers", "num_single_layers"])
def test_a_model_of_one_kind_of_blocks_is_counted(kind: str) -> None:
    """First Block Cache computes one of its blocks at every step, whichever kind that is."""
    cost = step_cost(FLUX | {kind: 0}, flux_cell(), FirstBlockCache())
    blocks = FLUX["num_layers"] + FLUX["num_single_layers"] - FLUX[kind]
    assert cost.forecast_flop / cost.full_flop == pytest.approx(1 / blocks, rel=0.1)
