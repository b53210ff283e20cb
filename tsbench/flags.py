"""Flags of the verbs that read results."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tsbench.errors import UserError


def read_flags(
    verb: str, arguments: Sequence[str], known: Sequence[str], many: Sequence[str] = (), bare: Sequence[str] = ()
) -> tuple[list[str], dict[str, list[str]]]:
    """The arguments that belong to no flag, and the values of every flag that is given.

    Args:
        verb: whose flags they are.
        arguments: as typed: `--flag value` or `--flag=value`.
        known: the flags that there are.
        many: those of them that take every value up to the next flag: `--flag a b`.
        bare: those of them that take none.

    Raises:
        UserError: for an unknown flag, for one without a value, and for a value where none is taken.
    """
    rest: list[str] = []
    flags: dict[str, list[str]] = {}
    current: list[str] | None = None
    for argument in arguments:
        if argument.startswith("--"):
            flag, equals, value = argument.partition("=")
            if flag not in known:
                flags_there = f"its flags are: {', '.join(known)}" if known else f"{verb} has no flags"
                raise UserError(f"{flag!r} is not a flag of {verb}; {flags_there}.")
            current = flags.setdefault(flag, [])
            if equals and flag in bare:
                raise UserError(f"{flag} takes no value, but was given {value!r}; type {flag}.")
            if equals:
                current.append(value)
            if equals or flag in bare:
                current = None
        elif current is not None:
            current.append(argument)
            current = current if flag in many else None
        else:
            rest.append(argument)
    for flag, values in flags.items():
        if not values and flag not in bare:
            raise UserError(f"{flag} needs a value; type {flag} VALUE.")
    return rest, flags


def number_of(what: str, text: str, example: str) -> float:
    """A finite figure.

    Args:
        what: the flag that it is given to.
        text: as typed.
        example: what can be typed instead, with the flag.

    Raises:
        UserError: where it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{what} is {text!r}, but must be a finite number; try {example}.")
    return number
