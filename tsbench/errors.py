"""What goes wrong by a user's mistake or inside a cell, and how it is said in one line."""

import traceback
from pathlib import Path


class UserError(Exception):
    """A mistake in what the user asked for: one sentence with the value, what is allowed and the override to type.

    It is shown without a traceback, and the exit code is 2.
    """


class DrawingFailed(Exception):
    """Something in a cell went wrong while it ran; the message is the cell's reason."""


class ModelSpoilt(DrawingFailed):
    """Full compute draws something else than before: the model in memory is of no more use."""


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, with its kind where it does not speak for itself.

    Of one that says nothing, the place in the code.
    """
    text = (str(error).strip().splitlines() or [""])[0].strip().rstrip(".")
    if not text and (frames := traceback.extract_tb(error.__traceback__)):
        text = f"in {Path(frames[-1].filename).name}, line {frames[-1].lineno}"
    return text if isinstance(error, DrawingFailed | UserError) else f"{type(error).__name__}: {text}".rstrip(": ")
