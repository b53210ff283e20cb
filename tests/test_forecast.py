"""The forecaster on closed forms, and as the public API that it is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import Tensor, nn

import tsbench
from tsbench.forecast import TaylorSeries, step_size_control, taylor_seer, unwrap


class Power(nn.Module):
    """t to a power, counting its calls."""

    def __init__(self, power: float = 2) -> None:
        super().__init__()
        self.power, self.calls = power, 0

    def forward(self, t: Tensor) -> Tensor:
        self.calls += 1
        return t**self.power


@taylor_seer(warmup_steps=4, skip_interval_steps=2, n_derivatives=1)
class Squares(Power):
    pass


def run(module: nn.Module, steps: int) -> list[float]:
    return [float(module(torch.tensor(float(step)))) for step in range(steps)]


PUBLISHED = [0, 1, 4, 9, 14, 25, 33, 49, 61, 81]


def test_squares() -> None:
    """The figures of TaylorSeer's reference implementation at order 1."""
    module = Squares()
    assert run(module, 10) == PUBLISHED and module.calls == 7


def test_a_call_that_raises_is_no_step() -> None:
    """It can be made again, as after running out of memory."""
    module = tsbench.taylor_seer(warmup_steps=4, skip_interval_steps=2)(Power())
    assert run(module, 7) == PUBLISHED[:7]
    with pytest.raises(TypeError):
        module("no tensor")
    assert [float(module(torch.tensor(float(step)))) for step in (7, 8, 9)] == PUBLISHED[7:]


@pytest.mark.parametrize("wrap", [taylor_seer(1, 3), lambda module: step_size_control(module, 10, 0.5, 1, 4)])
def test_a_call_whose_output_cannot_be_forecast_is_no_step(wrap: Callable[[nn.Module], nn.Module]) -> None:
    """As of a model that is asked for a dictionary first; the next call would have forecast from nothing."""
    module, expected = wrap(nn.Identity()), wrap(nn.Identity())
    with pytest.raises(TypeError, match="has to be a tensor or a tuple of tensors, but is dict"):
        module({})
    assert run(module, 8) == run(expected, 8)


def test_a_module_that_is_offloaded_forecasts_image_after_image() -> None:
    """diffusers takes accelerate's hook away and puts it there anew after every image, whichever came first."""
    for hooked_first in (True, False):
        module = Power()
        forward = module.forward
        if hooked_first:
            add_hook_to_module(module, ModelHook())
        taylor_seer(warmup_steps=4, skip_interval_steps=2)(module)
        for _ in range(2):
            remove_hook_from_module(module)
            add_hook_to_module(module, ModelHook())
            module.calls = 0
            module.reset_cache()
            assert run(module, 10) == PUBLISHED and module.calls == 7
        unwrap(module)
        assert module._old_forward == module.forward.__wrapped__ == forward
        remove_hook_from_module(module)
        assert run(module, 10) == [step**2 for step in range(10)] and module.forward == forward


def test_an_instance_is_wrapped_like_a_class() -> None:
    module = tsbench.taylor_seer(warmup_steps=4, skip_interval_steps=2, n_derivatives=1)(Power())
    assert run(module, 10) == PUBLISHED
    unwrap(module)
    unwrap(module)  # which does nothing
    assert run(module, 10) == [step**2 for step in range(10)]


@pytest.mark.parametrize(("order", "values"), [(0, [1, 2, 2, 2, 2]), (1, [1, 2, 3, 4, 5])])
def test_an_output_may_be_changed_in_place(order: int, values: list[float]) -> None:
    """As models do with residuals; the series must not see it."""
    module = taylor_seer(warmup_steps=2, skip_interval_steps=9, n_derivatives=order)(Power(1))
    seen = []
    for step in range(1, 6):
        output = module(torch.tensor(float(step)))
        seen.append(float(output))
        output += 10
    assert seen == values


def test_an_instance_is_wrapped_once() -> None:
    """Undoing the second would leave the first, and the module would go on forecasting."""
    module = taylor_seer(1, 2)(Power())
    with pytest.raises(ValueError, match="this Power forecasts already; undo that first"):
        taylor_seer(1, 2)(module)


def test_only_modules_are_decorated() -> None:
    for other in (len, dict, {}):
        with pytest.raises(TypeError, match="taylor_seer decorates modules and classes of them, but was given"):
            taylor_seer(1, 2)(other)  # type: ignore[type-var]


def test_a_class_and_what_is_made_of_it_are_not_both_decorated() -> None:
    """Every call would count two steps: a subclass that changes nothing gave 0, NaN, NaN of the squares."""

    class Both(Squares):
        pass

    class Calling(Squares):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)

    for kind in (Squares, Both, Calling):
        with pytest.raises(ValueError, match="Squares forecasts already; decorate it or what is made of it, not both"):
            taylor_seer(1, 2)(kind)
        with pytest.raises(ValueError, match="Squares forecasts already"):
            taylor_seer(1, 2)(kind())


def test_a_copy_computes_with_its_own_weights_or_is_refused() -> None:
    """A copy of a wrapped instance would silently go on with the original's, as of an EMA of a model."""
    module = Squares()
    assert run(module, 5) == PUBLISHED[:5]
    copied = copy.deepcopy(module)
    copied.power = 1
    copied.reset_cache()
    assert run(copied, 10) == list(range(10)) and run(module, 0) == []
    assert [float(module(torch.tensor(float(step)))) for step in range(5, 10)] == PUBLISHED[5:]
    copied(torch.ones((), requires_grad=True) * 2)  # what it keeps is part of a graph then
    assert run(copy.deepcopy(copied), 0) == []
    with pytest.raises(TypeError, match=r"cannot be copied; copy it after tsbench\.forecast\.unwrap\(module\)"):
        copy.deepcopy(taylor_seer(1, 2)(Power()))


def test_second_order_lags_behind() -> None:
    """9 + 5 + 2 / 2 = 15 at t = 4, where the parabola has 16: differences are taken at the steps' ends."""
    module = taylor_seer(warmup_steps=4, skip_interval_steps=9, n_derivatives=2)(Power())
    assert run(module, 5)[4] == 15


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_polynomial_of_degree_one_is_exact_from_order_one_on(order: int) -> None:
    module = taylor_seer(warmup_steps=4, skip_interval_steps=5, n_derivatives=order)(Power(1))
    expected = [0, 1, 2, 3, *([3] * 4 if order == 0 else [4, 5, 6, 7]), 8]
    assert run(module, 9) == expected


def test_state_is_each_instances_own() -> None:
    one, other = Squares(), Squares()
    run(one, 5)
    assert run(other, 10) == PUBLISHED and other.calls == 7


def test_resetting_starts_the_next_run_and_keeps_what_is_left_out() -> None:
    module = Squares()
    run(module, 7)
    module.reset_cache()
    assert run(module, 10) == PUBLISHED
    module.reset_cache(warmup_steps=2)  # CC.C.: the interval stays 2
    assert run(module, 5) == [0, 1, 2, 9, 9 + (9 - 1) / 2]
    module.reset_cache(compute_step_map=[True, True, False, False, True])
    assert run(module, 5) == [0, 1, 2, 3, 16]
    module.reset_cache()
    assert run(module, 10) == PUBLISHED


def test_tuples_and_dtypes() -> None:
    class Pair(nn.Module):
        def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
            return t * 2, (t * 3).to(torch.bfloat16)

    module = taylor_seer(warmup_steps=2, skip_interval_steps=9)(Pair())
    outputs = [module(torch.tensor([float(step)])) for step in range(4)]
    assert [(float(a), float(b)) for a, b in outputs] == [(0, 0), (2, 3), (4, 6), (6, 9)]
    assert all((a.dtype, b.dtype) == (torch.float32, torch.bfloat16) for a, b in outputs)


def test_a_mask_is_kept_beside_what_is_forecast() -> None:
    class Masked(nn.Module):
        def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
            return t > 1, t**2

    module = taylor_seer(warmup_steps=4, skip_interval_steps=2)(Masked())
    outputs = [module(torch.tensor([float(step)])) for step in range(10)]
    assert [float(value) for _, value in outputs] == PUBLISHED
    assert [mask.tolist() for mask, _ in outputs] == [[step > 1] for step in range(10)]


def test_a_named_tuple_keeps_its_names_in_forecast_steps() -> None:
    """Callers read outputs by name."""

    class Both(NamedTuple):
        one: Tensor
        other: Tensor

    class Module(nn.Module):
        def forward(self, t: Tensor) -> Both:
            return Both(t, 2 * t)

    module = taylor_seer(warmup_steps=2, skip_interval_steps=9)(Module())
    assert [float(module(torch.tensor([float(step)])).other) for step in range(4)] == [0, 2, 4, 6]


def test_factors_have_the_outputs_dtype_unless_told_otherwise() -> None:
    outputs = [torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.0078125], dtype=torch.bfloat16)]
    own, wide = TaylorSeries(1), TaylorSeries(1, torch.float32)
    for step, output in enumerate(outputs):
        own.update(step * 3, [output]), wide.update(step * 3, [output])
    assert own.factors[0][1].dtype == torch.bfloat16 and wide.factors[0][1].dtype == torch.float32


@pytest.mark.parametrize("order", [1, 2])
def test_compiled_and_eager_agree(order: int) -> None:
    def outputs(compiled: bool) -> list[Tensor]:
        torch.manual_seed(0)
        module = taylor_seer(warmup_steps=3, skip_interval_steps=3, n_derivatives=order)(nn.Linear(4, 4))
        call = torch.compile(module, backend="aot_eager") if compiled else module
        with torch.no_grad():
            return [call(torch.full((2, 4), math.sin(step))) for step in range(10)]

    assert all(torch.equal(one, other) for one, other in zip(outputs(True), outputs(False)))


def test_mistakes_are_sentences() -> None:
    with pytest.raises(ValueError, match="warmup_steps is 0, but must be a whole number, 1 or more: there is nothing"):
        taylor_seer(warmup_steps=0, skip_interval_steps=2)
    with pytest.raises(ValueError, match="skip_interval_steps is 0, but must be a whole number, 1 or more"):
        taylor_seer(warmup_steps=1, skip_interval_steps=0)
    for order in (-1, 1.5):
        with pytest.raises(ValueError, match=f"n_derivatives is {order}, but must be a whole number, 0 or more"):
            taylor_seer(warmup_steps=1, skip_interval_steps=1, n_derivatives=order)
    with pytest.raises(ValueError, match=r"dtype is torch\.int64, which cuts differences to whole numbers"):
        taylor_seer(warmup_steps=1, skip_interval_steps=1, dtype=torch.int64)
    module = Squares()
    with pytest.raises(ValueError, match="compute_step_map does not compute the first step"):
        module.reset_cache(compute_step_map=[False, True])
    with pytest.raises(ValueError, match=r"compute_step_map is 'C\.', but must be a bool a step; try \[letter =="):
        module.reset_cache(compute_step_map="C.")
    module.reset_cache(compute_step_map=[True, False])
    with pytest.raises(ValueError, match=r"compute_step_map is used up: it has 2 steps and the run goes on; call"):
        run(module, 3)
    module.reset_cache()
    module(torch.zeros(2))
    with pytest.raises(ValueError, match=r"the output's shape changed from \[\(2,\)\] to \[\(3,\)\] within a run"):
        module(torch.zeros(3))
    with pytest.raises(TypeError, match="has to be a tensor or a tuple of tensors, but is dict"):
        taylor_seer(1, 1)(nn.Identity())({})


def computed_by_control(function: object, steps: int, tolerance: float, max_gap: int) -> tuple[list[int], list[float]]:
    """The steps that step-size control computes of a function of the step, and all its outputs."""

    class Function(nn.Module):
        def forward(self, t: float) -> Tensor:
            computed.append(int(t))
            return torch.tensor([function(t)], dtype=torch.float64)

    computed: list[int] = []
    module = step_size_control(Function(), steps, tolerance, 1, max_gap)
    values = [float(module(float(step))) for step in range(steps)]
    first = computed.copy()
    module.reset_cache()
    assert [float(module(float(step))) for step in range(steps)] == values
    return first, values


def test_step_size_control_on_a_straight_line() -> None:
    """Exact, so the error is 0 and the gap goes to the maximum; the first three steps and the last are computed.

    A second run, after a reset, is the first one again.
    """
    computed, values = computed_by_control(lambda t: 2 * t + 1, 30, 0.1, 7)
    assert computed == [0, 1, 2, 9, 16, 23, 29]
    assert values == [2 * t + 1 for t in range(30)]


def test_step_size_control_on_an_exponential() -> None:
    """The relative error of a gap is the same everywhere on it, so the gaps settle."""
    computed, _ = computed_by_control(lambda t: math.exp(0.1 * t), 200, 0.05, 50)
    gaps = [after - before for before, after in pairwise(computed[5:-1])]
    assert max(gaps) - min(gaps) <= 1 and min(gaps) > 1


def test_step_size_control_computes_what_it_cannot_judge() -> None:
    """An output that is not finite is for the check of the image to name."""
    computed, _ = computed_by_control(lambda t: math.inf if t > 4 else t, 8, 0.1, 1)
    assert computed == list(range(8))


def test_a_looser_tolerance_computes_less() -> None:
    counts = [len(computed_by_control(lambda t: math.sin(t / 5), 60, tol, 20)[0]) for tol in (0.01, 0.1, 1.0)]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 3
