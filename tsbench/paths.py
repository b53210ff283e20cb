"""Where the files that tsbench carries lie, in a checkout and in an installed wheel, and those that a user names."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ASSETS = PACKAGE / "assets"


def carried(folder: str) -> Path:
    """`conf` or `experiments`: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


def expanded(path: str) -> Path:
    """A path as it was typed, with the home of a user in the place of a tilde, if there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 -- pathlib raises where there is none
