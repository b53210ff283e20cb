"""A run in a notebook: `tsbench.load("results/quick")`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tsbench.store import Store, opened
from tsbench.stored import Manifest
from tsbench.titles import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """The tables of a run, and its images.

    Attributes:
        cells: a row per cell, as in cells.csv.
        samples: a row per image, as in samples.parquet.
        manifest: hardware, versions and commands.
    """

    cells: pd.DataFrame
    samples: pd.DataFrame
    manifest: Manifest
    store: Store

    def __repr__(self) -> str:
        cells, images = counted(len(self.cells), "cell"), counted(len(self.samples), "image")
        return f"Results({str(self.store.folder)!r}: {cells}, {images})"

    def images(self, key: str) -> list[np.ndarray]:
        """The images of a cell, uint8 [height, width, 3], in the order of its samples.

        Args:
            key: of the cell, or the beginning of it.

        Raises:
            KeyError: for a key that the run does not have, or a beginning of several.
        """
        found = [whole for whole in self.cells["key"] if whole.startswith(str(key))]
        if len(found) != 1:
            raise KeyError(f"{key} begins the keys of {len(found)} cells; all are in cells['key']")
        return self.store.images(found[0])


def load(folder: str | Path) -> Results:
    """Read a run.

    Args:
        folder: a results folder, or its name in results/.

    Raises:
        tsbench.errors.UserError: if there are no results.
    """
    from tsbench.tables import cells_table, samples_table  # not above: a package with methods may import this

    store = Store(opened(str(folder)).folder.resolve())  # wherever the process goes later
    manifest = store.manifest()
    return Results(cells_table(store), samples_table(store), manifest, store)
