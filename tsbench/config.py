"""The typed configuration behind conf/, and its composition by Hydra."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsbench.errors import UserError
from tsbench.methods import BROKEN, METHODS, PLUGINS, Method
from tsbench.paths import carried

GROUPS = {"model": "tiny", "method": "taylorseer", "prompts": "model", "runtime": "default"}  # of conf/sweep.yaml


@dataclass
class ModelConfig:
    """Where a model is, and its default drawing settings."""

    name: str = MISSING
    path: str = MISSING
    size: Any = MISSING
    steps: int = MISSING
    guidance_scale: float = MISSING
    max_sequence_length: int = MISSING
    dtype: str = MISSING
    prompts: str = MISSING
    random_weights: bool = False
    text_encoders: bool = True
    architecture: str | None = None  # of tsbench/assets/architectures: what is counted where no weights are at hand
    trained_sizes: list[int] | None = None  # the least and the largest side in pixels
    captions_only: bool = False  # it draws captions of `tsbench.models.tiny.pictures`, and nothing else

    @property
    def source(self) -> tuple[str, str | None]:
        """What its weights and its architecture are found by."""
        return self.path, self.architecture


@dataclass
class PromptsConfig:
    file: str = MISSING
    limit: int | None = None


@dataclass
class QuantizationConfig:
    backend: str | None = None
    kwargs: Any = None
    components: list[str] = field(default_factory=lambda: ["transformer"])


@dataclass
class RuntimeConfig:
    device: str = "auto"
    threads: int | None = None
    dtype: str = MISSING
    offload: str = "none"
    compile: bool = False
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)


@dataclass
class TimingConfig:
    pairs: int = 6


@dataclass
class SweepConfig:
    """One point of a grid, as Hydra composes it."""

    model: ModelConfig = field(default_factory=ModelConfig)
    backend: str = "diffusers"
    method: Any = MISSING
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    timing: TimingConfig = field(default_factory=TimingConfig)
    experiment: str | None = None
    report: bool = True
    name: str | None = None
    size: Any = MISSING
    steps: int = MISSING
    guidance_scale: float = MISSING
    max_sequence_length: int = MISSING
    seeds: Any = MISSING
    batch_size: int = 1
    metrics: list[str] = field(default_factory=list)

    @property
    def folder_name(self) -> str:
        """The name of its folder in results/."""
        return self.name or self.experiment or "sweep"


def register() -> None:
    """Make the schemas known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="sweep_schema", node=SweepConfig)
    store.store(name="model_schema", node=ModelConfig)
    for name, method in METHODS["diffusers"].items():
        store.store(name=f"{name}_schema", node=method)
    for name, method in PLUGINS.items():
        store.store(group="method", name=name, node=method)
    store.store(name="openvino_taylorseer_schema", node=METHODS["openvino"]["taylorseer"])


def composed(overrides: tuple[str, ...]) -> SweepConfig:
    """One configuration: what Hydra composes of the chosen groups, with the values set on a copy of it.

    Hydra takes a tenth of a second for each composition, and the cells of a grid choose few different groups.

    Args:
        overrides: Hydra overrides without sweeps.

    Raises:
        UserError: for an unknown key or choice, a wrong type or a syntax error.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        groups = [override for override in parsed if override.get_key_element() in GROUPS]
        _check_groups(groups)
        config = deepcopy(_composed(tuple(str(override.input_line) for override in groups)))
        for override in parsed:
            if override not in groups:
                key, value = override.get_key_element(), override.value()
                if isinstance(value, int) and value not in (0, 1) and isinstance(OmegaConf.select(config, key), bool):
                    raise UserError(_of_another_type(key, str(value), "bool"))  # OmegaConf takes 5 for true
                if isinstance(value, list) and any(isinstance(entry, list | dict) for entry in value):
                    text = override.get_value_element_as_str()  # OmegaConf takes a list for one of its entries
                    raise UserError(f"{key} is {text}, but must be a list of single values, without lists in it.")
                OmegaConf.update(config, key, value, merge=True)
        return _typed(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(one_sentence(error)) from error


@cache
def _composed(groups: tuple[str, ...]) -> DictConfig:
    if not GlobalHydra.instance().is_initialized():
        register()
        initialize_config_dir(str(carried("conf")), version_base="1.3")
    return compose("sweep", overrides=list(groups))


def _check_groups(groups: list[Override]) -> None:
    """Raise `UserError` for a group without a name, such as `model=null`, which Hydra has no sentence for."""
    for override in groups:
        key, value = override.get_key_element(), override.value()
        if not isinstance(value, str):
            listed = isinstance(value, list) and bool(value)
            allowed = "a name, or several without brackets" if listed else "a name"
            names = ",".join(map(str, value)) if listed else GROUPS[key]
            raise UserError(
                f"{key} is {override.get_value_element_as_str()}, but must be {allowed}; try {key}={names}."
            )


def _typed(config: DictConfig) -> SweepConfig:
    typed = OmegaConf.to_object(config)
    assert isinstance(typed, SweepConfig) and isinstance(typed.method, Method)
    return typed


def one_sentence(error: BaseException) -> str:
    """What Hydra or OmegaConf wants to say, in one sentence."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = (error.missing_cfg_file or "").partition("/")
        if group == "method" and choice in BROKEN:
            return BROKEN[choice]
        own = {"prompts": ", or prompts.file=FILE for your own", "model": ", and model.path=FOLDER for your own"}
        there = ", ".join(error.options)
        return f"There is no {group} {choice!r}; there are: {there} (type {group}=CHOICE{own.get(group or '', '')})."
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
    plain = value[:1] not in ("", "[", "{", '"')
    quoted = shlex.quote(f'{key}="{value}"')
    instead = f"; a value with such characters takes quotes: {quoted}" if plain else ""
    return f"The override {override!r} cannot be read; overrides look like steps=20 or seeds=[0,1]{instead}."


def _unknown(key: str, schema: str) -> str:
    of_method = schema in _METHODS
    names = [field.name for field in fields((_SCHEMAS | _METHODS)[schema])]
    known = ", ".join(name for name in names if not (of_method and name == "name"))
    groups: dict[str, list[Any]] = {
        "method": list(_METHODS.values()),
        "prompts": [PromptsConfig],
        "runtime": [RuntimeConfig],
    }
    homes = [group for group, kinds in groups.items() if any(key == f.name for kind in kinds for f in fields(kind))]
    meant = f"; did you mean {homes[0]}.{key}?" if homes and schema == SweepConfig.__name__ else "."
    return f"There is no parameter {key!r}; there are: {known}{meant}"


def _of_another_type(key: str, value: str, wanted: str) -> str:
    kind, example = _KINDS[wanted]
    return f"{key} is {value!r}, but must be {kind}, such as {key}={example}."


def _whole_group(key: str, schema: str, value: str) -> str:
    keys = ", ".join(f"{key}.{field.name}" for field in fields(_SCHEMAS[schema]))
    return f"{key} is {value}, but has keys of its own, to be set one by one: {keys}."


_SCHEMAS: dict[str, Any] = {
    schema.__name__: schema
    for schema in (SweepConfig, ModelConfig, PromptsConfig, RuntimeConfig, QuantizationConfig, TimingConfig)
}
_METHODS = {method.__name__: method for methods in METHODS.values() for method in methods.values()}
_KINDS = {"Integer": ("a whole number", "4"), "Float": ("a number", "3.5"), "bool": ("true or false", "true")}
_LISTS = {"seeds": "seeds=[0,1]", "metrics": "metrics=[psnr,lpips]"}
_SENTENCES: list[tuple[str, Callable[..., str]]] = [  # what OmegaConf says, and the sentence of the key and the groups
    (r"Key '.*' not in '(\w+)'", _unknown),
    (r"Value '(.*)' (?:of type '\w+' could not be converted to|is not a valid) (\w+).*", _of_another_type),
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
