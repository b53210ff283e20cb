"""What two images differ by, to look at."""

from __future__ import annotations

import numpy as np


def amplified_difference(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The absolute difference of two images, uint8 [height, width, 3], four times as bright."""
    return np.minimum(4 * np.abs(image.astype(int) - reference), 255).astype(np.uint8)
