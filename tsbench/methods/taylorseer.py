"""TaylorSeer as diffusers ships it (Liu et al., 2025, arXiv:2503.06923; `diffusers.TaylorSeerCacheConfig`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.errors import UserError
from tsbench.methods.base import Method
from tsbench.schedule import diffusers_taylorseer

DTYPES = ("float32", "bfloat16", "float16")


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

    def check(self, steps: int) -> None:
        before, after = self.disable_cache_before_step, self.disable_cache_after_step
        if self.cache_interval < 1:
            raise UserError(
                f"method.cache_interval is {self.cache_interval}, but must be 1 or more (1 computes every step); "
                "try method.cache_interval=5."
            )
        if not 1 <= before < steps:
            raise UserError(
                f"method.disable_cache_before_step is {before}, but must be from 1 to {steps - 1}: diffusers cannot "
                f"forecast before the first computed step, and this sweep has {steps} steps; "
                "try method.disable_cache_before_step=3."
            )
        if after is not None and after < 0:
            raise UserError(
                f"method.disable_cache_after_step is {after}, but must be an absolute step, 0 or more: with a negative "
                f"one diffusers silently computes every step; for {-after} step{'s' if after < -1 else ''} from the "
                f"end of {steps} type method.disable_cache_after_step={max(0, steps + after)}."
            )
        if self.max_order < 0:
            raise UserError(f"method.max_order is {self.max_order}, but must be 0 or more; try method.max_order=1.")
        if self.taylor_factors_dtype not in DTYPES:
            raise UserError(
                f"method.taylor_factors_dtype is {self.taylor_factors_dtype!r}, but must be one of: "
                f"{', '.join(DTYPES)}; try method.taylor_factors_dtype=float32."
            )

    def settings(self, steps: int) -> dict[str, Any]:
        settings = self.parameters()
        if self.use_lite_mode:  # overrides both lists
            settings["cache_identifiers"] = settings["skip_predict_identifiers"] = None
        if self.disable_cache_after_step is not None and self.disable_cache_after_step >= steps:
            settings["disable_cache_after_step"] = None
        return settings

    def promised_schedule(self, steps: int) -> str:
        return diffusers_taylorseer(
            steps, self.cache_interval, self.disable_cache_before_step, self.disable_cache_after_step
        )

    def condensed(self) -> tuple[Method, int]:
        before = self.max_order + 1
        short = replace(self, cache_interval=2, disable_cache_before_step=before, disable_cache_after_step=None)
        return short, before + 1

    def enable(self, pipeline: Any, steps: int) -> None:
        import torch
        from diffusers import TaylorSeerCacheConfig

        parameters = self.parameters() | {"taylor_factors_dtype": getattr(torch, self.taylor_factors_dtype)}
        pipeline.transformer.enable_cache(TaylorSeerCacheConfig(**parameters))

    def snippet(self, steps: int) -> tuple[list[str], list[str]]:
        own = TaylorSeer()
        given = [f"{n}={v!r}" for n, v in self.parameters().items() if v != getattr(own, n) and "dtype" not in n]
        if self.taylor_factors_dtype != own.taylor_factors_dtype:
            given.append(f"taylor_factors_dtype=torch.{self.taylor_factors_dtype}")
        config = f"TaylorSeerCacheConfig({', '.join(given)})"
        return ["from diffusers import TaylorSeerCacheConfig"], [f"pipe.transformer.enable_cache({config})"]

    @classmethod
    def series(cls, settings: dict[str, Any]) -> str:
        mode = "lite" if settings["use_lite_mode"] else "default"
        if settings["cache_identifiers"] or settings["skip_predict_identifiers"]:
            mode = "own modules"
        order = "" if settings["max_order"] == 1 else f", order {settings['max_order']}"
        after = settings["disable_cache_after_step"]
        tail = "" if after is None else f", after {after}"
        return f"{cls.title}, {mode}, warm-up {settings['disable_cache_before_step']}{order}{tail}"

    @classmethod
    def point(cls, settings: dict[str, Any]) -> str:
        return f"N={settings['cache_interval']}"
