"""What a model is: results of two models must never share a key, wherever their folders lie."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

from tsbench.errors import UserError
from tsbench.models import source
from tsbench.models.source import identity
from tsbench.paths import ASSETS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ASSETS / "tiny", tmp_path / "model"))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_copy_is_the_same_model_whatever_lies_beside_it(folder: Path) -> None:
    (folder / "README.md").write_text("a copy")
    assert identity(folder) == identity(ASSETS / "tiny")


def test_a_bit_anywhere_in_the_weights_is_another_model(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    flip(weights, weights.stat().st_size // 2)
    assert identity(folder) != identity(ASSETS / "tiny")


def test_large_weights_are_sampled_throughout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merged adapter changes matrices in the middle of a file, and neither its header nor its size."""
    monkeypatch.setattr(source, "WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(source, "STRIDE_BYTES", 1 << 16)
    monkeypatch.setattr(source, "SAMPLE_BYTES", 1 << 10)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    size = weights.stat().st_size
    assert size > 1 << 20
    seen = {identity(folder)}
    for place in (0, 20 * (1 << 16) + 1023, size - 1):
        flip(weights, place)
        seen.add(identity(folder))
    flip(weights, 20 * (1 << 16) + 2000)  # between two samples: not looked at
    assert len(seen) == 4 and identity(folder) in seen


def test_converted_weights_are_told_apart(folder: Path) -> None:
    (folder / "transformer" / "openvino_model.bin").write_bytes(bytes(8))
    first = identity(folder)
    flip(folder / "transformer" / "openvino_model.bin", 3)
    assert identity(folder) != first


def test_a_model_without_weights_or_with_those_of_a_variant_is_refused(folder: Path) -> None:
    """As pipelines leave it that are saved with variant="fp16"."""
    source.check_is_whole(folder)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    variant = weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(UserError, match=r"its transformer only as a variant \(diffusion_pytorch_model\.fp16\.safet"):
        source.check_is_whole(folder)
    variant.rename(weights.with_name("half-1.safetensors"))
    with pytest.raises(UserError, match="lacks weights of its transformer; give the folder of a whole model"):
        source.check_is_whole(folder)
    index = weights.with_name(f"{weights.name}.index.json")
    index.write_text(json.dumps({"weight_map": {"x": "half-1.safetensors"}}))
    source.check_is_whole(folder)
    index.write_text("{}")
    with pytest.raises(UserError, match="lacks weights of its transformer; give"):
        source.check_is_whole(folder)
    index.write_text("{")
    with pytest.raises(UserError, match="has no readable diffusion_pytorch_model"):
        source.check_is_whole(folder)


def test_weights_that_git_has_left_out_are_told(folder: Path) -> None:
    """As a clone without Git LFS leaves them."""
    (folder / "text_encoder" / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0"
    )
    with pytest.raises(
        UserError, match=r"of text_encoder/model\.safetensors; type git lfs pull there, or give the fold"
    ):
        source.check_is_whole(folder)


def test_a_tokenizer_without_its_vocabulary_is_refused(folder: Path) -> None:
    """As a download of weights and configurations alone leaves it: every word would be the unknown one, and every
    prompt the same image."""
    for part, others in {"tokenizer": ["vocab.json", "merges.txt"], "tokenizer_2": ["spiece.model"]}.items():
        (folder / part / "tokenizer.json").unlink()
        for name in others:
            with pytest.raises(UserError, match=f"lacks the vocabulary of its {part} \\(tokenizer.json or {others[0]}"):
                source.check_is_whole(folder)
            (folder / part / name).touch()
    source.check_is_whole(folder)


RESPONSE = SimpleNamespace(headers={}, request=None)
REFUSALS = {
    GatedRepoError("gated", response=RESPONSE): "is gated and this machine is not allowed in: accept its",
    RepositoryNotFoundError("none", response=RESPONSE): "no model of that name, or it is private: check the",
    OfflineModeIsEnabled("offline"): "cannot be downloaded: HF_HUB_OFFLINE is set; or give a folder that has it",
    ConnectionError("no route"): "the hub cannot be reached (ConnectionError); or give a folder that has it",
}


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_it_is_said_why_the_hub_gives_no_model(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing that most see who come with FLUX.1-dev: it is gated."""

    def raised(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.HfApi.auth_check", raised)
    with pytest.raises(UserError) as caught:
        source.find_model("some/flux")
    assert str(caught.value).startswith("There is no folder 'some/flux', and the hub's model of that name is not in ")
    assert REFUSALS[error] in str(caught.value) and str(caught.value).endswith("model.path=FOLDER.")


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr("huggingface_hub.HfApi.auth_check", lambda *_: done.wait(60))
    monkeypatch.setattr(source, "HUB_PATIENCE_S", 0.05)
    try:
        assert source.hub_refusal("some/flux") == "the hub does not answer"
    finally:
        done.set()


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize(
    "lacking", [None, "text_encoder_2/model.safetensors", "tokenizer/tokenizer.json", "shard", "index"]
)
def test_a_download_that_was_interrupted_is_gone_on_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lacking: str | None, kind: str
) -> None:
    """The hub's cache hands out the folder of a model as soon as some of its files are there."""
    whole, part = Path(shutil.copytree(folder, folder.parent / "whole")), folder / "transformer"
    (part / "diffusion_pytorch_model.safetensors").unlink()
    weights = [f"diffusion_pytorch_model-0000{number}-of-00002.{kind}" for number in (1, 2)]
    index = part / f"diffusion_pytorch_model.{kind}.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", weights))}))
    for name in weights:
        (part / name).touch()
    if lacking is not None:
        {"shard": part / weights[1], "index": index}.get(lacking, folder / lacking).unlink()
    asked: list[str] = []
    monkeypatch.setattr(source, "hub_refusal", asked.append)
    monkeypatch.setattr(
        "diffusers.FluxPipeline.download", lambda name, local_files_only=False: folder if local_files_only else whole
    )
    assert source.find_model("some/flux") == (folder if lacking is None else whole)
    assert asked == ([] if lacking is None else ["some/flux"])
