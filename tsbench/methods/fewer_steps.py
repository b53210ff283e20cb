"""The control that needs no cache: the same images in fewer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tsbench.errors import UserError
from tsbench.methods.base import Method


@dataclass
class FewerSteps(Method):
    """All steps computed, but fewer of them; the reference keeps the workload's number."""

    name: str = "fewer_steps"
    num_inference_steps: int = 14
    title: ClassVar[str] = "Fewer steps"

    def check(self, steps: int) -> None:
        if not 1 <= self.num_inference_steps <= steps:
            raise UserError(
                f"method.num_inference_steps is {self.num_inference_steps}, but must be from 1 to {steps}, the steps "
                f"of the reference; try method.num_inference_steps={max(1, steps // 2)}."
            )

    def drawn_steps(self, steps: int) -> int:
        return self.num_inference_steps

    def snippet(self, steps: int) -> tuple[list[str], list[str]]:
        return [], []

    @classmethod
    def point(cls, settings: dict[str, Any]) -> str:
        return f"{settings['num_inference_steps']} steps"
