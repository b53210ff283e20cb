"""DBCache as cache-dit ships it (github.com/vipshop/cache-dit; `cache_dit.DBCacheConfig`), an extra of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import at_least, needs_package, taylor_order
from tsbench.errors import DrawingFailed
from tsbench.methods.base import Method
from tsbench.schedule import always_skipping

BEFORE = "_before_cache_dit"  # of a transformer with the cache on it: its own `forward`, and the order of its parts


@dataclass
class CacheDit(Method):
    """The first and last blocks always run; where the residual of the first has changed little, the rest is skipped.

    What the others add is reused, or with `taylorseer_order` forecast by a Taylor series.
    """

    name: str = "cache_dit"
    Fn_compute_blocks: int = 8
    Bn_compute_blocks: int = 0
    residual_diff_threshold: float = 0.08
    max_warmup_steps: int = 8
    max_cached_steps: int = -1
    max_continuous_cached_steps: int = -1
    taylorseer_order: int = 0
    title: ClassVar[str] = "DBCache (cache-dit)"
    label_format: ClassVar[str] = "thr {residual_diff_threshold:.12g}"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "how much the residual of the first blocks changes"

    @classmethod
    def missing(cls) -> str | None:
        return needs_package("cache-dit", "cache-dit")

    def check(self, steps: int) -> None:
        at_least("method.Fn_compute_blocks", self.Fn_compute_blocks, 1, 8)
        at_least("method.Bn_compute_blocks", self.Bn_compute_blocks, 0, 0)
        at_least("method.residual_diff_threshold", self.residual_diff_threshold, 0, 0.08, "a relative change")
        at_least("method.max_warmup_steps", self.max_warmup_steps, 0, 8)
        at_least("method.max_cached_steps", self.max_cached_steps, -1, -1, "-1 for any number")
        at_least("method.max_continuous_cached_steps", self.max_continuous_cached_steps, -1, -1, "-1 for any number")
        taylor_order("method.taylorseer_order", self.taylorseer_order, steps)

    def fewest_computed(self, steps: int) -> str:
        first = max(1, self.max_warmup_steps)
        in_a_row = steps if self.max_continuous_cached_steps < 0 else self.max_continuous_cached_steps
        schedule = always_skipping(steps, first, in_a_row)
        if self.max_cached_steps < 0:
            return schedule
        *skipping, rest = schedule.split(".", self.max_cached_steps)
        return ".".join([*skipping, rest.replace(".", "C")])

    def condensed(self) -> tuple[Method, int]:
        """With a threshold of 1 cache-dit takes any two residuals for the same, without looking at them."""
        full = 1 if self.taylorseer_order == 0 else self.taylorseer_order + 4  # steps, for derivatives and those before
        short = replace(
            self,
            residual_diff_threshold=1.0,
            max_warmup_steps=full,
            max_cached_steps=-1,
            max_continuous_cached_steps=-1,
        )
        return short, full + 1

    def enable(self, pipeline: Any, steps: int) -> None:
        os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")  # it says on stdout, before each image, what it was told
        import cache_dit

        transformer = pipeline.transformer
        blocks = transformer.config.num_layers + transformer.config.num_single_layers
        if self.Fn_compute_blocks + self.Bn_compute_blocks > blocks:
            raise DrawingFailed(
                f"Fn_compute_blocks and Bn_compute_blocks are {self.Fn_compute_blocks} and {self.Bn_compute_blocks}, "
                f"but this model has {blocks} blocks in all"
            )
        setattr(transformer, BEFORE, (vars(transformer).get("forward"), list(transformer._modules)))
        parameters = self.parameters()
        order = parameters.pop("taylorseer_order")
        cache_dit.enable_cache(
            transformer,
            cache_config=cache_dit.DBCacheConfig(num_inference_steps=steps, **parameters),
            calibrator_config=cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order) if order else None,
        )

    def disable(self, pipeline: Any) -> None:
        """cache-dit's own, and what that leaves: its `forward` in the place of the model's, and its blocks in the last.

        Caches of diffusers take the blocks that come first for the first ones.
        """
        transformer = pipeline.transformer
        if BEFORE not in vars(transformer):
            return
        import cache_dit

        cache_dit.disable_cache(transformer)
        vars(transformer).pop("_is_patched", None)
        vars(transformer).pop("forward", None)
        forward, names = vars(transformer).pop(BEFORE)
        if forward is not None:
            transformer.forward = forward
        for name in names:
            transformer._modules[name] = transformer._modules.pop(name)

    def states(self, transformer: Any) -> list[Any]:
        return list(getattr(vars(transformer).get("_context_manager"), "_cached_context_manager", {}).values())

    def snippet(self, steps: int) -> tuple[list[str], list[str], list[str]]:
        """On the pipeline, where cache-dit begins anew at every image; on a transformer it would not."""
        parameters = self.parameters()
        order = parameters.pop("taylorseer_order")
        given = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        config = f"cache_dit.DBCacheConfig(num_inference_steps={steps}, {given})"
        forecast = f"calibrator_config=cache_dit.TaylorSeerCalibratorConfig(taylorseer_order={order})" if order else ""
        arguments = ", ".join(filter(None, ["pipe", f"cache_config={config}", forecast]))
        return ["import cache_dit"], [f"cache_dit.enable_cache({arguments})"], []

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        order = parameters["taylorseer_order"]
        blocks = "F{Fn_compute_blocks}B{Bn_compute_blocks}W{max_warmup_steps}".format(**parameters)
        return f"{cls.title}, {blocks}" + (f", order {order}" if order else "")
