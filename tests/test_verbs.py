"""try, score, doctor and load."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tsbench
from tests.helpers import FLOAT32, cell
from tests.stores import ENVIRONMENT, GOOD, PROMPTS, body, by_interval, document, image, keys, put, run, timing
from tsbench.__main__ import main
from tsbench.cell import Cell
from tsbench.drawing.diffusers import DiffusersBackend
from tsbench.errors import ModelSpoilt
from tsbench.methods.auto import Auto
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.metrics import scorer
from tsbench.progress import Output
from tsbench.report.html import write_html
from tsbench.scoring import score_cells
from tsbench.store import Store, opened
from tsbench.stored import StoredCell
from tsbench.tables import NO_REFERENCE, cells_table
from tsbench.verbs.doctor import methods, models

PARAMETERS = json.dumps(TaylorSeer(cache_interval=2).resolved(4))
TIMED: list[dict[str, object]] = [{"batch": 0, "reference": timing(1.0, 0.8), "method": timing(0.5, 0.3)}]
SMALL = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=1"]


def png(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_try_draws_one_prompt_beside_full_compute(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "small red star at centre, blue background"
    assert main(["try", prompt, "size=64", "steps=6", "method.cache_interval=2,3"]) == 0
    text = capsys.readouterr().out
    assert "Full compute: " in text and "  CCCCCC\n" in text
    assert "N=2: " in text and "  CCC.C.\n" in text and "x (full compute beside it " in text and "LPIPS" in text
    assert [path.name for path in here.iterdir()] == ["try.png"]
    picture = np.asarray(Image.open("try.png"))
    assert picture.shape == (2 * 72, 3 * 72, 3)  # with a white frame of 4
    full, cached, difference = (picture[4:68, 72 * place + 4 : 72 * place + 68] for place in range(3))
    assert np.array_equal(difference, np.minimum(4 * np.abs(cached.astype(int) - full), 255))
    assert np.array_equal(picture[76:140, 4:68], full) and difference.any() and picture[:4].min() == 255


def test_try_goes_on_after_a_failure(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pictures before and after it, and the model loaded anew where the failure spoilt it."""
    enable, load, loaded = TaylorSeer.enable, DiffusersBackend.load, []

    def enable_but_three(method: TaylorSeer, pipeline: object, steps: int) -> None:
        if method.cache_interval == 3:
            raise ModelSpoilt("no room")
        enable(method, pipeline, steps)

    def load_counted(backend: DiffusersBackend, folder: Path, loading: Cell) -> object:
        loaded.append(loading)
        return load(backend, folder, loading)

    monkeypatch.setattr(TaylorSeer, "enable", enable_but_three)
    monkeypatch.setattr(DiffusersBackend, "load", load_counted)
    small = ["size=64", "steps=6", "metrics=[psnr]", "method.cache_interval=2,3,4"]
    assert main(["try", "small red star at centre, blue background", *small]) == 1
    assert Image.open("try.png").size == (3 * 72, 2 * 72)
    shown = capsys.readouterr()
    assert "N=3 could not be drawn: no room." in shown.err
    assert "N=2" in shown.out and "N=4" in shown.out and "N=3" not in shown.out and len(loaded) == 2


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["method=cache_dit", "method.Fn_compute_blocks=20"], "are 20 and 0, but this model has 12 blocks in all"),
        (["backend=openvino", "method=auto"], "auto (tsbench), tol 0.2 cannot be drawn: "),
        (["method.cache_interval=3", "prompts=x"], "try draws the one prompt that it is given"),
    ],
)
def test_try_tells_of_a_mistake_before_it_loads_the_model(
    overrides: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffusersBackend, "load", None)
    assert main(["try", "small red star at centre, blue background", *SMALL[:2], *overrides]) == 2
    assert sentence in capsys.readouterr().err and not list(here.iterdir())


def test_try_says_that_nothing_was_skipped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A threshold that is never reached is otherwise a cache of 1.0x with a perfect image."""
    prompt = "small red star at centre, blue background"
    small = ["size=64", "steps=6", "metrics=[psnr]"]
    assert main(["try", prompt, *small, "method=first_block_cache", "method.threshold=0"]) == 0
    assert "\n  CCCCCC; inert: every step was computed\n" in capsys.readouterr().out


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
    assert main(["score", "sweep", f"metrics=[ms_ssim,ssim,clip_score:{clip_folder}]"]) == 0
    cells = pd.read_csv("results/sweep/cells.csv")
    assert cells["ssim"].notna().sum() == 1 and cells["clip_score"].notna().all()
    assert set(cells["clip_score_checkpoint"]) == {str(clip_folder)}
    assert "ms_ssim" not in cells
    assert set(cells["metric_reason"]) == {"MS-SSIM needs images of 161 pixels or more"}
    assert "MS-SSIM needs images of 161" in Path("results/sweep/table.md").read_text()


def test_a_run_in_a_notebook(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["sweep", *SMALL, "metrics=[psnr]"]) == 0
    results = tsbench.load("results/sweep")
    pd.testing.assert_frame_equal(
        results.cells[["key", "speedup"]], pd.read_csv("results/sweep/cells.csv")[["key", "speedup"]]
    )
    assert len(results.samples) == 4 and results.manifest.environment
    images = results.images(results.cells["key"][1])
    assert len(images) == 2 and images[0].shape == (64, 64, 3)
    with pytest.raises(KeyError, match="zz begins the keys of 0 cells; all are in cells"):
        results.images("zz")
    with pytest.raises(KeyError):
        results.images(None)  # type: ignore[arg-type]
    assert tsbench.load("sweep").store.folder == results.store.folder
    monkeypatch.chdir(here.parent)
    assert len(results.images(results.cells["key"][1])) == 2


def test_the_doctor_says_what_can_run_and_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(here / "hub"))
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "tiny: embedded" in text and "psnr: can be computed" in text and "torch 2." in text
    assert "flux1-dev: not in the local cache" in text and "hub token: none" in text
    assert "diffusers: none, fewer_steps, taylorseer, " in text
    assert "lpips_vgg: it needs the lpips package" in text and "cache_dit: it needs" not in text
    assert "clip_score: can be computed with a CLIP model: clip_score:CHECKPOINT" in text


def test_the_doctor_finds_models_where_a_sweep_does(here: Path) -> None:
    """A folder of the name comes before the hub."""
    for name, file in {"FLUX.1-dev": "model_index.json", "FLUX.1-schnell": "other.json"}.items():
        folder = here / "black-forest-labs" / name
        folder.mkdir(parents=True)
        (folder / file).touch()
    lines = models()
    assert "flux1-dev: in black-forest-labs/FLUX.1-dev" in lines
    assert any(line.startswith("flux1-schnell: ") and "which has no model_index.json" in line for line in lines)


def test_the_doctor_says_which_methods_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsbench.packages.installed_version", lambda name: None)
    wanted = "cache_dit: it needs the cache-dit package: pip install -c constraints.txt -e '.[cache-dit]'"
    assert wanted in methods()


def test_the_doctor_goes_on_after_a_method_that_cannot_say_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Auto, "missing", lambda: {}["gpu"])
    assert "auto: what it needs cannot be found out (KeyError: 'gpu')" in methods()


def test_a_method_that_fails_while_it_is_tried_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "small red star at centre, blue background"
    small = ["size=64", "steps=4", "metrics=[psnr]"]
    assert main(["try", prompt, *small, "method.cache_identifiers=[nothing]"]) == 1
    error = capsys.readouterr().err
    told = "could not be drawn: method.cache_identifiers has 'nothing', which matches the name of no module."
    assert told in error and error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_reasons_are_printed_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what a console would take for markup: an error's brackets."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    put(store, cell(), "failed", {"reason": "OSError: [enforce fail] in [/data/model]", "traceback": "…"})
    assert main(["report", "run"]) == 1
    assert "failed Full compute: OSError: [enforce fail] in [/data/model]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("manifest.json", b"{", "put back a copy of it, or draw into another folder by name=NAME"),
        ("manifest.json", None, "run has cells but no manifest.json, which says what made them; put back a copy of it"),
        ("cells/KEY/cell.json", b'{"key"', "type the same sweep again, which draws the cell again"),
        ("manifest.json", b"[1]", "manifest.json is damaged (it is no JSON object); put back a copy of it"),
        ("manifest.json", b'{"commands": []}', "manifest.json is damaged (it has no 'environment'); put back a copy"),
        (
            "cells/KEY/cell.json",
            json.dumps(dict.fromkeys((field.name for field in fields(StoredCell)), "ok")).encode(),
            "cell.json is damaged (it has no 'schedules'); delete the folder run/cells/KEY",
        ),
        (
            "cells/KEY/cell.json",
            {"settings": {"dtype": "float32"}},
            "cell.json is damaged (it has no 'offload')",
        ),
        (
            "cells/KEY/cell.json",
            {"settings": vars(FLOAT32) | {"zork": 1}},
            "cell.json is damaged (its 'zork' is unknown)",
        ),
        (
            "cells/KEY/cell.json",
            {"pairs": [{"batch": 0}]},
            "cell.json is damaged (it has no 'schedule')",
        ),
        (
            "cells/KEY/cell.json",
            {"reference": "x", "pairs": [{"batch": 0, "schedule": "CCCC", "method": timing(0.5, 0.3)}]},
            "cell.json is damaged (a pair of it has no 'reference')",
        ),
        ("cells/KEY/cell.json", b"{}", "cell.json is damaged (it has no 'key'); delete the folder run/cells/KEY"),
        ("cells/KEY/scores.json", b'{"zork": [1, 2]}', "There is no metric 'zork'; there are: psnr, ssim, lpips"),
        ("cells/KEY/cell.json", {"pairs": []}, "cell.json is damaged (it has no pair)"),
        ("cells/KEY/cell.json", {"pairs": 6}, "cell.json is damaged (its 'pairs' is 6)"),
        ("cells/KEY/cell.json", {"pairs": [6]}, "cell.json is damaged (its 'pairs' is 6)"),
        ("cells/KEY/cell.json", {"cache_bytes": "many"}, "cell.json is damaged (its 'cache_bytes' is 'many')"),
        ("cells/KEY/cell.json", {"cache_bytes": True}, "cell.json is damaged (its 'cache_bytes' is True)"),
        ("cells/KEY/cell.json", {"params": []}, "cell.json is damaged (its 'params' is [])"),
        ("cells/KEY/cell.json", {"step_errors": [0.1, None]}, "cell.json is damaged (its 'step_errors' is None)"),
        ("cells/KEY/cell.json", {"schedules": ["CCCC"]}, "damaged (it has not one schedule for every image)"),
        (
            "manifest.json",
            {"metrics": "psnr"},
            "manifest.json is damaged (its 'metrics' is 'psnr'); put back a copy of it",
        ),
        ("manifest.json", {"commands": [{"command": "x"}]}, "manifest.json is damaged (it has no 'started')"),
        ("manifest.json", {"commands": []}, "manifest.json is damaged (it has no command); put back a copy of it"),
        ("cells/KEY/scores.json", b'{"psnr": 3}', "scores.json is damaged (a metric of it has no list of values)"),
        ("cells/KEY/scores.json", b'{"psnr": [null]}', "scores.json is damaged (a metric of it has no list of values)"),
        ("cells/KEY/scores.json", b'{"psnr": ["x"]}', "scores.json is damaged (could not convert string to float"),
        ("cells/KEY/scores.json", b'{"psnr": [NaN, 1]}', "scores.json is damaged (a value of it is no score)"),
        ("cells/KEY/cell.json", {"status": "done"}, "cell.json is damaged (its status is 'done')"),
        ("cells/KEY/scores.json", b'{"psnr": [1], "ssim": [1, 2]}', "damaged (its metrics have different numbers of"),
        ("cells/KEY/scores.json", b"", "type python -m tsbench report, which scores the cell again"),
        ("cells/KEY/0000.png", None, "0000.png is missing or damaged; delete the folder run/cells/KEY and type"),
        ("cells/KEY/0001.png", b"no picture", "0001.png is missing or damaged"),
        ("cells/KEY/0001.png", b"\x89PNG\r\n\x1a\n\0\0\0\5IHDR" + bytes(9), "0001.png is missing or damaged"),
        ("cells/KEY/0001.png", png(image(0, side=80)), "0001.png is missing or damaged"),
        ("cells/KEY/0001.png", png(image(0)[..., 0]), "0001.png is missing or damaged"),
    ],
)
def test_a_damaged_file_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], file: str, text: bytes | dict[str, Any] | None, sentence: str
) -> None:
    """And no other image takes the place of one that is missing."""
    store, key = Store(Path("run")), cell(steps=4).key
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC"), [image(0), image(8)])
    damaged = store.folder / file.replace("KEY", key)
    if isinstance(text, dict):
        text = json.dumps(json.loads(damaged.read_text()) | text).encode()
    damaged.unlink(missing_ok=True)
    if text is not None:
        damaged.write_bytes(text)
    assert main(["report", "run"]) == 2
    error = capsys.readouterr().err
    assert sentence.replace("KEY", key) in error and error.count("\n") == 1


def test_a_disk_that_cannot_be_written_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half written is not left behind, and what was there before stays."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC"), [image(0), image(8)])
    assert main(["report", "run"]) == 0
    before = {path: path.stat().st_ino for path in store.folder.iterdir()}

    def full(self: Path, text: str, **_: object) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["report", "run"]) == 1
    error = capsys.readouterr().err
    assert "could not be read or written (No space left on device)." in error
    assert error.count("\n") == 1 and before.keys() == set(store.folder.iterdir())


def test_no_table_is_new_beside_a_damaged_image(here: Path) -> None:
    """Or a folder would be half of one report and half of another."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC"), [image(0), image(8)])
    (store.cells / cell(steps=4).key / "0001.png").unlink()
    assert main(["report", "run"]) == 2
    assert {path.name for path in store.folder.iterdir()} == {"manifest.json", "cells"}


def test_a_cell_that_is_removed_meanwhile_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the very command that a report gives to have a disturbed timing drawn again."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})
    key = keys(store)[2]

    def too_late(*given: Any) -> None:
        shutil.rmtree(store.cells / key)
        write_html(*given)

    monkeypatch.setattr("tsbench.report.build.write_html", too_late)
    assert main(["report", "run"]) == 2
    assert f"run/cells/{key} was removed while it was read; type the same command again." in capsys.readouterr().err


def test_output_that_has_no_arrows_shows_everything_else(here: Path) -> None:
    """A log in ASCII, as in many a container: what failed comes after the table with arrows."""
    run(here / "run", {2: GOOD}, {2: 0.5})
    command = [sys.executable, "-m", "tsbench", "report", "run"]
    shown = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stderr == "" and "LPIPS ?" in shown.stdout and "In run/" in shown.stdout


def test_a_sweep_whose_output_is_closed_says_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """rich would end it without a word."""
    monkeypatch.setattr("tsbench.verbs.sweep.main", lambda _: Output().on_broken_pipe())
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert main(["sweep"]) == 1
    assert "stopped, since its output was closed; finished cells are kept" in capfd.readouterr().err


def test_a_metric_that_fails_costs_no_table(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, stands in the row, and is tried again; the other metrics are there."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["psnr", "ssim"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC"), [image(0)] * 2)
    put(store, cell("taylorseer", PARAMETERS, steps=4), "ok", body(["CC.C"] * 2, TIMED), [image(16)] * 2)

    def broken(name: str) -> Any:
        if name == "ssim":
            raise ValueError("no window fits\nat all")
        return scorer(name)

    monkeypatch.setattr("tsbench.scoring.scorer", broken)
    assert main(["report", "run"]) == 0
    assert "not scored 1 cell: SSIM failed: ValueError: no window fits\n" in capsys.readouterr().out
    cached = pd.read_csv("run/cells.csv").set_index("method").loc["taylorseer"]
    assert cached["metric_reason"] == "SSIM failed: ValueError: no window fits"
    assert np.isfinite(cached["psnr_db"]) and np.isnan(cached["ssim"]) and Path("run/report.html").is_file()
    monkeypatch.setattr("tsbench.scoring.scorer", scorer)
    score_cells(store, ["lpips"])
    assert list(store.unscored(cell("taylorseer", PARAMETERS, steps=4).key)) == ["ssim"]
    assert main(["report", "run"]) == 0
    again = pd.read_csv("run/cells.csv").set_index("method").loc["taylorseer"]
    assert np.isfinite(again["ssim"]) and pd.isna(again["metric_reason"])


def test_a_score_that_is_no_number_is_a_failed_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left out of the mean, it would be taken for an identical image."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})
    monkeypatch.setattr("tsbench.scoring.scorer", lambda name: lambda image, other: math.nan)
    score_cells(store, ["ssim"])
    assert by_interval(store)[2].metric_reason == "SSIM failed: ValueError: it is not a number (NaN)"


def test_a_failure_with_semicolons_is_one_reason(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_image: object, _other: object) -> float:
        raise OSError("no weights; no hub")

    store = run(here / "run", {2: GOOD}, {2: 0.5})
    monkeypatch.setattr("tsbench.scoring.scorer", lambda name: broken)
    score_cells(store, ["ssim", "psnr"])
    reasons = by_interval(store)[2].metric_reason.split("; ")
    assert reasons == ["SSIM failed: OSError: no weights, no hub", "PSNR failed: OSError: no weights, no hub"]


def test_scores_of_two_processes_are_kept_side_by_side(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one finishes a cell while this one is at it."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})

    def interrupted(name: str) -> Callable[..., float]:
        if name == "psnr":
            score_cells(store, ["ssim"])
        return scorer(name)

    monkeypatch.setattr("tsbench.scoring.scorer", interrupted)
    score_cells(store, ["psnr"])
    assert sorted(store.scores(by_interval(store)[2].key)) == ["lpips", "psnr", "ssim"]


def test_without_full_compute_it_is_said_why_there_is_no_score(here: Path) -> None:
    store, failure = run(here / "run", {2: GOOD}, {2: 0.5}), {"reason": "no memory", "traceback": ""}
    put(store, cell(steps=4, prompts=PROMPTS), "failed", failure)
    score_cells(store, ["ssim"])
    assert by_interval(store)[2].metric_reason == NO_REFERENCE
    store.write_scores(by_interval(store)[2].key, {"lpips": GOOD})  # made before
    assert pd.isna(by_interval(store)[2].metric_reason)


def test_full_compute_that_is_gone_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its row is what the table compares with."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})
    shutil.rmtree(store.cells / keys(store)[0])
    assert main(["report", "run"]) == 0
    told = "missing full compute of tiny, 64 x 64, 4 steps, 6 images, float32; the same sweep draws it again\n"
    assert told in capsys.readouterr().out


def test_scores_do_not_outlive_the_reference_that_they_are_against(here: Path) -> None:
    """A damaged reference is deleted and drawn again: what was identical to it need not be any more."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})
    score_cells(store, ["psnr"])
    assert by_interval(store)[2].n_identical == 6
    full = document(store, by_interval(store)[0].key)
    shutil.rmtree(here / "run" / "cells" / full["key"])
    put(store, cell(steps=4, prompts=PROMPTS), "ok", body(["CCCC"] * 6, full["pairs"], "CCCC"), [image(32)] * 6)
    score_cells(store, ["psnr"])
    row = by_interval(store)[2]
    assert row.n_identical == 0 and row.psnr_db == pytest.approx(10 * math.log10(255**2 / 512), abs=1e-4)


def test_scores_outlive_a_reference_that_they_are_not_against(here: Path) -> None:
    """A run extended by another backend or precision keeps what was scored, perhaps elsewhere; beside damage too."""
    store, work = run(here / "run", {2: GOOD}, {2: 0.5}), {"steps": 4, "prompts": PROMPTS}
    (here / "run" / "cells" / "damaged").mkdir()
    (here / "run" / "cells" / "damaged" / "cell.json").write_text("{")
    scored = by_scores(store)
    assert len(scored) == 1
    pairs = [{"batch": 0, "method": timing(1, 1)}]
    for changed in ({"backend": "openvino"}, {"settings": replace(FLOAT32, dtype="bfloat16")}):
        put(store, replace(cell(**work), **changed), "ok", body(["CCCC"] * 6, pairs, "CCCC"), [image(0)] * 6)
    assert by_scores(store) == scored


def by_scores(store: Store) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in store.cells.glob("*/scores.json")}


def test_across_backends_scores_go_with_the_diffusers_reference(here: Path) -> None:
    store, work = Store(here / "run"), {"steps": 4, "prompts": PROMPTS}
    store.open_run(ENVIRONMENT, None, "x", [])
    pairs = [{"batch": 0, "method": timing(1, 1)}]
    other = replace(cell(**work), backend="openvino")
    for level, drawn in ((0, cell(**work)), (0, other)):
        put(store, drawn, "ok", body(["CCCC"] * 6, pairs, "CCCC"), [image(level)] * 6)
    score_cells(store, [])
    assert store.scores(other.key, across=True) == {"psnr": [math.inf] * 6} and store.scores(other.key) == {}
    put(store, cell(**work), "ok", body(["CCCC"] * 6, pairs, "CCCC"), [image(32)] * 6)
    assert store.scores(other.key, across=True) == {}
    score_cells(store, [])
    assert store.scores(other.key, across=True)["psnr"][0] == pytest.approx(10 * math.log10(255**2 / 512))


@pytest.mark.parametrize("columns", [60, 120])
def test_the_console_shows_every_metric_of_the_front(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """The name of a method is wrapped where there is no room."""
    store = run(here / "run", {2: GOOD}, {2: 0.5})
    score_cells(store, ["psnr", "ssim"])
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["report", "run"]) == 0
    shown = capsys.readouterr().out
    assert "LPIPS ↓" in shown and "0.0500" in shown and "SSIM ↑" in shown and "1.0000" in shown


def test_a_run_is_found_beside_a_folder_of_its_name(here: Path) -> None:
    run(here / "results" / "docs", {2: GOOD}, {2: 0.5})
    (here / "docs").mkdir()
    assert opened("docs").folder == Path("results/docs")


@pytest.mark.parametrize("verb", [["report", "run"], ["score", "run", "metrics=[ssim]"]])
def test_a_run_without_a_finished_cell_is_one_sentence(
    verb: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep that was interrupted in its first cell leaves such a folder, and it stays as it is."""
    Store(Path("run")).open_run(ENVIRONMENT, None, "x", ["psnr"])
    manifest = Path("run/manifest.json").read_text()
    assert main(verb) == 2
    error = capsys.readouterr().err
    assert "'run' has no cells yet; run x." in error
    assert error.count("\n") == 1 and [path.name for path in Path("run").iterdir()] == ["manifest.json"]
    assert Path("run/manifest.json").read_text() == manifest
    Path("run/cells.csv").touch()
    assert main(verb) == 2
    assert "'run' has tables, but not the cells that they are made of; run" in capsys.readouterr().err


def test_a_run_keeps_one_model_of_a_metric(here: Path, clip_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first one's scores would be lost from the tables."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["clip_score:first"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC"), [image(0)] * 2)
    assert main(["score", "run", f"metrics=[clip_score:{clip_folder}]"]) == 2
    assert "A run has only one clip_score, but 'clip_score:first' and" in capsys.readouterr().err
    assert store.manifest().metrics == ["clip_score:first"]


def test_a_row_has_the_device_that_drew_its_cell(here: Path) -> None:
    """In a run of two backends they are not the same."""
    store = Store(Path("run"))
    store.open_run(ENVIRONMENT, None, "x", ["psnr"])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, TIMED, "CCCC") | {"hardware": "Q"}, [image(0)] * 2)
    put(store, cell("taylorseer", PARAMETERS, steps=4), "ok", body(["CC.C"] * 2, TIMED), [image(16)] * 2)
    hardware = cells_table(store).set_index("method")["hardware"]
    assert hardware.to_dict() == {"none": "Q", "taylorseer": "P"}


MISTAKES = [
    (["try"], "try takes one prompt and overrides"),
    (["try", "small red star at centre, blue background", "method=none"], "try compares a method with full compute"),
    (["try", "a", "b"], "try takes one prompt and overrides"),
    (["try", "a", "seeds=[1]"], "try draws the one prompt that it is given"),
    (["try", "a cat"], "The prompt 'a cat' cannot be drawn by model=tiny: 'a cat' is not in the grammar"),
    (["try", "a cat, e = mc2", "steps=6"], "'e = mc2' is not in the grammar of the embedded model"),
    (["try", ""], "The prompt of try is empty; type what to draw"),
    (["try", "a cat\na dog"], r"The prompt 'a cat\na dog' cannot be drawn by model=tiny"),
    (
        ["try", "small red star at centre, blue background", "size=64,80"],
        "try draws images of one size, but size is 64x64, 80x80; type one: size=64x64.",
    ),
    (["score", "x", "metrics=psnr"], "metrics must be a list in brackets"),
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
