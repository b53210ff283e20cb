"""Metrics against implementations that nobody here wrote.

Differences are of 16 levels and more: subtracting unsigned bytes wraps modulo 256, and smaller ones cannot show it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tsbench.metrics import METRICS, lpips
from tsbench.models.tiny.pictures import draw, scene_of
from tsbench.score import scorer

REFERENCE = Path(__file__).parent / "reference"


def picture(index: int) -> np.ndarray:
    scene, rng = scene_of(5, index)
    return draw(scene, (96, 80), rng)


PAIRS = {
    "other pictures": (picture(0), picture(1)),
    "black and white": (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)),
    "16 levels darker": (np.full((48, 64, 3), 16, np.uint8), np.full((48, 64, 3), 32, np.uint8)),
    "noise of 40 levels": (
        picture(2),
        np.clip(picture(2) + np.random.default_rng(0).choice([-40, 40], (96, 80, 3)), 0, 255).astype(np.uint8),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_psnr_is_scikit_images(name: str) -> None:
    image, reference = PAIRS[name]
    expected = peak_signal_noise_ratio(reference, image, data_range=255)
    assert scorer("psnr")(image, reference) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", PAIRS)
def test_ssim_is_scikit_images(name: str) -> None:
    """With Wang et al.'s window: Gaussian, sigma 1.5, 11 wide, population covariance."""
    image, reference = PAIRS[name]
    expected = structural_similarity(
        reference, image, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert scorer("ssim")(image, reference) == pytest.approx(expected, abs=1e-4)


def test_lpips_is_the_lpips_packages() -> None:
    """The values and the script that had them from the package are in tests/reference/."""
    reference = json.loads((REFERENCE / "lpips_values.json").read_text())
    assert reference["made_with"]["lpips"] == "0.1.4"
    for one, other, expected in reference["pairs"]:
        images = [np.asarray(Image.open(REFERENCE / name)) for name in (one, other)]
        assert scorer("lpips")(*images) == pytest.approx(expected, abs=1e-5)


def test_lpips_gives_the_same_for_a_batch_as_alone() -> None:
    weights = lpips.load_file(lpips.ASSETS / "lpips_alex.safetensors")
    a, b = (lpips.torch.cat([lpips.to_tensor(picture(i)) for i in pair]) for pair in ((0, 1), (2, 3)))
    together = lpips.distance(a, b, weights)
    alone = [scorer("lpips")(picture(0), picture(2)), scorer("lpips")(picture(1), picture(3))]
    assert together.tolist() == pytest.approx(alone, abs=1e-6)


def test_identical_images_are_perfect() -> None:
    image = picture(0)
    assert scorer("psnr")(image, image) == math.inf
    assert scorer("ssim")(image, image) == pytest.approx(1, abs=1e-12)
    assert scorer("lpips")(image, image) == 0


@pytest.mark.parametrize("name", ["psnr", "ssim", "lpips"])
def test_the_declared_direction_is_the_true_one(name: str) -> None:
    """A weakly disturbed image must be better than a strongly disturbed one, the way the metric says."""
    image, rng = picture(3), np.random.default_rng(1)
    weak, strong = (np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for sigma in (16, 64))
    better, worse = scorer(name)(weak, image), scorer(name)(strong, image)
    assert (better > worse) == METRICS[name].higher_is_better
