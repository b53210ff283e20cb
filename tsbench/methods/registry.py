"""All methods by name. Adding one: a file here, a line in `DIFFUSERS`, a YAML in conf/method/.

Packages add theirs by entry points of the group `tsbench.methods` (docs/plugins.md), and are imported with this module.
"""

import json
from importlib.metadata import EntryPoint, entry_points

from tsbench.errors import UserError, first_line
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


def _loaded(entry: EntryPoint) -> type[Method]:
    """The method of another package.

    Raises:
        UserError: if it does not import, is not a method, has the name of another, or cannot be configured.
    """
    from omegaconf import OmegaConf

    try:
        method = entry.load()
    except (Exception, SystemExit) as error:
        raise UserError(_unusable(entry, f"does not import ({first_line(error)})")) from error
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise UserError(_unusable(entry, "is no subclass of tsbench.methods.Method"))
    try:
        fresh = method()
        parameters = fresh.parameters()
        json.dumps(parameters)
        OmegaConf.structured(method)
        method.full_name(parameters)
    except Exception as error:
        raise UserError(_unusable(entry, f"does not work with its defaults ({first_line(error)})")) from error
    if fresh.name != entry.name:
        wrong = f"has the name {fresh.name!r}, but must have its entry point's in a field `name`"
        raise UserError(_unusable(entry, wrong))
    if method.enable is Method.enable and method.drawn_steps is Method.drawn_steps:
        raise UserError(_unusable(entry, "defines neither enable(pipeline, steps) nor drawn_steps(steps)"))
    if entry.name in {own.name for own in DIFFUSERS}:
        raise UserError(_unusable(entry, "has the name of a method of tsbench"))
    return method


def _unusable(entry: EntryPoint, wrong: str) -> str:
    package = entry.dist.name if entry.dist else entry.value
    return f"The method {entry.name!r} of the package {package!r} {wrong}; fix it, or type pip uninstall {package}."


def _plugins() -> tuple[dict[str, type[Method]], dict[str, str]]:
    """The methods of other packages by name, and why the others cannot be used."""
    usable, broken = {}, {}
    for entry in entry_points(group="tsbench.methods"):
        try:
            if entry.name in usable:
                raise UserError(_unusable(entry, "has the name of a method of another package"))
            usable[entry.name] = _loaded(entry)
        except UserError as error:
            broken[entry.name] = str(error)
    return usable, broken


PLUGINS, BROKEN = _plugins()
METHODS: dict[str, dict[str, type[Method]]] = {  # by backend, by name
    "diffusers": {method.name: method for method in DIFFUSERS} | PLUGINS,
    "openvino": {method.name: method for method in (Method, FewerSteps, OpenVinoTaylorSeer)},
}


class NotInstalled(Method):
    """Stands in for a method whose package is not here, or is broken: its cells can be read, and none be drawn."""


def method_class(backend: str, name: str) -> type[Method]:
    """The method of a name; where the backend lacks it, diffusers': cells of it are skipped."""
    found = METHODS[backend].get(name) or METHODS["diffusers"].get(name)
    return found or type(name, (NotInstalled,), {"title": f"{name} (not installed)"})
