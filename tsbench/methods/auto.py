"""Step-size control: the method decides by itself, from its own errors, when to compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import at_least, between, positive
from tsbench.methods.base import Method
from tsbench.schedule import always_skipping


@dataclass
class Auto(Method):
    """Forecasts the transformer's output with TaylorSeer's factors, and computes when the error is due.

    When a step is computed after a gap of k, the forecast for it is known too, and with it the relative error
    e = |y - y_forecast| / |y|. The error of an order-p forecast grows about as k^(p + 1), so the next gap is
    floor(k (tolerance / e)^(1 / (p + 1))), held between 1 and `max_gap`: the step-size control of ODE solvers (Hairer,
    Norsett and Wanner, 1993, section II.4). The first `max_order` + 2 steps and the last are computed.
    """

    name: str = "auto"
    tolerance: float = 0.2
    max_order: int = 1
    max_gap: int = 8
    title: ClassVar[str] = "auto (tsbench)"
    label_format: ClassVar[str] = "tol {tolerance:.12g}"
    data_driven: ClassVar[bool] = True
    decides_by: ClassVar[str] = "the errors of its forecasts"

    def check(self, steps: int) -> None:
        positive("method.tolerance", self.tolerance, 0.2, "a relative error")
        between("method.max_order", self.max_order, 1, 2, 1)
        at_least("method.max_gap", self.max_gap, 1, 8)

    def fewest_computed(self, steps: int) -> str:
        return always_skipping(steps - 1, self.max_order + 2, self.max_gap - 1) + "C"

    def enable(self, pipeline: Any, steps: int) -> None:
        from tsbench.forecast import step_size_control

        step_size_control(pipeline.transformer, steps, self.tolerance, self.max_order, self.max_gap)

    def enable_for_counting(self, pipeline: Any, steps: int) -> None:
        from tsbench.forecast import taylor_seer

        taylor_seer(self.max_order + 1, steps, self.max_order)(pipeline.transformer)

    def condensed(self, steps: int) -> tuple[Method, int]:
        return replace(self, tolerance=Auto.tolerance, max_gap=Auto.max_gap), self.max_order + 2

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        order = "" if parameters["max_order"] == 1 else f", order {parameters['max_order']}"
        gap = "" if parameters["max_gap"] == 8 else f", gaps up to {parameters['max_gap']}"
        return f"{cls.title}{order}{gap}"
