"""LPIPS (Zhang et al., 2018, arXiv:1801.03924), version 0.1; 0 for identical images.

The AlexNet variant is written out in `lpips_network`, on weights that tsbench carries, so that it needs neither a
download nor torchvision. The variants on VGG and SqueezeNet come from the `lpips` package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tsbench.metrics.base import Metric, Score
from tsbench.packages import needs_package
from tsbench.paths import ASSETS


def load() -> Score:
    """Scores of an image and its reference, uint8 [height, width, 3]."""
    from safetensors.torch import load_file

    from tsbench.metrics.lpips_network import distance, to_tensor

    weights = load_file(ASSETS / "lpips_alex.safetensors")
    return lambda image, reference: float(distance(to_tensor(image), to_tensor(reference), weights))


def load_from_package(net: str) -> Score:
    """The same on another network, `vgg` or `squeeze`, by the `lpips` package."""
    import lpips
    import torch

    from tsbench.metrics.lpips_network import to_tensor

    model: Callable[..., Any] = lpips.LPIPS(net=net, verbose=False).eval()

    @torch.no_grad()
    def score(image: np.ndarray, reference: np.ndarray) -> float:
        return float(model(to_tensor(image), to_tensor(reference)))

    return score


METRIC = Metric(
    "lpips", "lpips", "LPIPS", "", higher_is_better=False, range=(0, math.inf), digits=4, example=0.1,
    load=load, least_side=31,
)  # fmt: skip
VGG, SQUEEZE = (
    Metric(
        f"lpips_{net}",
        f"lpips_{net}",
        f"LPIPS ({net})",
        "",
        higher_is_better=False,
        range=(0, math.inf),
        digits=4,
        example=example,
        load=partial(load_from_package, net),
        missing=partial(needs_package, "lpips", "lpips"),
    )
    for net, example in (("vgg", 0.2), ("squeeze", 0.1))
)
