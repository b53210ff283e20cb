"""Cells on disk: `results/NAME/cells/KEY/` with a JSON document and lossless PNGs.

A cell is written beside its place and renamed into it, so what is there is whole. Everything else in a results
folder is derived from the cells and can be built again.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tsbench.cell import Cell, digest
from tsbench.errors import UserError
from tsbench.files import is_whole_png, read_image, read_json, write_json
from tsbench.paths import expanded
from tsbench.stored import Command, DrawnCell, Manifest, StoredCell, of_kind, parsed

MANIFEST, DOCUMENT = "manifest.json", "cell.json"
SCORES, ACROSS, UNSCORED = "scores.json", "scores_across_backends.json", "unscored.json"  # of a cell
OTHER_MANIFEST = "put back a copy of it, or draw into another folder by name=NAME"
SCORED_AGAIN = "delete it and type python -m tsbench report, which scores the cell again"


class Store:
    """One results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cells = folder, folder / "cells"

    def manifest(self) -> Manifest:
        """What made this folder; without a command if nothing has yet.

        Raises:
            UserError: if it is damaged, or missing beside cells.
        """
        manifest = read_json(self.folder / MANIFEST, _manifest, OTHER_MANIFEST)
        if manifest is None and not self.is_empty():
            raise UserError(f"{self.folder} has cells but no {MANIFEST}, which says what made them; {OTHER_MANIFEST}.")
        return manifest or Manifest({}, [], [])

    def _write_manifest(self, manifest: Manifest) -> None:
        write_json(self.folder / MANIFEST, asdict(manifest))

    def check_is_run(self) -> None:
        """Raise `UserError` if there is something else than a run, which would be lost among its files."""
        hidden = self.folder.glob(".*")  # such as what a sweep leaves that is killed while it writes its first manifest
        if self.folder.is_dir() and not self.manifest().commands and set(self.folder.iterdir()) - {self.cells, *hidden}:
            raise UserError(f"{self.folder} has other files than a run's; choose another folder by name=NAME.")
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file; choose another name for the folder by name=NAME.")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock: two sweeps at once would draw the same cells and slow each other down.

        Raises:
            UserError: if another sweep holds it, or the file system has no locks.
        """
        self.cells.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.cells, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"Another sweep is drawing in {self.folder}; wait for it, or choose another folder by name=NAME."
                ) from error
            except OSError as error:
                raise UserError(
                    f"{self.cells} cannot be locked ({error.strerror}); type the command in a folder of a file system "
                    "with locks."
                ) from error
            for left in self.cells.glob(".*.*"):  # of a sweep that was killed while it wrote a cell
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(folder)

    def open_run(
        self,
        environment: dict[str, Any],
        git_revision: str | None,
        command: str,
        metrics: Iterable[str],
        keys: Iterable[str] = (),
    ) -> None:
        """Note in the manifest what is about to draw here: `keys` are those of all cells that the command is for."""
        manifest = self.manifest()
        run = Command(command, datetime.now(UTC).isoformat(timespec="seconds"), git_revision, tuple(keys))
        metrics = [*dict.fromkeys([*manifest.metrics, *metrics])]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_manifest(Manifest(manifest.environment or environment, metrics, [*manifest.commands, run]))

    def note_share(self, pipeline_share: float) -> None:
        """Note in the manifest how much of the present run's time was spent inside the pipeline so far."""
        manifest = self.manifest()
        *others, present = manifest.commands
        present = replace(present, pipeline_share=pipeline_share)
        self._write_manifest(replace(manifest, commands=[*others, present]))

    def check_environment(self, environment: dict[str, Any]) -> None:
        """Raise `UserError` if the folder's cells were made on other hardware or with other versions."""
        manifest = self.manifest()
        different = differences(manifest.environment, environment) if manifest.commands else []
        if different:
            raise UserError(
                f"{self.folder} was made in another environment ({'; '.join(different)}), and figures of two "
                "environments do not mix; choose another folder by name=NAME (drawing_code is that of tsbench and of "
                "packages with methods)."
            )

    def add_metrics(self, metrics: Iterable[str]) -> None:
        """Note metrics that are asked for without drawing anything."""
        manifest = self.manifest()
        if new := [name for name in dict.fromkeys(metrics) if name not in manifest.metrics]:
            self._write_manifest(replace(manifest, metrics=[*manifest.metrics, *new]))

    def cell(self, key: str) -> StoredCell | None:
        """A cell; None if there is none."""
        return _cell(self.cells / key / DOCUMENT)

    def drawn(self, key: str) -> DrawnCell:
        """A cell that was drawn.

        Raises:
            UserError: if it is not there any more.
        """
        cell = self.cell(key)
        if not isinstance(cell, DrawnCell):
            raise self._removed(key)
        return cell

    def _removed(self, key: str) -> UserError:
        return UserError(f"{self.cells / key} was removed while it was read; type the same command again.")

    def all_cells(self) -> list[StoredCell]:
        """All cells, in the order in which they were made.

        Raises:
            UserError: if one is damaged, lies in the folder of another, or was drawn in another environment.
        """
        environment = digest(self.manifest().environment)
        found = []
        for path in self._places():
            cell = _cell(path)
            if cell is None:  # it is just replaced
                continue
            if path.parent.name != cell.key:
                raise UserError(
                    f"{path.parent} holds the cell {cell.key}; move it out of {self.cells}, where every folder has the "
                    "name of its cell."
                )
            if cell.environment != environment:
                raise UserError(
                    f"{path.parent} was drawn in another environment than {self.folder / MANIFEST} says, and figures "
                    f"of two environments do not mix; move it out of {self.cells}."
                )
            found.append(cell)
        return sorted(found, key=lambda cell: (cell.finished, cell.key))

    def all_drawn(self) -> list[DrawnCell]:
        """Those of all cells that were drawn."""
        return [cell for cell in self.all_cells() if isinstance(cell, DrawnCell)]

    def is_empty(self) -> bool:
        """Whether there is no cell yet."""
        return next(self._places(), None) is None

    def _places(self) -> Iterator[Path]:
        return self.cells.glob(f"[!.]*/{DOCUMENT}")

    def is_done(self, key: str) -> bool:
        """Whether a cell was drawn or skipped, and all of its images are there, whole."""
        cell = self.cell(key)
        if cell is None or cell.status == "failed":
            return False
        return all(map(is_whole_png, self._image_files(cell)))

    def identity(self, cell: Cell) -> dict[str, Any]:
        """What is kept of every cell, whatever became of it: the first fields of a `StoredCell` drawn here and now."""
        return {
            "key": cell.key,
            "reference": cell.reference.key,
            "finished": datetime.now(UTC).isoformat(),
            "environment": digest(self.manifest().environment),
            "backend": cell.backend,
            "method": cell.method,
            "params": json.loads(cell.parameters),
            "workload": cell.workload,
            "settings": cell.settings,
        }

    def write(self, cell: StoredCell, images: Iterable[np.ndarray] = ()) -> None:
        """Write a cell beside its place and rename it there; a failed one that is there is removed first.

        Args:
            cell: what to keep.
            images: uint8 [height, width, 3], one per sample.
        """
        place = self.cells / cell.key
        partial = self.cells / f".{cell.key}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            for number, image in enumerate(images):
                Image.fromarray(image).save(partial / image_name(number))
            write_json(partial / DOCUMENT, asdict(cell))
            if cell.is_reference:
                self._forget_scores(cell)
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _forget_scores(self, reference: StoredCell) -> None:
        """Take away the scores of images that were compared with a reference whose place another one takes."""
        for path in self._places():
            with suppress(UserError):  # of a damaged cell, which is drawn again: whoever reads its figures is told
                cell = _cell(path)
                if cell is None:  # it is just replaced
                    continue
                if cell.reference == reference.key:
                    (path.parent / SCORES).unlink(missing_ok=True)
                elif reference.backend == "diffusers" and cell.full_compute_by_diffusers.key == reference.key:
                    (path.parent / ACROSS).unlink(missing_ok=True)

    def images(self, key: str) -> list[np.ndarray]:
        """A cell's images, one per sample, uint8 [height, width, 3]; none of a cell that has failed or means nothing.

        Raises:
            UserError: if the cell is not there any more, or an image is missing or damaged.
        """
        cell = self.cell(key)
        if cell is None:
            raise self._removed(key)
        shape = (cell.workload.height, cell.workload.width, 3)
        return [read_image(path, shape, _drawn_again(path.parent)) for path in self._image_files(cell)]

    def _image_files(self, cell: StoredCell) -> list[Path]:
        drawn = len(cell.schedules) if isinstance(cell, DrawnCell) and not cell.workload.random_weights else 0
        return [self.cells / cell.key / image_name(number) for number in range(drawn)]

    def scores(self, key: str, across: bool = False) -> dict[str, list[float]]:
        """`{metric: [value of each sample]}`; empty if unscored.

        Args:
            key: of the cell.
            across: against full compute by diffusers, of a cell of another backend; else against its own reference.
        """
        return read_json(self.cells / key / (ACROSS if across else SCORES), _scores, SCORED_AGAIN) or {}

    def write_scores(self, key: str, scores: dict[str, list[float]], across: bool = False) -> None:
        """Keep scores, exact; JSON has no infinity, which is written as `"inf"`."""
        kept = {name: [v if math.isfinite(v) else str(v) for v in values] for name, values in scores.items()}
        write_json(self.cells / key / (ACROSS if across else SCORES), kept)

    def unscored(self, key: str) -> dict[str, str]:
        """`{metric: why it could not be computed}` of the last time that the cell was scored."""
        return read_json(self.cells / key / UNSCORED, dict, SCORED_AGAIN) or {}

    def write_unscored(self, key: str, reasons: dict[str, str]) -> None:
        write_json(self.cells / key / UNSCORED, reasons)


def opened(argument: str) -> Store:
    """The store of a run, given as a path or as its name in results/.

    Raises:
        UserError: if there are no results.
    """
    folders = [expanded(argument), Path("results") / argument]
    store = next((store for store in map(Store, folders) if store.manifest().commands), None)
    if store is None:
        if file := next((path for path in folders if path.is_file()), None):
            raise UserError(f"{str(file)!r} is a file; give the folder of a run, or its name in results/.")
        meant = folders[0] if folders[0].is_dir() or len(folders[0].parts) > 1 else folders[1]
        raise UserError(f"There are no results in {str(meant)!r}; run python -m tsbench sweep name=NAME first.")
    if store.is_empty():
        has_tables = (store.folder / "cells.csv").is_file()
        what = "tables, but not the cells that they are made of" if has_tables else "no cells yet"
        command = store.manifest().commands[-1].command
        raise UserError(f"{str(store.folder)!r} has {what}; run {command}.")
    return store


def image_name(number: int) -> str:
    return f"{number:04d}.png"


def _cell(path: Path) -> StoredCell | None:
    return read_json(path, parsed, _drawn_again(path.parent))


def _scores(document: dict[str, Any]) -> dict[str, list[float]]:
    for values in document.values():
        if not (isinstance(values, list) and values and all(isinstance(value, int | float | str) for value in values)):
            raise ValueError("a metric of it has no list of values")
    scores = {name: [float(value) for value in values] for name, values in document.items()}
    if any(math.isnan(value) or value == -math.inf for values in scores.values() for value in values):
        raise ValueError("a value of it is no score")
    if len({len(values) for values in scores.values()}) > 1:
        raise ValueError("its metrics have different numbers of values")
    return scores


def _manifest(document: dict[str, Any]) -> Manifest:
    manifest: Manifest = of_kind(Manifest, document, MANIFEST)
    if not manifest.commands:
        raise ValueError("it has no command")
    return manifest


def _drawn_again(place: Path) -> str:
    return f"delete the folder {place} and type the same sweep again, which draws the cell again"


def differences(made: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """`name: then, now` for every entry in which two environments differ."""
    found = []
    for name in sorted(made.keys() | now.keys()):
        then, there = made.get(name), now.get(name)
        if isinstance(then, dict) and isinstance(there, dict):
            found += differences(then, there, f"{prefix}{name}.")
        elif then != there:
            found.append(f"{prefix}{name}: {then} there, {there} here")
    return found
