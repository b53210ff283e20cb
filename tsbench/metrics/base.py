"""What a metric is to the rest of tsbench."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Score = Callable[[np.ndarray, Any], float]


@dataclass(frozen=True)
class Metric:
    """A figure for a drawn image, uint8 [height, width, 3], beside its reference or its prompt.

    Attributes:
        name: what is typed in `metrics=[…]`.
        column: the name in tables, with the unit.
        label: the name in plots.
        unit: the unit in plots, or an empty text.
        higher_is_better: the direction.
        range: the least and the largest value.
        digits: decimals shown to people.
        example: a limit that may be asked for.
        load: gives the function that scores an image; called once a process. Where the metric is typed with a
            checkpoint, `NAME:CHECKPOINT`, it takes that.
        missing: why the metric cannot be computed here, or None.
        against: what the image is compared with.
        least_side: the smallest height and width in pixels that the metric is defined for.
    """

    name: str
    column: str
    label: str
    unit: str
    higher_is_better: bool
    range: tuple[float, float]
    digits: int
    example: float
    load: Callable[..., Score]
    missing: Callable[[], str | None] = lambda: None
    against: Literal["reference", "prompt"] = "reference"
    least_side: int = 0

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self.higher_is_better else -1

    @property
    def best(self) -> float:
        """The value of identical images, of metrics against the reference."""
        return self.range[1] if self.higher_is_better else self.range[0]

    @property
    def by_distance(self) -> bool:
        """Whether plots show the logarithm of the distance to identical images: no setting's is too small to see.

        PSNR is a logarithm itself, and a metric against the prompt has nothing to be near to.
        """
        return self.against == "reference" and math.isfinite(self.best)

    def applies(self, height: int, width: int) -> bool:
        """Whether images of so many pixels are large enough."""
        return min(height, width) >= self.least_side

    @property
    def too_small(self) -> str:
        """What is said where it does not apply."""
        return f"{self.label} needs images of {self.least_side} pixels or more"

    @property
    def needs_checkpoint(self) -> bool:
        return self.against == "prompt"
