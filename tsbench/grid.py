"""From Hydra overrides and experiment files to the list of cells: expanded, unique and ordered."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from yaml import YAMLError

from tsbench.cell import Cell
from tsbench.checks import one_of
from tsbench.config import composed
from tsbench.errors import UserError
from tsbench.methods import Method
from tsbench.methods.registry import METHODS, method_class
from tsbench.paths import carried
from tsbench.point import Point, checked
from tsbench.schema import GROUPS
from tsbench.sentences import no_parameter, one_sentence

MOST_VALUES = 1000  # of one override
MOST_COMBINATIONS = 5000  # of all: more than anyone would wait for, and composed in half a minute


def expand(arguments: list[str], prompts: tuple[str, ...] | None = None) -> list[Point]:
    """All points of a sweep, checked; every mistake is found here, before anything runs.

    Args:
        arguments: overrides as typed, sweeps and `experiment=` among them.
        prompts: what is drawn; None reads `prompts.file`.

    Raises:
        UserError: for the first mistake.
    """
    typed = _parsed(arguments)
    experiment = [override for override in typed if override.get_key_element() == "experiment"]
    if any(override.is_sweep_override() for override in experiment):
        raise UserError("experiment cannot be swept; run one experiment after another: experiment=NAME.")
    name = experiment[-1].value() if experiment else None
    grids = [[]] if name is None else experiment_file(str(name))
    combinations: dict[tuple[str, ...], None] = {}
    for grid in grids:
        merged = {override.get_key_element(): override for override in grid}
        merged |= {override.get_key_element(): override for override in typed}
        combinations |= dict.fromkeys(_combinations(merged.values()))
    if stray := _stray(typed, combinations):
        raise _unknown(stray, typed, combinations)
    points = [checked(composed(overrides), prompts) for overrides in combinations]
    _check_one_run(points)
    return points


def _check_one_run(points: Iterable[Point]) -> None:
    """Raise `UserError` if the cells of a sweep could not go into one results folder."""
    shared = {
        "name": lambda point: point.config.name,
        "runtime.device": lambda point: point.config.runtime.device,
        "runtime.threads": lambda point: point.config.runtime.threads,
        "timing.pairs": lambda point: point.config.timing.pairs,
        "metrics": lambda point: tuple(point.config.metrics),
        "report": lambda point: point.config.report,
    }
    for key, value in shared.items():
        if len({value(point) for point in points}) > 1:
            raise UserError(f"{key} cannot be swept: one sweep has one; run a sweep for each value.")


def experiment_file(name: str) -> list[list[Override]]:
    """The grids of experiments/NAME.yaml.

    Raises:
        UserError: if there is none, or it is not a list of lines of overrides.
    """
    folder = carried("experiments")
    there = sorted(file.stem for file in folder.glob("*.yaml") if file.is_file())
    if name not in there:
        raise UserError(f"There is no experiment {name!r}; there are: {', '.join(there)} (type experiment=NAME).")
    path = folder / f"{name}.yaml"
    try:
        document = OmegaConf.to_container(OmegaConf.load(path))  # which refuses a key that is given twice
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as YAML ({one_sentence(error).rstrip('.')}).") from error
    document = document if isinstance(document, dict) else {}
    grids = document.get("grids")
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, str) for grid in grids):
        raise UserError(f"{path} must have a list 'grids' of lines of overrides, such as - model=tiny steps=20.")
    if others := sorted(str(key) for key in document if key != "grids"):
        raise UserError(f"{path} has a key {others[0]!r}, but only 'grids'; type it as an override in each of them.")
    try:
        parsed = [_parsed(shlex.split(grid)) for grid in grids]
    except ValueError as error:
        raise UserError(f"{path} has a grid with an open quotation ({error}).") from error
    except UserError as error:
        raise UserError(f"{path} has a grid with a mistake: {error}") from error
    if any(override.get_key_element() == "experiment" for grid in parsed for override in grid):
        raise UserError(f"{path} has a grid with experiment=, but only a command can choose one; leave it out.")
    for grid in parsed:
        combinations = _combinations(grid)
        if stray := _stray(grid, combinations):
            raise UserError(f"{path} has a grid with a mistake: {_unknown(stray, grid, combinations)}")
    return parsed


def _combinations(overrides: Iterable[Override]) -> list[tuple[str, ...]]:
    """Every combination of their values, each without the parameters that its method does not have."""
    values = [_values(override) for override in overrides]
    if (number := math.prod(map(len, values))) > MOST_COMBINATIONS:
        most = max(values, key=len)
        raise UserError(
            f"These overrides make {number} combinations, but a sweep takes {MOST_COMBINATIONS} at most; give fewer "
            f"values of {most[0].split('=')[0]}, which has {len(most)}, or type several sweeps of one name=NAME."
        )
    return [for_its_method(chosen) for chosen in itertools.product(*values)]


def _stray(overrides: Iterable[Override], combinations: Iterable[tuple[str, ...]]) -> Override | None:
    """The first of the overrides that none of the combinations has."""
    known = {text.split("=")[0] for kept in combinations for text in kept}
    return next((override for override in overrides if override.get_key_element() not in known), None)


def cells_of(listed: Iterable[tuple[Cell, Method]]) -> tuple[list[Cell], dict[str, Method]]:
    """The cells in the order in which a sweep draws them, references among them, and the method of each by key.

    Args:
        listed: the cell of every point of a grid, with its method.
    """
    methods: dict[str, Method] = {}
    cells = []
    for cell, method in listed:
        methods.setdefault(cell.key, method)
        cells.append(cell)
    cells = ordered(cells)
    return cells, {cell.key: methods.get(cell.key, Method()) for cell in cells}


def ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Unique cells with their references, as listed, but model, settings and size change slowest."""
    groups: dict[Any, dict[str, Cell]] = {}
    for cell in cells:
        workload = cell.workload
        group = (cell.loading, workload.height * workload.width, cell.reference.key)
        members = groups.setdefault(group, {cell.reference.key: cell.reference})
        members.setdefault(cell.key, cell)
    models = list(dict.fromkeys(loading for loading, *_ in groups))
    sizes = list(dict.fromkeys(size for _, size, _ in groups))
    order = sorted(groups, key=lambda group: (models.index(group[0]), sizes.index(group[1])))
    return [cell for group in order for cell in groups[group].values()]


def impossible(cell: Cell, method: Method) -> str | None:
    """Why a cell cannot be drawn by design; None if it can."""
    if cell.method not in METHODS[cell.backend]:
        return f"backend={cell.backend} does not support this method; it supports: {', '.join(METHODS[cell.backend])}"
    if cell.workload.random_weights and method.data_driven and method.promised_schedule(cell.workload.steps) is None:
        return f"meaningless with random weights: the schedule depends on {method.decides_by}"
    return None


def _parsed(arguments: list[str]) -> list[Override]:
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if not (key and equals):
            raise UserError(
                f"{argument!r} is not an override; overrides look like steps=20 or method.cache_interval=2,3."
            )
    try:
        overrides = OverridesParser.create().parse_overrides(arguments)
    except HydraException as error:
        raise UserError(one_sentence(error)) from error
    first: dict[str, str] = {}
    for override in overrides:
        key, text = override.get_key_element(), str(override.input_line)
        if key in first:
            both = f", or type both values in one: {key}=VALUE,VALUE" if text != first[key] else ""
            raise UserError(f"{key} is given twice, by {first[key]!r} and {text!r}; leave one out{both}.")
        first[key] = text
        if override.is_hydra_override():
            raise UserError(f"{key!r} cannot be overridden: tsbench runs the grid itself, in one process.")
        if key == "method.name":
            raise UserError(f"{override.input_line!r} would only rename a method; choose one by method=NAME.")
        if key == "model.name" and len(_values(override)) > 1:  # no part of what a cell is
            raise UserError(f"{override.input_line!r} gives one model several names; sweep one model after another.")
        if override.is_add() or override.is_force_add() or override.is_delete() or "@" in key:
            raise UserError(f"{override.input_line!r} adds or deletes a key; only existing ones can be set: key=value.")
        if "${" in override.input_line or override.value() == "???":
            raise UserError(f"{override.input_line!r} stands for another value; type that value.")
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{override.input_line!r} is a continuous interval; list its values: {key}=1,2,3.")
        if isinstance(override.value(), Glob):
            raise UserError(f"{override.input_line!r} is a pattern; list its values: {key}=1,2,3.")
    return overrides


def _values(override: Override) -> list[str]:
    """`key=value` for each value of an override."""
    key = override.get_key_element()
    if override.is_sweep_override():
        try:
            values = [f"{key}={value}" for value in itertools.islice(override.sweep_string_iterator(), MOST_VALUES + 1)]
        except ValueError:  # of a range in steps of 0
            values = []
        if not 0 < len(values) <= MOST_VALUES:
            how_many = f"more than {MOST_VALUES} values" if values else "no value"
            raise UserError(f"{override.input_line!r} has {how_many} in it; list its values: {key}=1,2,3.")
        return values
    return [f"{key}={override.get_value_element_as_str()}"]


def _unknown(override: Override, typed: list[Override], combinations: Iterable[tuple[str, ...]]) -> UserError:
    """Why an override belongs to no cell: nothing has such a key, or a method that is not in this sweep."""
    key = override.get_key_element()
    if not _is_parameter(override):
        swept = dict.fromkeys(text for kept in combinations for text in kept if text.startswith("method="))
        try:
            drawn_by = [composed((text,)).method for text in swept or (f"method={GROUPS['method']}",)]
            if re.fullmatch(r"method\.\w+", key):
                return UserError(no_parameter(key, (name for method in drawn_by for name in method.parameters())))
            composed((_values(override)[0],))
        except UserError as error:
            return error
    chosen = [_values(other) for other in typed if other.get_key_element() == "backend"] or [["backend=diffusers"]]
    backends = [text.removeprefix("backend=").strip("'\"") for text in chosen[-1]]
    methods = dict.fromkeys(name for backend in backends for name in METHODS[backend])
    owners = [name for name in methods if key.removeprefix("method.") in vars(method_class(backends[0], name)())]
    instead = f", or sweep a method that has it: method={','.join(owners)}" if owners else ""
    return UserError(f"No cell of this sweep has the parameter {key!r}; leave it out{instead}.")


def _is_parameter(override: Override) -> bool:
    """Whether some method has the parameter."""
    names = {field.name for methods in METHODS.values() for method in methods.values() for field in fields(method)}
    return override.get_key_element().removeprefix("method.") in names


def for_its_method(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides with the method as its backend calls it, and without the parameters that this method does not have.

    OpenVINO's have float32 unless they say otherwise.
    """
    chosen = {key: value.strip("'\"") for key, value in (text.split("=", 1) for text in overrides)}
    backend, name = chosen.get("backend", "diffusers"), chosen.get("method", GROUPS["method"])
    one_of("backend", backend, tuple(METHODS))
    of_backend, _, its_name = name.partition("/")
    if its_name and of_backend in METHODS:
        raise UserError(f"method is {name!r}; type backend={of_backend} method={its_name}.")
    if name not in METHODS["diffusers"]:
        return overrides  # composing them says what there is
    method = method_class(backend, name)
    own = {f"method.{field.name}" for field in fields(method)}
    kept = [text for text in overrides if not text.startswith("method.") or text.split("=")[0] in own]
    if method is not METHODS["diffusers"][name]:
        kept = [text for text in kept if not text.startswith("method=")] + [f"method={backend}/{name}"]
    if backend == "openvino" and "runtime.dtype" not in chosen:
        kept.append("runtime.dtype=float32")
    return tuple(kept)
