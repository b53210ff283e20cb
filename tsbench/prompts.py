"""Prompt lists: those that tsbench carries, and text files."""

from __future__ import annotations

from tsbench.errors import UserError
from tsbench.paths import ASSETS, expanded

CARRIED = ASSETS / "prompts"


def read_prompts(file: str, limit: int | None) -> tuple[str, ...]:
    """The prompts of a carried list or of a text file, one per line; empty lines and repetitions are left out.

    Args:
        file: the name of a carried list, or the path of a UTF-8 text file.
        limit: keep only so many of the first; None keeps all.

    Raises:
        UserError: if there is no such file, or nothing in it.
    """
    if limit is not None and limit < 1:
        raise UserError(f"prompts.limit is {limit}, but must be 1 or more, or null for all; try prompts.limit=6.")
    names = sorted(entry.stem for entry in CARRIED.glob("*.txt"))
    try:
        path = CARRIED / f"{file}.txt" if file in names else expanded(file)
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise UserError(
            f"prompts.file is {file!r}, which cannot be read as a text file ({reason}); "
            f"give a text file with one prompt per line, or one of tsbench's own lists: {', '.join(names)}."
        ) from error
    prompts = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not prompts:
        raise UserError(f"prompts.file is {file!r}, which has no prompt in it; write one per line.")
    return prompts[:limit]
