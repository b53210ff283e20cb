"""What a caching method is to the rest of tsbench."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from tsbench.schedule import always_skipping


class Snippet(NamedTuple):
    """Python that applies a method: imports, and lines before and after an image is drawn."""

    imports: Sequence[str] = ()
    before: Sequence[str] = ()
    after: Sequence[str] = ()


def code(value: Any) -> str:
    """A parameter as Python."""
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)


def keywords(arguments: Mapping[str, Any]) -> str:
    """Keyword arguments as Python."""
    return ", ".join(f"{name}={code(value)}" for name, value in arguments.items())


@dataclass
class Method:
    """How steps are saved. A subclass is a Hydra config: its fields are the overrides `method.FIELD`.

    A method changes a pipeline in `enable` and leaves it as it was in `disable`; nothing else of it runs while
    images are timed. Every image has a copy of its own, made of the fields. This base class is the method that saves
    nothing.
    """

    name: str = "none"
    title: ClassVar[str] = "Full compute"
    label_format: ClassVar[str] = ""  # of the label of a cell, with the parameters by name
    decides_by: ClassVar[str] = ""  # what the steps to compute depend on, where no rule promises them
    data_driven: ClassVar[bool] = False  # they depend on what the model computes: with random weights they mean nothing
    compiled_note: ClassVar[str] = ""  # what is to be known of its cells with runtime.compile=true
    equivalent_parameters: ClassVar[dict[str, Any]] = {}  # of its namesake on another backend, that make it this one

    def __init_subclass__(cls) -> None:
        """Keep a subclass from inheriting the reference's title and its promise to compute every step."""
        if "title" not in vars(cls):
            cls.title = cls.name
        promises = cls.promised_schedule is not Method.promised_schedule or cls.drawn_steps is not Method.drawn_steps
        if not (promises or cls.decides_by):
            cls.decides_by = "code that promises no schedule"

    @classmethod
    def missing(cls) -> str | None:
        """Why nothing can be drawn with it here, and what to type; None if all is there."""
        return None

    def check(self, steps: int) -> None:
        """Raise `UserError` for parameters that cannot run with so many steps."""

    def resolved(self, steps: int) -> dict[str, Any]:
        """The parameters, resolved so that two spellings of the same computation are equal. Part of a cell's key."""
        return self.parameters()

    def parameters(self) -> dict[str, Any]:
        """The fields as they were given, without the name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init and field.name != "name"}

    def promised_schedule(self, steps: int) -> str | None:
        """The steps that the method's own rule computes; None if it decides while drawing."""
        return None if self.decides_by else "C" * self.drawn_steps(steps)

    def fewest_computed(self, steps: int) -> str:
        """The schedule with the fewest computed steps that the limits allow, for a method without a rule."""
        return always_skipping(steps, 1, steps)

    def drawn_steps(self, steps: int) -> int:
        """How many denoising steps the method draws where the reference draws `steps`."""
        return steps

    def condensed(self, steps: int) -> tuple[Method, int]:
        """The shortest run that shows what the method's steps cost, and what it keeps.

        Args:
            steps: of the run that it stands for, which may be too short for a series of the method's order.

        Returns:
            The same method, set to skip as early as it can, so that settings whose steps cost the same are equal; and
            the number of steps of the shortest run that has a skipped one.
        """
        return self, 1

    def enable(self, pipeline: Any, steps: int) -> None:
        """Apply the method to a diffusers pipeline that is about to draw an image of so many steps."""

    def enable_for_counting(self, pipeline: Any, steps: int) -> None:
        """`enable` for a run on tensors without data, in which all but the first steps are to be forecast."""
        self.enable(pipeline, steps)

    def for_architecture(self, architecture: Mapping[str, Any]) -> Method:
        """The method with the parameters that are known beforehand of a transformer of this configuration.

        Raises:
            UserError: if it cannot run with the parameters that it has.
        """
        return self

    def calibrator(self) -> Any:
        """A method that measures parameters of this one on the model; None if there is nothing to measure.

        It draws every image of a workload once, in full. Then its `measured()` gives the parameters by name, which
        depend on the model and the workload alone, or raises `DrawingFailed`.
        """
        return None

    def disable(self, pipeline: Any) -> None:
        """Undo `enable`."""
        from tsbench.forecast import unwrap

        if pipeline.transformer.is_cache_enabled:
            pipeline.transformer.disable_cache()
        for module in pipeline.transformer.modules():
            unwrap(module)

    def states(self, transformer: Any) -> list[Any]:
        """What it keeps on a transformer between steps, beside states of diffusers' hooks and of `taylor_seer`."""
        return []

    def cache_snippet(self, config: str, **more: str) -> Snippet:
        """The `snippet` of a cache of diffusers.

        Args:
            config: the name of its configuration, which takes the parameters.
            more: arguments that are code; an empty text leaves a parameter out.
        """
        values = {name: code(tuple(v) if isinstance(v, list) else v) for name, v in self.parameters().items()} | more
        given = ", ".join(f"{name}={text}" for name, text in values.items() if text)
        return Snippet([f"from diffusers import {config}"], [f"pipe.transformer.enable_cache({config}({given}))"])

    def snippet(self, steps: int) -> Snippet:
        """Python that draws with the method on a pipeline `pipe`."""
        if not self.parameters():
            return Snippet()
        kind = type(self)
        given = keywords(self.parameters())
        return Snippet(
            [f"from {kind.__module__} import {kind.__name__}"],
            [f"method = {kind.__name__}({given})", f"method.enable(pipe, {steps})"],
            ["method.disable(pipe)  # and enable it again for the next image"],
        )

    @classmethod
    def series(cls, parameters: dict[str, Any]) -> str:
        """The name, in plots and tables, of the settings that differ only in how much is skipped."""
        return cls.title

    @classmethod
    def label(cls, parameters: dict[str, Any]) -> str:
        """What tells a cell from the others of its series, short enough for a plot."""
        return cls.label_format.format(**parameters)

    @classmethod
    def series_and_label(cls, parameters: dict[str, Any]) -> tuple[str, str]:
        """Both, the series with every parameter that is not at its default and that neither of them speaks of.

        Of a cell with parameters that the method does not have, drawn by other code: the title, and all of them.
        """
        defaults = json.loads(json.dumps(cls().parameters()))  # tuples as the lists that cells keep
        if parameters.keys() - defaults.keys():
            return cls.title, ", ".join(f"{name}={value}" for name, value in parameters.items() if value is not None)
        parameters = defaults | parameters  # a cell may be older than a parameter
        names = cls.series(parameters), cls.label(parameters)
        unsaid = []
        for name, value in sorted(parameters.items()):
            default = parameters | {name: defaults.get(name)}
            if value not in (None, defaults.get(name)) and (cls.series(default), cls.label(default)) == names:
                unsaid.append(f"{name}={value}")
        return ", ".join([names[0], *unsaid]), names[1]

    @classmethod
    def full_name(cls, parameters: dict[str, Any]) -> str:
        """The series and the label: no two settings have the same."""
        return ", ".join(filter(None, cls.series_and_label(parameters)))
