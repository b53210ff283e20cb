"""LPIPS (Zhang et al., 2018, arXiv:1801.03924), version 0.1; 0 for identical images.

The AlexNet variant is written out here on weights that tsbench carries, so that it needs neither a download nor
torchvision. The variants on VGG and SqueezeNet come from the `lpips` package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from tsbench.checks import needs_package
from tsbench.metrics.base import Metric, Score
from tsbench.paths import ASSETS

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
CONVOLUTIONS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))  # index in AlexNet, stride, padding


def _features(image: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """AlexNet's features after each of its five ReLUs, every pixel's vector scaled to length 1."""
    x = (image - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
    taps = []
    for number, (index, stride, padding) in enumerate(CONVOLUTIONS):
        if number in (1, 2):
            x = F.max_pool2d(x, kernel_size=3, stride=2)
        x = F.conv2d(x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], stride, padding)
        x = x.relu()
        taps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
    return taps


@torch.no_grad()
def distance(image: Tensor, reference: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """LPIPS of images float32 [n, 3, height, width] in [-1, 1]: [n]."""
    total = torch.zeros(len(image))
    for number, (a, b) in enumerate(zip(_features(image, weights), _features(reference, weights))):
        total += F.conv2d((a - b).square(), weights[f"lin{number}.model.1.weight"]).mean(dim=(1, 2, 3))
    return total


def to_tensor(picture: np.ndarray) -> Tensor:
    """uint8 [height, width, 3] -> float32 [1, 3, height, width] in [-1, 1]."""
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


def load() -> Score:
    weights = load_file(ASSETS / "lpips_alex.safetensors")
    return lambda image, reference: float(distance(to_tensor(image), to_tensor(reference), weights))


def load_from_package(net: str) -> Score:
    import lpips

    model: Callable[..., Any] = lpips.LPIPS(net=net, verbose=False).eval()

    @torch.no_grad()
    def score(image: np.ndarray, reference: np.ndarray) -> float:
        return float(model(to_tensor(image), to_tensor(reference)))

    return score


METRIC = Metric(
    "lpips", "lpips", "LPIPS", "", higher_is_better=False, range=(0, math.inf), digits=4, load=load, least_side=31,
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
        load=partial(load_from_package, net),
        missing=partial(needs_package, "lpips", "lpips"),
    )
    for net in ("vgg", "squeeze")
)
