"""TaylorSeer as diffusers ships it (Liu et al., 2025, arXiv:2503.06923; `diffusers.TaylorSeerCacheConfig`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import DTYPES, EVERY_STEP, at_least, one_of, taylor_order, warm_up
from tsbench.errors import DrawingFailed, UserError
from tsbench.methods.base import Method, Snippet
from tsbench.schedule import diffusers_taylorseer, formable_order

PATTERNS = ("cache_identifiers", "skip_predict_identifiers")


@dataclass
class TaylorSeer(Method):
    """Field names and defaults are those of diffusers' `TaylorSeerCacheConfig`."""

    name: str = "taylorseer"
    cache_interval: int = 5
    disable_cache_before_step: int = 3
    disable_cache_after_step: int | None = None
    max_order: int = 1
    taylor_factors_dtype: str = "bfloat16"
    use_lite_mode: bool = False
    cache_identifiers: list[str] | None = None
    skip_predict_identifiers: list[str] | None = None
    title: ClassVar[str] = "TaylorSeer (diffusers)"
    label_format: ClassVar[str] = "N={cache_interval}"

    def check(self, steps: int) -> None:
        after = self.disable_cache_after_step
        at_least("method.cache_interval", self.cache_interval, 1, 5, EVERY_STEP)
        warm_up("method.disable_cache_before_step", self.disable_cache_before_step, steps)
        if after is not None and after < 0:
            raise UserError(
                f"method.disable_cache_after_step is {after}, but must be an absolute step, 0 or more: with a negative "
                f"one diffusers silently computes every step; for {-after} step{'s' if after < -1 else ''} from the "
                f"end of {steps} type method.disable_cache_after_step={max(0, steps + after)}."
            )
        taylor_order("method.max_order", self.max_order, steps)
        one_of("method.taylor_factors_dtype", self.taylor_factors_dtype, DTYPES)
        for name in PATTERNS:
            for pattern in getattr(self, name) or ():
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise UserError(
                        f"method.{name} has {pattern!r}, which is no regular expression ({error}); "
                        f"try 'method.{name}=[\".*attn\"]'."
                    ) from error

    def resolved(self, steps: int) -> dict[str, Any]:
        parameters = self.parameters()
        if self.use_lite_mode:  # overrides both lists
            parameters["cache_identifiers"] = parameters["skip_predict_identifiers"] = None
        if self.disable_cache_after_step is not None and self.disable_cache_after_step >= steps:
            parameters["disable_cache_after_step"] = None
        return parameters

    def promised_schedule(self, steps: int) -> str:
        return diffusers_taylorseer(
            steps, self.cache_interval, self.disable_cache_before_step, self.disable_cache_after_step
        )

    def condensed(self, steps: int) -> tuple[Method, int]:
        order = formable_order(self.max_order, self.promised_schedule(steps))
        short = replace(
            self, max_order=order, cache_interval=2, disable_cache_before_step=order + 1, disable_cache_after_step=None
        )
        return short, order + 2

    def enable(self, pipeline: Any, steps: int) -> None:
        import torch
        from diffusers import TaylorSeerCacheConfig

        modules, resolved = [name for name, _ in pipeline.transformer.named_modules()], self.resolved(steps)
        for name in PATTERNS:
            for pattern in resolved[name] or ():
                if not any(re.fullmatch(pattern, module) for module in modules):  # diffusers says nothing
                    raise DrawingFailed(f"method.{name} has {pattern!r}, which matches the name of no module")
        parameters = self.parameters() | {"taylor_factors_dtype": getattr(torch, self.taylor_factors_dtype)}
        pipeline.transformer.enable_cache(TaylorSeerCacheConfig(**parameters))

    def snippet(self, steps: int) -> Snippet:
        dtype = f"torch.{self.taylor_factors_dtype}"
        return self.cache_snippet("TaylorSeerCacheConfig", taylor_factors_dtype=dtype)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        mode = "lite" if parameters["use_lite_mode"] else "default"
        order = "" if parameters["max_order"] == 1 else f", order {parameters['max_order']}"
        after = parameters["disable_cache_after_step"]
        tail = "" if after is None else f", after {after}"
        return f"{cls.title}, {mode}, warm-up {parameters['disable_cache_before_step']}{order}{tail}"
