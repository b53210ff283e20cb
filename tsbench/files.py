"""Files that are written whole or not at all, and what is said of those that are damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from tsbench.errors import UserError

END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"  # its last chunk, always the same
Kept = TypeVar("Kept")


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it is renamed over `path`, on failure deleted."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        error.filename = str(path)  # which the user knows
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with replaced(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, parse: Callable[[dict[str, Any]], Kept], instead: str) -> Kept | None:
    """What a file of JSON holds; None if there is no file.

    Args:
        path: of the file.
        parse: makes it of the JSON object, or raises ValueError.
        instead: what the user can do if it is damaged.

    Raises:
        UserError: if it is damaged.
    """
    try:
        if not path.is_file():
            return None
        document = json.loads(path.read_text())
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        return parse(document)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); {instead}.") from error


def read_image(path: Path, shape: tuple[int, ...], instead: str) -> np.ndarray:
    """The pixels of an image, uint8.

    Args:
        path: of the file.
        shape: that it must have.
        instead: what the user can do if it is damaged.

    Raises:
        UserError: if it is missing or damaged.
    """
    try:
        image = np.array(Image.open(path))
        if image.shape != shape:
            raise ValueError(f"its shape is {image.shape}, not {shape}")
        return image
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged; {instead}.") from error


def is_whole_png(image: Path) -> bool:
    """Whether a PNG is there up to its end."""
    if not image.is_file() or image.stat().st_size < len(END_OF_PNG):
        return False
    with image.open("rb") as file:
        file.seek(-len(END_OF_PNG), os.SEEK_END)
        return file.read() == END_OF_PNG
