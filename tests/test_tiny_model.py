"""The embedded model: its pictures, its captions, its training and its trade-off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline

from tsbench.drawing.diffusers import DiffusersSession
from tsbench.methods import Method
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.metrics import scorer
from tsbench.models.tiny import build, train
from tsbench.models.tiny.check import check
from tsbench.models.tiny.evaluate import SIZES, drawn, restored_psnr_db, shares, unseen_captions, verdicts
from tsbench.models.tiny.pictures import COLOURS, draw, parse, scene_of
from tsbench.paths import ASSETS
from tsbench.prompts import read_prompts


def test_a_caption_says_what_is_there() -> None:
    scenes = [scene_of(0, index)[0] for index in range(300)]
    assert len(set(map(str, scenes))) > 290 and all(parse(str(scene)) == scene for scene in scenes)


def test_the_carried_captions_are_in_the_grammar() -> None:
    captions = read_prompts("captions", None)
    assert len(captions) >= 6
    assert [str(parse(caption)) for caption in captions] == list(captions)


@pytest.mark.parametrize("caption", ["a cat", "huge red circle at centre, blue background", "pink background"])
def test_other_captions_are_refused(caption: str) -> None:
    with pytest.raises(ValueError, match="is not in the grammar of the embedded model"):
        parse(caption)


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("blue background", "0 things are not in the grammar"),
        ("small red star at centre, small white star at top-left, blue background", "2 things are not in the grammar"),
        ("small red star at centre, red checkered background", "something red on a red checkered background is not"),
        ("large red star at centre, thin blue vertical line, red to blue gradient background", "something blue on a"),
    ],
)
def test_captions_that_no_picture_was_seen_of_are_refused(caption: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(caption)


def test_a_scene_is_the_same_at_every_size() -> None:
    """Halving a picture of 256 pixels gives nearly the one that is drawn at 128."""
    for index in range(5):
        small, large = (draw(*(lambda s, r: (s, size, r))(*scene_of(3, index))) for size in (128, 256))
        halved = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - small).mean() < 2.0


def test_the_program_that_reads_pictures_reads_true_ones() -> None:
    """All the true pictures, and no picture of another caption."""
    scenes = [scene_of(11, index) for index in range(40)]
    pictures = [draw(scene, 128, rng) for scene, rng in scenes]
    assert all(check(picture, scene).everything for picture, (scene, _) in zip(pictures, scenes))
    assert not any(check(picture, scene).everything for picture, (scene, _) in zip(pictures, scenes[1:]))


@pytest.mark.parametrize("part", ["background", "colour", "shape", "place"])
def test_a_picture_that_is_wrong_in_one_thing_is_found_wrong_in_it(part: str) -> None:
    said = parse("large red circle at centre, blue background")
    wrong = {
        "background": "large red circle at centre, green background",
        "colour": "large white circle at centre, blue background",
        "shape": "large red square at centre, blue background",
        "place": "large red circle at top-left, blue background",
    }
    found = check(draw(parse(wrong[part]), 128, np.random.default_rng(0)), said)
    assert not getattr(found, part) and not found.everything
    others = {"background", "colour", "shape", "place"} - {part} - ({"colour", "shape"} if part == "place" else set())
    others -= {"shape", "place"} if part == "colour" else set()  # a thing is looked for by its colour
    assert all(getattr(found, other) for other in others)


def test_colours_are_told_apart() -> None:
    values = np.array(list(COLOURS.values()), dtype=float)
    distances = np.linalg.norm(values[:, None] - values[None], axis=2) + 999 * np.eye(len(values))
    assert distances.min() > 60


def test_tokenizers_are_the_same_every_time_and_know_every_word(tmp_path: Path) -> None:
    captions = [str(scene_of(0, index)[0]) for index in range(200)]
    for name in ("a", "b"):
        build.make_tokenizers(tmp_path / name, captions)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.json")]
    assert files and all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    clip, t5 = build.tokenizers(tmp_path / "a")
    for caption in captions:
        assert len(t5.tokenize(caption)) == len(caption.replace(",", " ,").split())
        assert len(clip.tokenize(caption)) == len(caption.replace(",", " ,").replace("-", " - ").split())


def test_training_goes_on_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of each stage at once, and interrupted after one; small ones, for CPUs without bfloat16."""
    monkeypatch.setattr(train, "AUTOENCODER_BATCH", {64: 1})
    monkeypatch.setattr(train, "CACHED_PICTURES", {128: 8})
    monkeypatch.setattr(train, "TRANSFORMER_BATCH", {128: 2})
    monkeypatch.setattr(train, "SHARES", {0: {128: 1.0}})
    monkeypatch.setattr(train, "SHARD", 8)
    monkeypatch.setattr(train, "TOKENIZED", 200)
    monkeypatch.setattr(train, "PLAIN_STEPS", 1)

    def weights(folder: Path, stops: tuple[int | None, ...]) -> list[torch.Tensor]:
        folder.mkdir()
        for stop in stops:
            train.train_autoencoder(folder, 2, stop)
        train.encode_pictures(folder)
        for stage in (train.train_transformer, train.train_guided):
            for stop in stops:
                stage(folder, 2, stop)
        names = ("autoencoder", "transformer", "guided")
        states = [torch.load(folder / f"{name}.pt", weights_only=True) for name in names]
        assert [state["step"] for state in states] == [2, 2, 2]
        return [tensor for state in states for tensor in (*state["modules"].values(), *state["averaged"].values())]

    at_once, interrupted = weights(tmp_path / "a", (None,)), weights(tmp_path / "b", (1, None))
    assert all(torch.equal(one, other) for one, other in zip(at_once, interrupted, strict=True))


def test_training_goes_on_from_an_exported_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those of the folder, the steps count on, and the optimiser is new."""
    train.start_from(ASSETS / "tiny", tmp_path)
    trainer = train.transformer_trainer(tmp_path / "transformer.pt", 1e-3)
    steps = json.loads((ASSETS / "tiny" / "training.json").read_text())
    assert trainer.step == trainer.began == steps["transformer"] > 1000
    pipeline = FluxPipeline.from_pretrained(ASSETS / "tiny")
    for name, module in trainer.modules.items():
        own = module.state_dict()
        assert all(torch.equal(own[key], value.float()) for key, value in getattr(pipeline, name).state_dict().items())
    assert train.learning_rate_at(trainer, 10 * trainer.step) == 0.01
    vae = train.Trainer(tmp_path / "autoencoder.pt", {"vae": build.autoencoder()}, 0, 0)
    assert vae.step == steps["autoencoder"]


def test_the_model_is_small_and_without_pickle() -> None:
    files = [path for path in (ASSETS / "tiny").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    config = json.loads((ASSETS / "tiny" / "transformer" / "config.json").read_text())
    assert config["guidance_embeds"] and config["num_layers"] and config["num_single_layers"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [*SIZES, 144, 176])
def test_pictures_show_what_the_caption_says(session: DiffusersSession, size: int) -> None:
    """Read off 100 pictures of captions that training has not seen, at its sizes and between them. A guess would get
    one shape in six right."""
    captions = unseen_captions(100)
    pictures, _ = drawn(session, captions, size, Method())
    found = shares(verdicts(captions, pictures))
    assert min(found["background"], found["colour"], found["place"]) >= 0.97
    assert found["everything"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_autoencoder_restores_unseen_pictures(session: DiffusersSession, size: int) -> None:
    assert restored_psnr_db(session, size, 64) >= 28


def test_longer_intervals_cost_quality(session: DiffusersSession) -> None:
    """The model is trained: with random weights a cache costs nothing, and every comparison would be fiction."""
    captions = read_prompts("captions", 6)
    full, _ = drawn(session, captions, 128, Method())
    means = []
    for interval in (2, 3, 4, 6, 8):
        pictures, _ = drawn(session, captions, 128, TaylorSeer(cache_interval=interval, use_lite_mode=True))
        means.append(np.mean([scorer("psnr")(a, b) for a, b in zip(pictures, full, strict=True)]))
    assert means == sorted(means, reverse=True)
    assert means[0] - means[-1] >= 6
