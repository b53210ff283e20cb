"""What a method has put on a model: found, added up, and undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from tsbench.drawing.surroundings import restore_surroundings, surroundings
from tsbench.errors import DrawingFailed
from tsbench.forecast import STATE, unwrap
from tsbench.methods.base import Method
from tsbench.titles import counted


@dataclass
class Call:
    """What a call of a module runs: its forward, its parts, diffusers' attention processor, and torch's hooks."""

    inner: Any  # the forward, below what accelerate offloads by
    outer: Any  # the forward around accelerate's own, where there is another
    parts: dict[str, Any]
    processor: Any
    pre_hooks: dict[int, Any]
    hooks: dict[int, Any]
    forward: Any = field(compare=False)  # to put back; accelerate replaces its own after every image

    @classmethod
    def of(cls, module: nn.Module) -> Call:
        inner: Any = module.forward
        outer = None
        if hasattr(module, "_hf_hook"):
            inner = module._old_forward
            outer = None if getattr(module.forward, "__wrapped__", None) == inner else module.forward
        return cls(
            inner=inner,
            outer=outer,
            parts=dict(module._modules),
            processor=getattr(module, "processor", None),
            pre_hooks=dict(module._forward_pre_hooks),
            hooks=dict(module._forward_hooks),
            forward=module.forward,
        )

    def restore(self, module: nn.Module) -> None:
        if hasattr(module, "_hf_hook"):
            module._old_forward = self.inner
        module.forward = self.forward
        if self.processor is not None:
            module.processor = self.processor
        for name, kept in (
            ("_modules", self.parts), ("_forward_pre_hooks", self.pre_hooks), ("_forward_hooks", self.hooks),
        ):  # fmt: skip
            place = getattr(module, name)
            place.clear()
            place.update(kept)


Calls = dict[nn.Module, Call]


def hooked_modules(model: nn.Module) -> list[nn.Module]:
    """The modules that a cache has taken hold of: by a hook of diffusers or by a forecaster of tsbench."""
    return [m for m in model.modules() if getattr(hook_registry(m), "hooks", None) or STATE in m.__dict__]


def hook_registry(module: nn.Module) -> Any:
    """diffusers' registry of the hooks on a module, or None."""
    return getattr(module, "_diffusers_hook", None)


def check_hooked(model: nn.Module, method: Method, steps: int, before: Calls) -> None:
    """Raise `DrawingFailed` where a cache that skips steps, or decides while it draws, has taken hold of nothing.

    Args:
        model: with the method enabled.
        method: of the run.
        steps: of the reference.
        before: the model's `calls` before the method was enabled.
    """
    skips = "." in (method.promised_schedule(steps) or ".")
    if skips and not hooked_modules(model) and not method.states(model) and not replaced_calls(before):
        raise DrawingFailed("the cache found no module of this model to hook")


def states_of(module: nn.Module) -> list[Any]:
    """What the caches on a module keep: the states of its hooks, and its forecaster's series."""
    found = [module.__dict__[STATE].series] if STATE in module.__dict__ else []
    for hook in getattr(hook_registry(module), "hooks", {}).values():
        managers = [value for value in vars(hook).values() if hasattr(value, "_state_cache")]
        found += [state for manager in managers for state in manager._state_cache.values()]
        found += [hook.state] if hasattr(hook, "state") else []
    return found


def cached_bytes(model: nn.Module, method: Method) -> int | None:
    """What a method keeps on a model at present, in bytes: every tensor in its states once; None if it does not say."""
    hooked, kind = hooked_modules(model), type(method)
    if not hooked and kind.enable is not Method.enable and kind.states is Method.states:
        return None
    states = [state for module in hooked for state in states_of(module)] + method.states(model)
    return sum(tensor.nbytes for tensor in _tensors(states, set()))


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """The tensors in nested containers and in the attributes of plain objects, once each.

    Args:
        value: any.
        seen: the identities of what was looked into already.
    """
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _tensors(member, seen)
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for member in value:
            yield from _tensors(member, seen)
    elif hasattr(value, "__dict__") and not callable(value):
        yield from _tensors(vars(value), seen)


def remove_hooks(model: nn.Module) -> int:
    """Take away what a cache left behind, as one does whose enabling failed; the number of modules that had some."""
    modules = hooked_modules(model)
    for module in modules:
        unwrap(module)
        registry = hook_registry(module)
        for name in list(getattr(registry, "hooks", {})):
            registry.remove_hook(name, recurse=False)
    return len(modules)


def calls(model: nn.Module) -> Calls:
    """What a call of each module runs at present."""
    return {module: Call.of(module) for module in model.modules()}


def replaced_calls(before: Calls) -> list[nn.Module]:
    """The modules whose calls run something else than before."""
    return [module for module, call in before.items() if Call.of(module) != call]


def restore_calls(model: nn.Module, before: Calls) -> list[str]:
    """Make calls run again what they ran before; the names of the modules whose calls ran something else."""
    changed = set(replaced_calls(before))
    for module in changed:
        before[module].restore(module)
    return [name or "the transformer itself" for name, module in model.named_modules() if module in changed]


@contextmanager
def enabled(method: Method, pipeline: Any, steps: int, enable: Callable[[Any, int], None]) -> Iterator[Calls]:
    """A method on a pipeline, its state fresh, and away from it again at the end, with whatever it leaves behind.

    Args:
        method: to be enabled.
        pipeline: whose transformer it takes hold of.
        steps: of the reference.
        enable: the method's `enable`, or `enable_for_counting`.

    Yields:
        The transformer's `calls` before.

    Raises:
        DrawingFailed: if the method has found nothing to hook, or has not undone what it did; what fails in between
            comes first.
    """
    model = pipeline.transformer
    before, around = calls(model), surroundings()
    try:
        enable(pipeline, steps)
        if set_otherwise := restore_surroundings(around):
            raise DrawingFailed(f"the method set {'; '.join(set_otherwise)}, and what that gains is not the cache's")
        check_hooked(model, method, steps, before)
        model._reset_stateful_cache()
        yield before
    except BaseException:
        with suppress(Exception):  # what failed first is the reason
            _undo(method, pipeline, before, around)
        raise
    _undo(method, pipeline, before, around)


def _undo(method: Method, pipeline: Any, before: Calls, around: dict[str, Any]) -> None:
    """Disable a method and what it leaves behind; raise `DrawingFailed` if that is something."""
    model = pipeline.transformer
    try:
        model._reset_stateful_cache()
        method.disable(pipeline)
    finally:
        hooked = remove_hooks(model)
        changed = restore_calls(model, before)
        left = restore_surroundings(around)
    if hooked:
        raise DrawingFailed(f"{counted(hooked, 'module')} still had hooks of the cache after disabling it")
    if changed:
        left.insert(0, f"another forward, part or hook on {counted(len(changed), 'module')}, such as {changed[0]}")
    if left:
        raise DrawingFailed(f"the method's disable has not undone its enable: it left {'; '.join(left)}")
