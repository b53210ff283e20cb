"""tsbench: speed against quality of caching methods for diffusion transformers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsbench.forecast import taylor_seer
    from tsbench.results import load

__all__ = ["load", "taylor_seer"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`taylor_seer` and `load`, imported when they are asked for: the command line stays quick."""
    modules = {"taylor_seer": "tsbench.forecast", "load": "tsbench.results"}
    if name not in modules:
        raise AttributeError(f"module 'tsbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(modules[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
