"""Structural similarity (Wang et al., 2004): Gaussian window of 11 pixels and sigma 1.5; 1 for identical images.

As in the paper and in scikit-image, the mean is over the windows that lie inside the image. torchmetrics also
averages over its reflected border, so the map is taken from it and cropped here.
"""

from __future__ import annotations

import numpy as np
import torch

from tsbench.metrics.base import Metric, Score

BORDER = 5  # pixels: half of the window


def load() -> Score:
    from torchmetrics.functional.image import structural_similarity_index_measure

    def score(image: np.ndarray, reference: np.ndarray) -> float:
        drawn, wanted = (
            torch.from_numpy(picture.astype(np.float64)).permute(2, 0, 1)[None] for picture in (image, reference)
        )
        _, similarity = structural_similarity_index_measure(drawn, wanted, data_range=255.0, return_full_image=True)
        return float(similarity[..., BORDER:-BORDER, BORDER:-BORDER].mean())

    return score


METRIC = Metric("ssim", "ssim", "SSIM", "", higher_is_better=True, range=(-1, 1), digits=4, load=load, least_side=11)
