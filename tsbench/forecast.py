"""Forecasts of what a module computes, from what it computed before: `taylor_seer`, for any `nn.Module`.

TaylorSeer (Liu et al., 2025, arXiv:2503.06923): the outputs of computed steps are differenced, and a Taylor series in
the step number gives the outputs of the steps between.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import wraps
from numbers import Integral
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._dynamo.decorators import skip

from tsbench.schedule import official_computes

Target = TypeVar("Target", bound="type[nn.Module] | nn.Module")
STATE = "_taylor_seer"  # where a wrapped instance keeps its forecaster
OF_CLASS = "_taylor_seer_of_class"  # and an instance of a decorated class
OFFLOADED = "_old_forward"  # where accelerate keeps the forward of a module that it offloads


class TaylorSeries:
    """The Taylor series of a module's outputs in the step number, from divided differences of computed steps.

    With d_0 the output of the last computed step s, and d_(j+1) the change of d_j between the last two computed steps
    over their distance, the output of step t is forecast as the sum over j of d_j (t - s)^j / j! (Liu et al., 2025).
    A difference lags behind the derivative by half a gap, which damps the series; Newton's form through the same steps
    does worse.

    Attributes:
        factors: for every output of the module its d_0, d_1, ... up to `order`, each of the output's shape.
        last_step: s; -1 before the first.
    """

    def __init__(self, order: int, dtype: torch.dtype | None = None) -> None:
        self.order, self.dtype = order, dtype
        self.factors: list[list[Tensor]] = []
        self.last_step = -1

    @property
    def known_order(self) -> int:
        """The order that the steps so far are enough for."""
        return max(map(len, self.factors)) - 1

    def update(self, step: int, outputs: Sequence[Tensor]) -> None:
        """Take in the outputs computed at a step.

        Raises:
            ValueError: if an output's shape is not that of the step before.
        """
        last = [factors[0] for factors in self.factors]
        if last and [tensor.shape for tensor in last] != [output.shape for output in outputs]:
            was, now = ([tuple(tensor.shape) for tensor in seen] for seen in (last, outputs))
            raise ValueError(
                f"the output's shape changed from {was} to {now} within a run; call reset_cache() before the next run"
            )
        previous = self.factors or [[] for _ in outputs]
        self.factors = [self._differenced(step, output, old) for output, old in zip(outputs, previous, strict=True)]
        self.last_step = step

    def at(self, step: int) -> tuple[Tensor, ...]:
        """The outputs of a step, by the series."""
        distance = step - self.last_step
        weights = [distance**order / math.factorial(order) for order in range(self.known_order + 1)]
        return tuple(
            sum((factor * weight for factor, weight in zip(factors[1:], weights[1:])), start=factors[0])
            if len(factors) > 1
            else factors[0].clone()  # who gets it may change it in place
            for factors in self.factors
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> TaylorSeries:
        """A copy on its own: tensors of a graph have no deep copies, and a forecast of the copy needs no gradients."""
        copied = copy.copy(self)
        copied.factors = [[factor.detach().clone() for factor in factors] for factors in self.factors]
        return copied

    def _differenced(self, step: int, output: Tensor, previous: list[Tensor]) -> list[Tensor]:
        if output.dtype == torch.bool:  # a mask has no differences
            return [output.clone()]
        factors = [output.to(self.dtype or output.dtype, copy=True)]  # who called the module may change it in place
        for old in previous[: self.order]:
            factors.append((factors[-1] - old) / (step - self.last_step))
        return factors


class Forecaster:
    """One run after the other of one module: which steps are computed, and the series for those between."""

    original: Any  # what an instance computes with, where one is wrapped
    forward: Any  # that stands in for it
    replaced: Any = None  # a forward of the instance's own that the wrapped one stands in for

    def __init__(self, n_derivatives: int, dtype: torch.dtype | None = None) -> None:
        _check_whole("n_derivatives", n_derivatives, 0)
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(
                f"dtype is {dtype}, which cuts differences to whole numbers; give one such as torch.float32"
            )
        self.n_derivatives, self.dtype = n_derivatives, dtype

    def __deepcopy__(self, memo: dict[int, Any]) -> Forecaster:
        """Of an instance of a decorated class; one that was wrapped would go on computing with the original's weights.

        Raises:
            TypeError: for a wrapped instance.
        """
        if hasattr(self, "original"):
            raise TypeError("a module that forecasts cannot be copied; copy it after tsbench.forecast.unwrap(module)")
        copied = copy.copy(self)
        copied.__dict__ = copy.deepcopy(self.__dict__, memo)
        return copied

    def reset(self) -> None:
        """Start the next run."""
        self.step, self.series = -1, TaylorSeries(self.n_derivatives, self.dtype)

    def computes(self, step: int) -> bool:
        """Whether a step is to be computed."""
        raise NotImplementedError

    @skip  # what it calls to compute may be compiled; nothing else here is worth it
    def run(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One call of the module; one that raises is no step."""
        if not self.next_is_computed():
            return self.forecast()
        try:
            return self.computed(compute(*args, **kwargs))
        except BaseException:
            self.step -= 1
            raise

    @torch.compiler.disable
    def next_is_computed(self) -> bool:
        """Go to the next step."""
        self.step += 1
        return self.computes(self.step)

    @torch.compiler.disable
    def computed(self, output: Any) -> Any:
        """Take in what was computed."""
        self.dtypes = [tensor.dtype for tensor in _tensors(output)]
        self.kind = type(output)
        self.series.update(self.step, _tensors(output))
        return output

    @torch.compiler.disable
    def forecast(self) -> Any:
        values = tuple(value.to(dtype) for value, dtype in zip(self.series.at(self.step), self.dtypes))
        if not issubclass(self.kind, tuple):
            return values[0]
        return self.kind(*values) if hasattr(self.kind, "_fields") else values


class RuleForecaster(Forecaster):
    """Computes the first steps and then one of so many, or the steps of a map."""

    def __init__(
        self, warmup_steps: int, skip_interval_steps: int, n_derivatives: int, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(n_derivatives, dtype)
        self.given = warmup_steps, skip_interval_steps
        self.reset()

    def reset(
        self,
        warmup_steps: int | None = None,
        skip_interval_steps: int | None = None,
        compute_step_map: Sequence[bool] | None = None,
    ) -> None:
        """Start the next run; what is left out keeps the value given at first."""
        warmup = self.given[0] if warmup_steps is None else warmup_steps
        interval = self.given[1] if skip_interval_steps is None else skip_interval_steps
        _check_whole("skip_interval_steps", interval, 1)
        if isinstance(compute_step_map, str):  # of which every letter is true
            raise ValueError(
                f"compute_step_map is {compute_step_map!r}, but must be a bool a step; "
                f'try [letter == "C" for letter in {compute_step_map!r}]'
            )
        if compute_step_map is not None and not (len(compute_step_map) and compute_step_map[0]):
            raise ValueError("compute_step_map does not compute the first step, and there is nothing to forecast from")
        if compute_step_map is None:
            _check_whole("warmup_steps", warmup, 1, ": there is nothing to forecast the first step from")
        self.warmup_steps, self.skip_interval_steps, self.step_map = warmup, interval, compute_step_map
        super().reset()

    def computes(self, step: int) -> bool:
        if self.step_map is None:
            return official_computes(step, self.warmup_steps, self.skip_interval_steps)
        if step >= len(self.step_map):
            raise ValueError(
                f"compute_step_map is used up: it has {len(self.step_map)} steps and the run goes on; "
                "call reset_cache() before the next run"
            )
        return bool(self.step_map[step])


class StepSizeController(Forecaster):
    """Computes a step when the error of forecasting it is expected to reach a tolerance (`tsbench.methods.auto`)."""

    def __init__(self, steps: int, tolerance: float, max_order: int, max_gap: int) -> None:
        super().__init__(max_order)
        self.steps, self.tolerance, self.max_gap = steps, tolerance, max_gap
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.due = 0  # the next step to compute

    def computes(self, step: int) -> bool:
        return step in (self.due, self.steps - 1)

    @torch.compiler.disable
    def computed(self, output: Any) -> Any:
        gap = 1
        if self.step > self.n_derivatives:  # the factors are there, and with them a forecast of this very step
            gap = self._next_gap(self.step - self.series.last_step, self._error(_tensors(output)))
        super().computed(output)
        self.due = self.step + gap
        return output

    def _error(self, outputs: Sequence[Tensor]) -> float:
        """The error of the forecast, relative to what was computed, over all outputs."""
        pairs = list(zip(outputs, self.series.at(self.step), strict=True))
        wrong = sum(float((true - forecast).float().square().sum()) for true, forecast in pairs)
        return math.sqrt(wrong / max(sum(float(true.float().square().sum()) for true, _ in pairs), 1e-30))

    def _next_gap(self, gap: int, error: float) -> int:
        if not math.isfinite(error):
            return 1
        if error == 0:
            return self.max_gap
        growth = (self.tolerance / error) ** (1 / (self.n_derivatives + 1))
        return max(1, math.floor(min(gap * growth, self.max_gap)))


def step_size_control(module: nn.Module, steps: int, tolerance: float, max_order: int, max_gap: int) -> nn.Module:
    """Let an instance decide by itself at which of its next calls to compute; to be undone by `unwrap`.

    Args:
        module: its output is a tensor or a tuple of tensors.
        steps: of the run that follows; the first `max_order` + 2 and the last are computed.
        tolerance: relative error of a forecast that a gap is chosen for.
        max_order: of the series.
        max_gap: longest distance of computed steps.
    """
    return _wrapped(module, StepSizeController(steps, tolerance, max_order, max_gap))


def taylor_seer(
    warmup_steps: int, skip_interval_steps: int, n_derivatives: int = 1, dtype: torch.dtype | None = None
) -> Callable[[Target], Target]:
    """Let a module forecast its output at most steps instead of computing it.

    A decorator for a class of modules, or a function for one instance:

        @taylor_seer(warmup_steps=4, skip_interval_steps=2, n_derivatives=1)
        class Block(nn.Module): ...

        block = taylor_seer(warmup_steps=4, skip_interval_steps=2)(block)

    A step is one call of the module. It is computed where `step < warmup_steps` or
    `(step - warmup_steps + 1) % skip_interval_steps == 0`. Every instance has a state of its own; its
    `reset_cache(warmup_steps=…, skip_interval_steps=…, compute_step_map=…)` starts the next run, where what is left
    out keeps the value given here, and a map, a bool a step, takes the place of the rule.

    Args:
        warmup_steps: earlier steps are computed; 1 or more.
        skip_interval_steps: after them, one step in this many is computed.
        n_derivatives: order of the series; 0 reuses the last output.
        dtype: of the factors; None keeps that of the output.

    Returns:
        A function that takes a class or an instance and gives it back. The output has to be a tensor or a tuple of
        tensors of the same shapes at every step; of truth values the last computed ones are kept.

    Raises:
        ValueError: for numbers that are not whole or too small, a dtype of whole numbers, a map that is a text, a first
            step that is not computed, and a class or an instance that forecasts already; while running, for a map that
            is used up and for a changed shape.
        TypeError: for what is neither a module nor a class of modules; while running, for an output that is neither a
            tensor nor a tuple of tensors.
    """

    def new() -> RuleForecaster:
        return RuleForecaster(warmup_steps, skip_interval_steps, n_derivatives, dtype)

    new()  # mistakes show here

    def decorate(target: Target) -> Target:
        if isinstance(target, nn.Module):
            return _wrapped(target, new())
        _check_class(target)
        original = target.forward

        @wraps(original)
        @skip
        def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return _state_of(self, new).run(original, self, *args, **kwargs)

        def reset_cache(self: nn.Module, *values: Any, **changes: Any) -> None:
            _state_of(self, new).reset(*values, **changes)

        setattr(forward, OF_CLASS, True)
        target.forward, target.reset_cache = forward, reset_cache  # type: ignore[attr-defined]
        return target

    return decorate


def _wrapped(module: Target, state: Forecaster) -> Target:
    """An instance that asks `state` at every call."""
    if STATE in module.__dict__:
        raise ValueError(f"this {type(module).__name__} forecasts already; undo that first by tsbench.forecast.unwrap")
    _check_class(type(module))
    place = _place(module)
    state.original, state.replaced = getattr(module, place), module.__dict__.get(place)

    @wraps(state.original)
    @skip
    def forward(*args: Any, **kwargs: Any) -> Any:
        return state.run(state.original, *args, **kwargs)

    state.forward = forward
    for name, value in ((STATE, state), (place, forward), ("reset_cache", state.reset)):
        object.__setattr__(module, name, value)
    return module


def _check_class(kind: type) -> None:
    """Raise `ValueError` if a class or one that it inherits from is decorated: its steps would be counted twice."""
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise TypeError(f"taylor_seer decorates modules and classes of them, but was given {kind!r}")
    for base in kind.__mro__:
        if getattr(vars(base).get("forward"), OF_CLASS, False):
            raise ValueError(f"{base.__name__} forecasts already; decorate it or what is made of it, not both")


def unwrap(module: nn.Module) -> None:
    """Undo `taylor_seer` on an instance, if it is there."""
    state = module.__dict__.pop(STATE, None)
    if state is None:
        return
    del module.__dict__["reset_cache"]
    place = _place(module)
    if module.__dict__.get(place) is state.forward:
        del module.__dict__[place]
        if state.replaced is not None or place == OFFLOADED:
            module.__dict__[place] = state.original
    around: Any = module.forward  # accelerate's, where it is there
    if getattr(around, "__wrapped__", None) is state.forward:
        around.__wrapped__ = state.original


def _place(module: Any) -> str:
    """Where the forward of an instance lies: below accelerate's, which diffusers puts there anew for every image."""
    return OFFLOADED if hasattr(module, "_hf_hook") else "forward"


def _state_of(module: nn.Module, new: Callable[[], RuleForecaster]) -> RuleForecaster:
    """The forecaster of an instance of a decorated class."""
    if OF_CLASS not in module.__dict__:
        module.__dict__[OF_CLASS] = new()
    return module.__dict__[OF_CLASS]


def _check_whole(name: str, value: int, least: int, why: str = "") -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}, but must be a whole number, {least} or more{why}")


def _tensors(output: Any) -> tuple[Tensor, ...]:
    tensors = output if isinstance(output, tuple) else (output,)
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        kinds = ", ".join(type(tensor).__name__ for tensor in tensors)
        raise TypeError(f"the output has to be a tensor or a tuple of tensors, but is {kinds}")
    return tensors
