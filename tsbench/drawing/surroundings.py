"""Torch's settings of the whole process by which times and images differ: a method is to leave them as they were."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch

FUNCTIONS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "get_num_threads()": (torch.get_num_threads, torch.set_num_threads),
    "get_default_dtype()": (torch.get_default_dtype, torch.set_default_dtype),
}
ATTRIBUTES = (
    "backends.cuda.matmul.fp32_precision",
    "backends.mkldnn.matmul.fp32_precision",
    "backends.cudnn.conv.fp32_precision",
    "backends.cudnn.benchmark",
    "backends.cudnn.deterministic",
)


def surroundings() -> dict[str, Any]:
    """The settings by name, below `torch`."""
    by_function = {name: now() for name, (now, _) in FUNCTIONS.items()}
    return by_function | {name: attrgetter(name)(torch) for name in ATTRIBUTES}


def restore_surroundings(before: dict[str, Any]) -> list[str]:
    """Set them to what they were; each that was otherwise, as text."""
    changed = {name: now for name, now in surroundings().items() if now != before[name]}
    for name in changed:
        if name in FUNCTIONS:
            FUNCTIONS[name][1](before[name])
        else:
            place, _, attribute = name.rpartition(".")
            setattr(attrgetter(place)(torch), attribute, before[name])
    return [f"torch.{name} at {now!r} (it was {before[name]!r})" for name, now in changed.items()]
