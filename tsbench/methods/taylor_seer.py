"""tsbench's own forecaster as a method: whole blocks or the whole transformer, with any schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tsbench.checks import EVERY_STEP, at_least, between, one_of, step_map, taylor_order
from tsbench.errors import UserError
from tsbench.methods.base import Method
from tsbench.paths import expanded
from tsbench.schedule import formable_order, official_taylorseer

WRAPS = ("blocks", "transformer")


@dataclass
class TaylorSeerDecorator(Method):
    """`tsbench.taylor_seer` on every block or on the transformer: attention and feed-forward are both skipped."""

    name: str = "taylor_seer"
    warmup_steps: int = 3
    skip_interval_steps: int = 5
    n_derivatives: int = 1
    step_map: str | None = None
    wrap: str = "transformer"
    title: ClassVar[str] = "taylor_seer (tsbench)"

    def check(self, steps: int) -> None:
        one_of("method.wrap", self.wrap, WRAPS)
        taylor_order("method.n_derivatives", self.n_derivatives, steps)
        if self.step_map is not None:
            written = _written(self.step_map)
            step_map("method.step_map", self.step_map, written, steps, "a file with them")
            self.step_map = written  # from here on: a file may change while the sweep that named it draws
            return
        at_least("method.skip_interval_steps", self.skip_interval_steps, 1, 5, EVERY_STEP)
        between("method.warmup_steps", self.warmup_steps, 1, steps, min(3, steps), "the first step has to be computed")

    def resolved(self, steps: int) -> dict[str, Any]:
        """The map takes the place of the rule, so only one of the two is part of what is computed."""
        if self.step_map is None:
            return self.parameters()
        return self.parameters() | {"warmup_steps": None, "skip_interval_steps": None}

    def promised_schedule(self, steps: int) -> str:
        if self.step_map is not None:
            return self.step_map
        return official_taylorseer(steps, self.warmup_steps, self.skip_interval_steps)

    def condensed(self, steps: int) -> tuple[Method, int]:
        order = formable_order(self.n_derivatives, self.promised_schedule(steps))
        short = "C" * (order + 1) + "."
        return replace(self, n_derivatives=order, step_map=short, warmup_steps=1, skip_interval_steps=1), len(short)

    def enable(self, pipeline: Any, steps: int) -> None:
        from tsbench.forecast import taylor_seer

        computed = [letter == "C" for letter in self.promised_schedule(steps)]
        for module in wrapped_modules(pipeline.transformer, self.wrap):
            taylor_seer(1, 1, self.n_derivatives)(module).reset_cache(compute_step_map=computed)

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        order = "" if parameters["n_derivatives"] == 1 else f", order {parameters['n_derivatives']}"
        rule = "maps" if parameters["step_map"] else f"warm-up {parameters['warmup_steps']}"
        return f"{cls.title}, {parameters['wrap']}, {rule}{order}"

    @classmethod
    def label(cls, parameters: dict[str, Any]) -> str:
        if parameters["step_map"]:
            return parameters["step_map"]
        return f"N={parameters['skip_interval_steps']}"


def _written(given: str) -> str:
    """A step map as letters, read from a file where it is the name of one."""
    if not set(given) - set("C."):
        return given
    path = expanded(given)
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"method.step_map is {given!r}, which cannot be read as a text file "
            f"({type(error).__name__}); give one letter per step, such as method.step_map=CCC..C."
        ) from error


def wrapped_modules(transformer: Any, wrap: str) -> list[Any]:
    """The transformer itself, or its blocks."""
    if wrap == "transformer":
        return [transformer]
    return [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
