"""Which steps really compute: counted below everything that a cache has hooked, never taken from its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from torch import nn
from torch._dynamo.decorators import skip

from tsbench.drawing.hooks import Calls, enabled, hook_registry, hooked_modules, replaced_calls
from tsbench.errors import DrawingFailed
from tsbench.forecast import STATE
from tsbench.methods.base import Method


@contextmanager
def probed(method: Method, pipeline: Any, steps: int, enable: Callable[[Any, int], None]) -> Iterator[ScheduleProbe]:
    """A method on a pipeline with a probe that counts; arguments and errors are those of `enabled`.

    Raises:
        DrawingFailed: also where it has computed no step in full, or not the first one.
    """
    with enabled(method, pipeline, steps, enable) as before:
        probe = ScheduleProbe(pipeline.transformer, before)
        with probe.watching():
            yield probe
    _check_computes(probe.schedule)


def _check_computes(schedule: str) -> None:
    if "C" not in schedule:
        raise DrawingFailed("no step was computed in full: a module that the cache hooks lies inside another one")
    if schedule[0] != "C":
        raise DrawingFailed(f"the first step was not computed ({schedule}): it took what was kept of another image")


class ScheduleProbe:
    """Writes down, a letter per step, whether everything that can be skipped was computed.

    Watched are the modules that caches of diffusers or of tsbench have hooked, or else all blocks, whose every call
    counts. Where a method has replaced a call by itself, what has weights below it is watched too: in a computed step
    runs what ran in the first one.
    """

    def __init__(self, model: nn.Module, before: Calls) -> None:
        """Look at a model on which a method is enabled.

        Args:
            model: the transformer.
            before: its `calls` before the method was enabled.

        Raises:
            DrawingFailed: if the method has replaced calls in compiled code, which watching would take apart.
        """
        hooked = hooked_modules(model)
        blocks = [block for child in model.children() if isinstance(child, nn.ModuleList) for block in child]
        replaced = [module for module in replaced_calls(before) if module not in (model, *hooked)]
        within = [part for m in replaced for part in m.modules() if any(True for _ in part.parameters(recurse=False))]
        if within and any(block._compiled_call_impl is not None for block in blocks):
            raise DrawingFailed(
                "in compiled blocks it cannot be seen which steps a method computes that replaces calls by itself; "
                "draw it with runtime.compile=false"
            )
        self.watched = list(dict.fromkeys([*(hooked or blocks), *within]))
        self.needed = set(range(len(hooked or blocks)))  # in a computed step
        self.ran: set[int] = set()
        self.letters: list[str] = []

    @property
    def schedule(self) -> str:
        return "".join(self.letters)

    def end_step(self) -> None:
        """To be called after every denoising step."""
        if not self.letters:
            self.needed |= self.ran
        self.letters.append("C" if self.ran >= self.needed else ".")
        self.ran.clear()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the context lasts. To be left before the cache is disabled."""
        undo: list[Callable[[], Any]] = []
        try:
            for number, module in enumerate(self.watched):
                undo.append(self._watch(number, *innermost(module)))
            yield
        finally:
            for step in undo:
                step()

    def _watch(self, number: int, holder: Any, name: str) -> Callable[[], Any]:
        inner, own = getattr(holder, name), name in vars(holder)

        @wraps(inner)
        @skip  # so that a compiled module below stays in one piece
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.ran.add(number)
            return inner(*args, **kwargs)

        setattr(holder, name, counted)
        return lambda: setattr(holder, name, inner) if own else delattr(holder, name)


def innermost(module: nn.Module) -> tuple[Any, str]:
    """Where the forward lies, as object and attribute, that a cache on a module calls to compute, below all hooks."""
    if STATE in module.__dict__:
        return module.__dict__[STATE], "original"
    if getattr(hook_registry(module), "hooks", None):
        reference = hook_registry(module)._fn_refs[0]
        return reference, "original_forward" if reference.original_forward is not None else "forward"
    return module, "forward"
