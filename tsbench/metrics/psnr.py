"""Peak signal-to-noise ratio in dB; infinite for identical images."""

from __future__ import annotations

import math

import numpy as np

from tsbench.metrics.base import Metric, Score


def load() -> Score:
    """Scores of an image and its reference, uint8 [height, width, 3]."""
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio

    def score(image: np.ndarray, reference: np.ndarray) -> float:
        drawn, wanted = (torch.from_numpy(picture.astype(np.float64)) for picture in (image, reference))
        return float(peak_signal_noise_ratio(drawn, wanted, data_range=255.0))

    return score


METRIC = Metric(
    "psnr", "psnr_db", "PSNR", "dB", higher_is_better=True, range=(0, math.inf), digits=2, example=25,
    load=load,
)  # fmt: skip
