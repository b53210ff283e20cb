"""Caching methods, one a file. Adding one: a file here, a line in `DIFFUSERS`, a YAML in conf/method/.

Packages add theirs by entry points of the group `tsbench.methods` (docs/plugins.md).
"""

from importlib.metadata import EntryPoint, entry_points

from tsbench.errors import UserError
from tsbench.methods.auto import Auto
from tsbench.methods.base import Method
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.faster_cache import FasterCache
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.first_block_cache import FirstBlockCache
from tsbench.methods.mag_cache import MagCache
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.pyramid_attention_broadcast import PyramidAttentionBroadcast
from tsbench.methods.sea_cache import SeaCache
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial

DIFFUSERS: tuple[type[Method], ...] = (
    Method,
    FewerSteps,
    TaylorSeer,
    TaylorSeerOfficial,
    FirstBlockCache,
    MagCache,
    PyramidAttentionBroadcast,
    FasterCache,
    SeaCache,
    CacheDit,
    TaylorSeerDecorator,
    Auto,
)


def _plugged_in() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="tsbench.methods")}


def _loaded(entry: EntryPoint) -> type[Method]:
    """The method of another package.

    Raises:
        UserError: where it does not import, is not a method, or has the name of another.
    """
    package = entry.dist.name if entry.dist else entry.value
    try:
        method = entry.load()
    except Exception as error:
        raise UserError(
            f"The method {entry.name!r} of the package {package!r} does not import ({type(error).__name__}: {error}); "
            f"fix it, or type pip uninstall {package}."
        ) from error
    is_method = isinstance(method, type) and issubclass(method, Method) and method.name == entry.name
    if not is_method or entry.name in {own.name for own in DIFFUSERS}:
        raise UserError(
            f"The entry point {entry.name!r} of the package {package!r} has to be a subclass of tsbench.methods.Method "
            f"with the same name, which no method of tsbench has; fix it, or type pip uninstall {package}."
        )
    return method


PLUGINS = {name: _loaded(entry) for name, entry in _plugged_in().items()}
METHODS: dict[str, dict[str, type[Method]]] = {  # by backend, by name
    "diffusers": {method.name: method for method in DIFFUSERS} | PLUGINS,
    "openvino": {method.name: method for method in (Method, FewerSteps, OpenVinoTaylorSeer)},
}


def method_class(backend: str, name: str) -> type[Method]:
    """The method of a name; where the backend lacks it, diffusers': cells of it are skipped.

    Raises:
        UserError: where no installed package has it.
    """
    found = METHODS[backend].get(name) or METHODS["diffusers"].get(name)
    if found is None:
        raise UserError(
            f"The method {name!r} comes from a package that is not installed here; install it, or leave these results "
            "to a machine that has it."
        )
    return found


__all__ = ["METHODS", "PLUGINS", "Method", "method_class"]
