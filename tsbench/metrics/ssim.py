"""Structural similarity (Wang et al., 2004): Gaussian window of 11 pixels and sigma 1.5; 1 for identical images.

As in the paper, the mean is over the windows that lie inside the image.
"""

from __future__ import annotations

import numpy as np

from tsbench.metrics.base import Metric, Score


def load() -> Score:
    """Scores of an image and its reference, uint8 [height, width, 3]."""
    from skimage.metrics import structural_similarity

    def score(image: np.ndarray, reference: np.ndarray) -> float:
        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return float(structural_similarity(image, reference, data_range=255, channel_axis=2, **wang))

    return score


METRIC = Metric(
    "ssim", "ssim", "SSIM", "", higher_is_better=True, range=(-1, 1), digits=4, example=0.9,
    load=load, least_side=11,
)  # fmt: skip
