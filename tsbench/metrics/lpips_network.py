"""The network of LPIPS on AlexNet, on weights by the names of torchvision and of the `lpips` package."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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
