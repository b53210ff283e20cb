"""First Block Cache as diffusers ships it (github.com/chengzeyi/ParaAttention; `diffusers.FirstBlockCacheConfig`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import at_least
from tsbench.methods.base import Method, Snippet
from tsbench.methods.taylor_seer import wrapped_modules


@dataclass
class FirstBlockCache(Method):
    """The first block always runs; where its residual has changed little, that of all the others is reused."""

    name: str = "first_block_cache"
    threshold: float = 0.05
    title: ClassVar[str] = "FirstBlockCache (diffusers)"
    label_format: ClassVar[str] = "thr {threshold:.12g}"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "how much the first block's residual changes"

    def check(self, steps: int) -> None:
        at_least("method.threshold", self.threshold, 0, 0.05, "a relative change")

    def condensed(self, steps: int) -> tuple[Method, int]:
        return replace(self, threshold=FirstBlockCache.threshold), 2

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import FirstBlockCacheConfig

        pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=self.threshold))

    def enable_for_counting(self, pipeline: Any, steps: int) -> None:
        self.enable(pipeline, steps)
        first = wrapped_modules(pipeline.transformer, "blocks")[0]
        head = first._diffusers_hook.get_hook("fbc_leader_block_hook")
        # On tensors without data no change can be measured: only the first step computes, having no residual before it.
        head._should_compute_remaining_blocks = lambda _: head.state_manager.get_state().head_block_residual is None

    def snippet(self, steps: int) -> Snippet:
        return self.cache_snippet("FirstBlockCacheConfig")
