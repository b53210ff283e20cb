"""What Hydra and OmegaConf complain about, in one sentence of tsbench's words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from tsbench.methods.registry import BROKEN, METHODS
from tsbench.schema import (
    ModelConfig,
    PromptsConfig,
    QuantizationConfig,
    RuntimeConfig,
    SweepConfig,
    TimingConfig,
)


def one_sentence(error: BaseException) -> str:
    """What Hydra or OmegaConf wants to say, in one sentence."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = (error.missing_cfg_file or "").partition("/")
        if group == "method" and choice in BROKEN:
            return BROKEN[choice]
        own = {"prompts": ", or prompts.file=FILE for your own", "model": ", and model.path=FOLDER for your own"}
        there, kind = ", ".join(error.options), {"prompts": "list of prompts"}.get(group, group)
        return f"There is no {kind} {choice!r}; there are: {there} (type {group}=CHOICE{own.get(group or '', '')})."
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    key = getattr(cause, "full_key", None) or ""
    text = re.sub(r"\s+", " ", str(cause).split("\n    full_key")[0].split("\nSee https")[0]).strip().rstrip(".")
    for pattern, sentence in _SENTENCES:
        if found := re.fullmatch(pattern, text):
            return sentence(key, *found.groups())
    return f"{key}: {text}." if key else f"{text}."


def _unreadable(override: str) -> str:
    key, _, value = override.partition("=")
    quoted, listed = f'{key}="{value}"', re.sub(",+", ",", value).strip(",")
    instead = "."
    if listed not in ("", value) and _is_readable(f"{key}={listed}"):
        instead = f"; did you mean {shlex.quote(f'{key}={listed}')}?"
    elif value[:1] not in ("[", "{") and _is_readable(quoted):
        instead = f"; a value with such characters takes quotes: {shlex.quote(quoted)}."
    return f"The override {override!r} cannot be read; overrides look like steps=20 or seeds=[0,1]{instead}"


def _is_readable(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def no_parameter(key: str, names: Iterable[str]) -> str:
    """That a key is not there, and what is; a name that is nearly the same is offered.

    Args:
        key: as it is typed.
        names: of the group that it would be in.
    """
    group, _, typed = key.rpartition(".")
    known = list(dict.fromkeys(names))
    near = [".".join(filter(None, (group, name))) for name in get_close_matches(typed, known, 1)]
    near = near if group else _as_meant(key, near)
    meant = f"; did you mean {near[0]}?" if near else "."
    there = f"are: {', '.join(known)}" if known else "is none"
    return f"There is no parameter {key!r}; there {there}{meant}"


def _as_meant(key: str, near: list[str]) -> list[str]:
    """What somebody who types a key without a group may mean, the likeliest first; `near` is outside of groups."""
    by_name: dict[str, str] = {}
    for full in _IN_GROUPS:
        by_name.setdefault(full.rpartition(".")[2], full)
    exact = [_OTHER_NAMES.get(key), by_name.get(key)]
    parts = [full for name, full in by_name.items() if key in name.split("_")]
    alike = [by_name[name] for name in get_close_matches(key, by_name, 1)]
    return list(filter(None, [*exact, *near, *parts, *alike]))


def _unknown(key: str, schema: str) -> str:
    of_method = schema in _METHODS
    names = [field.name for field in fields((_SCHEMAS | _METHODS)[schema])]
    known = [name for name in names if not (of_method and name == "name")]
    return no_parameter(key, known)


def of_another_type(key: str, value: str, wanted: str) -> str:
    kind, example = _KINDS[wanted]
    if key.endswith("]"):  # an entry of a list, which is typed as a whole
        return f"{key} is {value!r}, but must be {kind}; try {key.rpartition('[')[0]}=[{example}]."
    values = value[1:-1].replace(" ", "")
    grid = f"; several values make a grid without brackets: {key}={values}" if value[:1] == "[" else ""
    return f"{key} is {value!r}, but must be {kind}, such as {key}={example}{grid}."


def _whole_group(key: str, schema: str, value: str) -> str:
    keys = ", ".join(f"{key}.{field.name}" for field in fields(_SCHEMAS[schema]))
    return f"{key} is {value}, but has keys of its own, to be set one by one: {keys}."


_SCHEMAS: dict[str, Any] = {
    schema.__name__: schema
    for schema in (SweepConfig, ModelConfig, PromptsConfig, RuntimeConfig, QuantizationConfig, TimingConfig)
}
_METHODS = {method.__name__: method for methods in METHODS.values() for method in methods.values()}
_GROUPS: dict[str, list[Any]] = {
    "method": list(_METHODS.values()),
    "prompts": [PromptsConfig],
    "runtime": [RuntimeConfig],
    "timing": [TimingConfig],
}
_IN_GROUPS = [f"{group}.{field.name}" for group, kinds in _GROUPS.items() for kind in kinds for field in fields(kind)]
_OTHER_NAMES = {  # as diffusers' pipeline and the papers have them
    **dict.fromkeys(("height", "width", "resolution"), "size"),
    "num_inference_steps": "steps",
    "prompt": "prompts.file",
    "interval": "method.cache_interval",
    "order": "method.max_order",
    "warmup": "method.disable_cache_before_step",
}
_KINDS = {"Integer": ("a whole number", "4"), "Float": ("a number", "3.5"), "bool": ("true or false", "true")}
_LISTS = {"seeds": "seeds=[0,1]", "metrics": "metrics=[psnr,lpips]"}
_SENTENCES: list[tuple[str, Callable[..., str]]] = [  # what OmegaConf says, and the sentence of the key and the groups
    (r"Key '.*' not in '(\w+)'", _unknown),
    (r"Value '(.*)' (?:of type '\w+' could not be converted to|is not a valid) (\w+).*", of_another_type),
    (
        r"Cannot convert '(?:list|dict)' to string: '.*'",
        lambda key: f"{key} must be one text, without brackets and without keys of its own, such as {key}=TEXT.",
    ),
    (
        r".*is not Optional|Invalid type assigned: NoneType is not .*",
        lambda key: f"{key} is null, but must have a value; leave it out to take its default.",
    ),
    (rf"Invalid type assigned: \w+ is not a subclass of ({'|'.join(_SCHEMAS)}). value: (.*)", _whole_group),
    (
        r".*is not a ListConfig, list or tuple.*|Cannot merge DictConfig with ListConfig",
        lambda key: f"{key} must be a list in brackets, such as {_LISTS.get(key, f'{key}=[VALUE,VALUE]')}.",
    ),
]
