"""The control that needs no cache: the same prompts and noise in fewer steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tsbench.checks import between
from tsbench.methods.base import Method, Snippet


@dataclass
class FewerSteps(Method):
    """All steps computed, but fewer of them; the reference keeps the workload's number."""

    name: str = "fewer_steps"
    num_inference_steps: int | None = None  # half of the reference's
    title: ClassVar[str] = "Fewer steps"
    label_format: ClassVar[str] = "{num_inference_steps} steps"

    def check(self, steps: int) -> None:
        drawn = self.drawn_steps(steps)
        between("method.num_inference_steps", drawn, 1, steps, max(1, steps // 2), "the steps of the reference")

    def resolved(self, steps: int) -> dict[str, Any]:
        return {"num_inference_steps": self.drawn_steps(steps)}

    def drawn_steps(self, steps: int) -> int:
        return max(1, steps // 2) if self.num_inference_steps is None else self.num_inference_steps

    def condensed(self, steps: int) -> tuple[Method, int]:
        return (Method() if type(self) is FewerSteps else self), 1

    def snippet(self, steps: int) -> Snippet:
        return Snippet()
