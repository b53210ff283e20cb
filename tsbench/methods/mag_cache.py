"""MagCache as diffusers ships it (Ma et al., 2025, arXiv:2506.09045; `diffusers.MagCacheConfig`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tsbench.checks import at_least, between
from tsbench.errors import DrawingFailed, UserError
from tsbench.methods.base import Method, Snippet
from tsbench.methods.taylor_seer import wrapped_modules
from tsbench.schedule import always_skipping

FLUX_BLOCKS = (19, 38)  # diffusers ships ratios for models of this architecture


@dataclass
class MagCache(Method):
    """The residual of all blocks is reused while the error expected from the ratios of its magnitudes is small.

    Without ratios those that diffusers ships are taken for FLUX.1, and any other model is calibrated: every image of
    the workload is drawn in full, and the mean of their ratios is kept with the cell.
    """

    name: str = "mag_cache"
    threshold: float = 0.06
    max_skip_steps: int = 3
    retention_ratio: float = 0.2
    mag_ratios: list[float] | None = None
    title: ClassVar[str] = "MagCache (diffusers)"
    label_format: ClassVar[str] = "thr {threshold:.12g}"
    compiled_note: ClassVar[str] = "diffusers keeps torch.compile off the blocks under this cache"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "ratios of magnitudes that are measured on the model"

    def check(self, steps: int) -> None:
        at_least("method.threshold", self.threshold, 0, 0.06, "an accumulated error")
        at_least("method.max_skip_steps", self.max_skip_steps, 0, 3)
        between("method.retention_ratio", self.retention_ratio, 0, 1, 0.2, "a share of the steps")
        if self.mag_ratios is not None and not all(0 < ratio < math.inf for ratio in self.mag_ratios or [0]):
            raise UserError(
                f"method.mag_ratios is {self.mag_ratios}, but must be ratios above 0, stretched over the steps by "
                "diffusers, or null to calibrate; try method.mag_ratios=null."
            )

    def promised_schedule(self, steps: int) -> str | None:
        """diffusers' rule (0.42, hooks/mag_cache.py), once the ratios are known."""
        if self.mag_ratios is None:
            return None
        from diffusers import MagCacheConfig

        config = MagCacheConfig(num_inference_steps=steps, **self.parameters())
        letters, ratio, error, skipped = "", 1.0, 0.0, 0
        for step in range(steps):
            if step >= self._retained(steps):
                ratio = ratio * config.mag_ratios[step]
                error, skipped = error + abs(1.0 - ratio), skipped + 1
                if step > 0 and error <= self.threshold and skipped <= self.max_skip_steps:
                    letters += "."
                    continue
                ratio, error, skipped = 1.0, 0.0, 0
            letters += "C"
        return letters

    def fewest_computed(self, steps: int) -> str:
        return always_skipping(steps, max(1, self._retained(steps)), self.max_skip_steps)

    def _retained(self, steps: int) -> int:
        return int(self.retention_ratio * steps + 0.5)

    def condensed(self, steps: int) -> tuple[Method, int]:
        most = MagCache.max_skip_steps
        short = replace(self, threshold=1.0, retention_ratio=0.0, max_skip_steps=most, mag_ratios=[1.0, 1.0])
        return short, 2

    def for_architecture(self, architecture: Mapping[str, Any]) -> MagCache:
        blocks = architecture["num_layers"], architecture["num_single_layers"]
        if self.mag_ratios is not None or blocks != FLUX_BLOCKS:
            return self
        from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

        return replace(self, mag_ratios=FLUX_MAG_RATIOS.tolist())

    def calibrator(self) -> Any:
        return RatioCalibrator() if self.mag_ratios is None else None

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import MagCacheConfig

        pipeline.transformer.enable_cache(MagCacheConfig(num_inference_steps=steps, **self.parameters()))

    def snippet(self, steps: int) -> Snippet:
        ratios = repr(self.mag_ratios)
        return self.cache_snippet("MagCacheConfig", num_inference_steps=str(steps), mag_ratios=ratios)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        return f"{cls.title}, up to {parameters['max_skip_steps']} skipped"


@dataclass
class RatioCalibrator(Method):
    """Sums up the ratios of every step over all images, as diffusers' own hook measures them."""

    name: str = "mag_cache"
    sums: list[float] = field(default_factory=list)
    images: int = 0

    def enable(self, pipeline: Any, steps: int) -> None:
        from diffusers import MagCacheConfig

        # One step more than are drawn: after the last one diffusers prints the ratios and forgets them.
        pipeline.transformer.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=steps + 1))
        last = wrapped_modules(pipeline.transformer, "blocks")[-1]
        tail = last._diffusers_hook.get_hook("mag_cache_block_hook")
        measure = tail._perform_calibration_step

        def measured(state: Any, residual: Any) -> None:
            measure(state, residual)
            step, images = len(state.calibration_ratios) - 1, len(residual)
            self.images += images if step == 0 else 0
            self.sums += [0.0] * (step + 1 - len(self.sums))
            self.sums[step] += images * state.calibration_ratios[-1]

        tail._perform_calibration_step = measured

    def measured(self) -> dict[str, Any]:
        """The means over the images."""
        if not self.sums:
            raise DrawingFailed("the images that are to give mag_ratios have left none")
        return {"mag_ratios": [total / self.images for total in self.sums]}
