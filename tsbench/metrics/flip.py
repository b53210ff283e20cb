"""LDR-FLIP (Andersson et al., 2020): what a person sees who flips between two images; 0 for identical ones.

The mean error of NVIDIA's flip-evaluator package, at its default of 67 pixels a degree of the visual field.
"""

from __future__ import annotations

import numpy as np

from tsbench.metrics.base import Metric, Score
from tsbench.packages import needs_package


def missing() -> str | None:
    """How to install what it needs; None if it is there."""
    reason = needs_package("flip-evaluator", "flip")
    return reason and f"{reason} (with g++ and Python's headers on Python 3.14 and on ARM, for which it has no wheels)"


def load() -> Score:
    """Scores of an image and its reference, uint8 [height, width, 3]."""
    import flip_evaluator

    def score(image: np.ndarray, reference: np.ndarray) -> float:
        drawn, wanted = (picture.astype(np.float32) / 255 for picture in (image, reference))
        return float(flip_evaluator.evaluate(wanted, drawn, "LDR", applyMagma=False)[1])

    return score


METRIC = Metric(
    "flip", "flip", "FLIP", "", higher_is_better=False, range=(0, 1), digits=4, example=0.1, load=load, missing=missing
)
