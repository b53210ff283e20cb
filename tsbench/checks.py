"""Checks of single values that several parameters share."""

from __future__ import annotations

import math
from difflib import get_close_matches

from tsbench.errors import UserError
from tsbench.schedule import official_taylorseer

DTYPES = ("float32", "bfloat16", "float16")
EVERY_STEP = "1 computes every step"
LARGEST = 10**9  # of any number: far more than can be meant, and no library overflows at it


def at_least(key: str, value: float, least: float, example: float, meaning: str = "") -> None:
    """Raise `UserError` for a number below `least` or above `LARGEST`, and for one that is not finite.

    Args:
        key: the override, as it is typed.
        value: what it is.
        least: the least that is allowed.
        example: a value to type.
        meaning: what more is to be said of the values that are allowed.
    """
    if not least <= value <= LARGEST:
        allowed = f"from {least} to {LARGEST}" if value > LARGEST else f"{least} or more"
        raise UserError(
            f"{key} is {value}, but must be {allowed}{f' ({meaning})' if meaning else ''}; try {key}={example}."
        )


def between(key: str, value: float, least: float, most: float, example: float, meaning: str = "") -> None:
    """Raise `UserError` for a number outside of two ends.

    Args:
        key, value, least, example: as of `at_least`.
        most: the largest that is allowed.
        meaning: what more is to be said of the values that are allowed.
    """
    if not least <= value <= most:
        allowed = f"from {least} to {most}{f' ({meaning})' if meaning else ''}"
        raise UserError(f"{key} is {value}, but must be {allowed}; try {key}={example}.")


def positive(key: str, value: float, example: float, meaning: str = "") -> None:
    """Raise `UserError` for a number that is not more than 0 and finite; arguments are those of `at_least`."""
    if not 0 < value < math.inf:
        allowed = f"more than 0{f' ({meaning})' if meaning else ''}"
        raise UserError(f"{key} is {value}, but must be {allowed}; try {key}={example}.")


def warm_up(key: str, value: int, steps: int) -> None:
    """Raise `UserError` for a number of first steps to compute that leaves none of `steps` to forecast, or is 0."""
    if steps < 2:
        raise UserError(f"steps is {steps}, but must be 2 or more for a step to be forecast; try steps=28.")
    meaning = f"something must be computed before it is forecast, and this sweep has {steps} steps"
    between(key, value, 1, steps - 1, min(3, steps - 1), meaning)


def taylor_order(key: str, value: int, steps: int, least: int = 0) -> None:
    """Raise `UserError` for an order of a Taylor series that no step of an image could have."""
    meaning = f"a higher one cannot be formed of {steps} steps"
    between(key, value, least, max(1, steps - 1), 1, meaning)


def one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `UserError` for a value of an override that is none of the choices."""
    if value not in choices:
        (example,) = get_close_matches(value, choices, 1, 0.5) or choices[:1]
        raise UserError(f"{key} is {value!r}, but must be one of: {', '.join(choices)}; try {key}={example}.")


def step_map(key: str, value: str, written: str, steps: int, otherwise: str) -> None:
    """Raise `UserError` for steps that are not written as a letter each, or whose first is not computed.

    Args:
        key, value: the override, as it is typed.
        written: the letters that it stands for.
        steps: how many there have to be.
        otherwise: what else may be typed.
    """
    if set(written) - set("C.") or not written.startswith("C") or len(written) != steps:
        raise UserError(
            f"{key} is {value!r}, but must be {steps} letters, a C for a computed step and a . for another one, the "
            f"first a C, or {otherwise}; try {key}={official_taylorseer(steps, min(3, steps), 5)}."
        )
