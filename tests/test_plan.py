"""What a sweep would compute and cost, and that every experiment runs."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

import tsbench
from tests.helpers import FLOAT32, cell
from tests.stores import ENVIRONMENT, FOCA, INFERRED, body, put, timed
from tsbench.__main__ import main
from tsbench.cell import Cell
from tsbench.flops import step_cost
from tsbench.grid import expand
from tsbench.methods import mag_cache
from tsbench.models.source import configuration, find_model
from tsbench.paths import ASSETS, carried
from tsbench.plan import COLUMNS, measured_step_s, plan_table, planned_cells
from tsbench.plan_text import totals
from tsbench.present import size_of
from tsbench.store import Store

EXPERIMENTS = sorted(path.stem for path in carried("experiments").glob("*.yaml"))


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> pd.DataFrame:
    assert main(["plan", *arguments, "--format", "csv"]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_the_papers_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FLOPs of every published row, and nothing left behind."""
    table = planned(capsys, "experiment=taylorseer_flux")
    assert list(table.columns) == COLUMNS
    held = table[table["published_tflop"].notna()]
    assert len(held) == 12 and (held["published_difference"].abs() < 1e-4).all()
    first = held.iloc[0]
    assert first["method"] == "none" and first["tflop"] == pytest.approx(3719.23, abs=0.01)
    seven = held[held["params"].str.contains('"cache_interval":7') & held["params"].str.contains('"max_order":2')]
    assert seven["tflop"].item() == pytest.approx(670.39, abs=0.01)
    assert (
        seven["published"]
        .item()
        .startswith(f"TaylorSeer N=7 O=2: {FOCA}; {INFERRED}; its FLOPs speed-up of 5.54x is 5.548 by")
    )
    assert list(here.iterdir()) == []


def test_published_speeds_stand_beside_what_is_planned(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For who has no GPU: measured by others, with machine and source; compiled runs beside compiled cells."""
    overrides = ["model=flux1-dev", "size=1024", "steps=50", "runtime.compile=false,true", "method=fewer_steps,none"]
    table = planned(capsys, *overrides, "method.num_inference_steps=22")
    said = table[["compile", "published_latency_s", "published_speedup", "published_hardware"]]
    assert [tuple(row) for row in said.itertuples(index=False)] == [
        (False, 15.32, 1.0, "H100"), (False, 6.86, 2.23, "H100"),
        (True, 11.744348, 1.0, "H100"), (True, 5.271367, 2.228, "H100"),
    ]  # fmt: skip
    assert table["published_speed"].str.startswith("diffusers PR #12648 findings; ").all()


def test_a_model_in_the_hubs_cache_is_counted_as_it_is(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as FLUX.1-dev, whose architecture it is taken for before its configuration is here."""
    snapshot = here / "models--org--small" / "snapshots" / "0"
    shutil.copytree(ASSETS / "tiny" / "transformer", snapshot / "transformer")
    (here / "models--org--small" / "refs").mkdir()
    (here / "models--org--small" / "refs" / "main").write_text("0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here))
    typed = ["model=flux1-dev", "size=128", "steps=28", "max_sequence_length=32", "method=none"]
    # a folder of another machine is no hub id, and is planned as what `model` stands for
    cached, other, elsewhere = (
        planned(capsys, *typed, f"model.path='{path}'")["tflop"].item()
        for path in ("org/small", "org/other", "/my models")
    )
    assert elsewhere == other
    assert cached == planned(capsys, *typed, f"model.path={ASSETS / 'tiny'}")["tflop"].item() < other / 100


def test_openvinos_default(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = planned(capsys, "experiment=openvino_taylorseer")
    default = table[table["params"].str.contains('"cache_interval":3') & table["params"].str.contains('step":6')]
    assert default["computed_steps"].item() == 14 and default["forecast_share"].item() == 0
    assert set(table["backend"]) == {"openvino"}


@pytest.mark.parametrize("form", ["csv", "json", "md"])
def test_a_format_writes_nothing_but_the_table(form: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", f"--format={form}", "method.cache_interval=2,3"]) == 0
    text = capsys.readouterr().out
    if form == "md":
        _, _, head, _, *rows = text.splitlines()
        assert text.startswith("## tiny, 128 x 128, 28 steps") and len(rows) == 3
        assert [title.strip() for title in head.strip("|").split("|")] == [
            "Method", "Schedule", "Computed", "TFLOP", "By FLOPs",
        ]  # fmt: skip
        assert [row.split("|")[3].strip() for row in rows] == ["28", "15", "11"]
    else:
        table = pd.read_csv(io.StringIO(text)) if form == "csv" else pd.DataFrame(json.loads(text))
        assert list(table["computed_steps"]) == [28, 15, 11]


def test_the_plan_of_the_console_ends_with_what_it_costs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two cells of two prompts: 7 images of the reference (6 runs and its warm-up); then 7 of each arm, but the
    reference is warm: 13. A full step of 1 s, no forecast cheaper than nothing."""
    overrides = ["method.cache_interval=2", "method.use_lite_mode=true", "prompts.limit=2"]
    assert main(["plan", *overrides, "--step-s", "1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "2 cells, 1 reference among them; 20 images to draw (4 samples" in text
    table = plan_table(points := expand(overrides), *planned_cells(points))
    seconds = 13 * 28 + 7 * 28 / table["flops_speedup"][1]
    line = totals(table, *planned_cells(points), 6, 1.0)[1]
    assert f"{round(seconds) // 60} min {round(seconds) % 60:02} s at 1 s a full step" in line
    assert "--step-s SECONDS turns it into device hours" in totals(table, *planned_cells(points), 6, None)[1]


def test_a_step_that_a_sweep_has_measured_is_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["size=64", "steps=4", "prompts.limit=1", "timing.pairs=1", "metrics=[psnr]", "method=none"]
    assert main(["sweep", *overrides]) == 0
    (path,) = Path("results/sweep/cells").glob("*/cell.json")
    document = json.loads(path.read_text())
    document["pairs"][0]["method"]["step_s"] = [9, 2, 3, 1]
    path.write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["plan", *overrides]) == 0
    assert "at 2.5 s a full step and image of the first cell" in " ".join(capsys.readouterr().out.split())


def test_what_depends_on_the_data_has_no_schedule_before_an_image(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = planned(capsys, "method=first_block_cache,auto,taylorseer")
    undecided = table[table["schedule"].isna()]
    assert list(undecided["method"]) == ["first_block_cache", "auto"]
    assert undecided[["tflop", "flops_speedup", "computed_steps"]].isna().all().all()
    assert list(undecided["reason"].str[:10]) == ["depends on"] * 2
    assert undecided["forecast_share"].iloc[0] == pytest.approx(1 / 12, abs=0.02)  # one block of twelve, and the rest
    assert undecided["forecast_share"].iloc[1] == 0
    points = expand(["method=first_block_cache,auto,taylorseer"])
    cells, methods = planned_cells(points)
    lines = totals(plan_table(points, cells, methods), cells, methods, 6, None)
    assert not lines[1].startswith("0 ") and "cells whose FLOPs are not known beforehand are not in it" in lines[1]


def test_a_method_that_raises_is_a_row_with_the_reason(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a package it may raise anything; the rest of the plan stands."""

    def counted(architecture: object, drawn: Cell, method: object) -> object:
        return {}["attn"] if drawn.method == "taylorseer" else step_cost(architecture, drawn, method)

    monkeypatch.setattr("tsbench.flops.step_cost", counted)
    table = planned(capsys, "method=taylorseer,fewer_steps")
    assert list(table["reason"].fillna("")) == ["", "KeyError: 'attn'", ""] and table["tflop"].notna().sum() == 2


def test_a_cache_that_hooks_nothing_is_no_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """diffusers matches whole names: such a sweep fails, so a plan of it promises nothing."""
    table = planned(capsys, "model=tiny", "method.cache_identifiers=['attn$']")
    told = "method.cache_identifiers has 'attn$', which matches the name of no module"
    assert table["reason"][1] == told
    assert pd.isna(table["max_flops_speedup"][1]) and pd.isna(table["tflop"][1])
    assert planned(capsys, "model=tiny", "method.cache_identifiers=['.*attn']")["max_flops_speedup"][1] > 1


def test_workloads_of_a_plan_are_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "model=tiny", "guidance_scale=1,3.5", "method=none"]) == 0
    assert {"guidance 1", "guidance 3.5"} <= {line.split(", ")[-1] for line in capsys.readouterr().out.splitlines()}
    table = planned(capsys, "model=tiny", "guidance_scale=1,3.5", "runtime.dtype=float32,bfloat16", "method=none")
    assert not table.duplicated().any() and len(table) == 4


def test_architectures_of_a_plan_are_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = "model.architecture=flux1-dev,flux1-schnell"
    assert main(["plan", "model=flux1-dev-architecture", both, "method=none"]) == 0
    assert len({line for line in capsys.readouterr().out.splitlines() if "1024 x 1024" in line}) == 2


SKIPPED = {
    ("backend=openvino", "method=taylorseer_official,taylorseer"):
        "backend=openvino does not support this method; it supports: none, fewer_steps, taylorseer",
    ("model=flux1-dev-architecture", "size=64", "method=first_block_cache,taylorseer"):
        "meaningless with random weights: the schedule depends on how much the first block's residual changes",
}  # fmt: skip


@pytest.mark.parametrize("overrides", SKIPPED)
def test_what_a_sweep_will_skip_is_a_row_that_says_so(
    overrides: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is no image to draw: two cells of two prompts and one pair, each with its warm-ups."""
    overrides = (*overrides, "prompts.limit=2", "timing.pairs=1")
    table = planned(capsys, *overrides)
    skipped = table[table["method"].isin(["taylorseer_official", "first_block_cache"])]
    assert skipped["reason"].item() == SKIPPED[overrides[:-2]] and skipped["tflop"].isna().all()
    assert main(["plan", *overrides]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 cells, 1 reference among them, and 1 that will be skipped; 7 images to draw (4 samples" in said


def test_models_that_differ_in_their_architecture_alone_are_two(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """FLUX.1-schnell has no guidance embedding: a row each, whatever their order."""
    model = ["model=flux1-dev-architecture", "size=64", "method=none"]
    flop = {
        order: list(planned(capsys, *model, f"model.architecture={order}")["tflop"])
        for order in ("flux1-dev,flux1-schnell", "flux1-schnell,flux1-dev")
    }
    dev_first, schnell_first = flop.values()
    assert dev_first == schnell_first[::-1] and dev_first[0] > dev_first[1]


def test_the_time_of_a_step_is_that_of_the_same_work(tmp_path: Path) -> None:
    """By another backend, in batches, or with another length of text a step takes another time."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    cells = [
        cell(), cell(batch_size=2), cell(max_sequence_length=64), replace(cell(), backend="openvino"),
        replace(cell(), settings=replace(FLOAT32, dtype="bfloat16")),
    ]  # fmt: skip
    for number, drawn in enumerate(cells):
        pairs = [{"batch": 0, "method": timed(99.0, [number + 1.0] * 7 + [50.0])}]  # one is disturbed
        put(store, drawn, "ok", body(["C" * 8] * 2, pairs, "C" * 8))
    assert [measured_step_s(store, drawn) for drawn in cells] == [1, 2, 3, 4, 5]
    others = replace(cell(prompts=("another",), steps=4), backend="openvino")
    assert measured_step_s(store, others) == 4 and measured_step_s(store, cell(height=128)) is None


MISTAKES = [
    (["--format", "xml"], "argument --format: invalid choice: 'xml' (choose from "),
    (["--step-s", "-1"], "--step-s is '-1', but must be seconds, more than 0"),
    (["--step-s=x"], "--step-s is 'x', but must be a finite number; try --step-s 0.3."),
    (["--nope"], "unrecognized arguments: --nope; usage: python -m tsbench plan [overrides]"),
    (["model.path=someone/some-model"], "whose architecture is not known here; try model=flux1-dev"),
    (["model.path=sd3"], "is a StableDiffusion3Pipeline, but tsbench draws with FluxPipeline; try model=flux1-dev"),
    (["model.path=half"], "The model in 'half' has no readable transformer/config.json"),
    (["model=flux1-dev", "model.architecture=x"], "model.architecture is 'x', but must be one of: flux1-dev"),
    (["model=flux1-dev", "model.architecture=flux1-dev/transformer"], "but must be one of: flux1-dev, flux1-"),
    (["backend=nope"], "backend is 'nope', but must be one of: diffusers, openvino"),
    (
        ["backend=openvino", "method.max_order=2"],
        "No cell of this sweep has the parameter 'method.max_order'; leave it out.",
    ),
    (["backend=openvino", "method.cache_interval=1"], "must be 2 or more (OpenVINO GenAI accepts no less)"),
    (["method=sea_cache", "method.residual_order=2"], "method.residual_order is 2, but must be from 0 to 1; try"),
    (["method=auto", "method.tolerance=0"], "method.tolerance is 0.0, but must be more than 0 (a relative error); try"),
    (["method=fewer_steps", "method.num_inference_steps=29"], "must be from 1 to 28 (the steps of the reference)"),
    (["method=taylorseer_official", "method.first_enhance=0"], "method.first_enhance is 0, but must be from 1 to 27"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sd3").mkdir()
    (here / "sd3" / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    (here / "half").mkdir()
    (here / "half" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert main(["plan", *arguments]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_ratios_that_diffusers_ships_give_mag_cache_a_plan(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of FLUX.1 nothing has to be measured: the schedule is that of the shipped ratios."""
    config = configuration(find_model("embedded"), "transformer/config.json")
    monkeypatch.setattr(mag_cache, "FLUX_BLOCKS", (config["num_layers"], config["num_single_layers"]))
    table = planned(capsys, "model=tiny", "method=mag_cache", "steps=28")
    shipped = mag_cache.MagCache(mag_ratios=FLUX_MAG_RATIOS.tolist()).promised_schedule(28)
    assert table["schedule"].tolist() == ["C" * 28, shipped] and table["reason"].isna().all() and "." in shipped
    assert table["max_flops_speedup"][1] == pytest.approx(28 / shipped.count("C"), rel=0.01)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_can_be_planned(experiment: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the small architecture: counting at full size takes seconds per method, and published rows are above."""
    table = planned(capsys, f"experiment={experiment}", "model=tiny")
    assert (table["tflop"].notna() == table["reason"].isna()).all() and table["schedule"].notna().any()
    assert experiment == "openvino_taylorseer" or "fewer_steps" in set(table["method"])


QUICKLY_DRAWN = ("quick", "openvino_taylorseer")


@pytest.mark.parametrize(
    "experiment", [pytest.param(name, marks=() if name in QUICKLY_DRAWN else pytest.mark.slow) for name in EXPERIMENTS]
)
def test_every_experiment_can_be_drawn(experiment: str, here: Path) -> None:
    small = ["model=tiny", "size=64", "prompts.limit=1", "timing.pairs=1", "metrics=[psnr]"]
    small += [] if experiment == "openvino_taylorseer" else ["runtime.compile=false"]
    small += [] if experiment == "methods" else ["report=false"]  # one report with every method is enough
    assert main(["sweep", f"experiment={experiment}", *small]) == 0
    cells = tsbench.load(experiment).cells
    assert set(cells["status"]) <= {"ok", "skipped"}
    noted = cells[cells["note"].notna()]
    assert set(noted["note"]) <= {"inert: every step was computed"}
    with_thresholds = {"auto", "cache_dit", "first_block_cache", "mag_cache"}  # which a tight one never reaches
    assert set(noted["method"]) - with_thresholds == ({"sea_cache"} if experiment == "methods" else set())
    assert cells.loc[cells["status"] == "skipped", "reason"].notna().all()


def test_sizes_are_in_powers_of_two() -> None:
    assert [size_of(n) for n in (0, 512, 3 * 2**19, 3 * 2**30)] == ["", "0.5 KiB", "1.50 MiB", "3.00 GiB"]
