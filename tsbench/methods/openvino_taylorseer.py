"""TaylorSeer Lite as OpenVINO GenAI ships it (`openvino_genai.TaylorSeerCacheConfig`, 2026.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tsbench.checks import at_least
from tsbench.methods.base import Method
from tsbench.schedule import openvino_taylorseer


@dataclass
class OpenVinoTaylorSeer(Method):
    """The transformer's whole output is forecast in a straight line. Names and defaults are OpenVINO GenAI's."""

    name: str = "taylorseer"
    cache_interval: int = 3
    disable_cache_before_step: int = 6
    disable_cache_after_step: int = -2
    title: ClassVar[str] = "TaylorSeer Lite (OpenVINO)"
    label_format: ClassVar[str] = "N={cache_interval}"
    equivalent_parameters: ClassVar[dict[str, Any]] = {"use_lite_mode": True, "max_order": 1}

    def check(self, steps: int) -> None:
        at_least("method.cache_interval", self.cache_interval, 2, 3, "OpenVINO GenAI accepts no less")
        at_least("method.disable_cache_before_step", self.disable_cache_before_step, 0, 6)

    def resolved(self, steps: int) -> dict[str, Any]:
        after = self.disable_cache_after_step
        return self.parameters() | {
            "disable_cache_before_step": max(2, self.disable_cache_before_step),
            "disable_cache_after_step": after - steps if 0 <= after < steps else min(after, steps),
        }

    def promised_schedule(self, steps: int) -> str:
        return openvino_taylorseer(
            steps, self.cache_interval, self.disable_cache_before_step, self.disable_cache_after_step
        )

    def condensed(self, steps: int) -> tuple[Method, int]:
        return OpenVinoTaylorSeer(), 3

    def enable_for_counting(self, pipeline: Any, steps: int) -> None:
        from tsbench.forecast import taylor_seer

        taylor_seer(2, steps, n_derivatives=1)(pipeline.transformer)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        after = parameters["disable_cache_after_step"]
        return f"{cls.title}, warm-up {parameters['disable_cache_before_step']}, after {after}"
