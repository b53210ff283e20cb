"""FasterCache as diffusers ships it (Lv et al., 2024, arXiv:2410.19355), for models with distilled guidance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tsbench.checks import at_least
from tsbench.errors import UserError
from tsbench.methods.base import Method, Snippet
from tsbench.methods.pyramid_attention_broadcast import check_attention_ranges
from tsbench.schedule import always_skipping


@dataclass
class FasterCache(Method):
    """The attention of every block is extrapolated from its last two outputs, below a timestep.

    The other half of FasterCache skips the unconditional pass, which a model with distilled guidance does not have.
    """

    name: str = "faster_cache"
    spatial_attention_block_skip_range: int = 2
    spatial_attention_timestep_skip_range: list[int] = field(default_factory=lambda: [-1, 681])
    attention_weight: float = 0.5
    title: ClassVar[str] = "FasterCache (diffusers)"
    label_format: ClassVar[str] = "N={spatial_attention_block_skip_range}"
    decides_by: ClassVar[str] = "the scheduler's timesteps"

    def check(self, steps: int) -> None:
        check_attention_ranges(self.spatial_attention_block_skip_range, self.spatial_attention_timestep_skip_range)
        at_least("method.attention_weight", self.attention_weight, 0, 0.5)
        if self.spatial_attention_timestep_skip_range[1] > 1000:
            raise UserError(
                f"method.spatial_attention_timestep_skip_range is {self.spatial_attention_timestep_skip_range}, but "
                "must end at 1000 or below: the first step, at timestep 1000, has to be computed; "
                "try method.spatial_attention_timestep_skip_range=[-1,681]."
            )

    def fewest_computed(self, steps: int) -> str:
        return always_skipping(steps, 1, self.spatial_attention_block_skip_range - 1)

    def condensed(self, steps: int) -> tuple[Method, int]:
        return replace(self, spatial_attention_block_skip_range=2, spatial_attention_timestep_skip_range=[-1, 1000]), 2

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import FasterCacheConfig

        pipeline.transformer.enable_cache(
            FasterCacheConfig(
                spatial_attention_block_skip_range=self.spatial_attention_block_skip_range,
                spatial_attention_timestep_skip_range=tuple(self.spatial_attention_timestep_skip_range),
                attention_weight_callback=lambda module: self.attention_weight,
                tensor_format="BCHW",
                is_guidance_distilled=True,
                current_timestep_callback=lambda: pipeline.current_timestep,
            )
        )

    def snippet(self, steps: int) -> Snippet:
        return self.cache_snippet(
            "FasterCacheConfig",
            attention_weight="",
            attention_weight_callback=f"lambda module: {self.attention_weight!r}",
            tensor_format='"BCHW"',
            is_guidance_distilled="True",
            current_timestep_callback="lambda: pipe.current_timestep",
        )

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        low, high = parameters["spatial_attention_timestep_skip_range"]
        weight = "" if parameters["attention_weight"] == 0.5 else f", weight {parameters['attention_weight']:.12g}"
        return f"{cls.title}, timesteps {low} to {high}{weight}"
