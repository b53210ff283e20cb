"""The code for a model of random weights, on a scaled-down architecture that a CPU can run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.helpers import FLOAT32
from tsbench.__main__ import main
from tsbench.cell import Cell
from tsbench.drawing.diffusers import DiffusersBackend, DiffusersSession
from tsbench.methods import mag_cache
from tsbench.models.source import configuration
from tsbench.paths import ASSETS
from tsbench.store import Store
from tsbench.sweep import Sweep

SMALL = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=2", "runtime.dtype=float32"]


@pytest.fixture
def sibling(tmp_path: Path) -> Path:
    """The embedded model's configurations, without its weights and tokenizers, with FLUX.1-dev's text lengths."""
    folder = tmp_path / "sibling"
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2", "scheduler"):
        (folder / name).mkdir(parents=True)
        for file in (ASSETS / "tiny" / name).glob("*config.json"):
            shutil.copy(file, folder / name)
    shutil.copy(ASSETS / "architectures" / "flux1-dev" / "model_index.json", folder)
    return folder


def cells_of(*overrides: str) -> pd.DataFrame:
    assert main(["sweep", "model=flux1-dev-architecture", *SMALL, *overrides]) == 0
    return pd.read_csv("results/sweep/cells.csv")


def test_a_sweep_of_random_weights(here: Path, sibling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed and counted like any other; no quality, no images, no schedule that depends on the image."""
    cells = cells_of(f"model.path={sibling}", "method=taylorseer,auto,first_block_cache", "method.use_lite_mode=true")
    assert list(cells["status"]) == ["ok", "skipped", "skipped", "ok"]
    skipped = cells[cells["status"] == "skipped"]
    assert skipped["reason"].str.startswith("meaningless with random weights: the schedule depends on ").all()
    cached = cells.iloc[3]
    assert cached["method"] == "taylorseer" and cached["schedule"] == "CCC.C." and cached["speedup"] > 0
    assert cached["note"] == "random weights"
    assert cached["flops_speedup"] == pytest.approx(1.5, rel=0.01)
    assert cells[["psnr_db", "ssim", "lpips"]].isna().all().all() and cells["on_front"].isna().all()
    folder = here / "results" / "sweep"
    assert not list(folder.rglob("*/*.png"))
    assert (folder / "speed.png").is_file() and not (folder / "pareto.png").exists()
    text = (folder / "table.md").read_text()
    assert "random weights" in text and "skipped: meaningless with random weights: the schedule depends on" in text
    monkeypatch.setattr(DiffusersBackend, "load", None)  # a cell to skip needs no model
    assert (
        list(cells_of(f"model.path={sibling}", "method=first_block_cache", "method.threshold=0.1")["status"]).count(
            "skipped"
        )
        == 3
    )


def test_ratios_are_not_measured_on_random_weights(here: Path, sibling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would give a schedule of noise; those that diffusers ships for the architecture promise one."""
    overrides = [f"model.path={sibling}", "method=mag_cache", "method.retention_ratio=0.5"]
    full, measured = cells_of(*overrides).itertuples()
    assert full.status == "ok" and measured.reason.endswith("ratios of magnitudes that are measured on the model")
    blocks = configuration(sibling, "transformer/config.json")
    monkeypatch.setattr(mag_cache, "FLUX_BLOCKS", (blocks["num_layers"], blocks["num_single_layers"]))
    drawn = cells_of(*overrides, "method.threshold=0.5").iloc[2]
    assert drawn["status"] == "ok" and drawn["schedule"] == "CCC..."
    assert drawn["flops_speedup"] == pytest.approx(2, rel=0.02)


def test_text_encoders_can_be_left_out_and_the_row_says_so(here: Path, sibling: Path) -> None:
    cells = cells_of(f"model.path={sibling}", "model.text_encoders=false,true")
    left_out = "random weights; random embeddings, text encoders left out"
    assert list(cells["note"]) == ["random weights"] * 2 + [left_out] * 2 and len(set(cells["key"])) == 4


def test_text_encoders_are_loaded_for_the_cells_that_have_them_alone(
    sibling: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both kinds in one sweep: a session of the other kind would time what the row does not say."""

    def load(self: DiffusersBackend, folder: Path, cell: Cell) -> SimpleNamespace:
        return SimpleNamespace(first=cell.workload, pipeline_s=0.0, close=lambda: None)

    monkeypatch.setattr(DiffusersBackend, "load", load)
    both = "model.text_encoders=true,false"
    sweep = Sweep(["model=flux1-dev-architecture", *SMALL, f"model.path={sibling}", both])
    had = [(cell.workload.text_encoders, sweep.sessions.of(cell).first.text_encoders) for cell in sweep.cells]
    assert had == [(True, True)] * 2 + [(False, False)] * 2


def test_weights_come_from_a_seed(sibling: Path) -> None:
    sessions = [DiffusersSession(sibling, FLOAT32, torch.device("cpu"), random_weights=True) for _ in range(2)]
    weights = [session.pipeline.transformer.state_dict() for session in sessions]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert np.std(weights[0]["proj_out.weight"].numpy()) > 0
    assert sessions[0].pipeline.tokenizer is not None


def test_the_carried_architecture_is_flux() -> None:
    """Sizes of the parts as published, in parameters: 11.9 B, 123 M, 4.76 B and 84 M."""
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    folder = ASSETS / "architectures" / "flux1-dev"
    config = {
        name: json.loads((folder / name / "config.json").read_text())
        for name in ("transformer", "text_encoder", "text_encoder_2", "vae")
    }
    with torch.device("meta"):
        parts = [
            FluxTransformer2DModel.from_config(config["transformer"]),
            CLIPTextModel(CLIPTextConfig(**config["text_encoder"])),
            T5EncoderModel(T5Config(**config["text_encoder_2"])),
            AutoencoderKL.from_config(config["vae"]),
        ]
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [11_901_408_320, 123_060_480, 4_762_310_656, 83_819_683]


def test_cells_alone_need_neither_pandas_nor_matplotlib(here: Path) -> None:
    """What a bare GPU machine has: the cells are drawn there and the tables built elsewhere."""
    import subprocess
    import sys

    missing = ("pandas", "matplotlib", "moocore", "pyarrow", "scipy", "torchmetrics", "skimage", "tabulate", "jinja2")
    code = (
        f"import sys; [sys.modules.__setitem__(name, None) for name in {missing}]; "
        "from tsbench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    small = ["size=64", "steps=4", "prompts.limit=1", "timing.pairs=1", "report=false"]
    drawn = subprocess.run([sys.executable, "-c", code, "sweep", *small], capture_output=True, text=True)
    assert drawn.returncode == 0, drawn.stderr
    assert "python -m tsbench report sweep builds tables" in " ".join(drawn.stdout.split())
    folder = here / "results" / "sweep"
    assert {path.name for path in folder.iterdir()} == {"cells", "manifest.json"}
    assert 0 < Store(folder).manifest().commands[-1].pipeline_share < 1
    assert main(["report", "sweep"]) == 0
    assert pd.read_csv(folder / "cells.csv")["psnr_db"].notna().sum() == 1


def test_there_is_no_picture_of_random_weights_to_try(
    here: Path, sibling: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["try", "a cat", "model=flux1-dev-architecture", f"model.path={sibling}", *SMALL[:2]]) == 2
    assert "try shows a picture, but those of random weights mean nothing" in capsys.readouterr().err
    assert not (here / "try.png").exists()


def test_leaving_text_encoders_out_is_for_random_weights(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "model.text_encoders=false"]) == 2
    assert "model.text_encoders=false is for random weights only" in capsys.readouterr().err
