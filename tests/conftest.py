"""Shared fixtures: the embedded model in memory, and a place to run sweeps in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from tests.helpers import FLOAT32
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.paths import ASSETS
from tsbench.store import Store


@pytest.fixture(scope="session")
def session() -> DiffusersSession:
    return DiffusersSession(ASSETS / "tiny", FLOAT32, torch.device("cpu"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """`tests.stores.scored_run`."""
    from tests.stores import scored_run  # which needs more than a machine for `make gpu` has

    return scored_run(tmp_path / "run")


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    """A CLIP model with random weights."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": 512, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(
        text_config=small | text, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=16
    )
    CLIPModel(config).save_pretrained(tmp_path)
    resized = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(resized, CLIPTokenizer.from_pretrained(ASSETS / "tiny" / "tokenizer")).save_pretrained(tmp_path)
    return tmp_path
