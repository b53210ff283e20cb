"""The OpenVINO backend against diffusers and against tsbench's own forecaster, and the traps on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.helpers import FLOAT32, workload
from tsbench import packages
from tsbench.__main__ import main
from tsbench.drawing import openvino_export
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.drawing.generate import Drawn
from tsbench.drawing.openvino import OpenVinoSession, check_reading, schedule_of
from tsbench.drawing.openvino_export import exported
from tsbench.environment import device_name
from tsbench.errors import DrawingFailed, UserError
from tsbench.methods import Method
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.metrics import scorer
from tsbench.paths import ASSETS
from tsbench.snippet import snippet
from tsbench.store import Store
from tsbench.sweep import Sweep

TINY = ASSETS / "tiny"
WORK = workload(height=128, width=128, steps=28, prompts=("large red circle at centre, blue background",))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own, filled once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def genai(cache: Path) -> OpenVinoSession:
    return OpenVinoSession(TINY, FLOAT32, "CPU", 2)


def by_diffusers(session: DiffusersSession, method: Method) -> tuple[np.ndarray, np.ndarray, str]:
    """The last latents, the image and the schedule."""
    drawn = session.draw(WORK, WORK.batches[0], method, inspect=True)
    return drawn.latents[-1], drawn.images[0], drawn.schedule


def test_uncached_it_draws_what_diffusers_draws(genai: OpenVinoSession, session: DiffusersSession) -> None:
    """In the latents to 1e-4, which the wrong shift of the noise levels would miss by far; OpenVINO truncates where
    diffusers rounds, so images differ by one level at most."""
    genai.draw(WORK, WORK.batches[0], Method())  # other work may hold up the first two steps of one run
    drawn = genai.draw(WORK, WORK.batches[0], Method(), inspect=True)
    latents = drawn.latents[-1]
    expected, image, _ = by_diffusers(session, Method())
    assert drawn.schedule == "C" * 28
    assert np.abs(latents.reshape(expected.shape) - expected).max() < 1e-4
    assert scorer("psnr")(drawn.images[0], image) > 45 and np.abs(drawn.images[0].astype(int) - image).max() <= 1


def undisturbed(genai: OpenVinoSession, method: OpenVinoTaylorSeer, inspect: bool = False) -> Drawn:
    """One of up to three drawings: a forecast step that other work holds up looks like a computed one."""
    for _ in range(3):
        drawn = genai.draw(WORK, WORK.batches[0], method, inspect=inspect)
        if drawn.schedule == method.promised_schedule(WORK.steps):
            break
    return drawn


@pytest.mark.parametrize("parameters", [(3, 6, -2), (3, 4, 20), (2, 6, -2), (5, 3, 28), (50, 2, -1)])
def test_the_measured_schedule_is_the_rules(genai: OpenVinoSession, parameters: tuple[int, int, int]) -> None:
    method = OpenVinoTaylorSeer("taylorseer", *parameters)
    schedule = undisturbed(genai, method).schedule
    assert schedule == method.promised_schedule(28) and "." in schedule


@pytest.mark.parametrize("parameters", [(3, 6, -2), (5, 3, 28)])
def test_cached_it_draws_what_the_forecaster_draws(
    genai: OpenVinoSession, session: DiffusersSession, parameters: tuple[int, int, int]
) -> None:
    """Two implementations, two libraries, one step map: the test that both tell the truth."""
    method = OpenVinoTaylorSeer("taylorseer", *parameters)
    drawn = undisturbed(genai, method, inspect=True)
    latents = drawn.latents[-1]
    expected, image, schedule = by_diffusers(session, TaylorSeerDecorator(step_map=method.promised_schedule(28)))
    assert drawn.schedule == schedule
    assert (
        np.abs(latents.reshape(expected.shape) - expected).max() < 1e-4 and scorer("psnr")(drawn.images[0], image) > 45
    )
    uncached = genai.draw(WORK, WORK.batches[0], Method()).images[0]
    assert not np.array_equal(drawn.images[0], uncached)


@pytest.mark.parametrize("change", [{"max_sequence_length": 24}, {"height": 192}, {}])
def test_one_session_draws_workloads_of_any_shape(
    genai: OpenVinoSession, session: DiffusersSession, change: dict[str, int]
) -> None:
    work = replace(WORK, steps=4, **change)
    drawn = genai.draw(work, work.batches[0], Method()).images[0]
    assert scorer("psnr")(drawn, session.draw(work, work.batches[0], Method()).images[0]) > 45


def test_an_image_that_is_not_finite_fails_its_cell(genai: OpenVinoSession) -> None:
    """In 8 bits it would be black, in full compute too: identical images with perfect scores."""
    work = replace(WORK, height=64, width=64, steps=4, guidance_scale=1e37)
    with pytest.raises(DrawingFailed, match="not finite"):
        genai.draw(work, work.batches[0], Method())


def test_what_openvino_says_names_the_prompt_and_no_place_in_its_source(genai: OpenVinoSession) -> None:
    """Its tokenizer knows no letter that the embedded model's vocabulary lacks."""
    work = replace(WORK, prompts=("a café",))
    with pytest.raises(DrawingFailed, match=r"OpenVINO GenAI cannot draw 'a café': Node BPETokenizer\w* .*; Check '"):
        genai.draw(work, work.batches[0], Method())


RULE = OpenVinoTaylorSeer("taylorseer", 3, 2, -1).promised_schedule(9)
FULL, SKIPPED = 3000.0, 20.0  # microseconds, of the embedded model at 64 pixels


@pytest.mark.parametrize(
    ("transformer_us", "schedule"),
    [
        ([FULL] * 5 + [70_000.0] + [FULL] * 3, "C" * 9),
        ([70_000.0] + [FULL] * 8, "C" * 9),
        ([FULL if step == "C" else SKIPPED for step in RULE], RULE),
        ([FULL if step == "C" else 200.0 for step in RULE], RULE),
        ([70_000.0] + [FULL if step == "C" else SKIPPED for step in RULE[1:]], RULE),
    ],
    ids=["held up late", "held up at first", "as ever", "slow forecasts", "cached, held up at first"],
)
def test_a_step_that_is_held_up_changes_no_other_ones_letter(transformer_us: list[float], schedule: str) -> None:
    assert schedule_of(transformer_us) == schedule


def test_a_reading_that_is_neither_the_rule_nor_full_compute_fails() -> None:
    """A forecast that was held up for as long as a computed step reads as one; a cache that is off does not fail."""
    assert RULE == "CC..C..CC"
    for schedule in (RULE, "C" * 9, "CC...C.CC"):
        check_reading(schedule, RULE)
    with pytest.raises(DrawingFailed, match=r"schedule CC\.CC\.\.CC computes steps \[3\] that .* rule forecasts"):
        check_reading("CC.CC..CC", RULE)


def test_a_hiccup_in_one_run_of_a_cell_is_in_no_schedule(genai: OpenVinoSession) -> None:
    usual = [FULL if step == "C" else SKIPPED for step in RULE]
    method, work = OpenVinoTaylorSeer("taylorseer", 3, 2, -1), replace(WORK, steps=9)
    assert genai._schedule([*usual[:3], 9000.0, *usual[4:]], work, method, timed=False) == "CC.CC..CC"
    assert genai._schedule(usual, work, method, timed=True) == RULE
    assert genai._schedule([*usual[:2], 9000.0, *usual[3:]], work, method, timed=True) == RULE


def test_memory_of_another_device_is_not_that_of_the_process(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenVinoSession, "_loaded", lambda session: None)
    memory = OpenVinoSession(TINY, FLOAT32, "GPU.0", None).memory
    memory.reset()
    assert memory.read() is None and memory.missing == "OpenVINO does not tell the memory of GPU.0"


def test_the_device_of_a_cell_is_its_backends(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU diffusers draws on it and OpenVINO on the CPU, unless told to take a GPU of its own."""
    sweep = Sweep(["backend=diffusers,openvino", "runtime.dtype=float32"])
    sweep.sessions.backends["diffusers"].torch_device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="H100"))
    names = {cell.backend: sweep.sessions.hardware(cell) for cell in sweep.cells}
    assert names == {"diffusers": "H100", "openvino": device_name(torch.device("cpu"))}
    monkeypatch.setattr("openvino.Core.get_property", lambda core, device, name: f"Intel {device}")
    sweep.sessions.backends["openvino"].device = "GPU"
    assert {cell.backend: sweep.sessions.hardware(cell) for cell in sweep.cells}["openvino"] == "Intel GPU"


def test_left_out_the_cache_would_be_on(genai: OpenVinoSession) -> None:
    """The trap: without `taylorseer_config` OpenVINO GenAI forecasts by its default, and no baseline is one.

    A step's duration is its shortest of three runs, since a forecast step that is held up looks like a computed one.
    """
    import openvino_genai

    genai.draw(WORK, WORK.batches[0], Method())
    runs = []
    for _ in range(3):
        noise = openvino_genai.TorchGenerator(0)
        genai.pipeline.generate(
            WORK.prompts[0], height=128, width=128, num_inference_steps=28, max_sequence_length=32, generator=noise
        )
        runs.append(genai.pipeline.get_performance_metrics().raw_metrics.transformer_inference_durations)
    measured = schedule_of([float(min(durations)) for durations in zip(*runs, strict=True)])
    assert measured == OpenVinoTaylorSeer().promised_schedule(28) == "CCCCCC..C..C..C..C..C..C..CC"


def test_it_repeats_and_keeps_nothing(genai: OpenVinoSession) -> None:
    before = genai.draw(WORK, WORK.batches[0], Method()).images
    cached = [genai.draw(WORK, WORK.batches[0], OpenVinoTaylorSeer()).images for _ in range(2)]
    assert np.array_equal(cached[0], cached[1])
    assert np.array_equal(genai.draw(WORK, WORK.batches[0], Method()).images, before)
    fewer = genai.draw(WORK, WORK.batches[0], FewerSteps(num_inference_steps=9))
    assert fewer.schedule == "C" * 9


def test_the_noise_is_torchs() -> None:
    import openvino
    import openvino_genai

    noise = np.array(openvino_genai.TorchGenerator(7).randn_tensor(openvino.Shape([1, 16, 4, 4])).data)
    assert np.array_equal(noise, torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(7)).numpy())


def test_the_export_is_made_once_and_whole(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = exported(TINY)
    made = place.stat().st_mtime_ns
    assert exported(TINY) == place and place.stat().st_mtime_ns == made
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert {path.name for path in place.iterdir()} == {
        "text_encoder", "text_encoder_2", "transformer", "vae_decoder", "tokenizer", "tokenizer_2", "scheduler",
        "model_index.json",
    }  # fmt: skip
    assert "time_shift_type" in (TINY / "scheduler" / "scheduler_config.json").read_text()
    assert "time_shift_type" not in (place / "scheduler" / "scheduler_config.json").read_text()

    def broken(*_: object) -> None:
        raise RuntimeError("in mid-export")

    monkeypatch.setenv("TSBENCH_CACHE", str(cache / "other"))
    monkeypatch.setattr(openvino_export, "_export", broken)
    others = cache / "other" / "openvino"
    killed = subprocess.Popen(["true"])
    killed.wait()
    left, running = (others / f".{place.name}.{process}" for process in (killed.pid, os.getppid()))
    left.mkdir(parents=True)
    running.mkdir()
    with pytest.raises(RuntimeError, match="in mid-export"):
        exported(TINY)
    assert list(others.iterdir()) == [running]


def test_exports_lie_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty XDG_CACHE_HOME is as good as none: $HOME/.cache."""
    monkeypatch.delenv("TSBENCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", str(tmp_path / ".cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert openvino_export.cache_folder() == tmp_path / ".cache" / "tsbench"


def test_a_cache_that_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TSBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file/openvino, where .*TSBENCH_CACHE"):
        exported(TINY)


def test_a_full_disk_is_told_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's own words are "basic_ios::clear: iostream error"."""
    import openvino

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("iostream error")

    monkeypatch.setattr(openvino, "save_model", full)
    with pytest.raises(
        UserError, match=r"m\.xml could not be written \(RuntimeError: iostream error\), with .* GiB free"
    ):
        openvino_export._save(None, tmp_path / "m.xml")


def test_a_folder_of_ir_is_taken_as_it_is(tmp_path: Path, session: DiffusersSession) -> None:
    """With the scheduler's trap in it, as an export by other means has it; the user's files stay as they are."""
    theirs = tmp_path / "theirs"
    shutil.copytree(exported(TINY), theirs)
    shutil.copy(TINY / "scheduler" / "scheduler_config.json", theirs / "scheduler")
    before = {path: path.stat().st_mtime_ns for path in theirs.rglob("*")}
    own = OpenVinoSession(theirs, FLOAT32, "CPU", 2)
    latents = own.draw(WORK, WORK.batches[0], Method(), inspect=True).latents[-1]
    expected, _, _ = by_diffusers(session, Method())
    assert np.abs(latents.reshape(expected.shape) - expected).max() < 1e-4
    assert {path: path.stat().st_mtime_ns for path in theirs.rglob("*")} == before


def test_a_folder_of_ir_that_moves_keeps_its_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model at the old path would be drawn under this one's identity, by links that lead there."""
    monkeypatch.setenv("TSBENCH_CACHE", str(tmp_path / "cache"))
    latest, first = tmp_path / "latest", tmp_path / "v1"

    def put(weights: str) -> None:
        (latest / "transformer").mkdir(parents=True)
        (latest / "transformer" / "openvino_model.xml").write_text(weights)
        (latest / "model_index.json").write_text('{"transformer": []}')
        shutil.copytree(TINY / "scheduler", latest / "scheduler")

    def weights(folder: Path) -> str:
        return (exported(folder) / "transformer" / "openvino_model.xml").read_text()

    put("v1")
    assert weights(latest) == "v1"
    latest.rename(first)
    put("v2")
    assert (weights(first), weights(latest)) == ("v1", "v2")


def test_both_backends_in_one_sweep(here: Path) -> None:
    """A reference and speed-ups each of its own; the pictures are compared across them; what is lacking is a row."""
    small = ["size=128", "steps=12", "prompts.limit=1", "timing.pairs=2", "metrics=[psnr]"]
    assert main(["sweep", "backend=diffusers,openvino", "method=taylorseer,auto", *small, "runtime.dtype=float32"]) == 0
    cells = pd.read_csv("results/sweep/cells.csv")
    assert sorted(zip(cells["backend"], cells["method"], cells["status"])) == [
        ("diffusers", "auto", "ok"),
        ("diffusers", "none", "ok"),
        ("diffusers", "taylorseer", "ok"),
        ("openvino", "auto", "skipped"),
        ("openvino", "none", "ok"),
        ("openvino", "taylorseer", "ok"),
    ]
    by_openvino = cells[(cells["backend"] == "openvino") & (cells["status"] == "ok")].set_index("method")
    assert by_openvino.loc["none", "psnr_db_across_backends"] > 45
    assert 10 < by_openvino.loc["taylorseer", "psnr_db_across_backends"] < 60
    assert cells[cells["backend"] == "diffusers"]["psnr_db_across_backends"].isna().all()
    assert by_openvino.loc["taylorseer", "schedule"] == "CCCCCC..C.CC" and by_openvino["note"].isna().all()
    assert by_openvino.loc["taylorseer", "reference"] == by_openvino.loc["none", "key"]
    assert by_openvino.loc["taylorseer", "flops_speedup"] == pytest.approx(12 / 9)
    assert Path("results/sweep/implementations.png").is_file()
    manifest = json.loads(Path("results/sweep/manifest.json").read_text())
    assert manifest["environment"]["libraries"]["openvino-genai"]
    store = Store(Path("results/sweep"))
    drawn = store.drawn(by_openvino.loc["taylorseer", "key"])
    subprocess.run([sys.executable, "-c", "\n".join(snippet(drawn))], check=True, capture_output=True)
    assert np.array_equal(np.asarray(Image.open("image.png")), store.images(drawn.key)[0])
    assert set(cells["hardware"]) == {device_name(torch.device("cpu"))}


def test_the_verb_export(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "model=tiny"]) == 0
    assert Path(capsys.readouterr().out.strip()) == exported(TINY)
    assert main(["export", "steps=3"]) == 2
    assert "export takes the overrides of a model only" in capsys.readouterr().err


MISTAKES = [
    ("runtime.device=cuda", "runtime.device is 'cuda', but must be one of OpenVINO's devices here: CPU"),
    ("runtime.compile=true", "runtime.compile is set, but backend=openvino does not have it"),
    ("batch_size=2", "batch_size is set, but backend=openvino does not have it; try batch_size=1."),
    ("method.cache_interval=1", "but must be 2 or more (OpenVINO GenAI accepts no less); try method.cache_interval=3."),
    ("method.max_order=2", "No cell of this sweep has the parameter 'method.max_order'; leave it out."),
    ("seeds=[4294967296]", "seeds is [4294967296], but backend=openvino accepts seeds below 2^32 only; try seeds"),
    ("runtime.threads=0", "runtime.threads is 0, but must be from 1 to 1024"),
]


@pytest.mark.parametrize(("override", "sentence"), MISTAKES)
def test_mistakes(override: str, sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "backend=openvino", override]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and list(here.iterdir()) == []


def test_without_the_extra_one_sentence_says_what_to_install(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "installed_version", lambda library: None)
    for arguments in (["sweep", "backend=openvino"], ["export", "model=tiny"]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert "pip install -c constraints.txt -e '.[openvino]'" in error and error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_nothing_of_openvino_is_imported_without_need(here: Path) -> None:
    """A plan counts FLOPs on torch alone, and only a fresh process shows it."""
    code = "import sys; from tsbench.__main__ import main; main(sys.argv[1:]); print('openvino' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code, "plan", "backend=openvino"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip().endswith("False")
