"""The command as users run it: what it leaves, how it goes on, and what it does when something fails."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.helpers import cell, workload
from tests.stores import GOOD, body, image, put, rewrite, run, timing
from tsbench.__main__ import main
from tsbench.cell import Cell, Settings
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.environment import environment
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.paths import ASSETS
from tsbench.store import Store, differences
from tsbench.stored import StoredCell
from tsbench.sweep import Sweep
from tsbench.tables import COLUMNS

TIMED = [{"batch": 0, "method": timing(1, 1)}]
SMALL = ["sweep", "size=64", "steps=8", "prompts.limit=2", "timing.pairs=2"]
CELLS_ALONE = [*SMALL, "metrics=[psnr]", "report=false"]  # where no test looks at tables and plots, which take seconds


def finished(folder: Path) -> dict[str, str]:
    """When the cells that were drawn were written, by key."""
    return {cell.key: cell.finished for cell in Store(folder).all_drawn()}


def test_a_sweep_leaves_everything_and_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "method.cache_interval=1,3"]) == 0
    folder = here / "results" / "sweep"
    names = {path.name for path in folder.iterdir()}
    of_fronts = {"steps.png", "steps.svg"}  # there where a cached cell is on one, which depends on its speed
    assert names | of_fronts == {
        "cells", "manifest.json", "samples.parquet", "cells.parquet", "cells.csv",
        "report.html", "table.md", "table.tex", "pareto.png", "pareto.svg", "steps.png", "steps.svg",
        "intervals.png", "intervals.svg",
    }  # fmt: skip
    cells = pd.read_csv(folder / "cells.csv")
    assert list(cells.columns[: len(COLUMNS)]) == COLUMNS
    assert list(cells["method"]) == ["none", "taylorseer", "taylorseer"]
    assert list(cells["status"]) == ["ok"] * 3
    full, same, cached = (row for row in cells.itertuples())
    assert full.speedup == 1 and full.schedule == "C" * 8 and full.computed_steps == 8
    assert same.schedule == "C" * 8 and same.n_identical == 2 and np.isnan(same.psnr_db)
    assert same.ssim == pytest.approx(1, abs=1e-12) and same.lpips == 0
    assert cached.schedule == "CCC.C..C" and cached.computed_steps == 5
    assert full.flops_speedup == 1 and same.tflop == pytest.approx(full.tflop) and full.tflop > 0
    assert cached.flops_speedup == pytest.approx(8 / (5 + 3 * cached.forecast_share))
    assert 0 < cached.psnr_db < 90 and 0 < cached.lpips < 2 and cached.n_identical == 0
    assert np.isnan(cached.speedup_low)  # two pairs have no interval
    samples = pd.read_parquet(folder / "samples.parquet")
    assert len(samples) == 6 and all((folder / image).is_file() for image in samples["image"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["commands"][0]["command"].startswith("python -m tsbench sweep size=64")
    assert manifest["environment"]["libraries"]["torch"]
    assert not [path for path in (folder / "cells").iterdir() if path.name.startswith(".")]

    made = finished(folder)
    capsys.readouterr()
    assert main([*SMALL, "method.cache_interval=1,3"]) == 0
    assert "all 3 cells there already" in capsys.readouterr().out
    assert main([*SMALL, "method.cache_interval=1,3,5"]) == 0
    now = finished(folder)
    assert len(now) == 4 and made.items() <= now.items()
    assert len(pd.read_csv(folder / "cells.csv")) == 4
    capsys.readouterr()
    assert main([*SMALL, "method.cache_interval=5", "seeds=0,1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(shown) if line.endswith("2 images, float32, seeds [1]"))
    assert shown[place + 1].startswith("[1/2] Full compute: ")
    assert "; tables and plots will have 2 cells of other sweeps too" in shown[0]
    assert "model=tiny was trained for 128 to 192 pixels: what it draws at 64x64 is seldom what the prompt" in shown[1]


def test_a_disturbed_timing_is_told_with_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the cell as it is drawn, at the end, and by the same command later."""
    for module in ("sweep", "tables"):
        by_name = lambda cell: "held up" if cell.method == "taylorseer" else None  # noqa: E731
        monkeypatch.setattr(f"tsbench.{module}.disturbance", by_name)
    assert main([*SMALL, "metrics=[psnr]"]) == 0
    text = capsys.readouterr().out
    key = next(cell.key for cell in Store(here / "results" / "sweep").all_drawn() if not cell.is_reference)
    told = (
        "TaylorSeer (diffusers), default, warm-up 3, N=5: held up\n"
        f"to draw that again, type the same sweep after: rm -r results/sweep/cells/{key}\n"
    )
    assert "steps computed; held up  (" in text and text.count(told) == 1
    assert main([*SMALL, "metrics=[psnr]"]) == 0
    assert told in capsys.readouterr().out


def test_the_report_is_built_from_the_cells_alone(here: Path) -> None:
    assert main([*SMALL, "name=first", "metrics=[psnr]"]) == 0
    folder = here / "results" / "first"
    before = pd.read_csv(folder / "cells.csv")
    for path in folder.iterdir():
        if path.is_file() and path.name != "manifest.json":
            path.unlink()
    moved = here / "elsewhere"
    folder.rename(moved)
    assert main(["report", str(moved)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(moved / "cells.csv"), before)
    assert (moved / "pareto.png").stat().st_size > 1000


def test_metrics_can_be_added_to_finished_cells(here: Path) -> None:
    assert main([*SMALL, "metrics=[psnr]"]) == 0
    assert pd.read_csv("results/sweep/cells.csv")["lpips"].isna().all()
    assert main([*SMALL, "metrics=[lpips]", "method.cache_interval=5,4"]) == 0
    cells = pd.read_csv("results/sweep/cells.csv")  # fronts of the PSNR are among all of them
    assert len(cells) == 3 and cells["lpips"].notna().sum() == cells["psnr_db"].notna().sum() == 2


def test_a_failed_cell_is_a_row_and_is_tried_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, failing = DiffusersSession.draw, [True]

    def sometimes_out_of_memory(
        self: DiffusersSession, workload: object, batch: object, method: object, **rest: object
    ) -> object:
        if failing[0] and getattr(method, "cache_interval", None) == 2:
            raise MemoryError("no room for\nanything")
        return draw(self, workload, batch, method, **rest)

    monkeypatch.setattr(DiffusersSession, "draw", sometimes_out_of_memory)
    grid = [*SMALL, "method.cache_interval=2,3"]
    assert main(grid) == 1
    cells = pd.read_csv("results/sweep/cells.csv")
    (failed,) = cells[cells["status"] == "failed"].itertuples()
    assert failed.reason == "MemoryError: no room for" and np.isnan(failed.speedup)
    assert 'cache_interval":2' in failed.params
    assert "failed: MemoryError: no room for" in Path("results/sweep/table.md").read_text()
    kept = finished(Path("results/sweep"))
    assert len(kept) == 2
    failing[0] = False
    assert main(grid) == 0
    now = finished(Path("results/sweep"))
    assert kept.items() <= now.items() and len(now) == 3
    assert set(pd.read_csv("results/sweep/cells.csv")["status"]) == {"ok"}


def test_a_model_that_does_not_fit_costs_its_own_cells_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two settings cannot be loaded, and what it had loaded is freed before the other one is."""
    load, left = DiffusersSession.__init__, []

    def too_large(self: DiffusersSession, folder: object, settings: Settings, *rest: object) -> None:
        if settings.dtype == "bfloat16":
            weights = torch.zeros(1)
            left.append(weakref.ref(weights))
            raise MemoryError("no room")
        assert left[-1]() is None
        load(self, folder, settings, *rest)

    monkeypatch.setattr(DiffusersSession, "__init__", too_large)
    assert main([*SMALL, "runtime.dtype=bfloat16,float32"]) == 1
    cells = pd.read_csv("results/sweep/cells.csv")
    assert sorted(zip(cells["dtype"], cells["status"])) == [("bfloat16", "failed")] * 2 + [("float32", "ok")] * 2
    assert set(cells["reason"].dropna()) == {
        "The model 'tiny' could not be loaded with dtype bfloat16, offload none: MemoryError: no room."
    }


def test_a_model_that_cannot_be_loaded_at_all_leaves_no_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_large(self: DiffusersSession, *rest: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(DiffusersSession, "__init__", too_large)
    assert main(SMALL) == 2
    assert "The model 'tiny' could not be loaded with dtype float32" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_model_that_lacks_weights_is_not_drawn(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """transformers would draw those of a text encoder at random, other ones in every process."""
    shutil.copytree(ASSETS / "tiny", "model")
    file = Path("model/text_encoder_2/model.safetensors")
    lost = "encoder.block.0.layer.1.DenseReluDense.wo.weight"
    save_file({name: weight for name, weight in load_file(file).items() if name != lost}, file)
    assert main([*SMALL, "model.path=model"]) == 2
    assert f"the text_encoder_2 lacks 1 of its weights, such as {lost}." in capsys.readouterr().err
    assert not Path("results").exists()


def test_weights_that_a_model_has_no_place_for_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the configuration of a model that is smaller by a block, diffusers draws something else."""
    shutil.copytree(ASSETS / "tiny", "model")
    file = Path("model/transformer/config.json")
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"num_single_layers": config["num_single_layers"] - 1}))
    assert main([*CELLS_ALONE, "model.path=model"]) == 0
    error = capsys.readouterr().err
    assert "tsbench: the transformer has no place for 14 of its weights, such as single_transformer_blocks." in error


def test_prompts_that_are_cut_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two that differ only beyond it would be the same image."""
    Path("mine.txt").write_text(f"a star\n{'a very ' * 20}large star\n")
    own = ["model=flux1-dev", "model.path=model", "model.name=mine", "runtime.dtype=float32", "prompts.file=mine.txt"]
    shutil.copytree(ASSETS / "tiny", "model")
    small = ["size=64", "steps=4", "timing.pairs=1", "metrics=[psnr]", "report=false", "method=none"]
    assert main(["sweep", *own, *small, "max_sequence_length=24"]) == 0
    told = '1 prompt cut after max_sequence_length=24 tokens, such as "a very a very a very'
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("part", ["tokenizer_2", "vae"])
def test_a_model_that_lacks_a_part_is_not_drawn(here: Path, capsys: pytest.CaptureFixture[str], part: str) -> None:
    """transformers would make up a tokenizer with another vocabulary, and draw something else."""
    shutil.copytree(ASSETS / "tiny", "model")
    shutil.rmtree(Path("model") / part)
    assert main([*SMALL, "model.path=model"]) == 2
    assert f"The model in 'model' lacks its {part}; give the folder of a whole model" in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_cache_that_computes_nothing_fails_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every module forecasts, and none is below all the others, so that nothing of a step runs."""
    nested = [*SMALL, "method.cache_identifiers=['.*']"]
    assert main(nested) == 1
    cells = pd.read_csv("results/sweep/cells.csv")
    assert list(cells["status"]) == ["ok", "failed"]
    assert cells["reason"][1].startswith("no step was computed in full: a module that the cache hooks lies inside")
    capsys.readouterr()
    assert main(["plan", *nested[1:]]) == 0
    assert "no step was computed in full" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cache_identifiers", "skip_predict_identifiers"])
def test_a_pattern_that_matches_nothing_fails_by_name(here: Path, name: str) -> None:
    """Else a setting with a mistake in it would be drawn as another one, under its own name."""
    assert main([*SMALL, f"method.{name}=['.*attn',nothing]"]) == 1
    cells = pd.read_csv("results/sweep/cells.csv")
    assert list(cells["status"]) == ["ok", "failed"]
    assert cells["reason"][1] == f"method.{name} has 'nothing', which matches the name of no module"


def test_an_inert_cache_is_called_inert(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that promises to skip and computes everything."""
    from tsbench.methods.taylorseer import TaylorSeer

    promised = TaylorSeer.promised_schedule
    monkeypatch.setattr(TaylorSeer, "promised_schedule", lambda self, steps: promised(self, steps)[:-1] + ".")
    assert main([*SMALL, "method.cache_interval=1"]) == 0
    assert pd.read_csv("results/sweep/cells.csv")["note"][1].startswith("inert: every step was computed, although")


@pytest.mark.parametrize("left", [None, 0, 5, 100])
def test_a_cell_that_lost_an_image_is_drawn_again(
    here: Path, capsys: pytest.CaptureFixture[str], left: int | None
) -> None:
    """At once, not found missing or cut off (here after so many bytes) when everything else is drawn."""
    assert main(CELLS_ALONE) == 0
    store = Store(here / "results" / "sweep")
    cached = next(cell for cell in store.all_drawn() if cell.method == "taylorseer")
    lost = store.cells / cached.key / "0001.png"
    before = lost.read_bytes()
    lost.unlink()
    if left is not None:
        lost.write_bytes(before[:left])
    capsys.readouterr()
    assert main(CELLS_ALONE) == 0
    assert "1 cell to draw, " in capsys.readouterr().out and lost.read_bytes() == before


def test_more_pairs_than_a_finished_cell_has_are_not_ignored(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fewer are there already; and what a killed sweep left half-written is taken away."""
    folder = here / "results" / "sweep"
    grid = [argument for argument in CELLS_ALONE if argument != "timing.pairs=2"]
    assert main(CELLS_ALONE) == 0
    left = folder / "cells" / ".abc.1"
    left.mkdir()
    assert main([*grid, "timing.pairs=1", "method.cache_interval=4"]) == 0
    assert not left.exists()
    capsys.readouterr()
    assert main([*grid, "timing.pairs=3"]) == 2
    error = capsys.readouterr().err
    assert "timing.pairs is 3, but 2 cells of results/sweep took 2; type timing.pairs=2" in error
    assert "name=NAME for another folder" in error and error.count("\n") == 1


def test_a_sweep_that_was_killed_while_it_began_is_resumed(here: Path) -> None:
    """All that there is then is its half-written manifest."""
    (here / "results" / "sweep" / "cells").mkdir(parents=True)
    (here / "results" / "sweep" / ".123.manifest.json").touch()
    assert main(CELLS_ALONE) == 0


def test_a_failure_of_another_sweep_is_told_and_fails_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder has it, and how to be rid of it; what was typed went well."""
    store = Store(here / "results" / "sweep")
    store.open_run(environment(torch.device("cpu")), None, "python -m tsbench sweep", ["psnr"])
    other = cell("taylorseer", json.dumps(TaylorSeer().resolved(8)))
    put(store, other, "failed", {"reason": "no memory", "traceback": ""})
    assert main([*SMALL, "metrics=[psnr]"]) == 0
    assert f"no memory; delete results/sweep/cells/{other.key} to forget it" in capsys.readouterr().out
    assert main(["report", "sweep"]) == 1


def test_a_run_is_not_mixed_with_other_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "results" / "reference" / "amd").mkdir(parents=True)
    (here / "results" / "file").touch()
    for name, sentence in (("reference", "has other files than a run's"), ("file", "is a file; choose another name")):
        assert main([*SMALL, f"name={name}"]) == 2
        assert f"results/{name} {sentence}" in capsys.readouterr().err
    assert [path.name for path in sorted((here / "results").rglob("*"))] == ["file", "reference", "amd"]


def test_two_sweeps_do_not_draw_in_one_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(here / "results" / "sweep").held():
        assert main(CELLS_ALONE) == 2
        assert "Another sweep is drawing in results/sweep; wait for it" in capsys.readouterr().err
    assert main(CELLS_ALONE) == 0


def test_a_file_system_without_locks_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some cluster file systems are mounted without; nobody would know of a second sweep there."""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    assert main(CELLS_ALONE) == 2
    error = capsys.readouterr().err
    assert error.startswith("tsbench: results/sweep/cells cannot be locked (No locks available); type the command in")


@pytest.mark.parametrize("meanwhile", ["cells", "machine"])
def test_what_another_sweep_drew_while_the_model_loads_is_kept(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Its finished cells are not drawn again over them, and no cells are added to those of another machine."""
    store, loading = Store(here / "results" / "sweep"), Sweep.check_model

    def check_model(self: Sweep, cells: list[Cell]) -> None:
        machine = environment(torch.device("cpu")) | ({"processor": "another"} if meanwhile == "machine" else {})
        store.open_run(machine, None, "python -m tsbench sweep", ["psnr"])
        put(store, cells[0], "ok", body(["C" * 8] * 2, TIMED, "C" * 8), [image(0)] * 2)
        loading(self, cells)

    monkeypatch.setattr(Sweep, "check_model", check_model)
    assert main(SMALL) == 2
    sentence = {"cells": "Another sweep has drawn cells of", "machine": "was made in another environment (processor"}
    assert sentence[meanwhile] in capsys.readouterr().err
    assert [asdict(cell.pairs[0].method) for cell in store.all_drawn()] == [TIMED[0]["method"] | {"energy_j": None}]


def test_another_attention_kernel_is_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers takes it from DIFFUSERS_ATTN_BACKEND, and it changes pictures and times."""
    here = environment(torch.device("cpu"))
    monkeypatch.setattr("diffusers.utils.constants.DIFFUSERS_ATTN_BACKEND", "_native_math")
    assert differences(here, environment(torch.device("cpu"))) == ["attention_backend: native there, _native_math here"]


def test_processors_of_one_name_are_told_apart_by_what_torch_uses_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clouds call generations of a processor by one name; their times differ, and the last digits of pictures."""
    found = []
    for name in ("AVX2", "AVX512"):
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda name=name: name)
        found.append(environment(torch.device("cpu")))
    assert differences(*found) == ["vector_instructions: AVX2 there, AVX512 here"]


def test_another_environment_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And told where there is nothing to draw; tables can be built anywhere."""
    assert main(CELLS_ALONE) == 0
    monkeypatch.setattr("tsbench.environment.installed_version", lambda name: "1.0" if name == "torch" else None)
    before = sorted(Path("results").rglob("*"))
    assert main([*CELLS_ALONE, "method.cache_interval=9"]) == 2
    error = capsys.readouterr().err
    assert "made in another environment (" in error and " there, 1.0 here" in error and "name=NAME" in error
    assert sorted(Path("results").rglob("*")) == before
    assert main(CELLS_ALONE) == 0
    assert "they were drawn in another environment: " in capsys.readouterr().out
    assert main(["report", "sweep"]) == 0


def test_more_blocks_than_the_model_has_are_told_before_anything_is_drawn(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["method=cache_dit", "method.Bn_compute_blocks=0,5"]
    sentence = "are 8 and 5, but this model has 12 blocks in all; try method.Fn_compute_blocks=1"
    for verb in (SMALL, ["plan"]):
        assert main([*verb, *typed]) == 2
        assert sentence in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_sweep_that_is_stopped_says_what_is_kept(here: Path) -> None:
    """By a scheduler that wants its machine back; Ctrl-C would not reach tests that run in the background."""
    command = [sys.executable, "-m", "tsbench", *SMALL[:-1], "method.cache_interval=2,3,4", "timing.pairs=50"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as sweep:
        while sweep.poll() is None and not Path("results/sweep/manifest.json").is_file():
            time.sleep(0.1)
        sweep.send_signal(signal.SIGTERM)
        _, error = sweep.communicate()
    assert sweep.returncode == 130
    assert "tsbench: interrupted; finished cells are kept, and the same command goes on from them." in error


def test_a_report_says_what_an_interrupted_sweep_has_not_drawn(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table would be taken for the whole grid."""
    finished = Store.write

    def stopped(store: Store, cell: StoredCell, images: Iterable[np.ndarray] = ()) -> None:
        finished(store, cell, images)
        if not cell.is_reference:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "write", stopped)
    grid = [*SMALL, "metrics=[psnr]", "method.cache_interval=2,3,4"]
    assert main(grid) == 130
    assert main(["report", "sweep"]) == 0
    assert "missing python -m tsbench sweep size=64" in (told := capsys.readouterr().out)
    assert "2 of its 4 cells are not drawn yet." in told
    assert "2 of its 4 cells are not drawn yet." in Path("results/sweep/table.md").read_text()
    monkeypatch.setattr(Store, "write", finished)
    assert main(grid) == 0
    assert "not drawn yet" not in capsys.readouterr().out + Path("results/sweep/table.md").read_text()


def test_combinations_that_are_one_cell_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An order without a Taylor series would otherwise leave a grid smaller than it was typed."""
    typed = ["method=cache_dit", "method.Fn_compute_blocks=1", "method.taylorseer_order=1,2", "metrics=[psnr]"]
    assert main([*SMALL, *typed]) == 0
    assert "2 combinations are 1 cell: what has no effect" in capsys.readouterr().out
    assert len(pd.read_csv("results/sweep/cells.csv")) == 2


def test_a_cell_of_another_folder_is_not_taken_for_one_of_its_own(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copied beside itself it would be counted twice, and from another machine it would share a table."""
    store = run(here / "r", {2: GOOD}, {2: 0.5})
    (place,) = (store.cells / cell.key for cell in store.all_cells() if not cell.is_reference)
    shutil.copytree(place, store.cells / "kept")
    assert main(["report", "r"]) == 2
    assert f"r/cells/kept holds the cell {place.name}; move it out of" in capsys.readouterr().err
    shutil.rmtree(store.cells / "kept")
    rewrite(store, place.name, environment="of another machine")
    assert main(["report", "r"]) == 2
    assert f"r/cells/{place.name} was drawn in another environment than r/manifest.json" in capsys.readouterr().err


MISTAKES = [
    (
        ["frobnicate"],
        "There is no verb 'frobnicate'; there are: sweep, plan, recommend, explain, compare, try, score, doctor, ",
    ),
    (["sweep", "method=nope"], "There is no method 'nope'"),
    (["sweep", "metrics=[nope]"], "There is no metric 'nope'; there are: psnr, ssim, lpips"),
    (["sweep", "--nope"], "unrecognized arguments: --nope; usage: python -m tsbench sweep [overrides]"),
    (["sweep", "model.path='~nobody-here/x'"], "which is neither a folder nor a hub id"),
    (["sweep", "name=a,b"], "name cannot be swept"),
    (["sweep", "runtime.device=cpu,auto"], "runtime.device cannot be swept"),
    (["sweep", "runtime.device=cuda:99"], "runtime.device is 'cuda:99'"),
    (["sweep", "name=../x"], "name is '../x', but must be a plain folder name"),
    (["sweep", "model.path=/nowhere/at/all"], "which is neither a folder nor a hub id"),
    (["sweep", "model.path=nowhere"], "which is neither a folder nor a hub id"),
    (["sweep", "model.path=."], "which has no model_index.json"),
    (["sweep", "--cfg", "nope"], "argument --cfg/-c: invalid choice: 'nope'"),
    (["sweep", "--cfg", "job", "method"], "'method' is not an override; overrides look like"),
    (["sweep", "--cfg", "job", "runtime.compile=5"], "runtime.compile is '5', but must be true or false"),
    (["sweep", "--cfg", "job", "steps=20,28"], "--cfg shows one configuration, but these are 2; give every key a"),
    (["report", "--x"], "the following arguments are required: RESULTS; usage: python -m tsbench report RESULTS"),
    (["recommend", "x", "--max-memory-gb", "-5"], "--max-memory-gb is -5, but must be more than 0"),
    (["sweep", "method=openvino/taylorseer"], "type backend=openvino method=taylorseer."),
    (["report", "a", "b"], "unrecognized arguments: b; usage: python -m tsbench report RESULTS"),
    (["report", "nowhere"], "There are no results in 'results/nowhere'"),
    (["report", "results/nowhere"], "There are no results in 'results/nowhere'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_leaves_nothing(
    arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_the_optional_lpips_nets_say_what_they_need(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "metrics=[lpips_vgg]"]) == 2
    assert "it needs the lpips package: pip install -c constraints.txt -e '.[lpips]'" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["model=flux1-dev", "model.path=someone/some-model"])
def test_a_hub_that_cannot_be_reached_is_one_sentence(
    model: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["sweep", model]) == 2
    error = capsys.readouterr().err
    assert "is not in the local cache and cannot be downloaded" in error and error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_another_kind_of_pipeline_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = here / "model"
    model.mkdir()
    (model / "model_index.json").write_text('{"_class_name": "SanaPipeline"}')
    assert main(["sweep", f"model.path={model}"]) == 2
    assert "is a SanaPipeline, but tsbench draws with FluxPipeline" in capsys.readouterr().err


def test_help_and_cfg(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown is what a sweep would draw: the same code composes it."""
    assert main(["--help"]) == 0
    assert "sweep" in capsys.readouterr().out
    for arguments, expected in (
        (["--help"], "method: auto, cache_dit, faster_cache, "),
        (["--help"], "cache_interval: 5"),
        (["--cfg", "job"], "cache_interval: 5"),
        (["--cfg", "job", "method=auto", "steps=20"], "steps: 20"),
        (["-c", "job", "backend=openvino"], "disable_cache_after_step: -2"),
    ):
        assert main(["sweep", *arguments]) == 0
        assert expected in capsys.readouterr().out
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], {"torch", "hydra", "numpy", "pandas", "diffusers", "rich"}),
        (["sweep", "nope=1"], {"torch", "diffusers"}),
        (["try", "--help"], {"torch", "diffusers"}),
        (["try", "a cat"], {"torch", "diffusers"}),
        (["compare", "a", "b"], {"torch", "diffusers"}),
    ],
)
def test_help_and_mistakes_wait_for_nothing_heavy(arguments: list[str], heavy: set[str], here: Path) -> None:
    code = f"import sys, tsbench.__main__ as m; m.main({arguments!r}); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(shown.stdout.split())


def test_images_are_stored_without_loss(here: Path, session: DiffusersSession) -> None:
    assert main([*CELLS_ALONE, "method=none"]) == 0
    from tsbench.methods import Method
    from tsbench.prompts import read_prompts

    work = workload(prompts=read_prompts("captions", 2))
    (stored,) = Path("results/sweep/cells").glob("*/0001.png")
    drawn = session.draw(work, work.batches[1], Method()).images[0]
    assert np.array_equal(np.asarray(Image.open(stored)), drawn)
