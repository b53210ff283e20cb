"""SeaCache as diffusers ships it (arXiv:2602.18993; `diffusers.SeaCacheConfig`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tsbench.checks import at_least, between, positive
from tsbench.methods.base import Method, Snippet


@dataclass
class SeaCache(Method):
    """The residual of all blocks is reused while a spectral indicator of the latents has changed little.

    It wants to be told the step and its noise level, which FluxPipeline of diffusers 0.42 does not do: it then
    computes everything, and its measured schedule says so.
    """

    name: str = "sea_cache"
    threshold: float = 0.25
    residual_order: int = 1
    retention_steps: int = 1
    cache_end_steps: int = 1
    max_consecutive_cached: int = 2
    power_exp: float = 3.0
    title: ClassVar[str] = "SeaCache (diffusers)"
    label_format: ClassVar[str] = "thr {threshold:.12g}"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "the spectrum of the latents"

    def check(self, steps: int) -> None:
        at_least("method.threshold", self.threshold, 0, 0.25)
        between("method.residual_order", self.residual_order, 0, 1, 1)
        for name in ("retention_steps", "cache_end_steps", "max_consecutive_cached"):
            at_least(f"method.{name}", getattr(self, name), 0, 1)
        positive("method.power_exp", self.power_exp, 3)

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import SeaCacheConfig

        pipeline.transformer.enable_cache(SeaCacheConfig(**self.parameters()))

    def snippet(self, steps: int) -> Snippet:
        return self.cache_snippet("SeaCacheConfig")
