"""Arguments of the verbs that have flags, read by argparse; a mistake in them is one sentence."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from tsbench.errors import UserError


class Arguments(argparse.ArgumentParser):
    """A parser of the arguments of one verb.

    Args:
        usage: ends every error; of several lines only the first.

    Raises:
        UserError: by `parse_args`, for an unknown flag, and for a missing value or one too many.
    """

    def __init__(self, usage: str) -> None:
        super().__init__(usage=usage.splitlines()[0], add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.usage}")


def number_of(what: str, text: str, example: str) -> float:
    """A finite figure.

    Args:
        what: the flag that it is given to.
        text: as typed.
        example: what can be typed instead, with the flag.

    Raises:
        UserError: if the text is not a finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{what} is {text!r}, but must be a finite number; try {example}.")
    return number
