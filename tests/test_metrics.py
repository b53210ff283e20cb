"""Metrics against implementations that nobody here wrote.

Differences are of 16 levels and more: subtracting unsigned bytes wraps modulo 256, and smaller ones cannot show it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure
from transformers import CLIPModel, CLIPProcessor

from tsbench.errors import UserError
from tsbench.metrics import METRICS, check_metrics, scorer
from tsbench.metrics.lpips_network import distance, to_tensor
from tsbench.models.tiny.pictures import draw, scene_of
from tsbench.paths import ASSETS

REFERENCE = Path(__file__).parent / "reference"
COMPARISONS = [metric.name for metric in METRICS.values() if metric.against == "reference" and not metric.missing()]


def picture(index: int, size: int | tuple[int, int] = (96, 80)) -> np.ndarray:
    scene, rng = scene_of(5, index)
    return draw(scene, size, rng)


def noisy(image: np.ndarray, levels: int) -> np.ndarray:
    noise = np.random.default_rng(0).choice([-levels, levels], image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


PAIRS = {
    "other pictures": (picture(0), picture(1)),
    "black and white": (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)),
    "16 levels darker": (np.full((48, 64, 3), 16, np.uint8), np.full((48, 64, 3), 32, np.uint8)),
    "noise of 40 levels": (picture(2), noisy(picture(2), 40)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_psnr_is_scikit_images(name: str) -> None:
    image, reference = PAIRS[name]
    expected = peak_signal_noise_ratio(reference, image, data_range=255)
    assert scorer("psnr")(image, reference) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", PAIRS)
def test_ssim_is_torchmetrics_without_its_border(name: str) -> None:
    """torchmetrics averages over a reflected border of half a window as well, which its map lets one leave out."""
    image, reference = (torch.from_numpy(picture.astype(np.float64)).permute(2, 0, 1)[None] for picture in PAIRS[name])
    _, similarity = structural_similarity_index_measure(image, reference, data_range=255.0, return_full_image=True)
    expected = float(similarity[..., 5:-5, 5:-5].mean())
    assert scorer("ssim")(*PAIRS[name]) == pytest.approx(expected, abs=1e-9)


def test_lpips_is_the_lpips_packages() -> None:
    """The values and the script that had them from the package are in tests/reference/."""
    reference = json.loads((REFERENCE / "lpips_values.json").read_text())
    assert reference["made_with"]["lpips"] == "0.1.4"
    for one, other, expected in reference["pairs"]:
        images = [np.asarray(Image.open(REFERENCE / name)) for name in (one, other)]
        assert scorer("lpips")(*images) == pytest.approx(expected, abs=1e-5)


def test_lpips_gives_the_same_for_a_batch_as_alone() -> None:
    weights = load_file(ASSETS / "lpips_alex.safetensors")
    a, b = (torch.cat([to_tensor(picture(i)) for i in pair]) for pair in ((0, 1), (2, 3)))
    together = distance(a, b, weights)
    alone = [scorer("lpips")(picture(0), picture(2)), scorer("lpips")(picture(1), picture(3))]
    assert together.tolist() == pytest.approx(alone, abs=1e-6)


def test_ms_ssim_is_made_of_scikit_images_ssim() -> None:
    """Wang et al.'s product over five scales, a channel at a time; with a huge K1 an SSIM is its contrast term."""
    one, other = noisy(picture(2, 192), 40).astype(float), picture(2, 192).astype(float)
    product = np.ones(3)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        _, similarity = structural_similarity(
            one, other, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            full=True, **({"K1": 1e6} if scale < 4 else {}),
        )  # fmt: skip
        product *= similarity[5:-5, 5:-5].mean(axis=(0, 1)) ** weight
        one, other = (x.reshape(len(x) // 2, 2, len(x) // 2, 2, 3).mean(axis=(1, 3)) for x in (one, other))
    assert scorer("ms_ssim")(noisy(picture(2, 192), 40), picture(2, 192)) == pytest.approx(product.mean(), abs=1e-5)


def flip_of_colours(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """FLIP of two uniform images, which have no edges and which the eye's filters leave as they are: the paper's colour
    difference on scikit-image's CIELAB, with its constants 0.7, 0.4 and 0.95, green and blue being farthest apart.
    """

    def hunt(colour: tuple[int, int, int]) -> np.ndarray:
        lightness, a, b = rgb2lab(np.array(colour) / 255)
        return np.array([lightness, 0.01 * lightness * a, 0.01 * lightness * b])

    def difference(p: tuple[int, int, int], q: tuple[int, int, int]) -> float:
        apart = hunt(p) - hunt(q)
        return (abs(apart[0]) + np.hypot(*apart[1:])) ** 0.7

    share = difference(one, other) / difference((0, 255, 0), (0, 0, 255))
    return share * 0.95 / 0.4 if share < 0.4 else 0.95 + (share - 0.4) / 0.6 * 0.05


@pytest.mark.skipif("flip" not in COMPARISONS, reason="needs flip-evaluator")
@pytest.mark.parametrize("colour", [(0, 0, 255), (0, 223, 0), (200, 30, 90)])
def test_flip_of_uniform_images_has_a_closed_form(colour: tuple[int, int, int]) -> None:
    one, other = (np.full((64, 64, 3), c, np.uint8) for c in ((0, 255, 0), colour))
    assert scorer("flip")(one, other) == pytest.approx(flip_of_colours((0, 255, 0), colour), abs=2e-3)


def test_the_clip_score_is_the_models_own_logit(clip_folder: Path) -> None:
    """CLIPModel's logit is the cosine times a learnt scale; the score is 100 times the cosine, and not below 0."""
    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPProcessor.from_pretrained(clip_folder)
    scores = []
    for prompt in ("large red circle at centre, blue background", "small star", "black"):
        inputs = processor(text=[prompt], images=[picture(0)], return_tensors="pt")
        with torch.no_grad():
            logit = model(**inputs).logits_per_image.item() / model.logit_scale.exp().item()
        scores.append(scorer(f"clip_score:{clip_folder}")(picture(0), prompt))
        assert scores[-1] == pytest.approx(max(0, 100 * logit), abs=1e-4)
    assert len(set(scores)) > 1


def test_a_clip_model_may_lie_in_the_users_home(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(clip_folder.parent))
    check_metrics([f"clip_score:~/{clip_folder.name}"])


def test_a_clip_model_without_some_of_its_weights_scores_nothing(clip_folder: Path) -> None:
    """transformers would draw them at random, and say so in a log alone."""
    file = clip_folder / "model.safetensors"
    save_file({name: weight for name, weight in load_file(file).items() if name != "logit_scale"}, file)
    with pytest.raises(UserError, match="lacks 1 of its weights, such as logit_scale; name a whole one"):
        check_metrics([f"clip_score:{clip_folder}"])


MISTAKES = [
    ("clip_score", "clip_score needs a model: metrics=[clip_score:openai/clip-vit-large-patch14], or a folder."),
    ("clip_score:/nowhere", "There is no CLIP model '/nowhere' here ("),
    ("psnr:alex", "The metric 'psnr' takes no model, but was given as 'psnr:alex'; type metrics=[psnr]."),
    ("psnr:", "The metric 'psnr' takes no model, but was given as 'psnr:'; type metrics=[psnr]."),
    ("sharpness", "There is no metric 'sharpness'; there are: psnr, ssim, lpips"),
]


@pytest.mark.parametrize(("name", "sentence"), MISTAKES, ids=[name for name, _ in MISTAKES])
def test_mistakes(name: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check_metrics([name])
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", COMPARISONS)
def test_identical_images_are_perfect(name: str) -> None:
    image, perfect = picture(0, 192), {"psnr": math.inf, "ssim": 1, "ms_ssim": 1}.get(name, 0)
    assert scorer(name)(image, image) == pytest.approx(perfect, abs=1e-12)


@pytest.mark.parametrize("name", ["ssim", "lpips", "ms_ssim"])
def test_the_smallest_image_that_a_metric_is_said_to_take_it_takes(name: str) -> None:
    """And none smaller: a sweep would draw everything and then have no score."""
    least = METRICS[name].least_side
    assert METRICS[name].applies(least, 2 * least) and not METRICS[name].applies(2 * least, least - 1)
    image, other = (picture(index, (least, 2 * least)) for index in (0, 1))
    assert math.isfinite(scorer(name)(image, other))
    with pytest.raises((RuntimeError, AssertionError, ValueError)):
        value = scorer(name)(image[1:], other[1:])
        assert math.isfinite(value)


def test_two_models_of_a_metric_have_no_column_each() -> None:
    with pytest.raises(
        UserError, match="A run has only one clip_score, but 'clip_score:a' and 'clip_score:b' were given"
    ):
        check_metrics(["psnr", "clip_score:a", "clip_score:b"])


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_score_lies_in_the_declared_range(name: str, pair: str) -> None:
    image, reference = (picture.repeat(4, axis=0).repeat(4, axis=1) for picture in PAIRS[pair])
    least, largest = METRICS[name].range
    assert least <= scorer(name)(image, reference) <= largest


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_declared_direction_is_the_true_one(name: str) -> None:
    """A weakly disturbed image must be better than a strongly disturbed one, the way the metric says."""
    image, rng = picture(3, 192), np.random.default_rng(1)
    weak, strong = (np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for sigma in (16, 64))
    better, worse = scorer(name)(weak, image), scorer(name)(strong, image)
    assert (better > worse) == METRICS[name].higher_is_better
