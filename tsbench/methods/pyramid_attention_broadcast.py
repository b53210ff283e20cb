"""Pyramid Attention Broadcast as diffusers ships it (Zhao et al., 2024, arXiv:2408.12588)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tsbench.checks import EVERY_STEP, at_least
from tsbench.errors import UserError
from tsbench.methods.base import Method, Snippet
from tsbench.schedule import always_skipping


@dataclass
class PyramidAttentionBroadcast(Method):
    """The attention of every block is reused, within a range of timesteps; feed-forward layers still run.

    Flux has neither temporal nor cross-attention, so only the parameters for spatial attention are here.
    """

    name: str = "pyramid_attention_broadcast"
    spatial_attention_block_skip_range: int = 2
    spatial_attention_timestep_skip_range: list[int] = field(default_factory=lambda: [100, 800])
    title: ClassVar[str] = "PAB (diffusers)"
    label_format: ClassVar[str] = "N={spatial_attention_block_skip_range}"
    decides_by: ClassVar[str] = "the scheduler's timesteps"

    def check(self, steps: int) -> None:
        check_attention_ranges(self.spatial_attention_block_skip_range, self.spatial_attention_timestep_skip_range)

    def fewest_computed(self, steps: int) -> str:
        return always_skipping(steps, 1, self.spatial_attention_block_skip_range - 1)

    def condensed(self, steps: int) -> tuple[Method, int]:
        return replace(self, spatial_attention_block_skip_range=2, spatial_attention_timestep_skip_range=[0, 1000]), 2

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import PyramidAttentionBroadcastConfig

        pipeline.transformer.enable_cache(
            PyramidAttentionBroadcastConfig(
                spatial_attention_block_skip_range=self.spatial_attention_block_skip_range,
                spatial_attention_timestep_skip_range=tuple(self.spatial_attention_timestep_skip_range),
                current_timestep_callback=lambda: pipeline.current_timestep,
            )
        )

    def snippet(self, steps: int) -> Snippet:
        callback = "lambda: pipe.current_timestep"
        return self.cache_snippet("PyramidAttentionBroadcastConfig", current_timestep_callback=callback)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        low, high = parameters["spatial_attention_timestep_skip_range"]
        return f"{cls.title}, timesteps {low} to {high}"


def check_attention_ranges(block_skip_range: int, timestep_skip_range: list[int]) -> None:
    """Raise `UserError` for ranges that diffusers cannot run with, or would silently never use."""
    at_least("method.spatial_attention_block_skip_range", block_skip_range, 1, 2, EVERY_STEP)
    if len(timestep_skip_range) != 2 or timestep_skip_range[0] >= timestep_skip_range[1]:
        raise UserError(
            f"method.spatial_attention_timestep_skip_range is {timestep_skip_range}, but must be two timesteps, the "
            "lower first; try method.spatial_attention_timestep_skip_range=[100,800]."
        )
