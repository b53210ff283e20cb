"""Configurations, composed by Hydra."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tsbench.errors import UserError
from tsbench.methods import Method
from tsbench.paths import carried
from tsbench.schema import GROUPS, SweepConfig, register
from tsbench.sentences import of_another_type, one_sentence


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
                    raise UserError(of_another_type(key, str(value), "bool"))  # OmegaConf takes 5 for true
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
