"""try, score, doctor and load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tsbench
from tsbench.__main__ import main

SMALL = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=1"]


def test_try_draws_one_prompt_beside_full_compute(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "small red star at centre, blue background"
    assert main(["try", prompt, "size=64", "steps=6", "method.cache_interval=2,3"]) == 0
    text = capsys.readouterr().out
    assert "Full compute: " in text and "  CCCCCC\n" in text
    assert "N=2: " in text and "  CCC.C.\n" in text and "x, PSNR " in text and "LPIPS" in text
    assert [path.name for path in here.iterdir()] == ["try.png"]
    picture = np.asarray(Image.open("try.png"))
    assert picture.shape == (2 * 64, 3 * 64, 3)
    full, cached, difference = picture[:64, :64], picture[:64, 64:128], picture[:64, 128:]
    assert np.array_equal(difference, np.minimum(4 * np.abs(cached.astype(int) - full), 255))
    assert np.array_equal(picture[64:, :64], full) and difference.any()


def test_metrics_are_added_to_a_finished_run(here: Path) -> None:
    assert main(["sweep", *SMALL, "metrics=[psnr]"]) == 0
    assert main(["score", "sweep", "metrics=[ssim,lpips]"]) == 0
    cells = pd.read_csv("results/sweep/cells.csv")
    assert cells[["psnr_db", "ssim", "lpips"]].notna().sum().to_list() == [1, 1, 1]


def test_a_metric_that_cannot_apply_is_empty_with_the_reason_and_a_checkpoint_stands_in_the_row(
    here: Path, clip_folder: Path
) -> None:
    """The clip score is no comparison: full compute has one too. An image of 64 pixels has no MS-SSIM."""
    assert main(["sweep", *SMALL, "metrics=[psnr]"]) == 0
    assert main(["score", "sweep", f"metrics=[ms_ssim,flip,clip_score:{clip_folder}]"]) == 0
    cells = pd.read_csv("results/sweep/cells.csv")
    assert cells["flip"].notna().sum() == 1 and cells["clip_score"].notna().all()
    assert set(cells["clip_score_checkpoint"]) == {str(clip_folder)}
    assert "ms_ssim" not in cells
    assert set(cells["metric_reason"]) == {"MS-SSIM needs images of 161 pixels or more"}
    assert "MS-SSIM needs images of 161" in Path("results/sweep/table.md").read_text()


def test_a_run_in_a_notebook(here: Path) -> None:
    assert main(["sweep", *SMALL, "metrics=[psnr]"]) == 0
    results = tsbench.load("results/sweep")
    pd.testing.assert_frame_equal(
        results.cells[["key", "speedup"]], pd.read_csv("results/sweep/cells.csv")[["key", "speedup"]]
    )
    assert len(results.samples) == 4 and results.manifest["hardware"]
    images = results.images(results.cells["key"][1])
    assert len(images) == 2 and images[0].shape == (64, 64, 3)
    with pytest.raises(KeyError, match="zz is no cell of this run; there are: "):
        results.images("zz")
    assert tsbench.load("sweep").store.folder == results.store.folder


def test_the_doctor_says_what_can_run_and_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(here / "hub"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "tiny: embedded" in text and "psnr: can be computed" in text and "torch 2." in text
    assert "flux1-dev: not in the local cache" in text and "hub token: none" in text
    assert "diffusers: none, fewer_steps, taylorseer, " in text
    assert "lpips_vgg: it needs the lpips package" in text


MISTAKES = [
    (["try"], "try takes one prompt and overrides"),
    (["try", "a", "b"], "try takes one prompt and overrides"),
    (["try", "a", "seeds=[1]"], "try draws its one prompt"),
    (["try", "a cat"], "The prompt 'a cat' cannot be drawn by model=tiny: 'a cat' is not in the grammar"),
    (["try", "a cat, e = mc2", "steps=6"], "'e = mc2' is not in the grammar of the embedded model"),
    (["score", "x"], "score takes a run and metrics"),
    (["score", "x", "metrics=[nope]"], "There is no metric 'nope'"),
    (["score", "x", "metrics=[psnr]"], "There are no results in 'results/x'"),
    (["doctor", "x"], "doctor takes no arguments"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and list(here.iterdir()) == []
