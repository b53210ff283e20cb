"""The control that needs no cache: the same prompts and noise in fewer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tsbench.checks import between
from tsbench.methods.base import Method


@dataclass
class FewerSteps(Method):
    """All steps computed, but fewer of them; the reference keeps the workload's number."""

    name: str = "fewer_steps"
    num_inference_steps: int = 14
    title: ClassVar[str] = "Fewer steps"
    label_format: ClassVar[str] = "{num_inference_steps} steps"

    def check(self, steps: int) -> None:
        example = max(1, steps // 2)
        between(
            "method.num_inference_steps", self.num_inference_steps, 1, steps, example, ", the steps of the reference"
        )

    def drawn_steps(self, steps: int) -> int:
        return self.num_inference_steps

    def condensed(self) -> tuple[Method, int]:
        return Method(), 1

    def snippet(self, steps: int) -> tuple[list[str], list[str]]:
        return [], []
