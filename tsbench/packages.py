"""Which packages are installed, and how those of an extra are."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def needs_package(package: str, extra: str) -> str | None:
    """How a package of an extra, by its name in pip, is installed; None if it is there."""
    command = f"pip install -c constraints.txt -e '.[{extra}]'"
    return None if installed_version(package) else f"it needs the {package} package: {command}"


def installed_version(package: str) -> str | None:
    """The installed version of a package by its name in pip, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
