"""TaylorSeer as its authors run it on FLUX (Liu et al., 2025, arXiv:2503.06923; github.com/Shenyi-Z/TaylorSeer)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from tsbench.checks import EVERY_STEP, at_least, taylor_order, warm_up
from tsbench.methods.base import Method
from tsbench.schedule import formable_order, official_taylorseer

CACHED = [r"transformer_blocks\.\d+\.(attn|ff|ff_context)", r"single_transformer_blocks\.\d+\.proj_out"]
SKIPPED = [r"single_transformer_blocks\.\d+\.(attn|proj_mlp)"]


@dataclass
class TaylorSeerOfficial(Method):
    """The authors' modules and schedule, which no setting of diffusers' TaylorSeer gives, on diffusers' own hook.

    What is forecast: of a double block attention and both feed-forwards, of a single block what the two give together.
    Derivatives start at step `first_enhance - 1`, and factors have the dtype of what they forecast.
    """

    name: str = "taylorseer_official"
    first_enhance: int = 3
    cache_interval: int = 6
    max_order: int = 1
    title: ClassVar[str] = "TaylorSeer (authors' schedule)"
    label_format: ClassVar[str] = "N={cache_interval}"

    def check(self, steps: int) -> None:
        at_least("method.cache_interval", self.cache_interval, 1, 6, EVERY_STEP)
        warm_up("method.first_enhance", self.first_enhance, steps)
        taylor_order("method.max_order", self.max_order, steps)

    def promised_schedule(self, steps: int) -> str:
        return official_taylorseer(steps, self.first_enhance, self.cache_interval)

    def condensed(self, steps: int) -> tuple[Method, int]:
        before_derivatives = max(0, self.first_enhance - 2)  # the first one is that of this step and the next
        order = formable_order(self.max_order, self.promised_schedule(steps), before_derivatives)
        return replace(self, first_enhance=1, cache_interval=2, max_order=order), 2 * order + 2

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import TaylorSeerCacheConfig
        from diffusers.hooks.hooks import StateManager

        from tsbench.drawing.hooks import hook_registry, hooked_modules

        schedule = self.promised_schedule(steps)
        transformer = pipeline.transformer
        transformer.enable_cache(
            TaylorSeerCacheConfig(
                max_order=self.max_order,
                taylor_factors_dtype=transformer.dtype,
                cache_identifiers=CACHED,
                skip_predict_identifiers=SKIPPED,
            )
        )
        for module in hooked_modules(transformer):
            hook = hook_registry(module).get_hook("taylorseer_cache")
            known = hook.state_manager._init_kwargs | {"first_derivative": self.first_enhance - 1}
            hook.state_manager = StateManager(_state_class(), init_kwargs=known)
            hook._measure_should_compute = _decision(hook, schedule)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        order = "" if parameters["max_order"] == 1 else f", order {parameters['max_order']}"
        return f"{cls.title}, warm-up {parameters['first_enhance']}{order}"


@cache  # torch.compile takes another class for another program
def _state_class() -> type:
    """diffusers' state, with derivatives from a later step on."""
    import torch
    from diffusers.hooks.taylorseer_cache import TaylorSeerState

    class State(TaylorSeerState):
        def __init__(self, first_derivative: int, **known: Any) -> None:
            super().__init__(**known)
            self.first_derivative = first_derivative

        def update(self, outputs: tuple[torch.Tensor, ...]) -> None:
            if self.current_step < self.first_derivative:
                self.last_update_step = None  # what came before does not count: order 0 only
            super().update(outputs)

    return State


def _decision(hook: Any, schedule: str) -> Any:
    """What takes the place of `TaylorSeerCacheHook._measure_should_compute`."""
    import torch

    @torch.compiler.disable
    def decide() -> tuple[bool, Any]:
        state = hook.state_manager.get_state()
        state.current_step += 1
        return schedule[state.current_step] == "C", state

    return decide
