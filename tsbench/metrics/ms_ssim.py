"""Multi-scale structural similarity (Wang et al., 2003), five scales, from the pytorch-msssim package; 1 for identical
images.

The coarsest of the scales is a sixteenth of the image, and SSIM's window of 11 pixels has to fit into it.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tsbench.metrics.base import Metric, Score
from tsbench.packages import needs_package


def load() -> Score:
    """Scores of an image and its reference, uint8 [height, width, 3]."""
    import torch
    from pytorch_msssim import ms_ssim

    def score(image: np.ndarray, reference: np.ndarray) -> float:
        drawn, wanted = (
            torch.from_numpy(picture.astype(np.float64)).permute(2, 0, 1)[None] for picture in (image, reference)
        )
        return float(ms_ssim(drawn, wanted, data_range=255.0))

    return score


METRIC = Metric(
    "ms_ssim", "ms_ssim", "MS-SSIM", "", higher_is_better=True, range=(0, 1), digits=4, example=0.9, load=load,
    missing=partial(needs_package, "pytorch-msssim", "ms-ssim"), least_side=161,
)  # fmt: skip
