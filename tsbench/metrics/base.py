"""What a metric is to the rest of tsbench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """A comparison of two uint8 images [height, width, 3], the drawn one and its reference.

    Attributes:
        name: what is typed in `metrics=[…]`.
        column: the name in tables, with the unit.
        label: the name in plots.
        unit: the unit in plots, or an empty text.
        higher_is_better: the direction.
        digits: decimals shown to people.
        load: gives the function that scores a pair; called once a process.
        missing: why the metric cannot be computed here, or None.
    """

    name: str
    column: str
    label: str
    unit: str
    higher_is_better: bool
    digits: int
    load: Callable[[], Score]
    missing: Callable[[], str | None] = lambda: None
