"""Shared fixtures: the embedded model in memory, and a place to run sweeps in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import FLOAT32
from tsbench.backends.diffusers import DiffusersSession
from tsbench.paths import ASSETS


@pytest.fixture(scope="session")
def session() -> DiffusersSession:
    return DiffusersSession(ASSETS / "tiny", FLOAT32, torch.device("cpu"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
