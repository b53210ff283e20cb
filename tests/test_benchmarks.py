"""The scripts that `make gpu` runs, as far as a CPU goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import agreement, findings, gpu, gpu_wheels
from tests.helpers import ROOT, cell
from tests.stores import ENVIRONMENT, body, image, put, timed, timing
from tsbench.drawing.measure import Clock
from tsbench.flops import step_cost
from tsbench.grid import expand
from tsbench.methods import Method
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.plan import architecture, planned_cells
from tsbench.store import Store


def test_pieces_are_packed_and_resumed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that is done is not run again, from the pack alone; one that fails or has no time is, and comes last."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "environment_digits", lambda: "a1")
    write = "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.parent.mkdir(exist_ok=True); p.write_text('[]')"
    later = "import pathlib; pathlib.Path('results/later.json').write_text('[]')"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--pack", "p.tar.gz"])
    pieces = {
        "bad": [["-c", "raise SystemExit(3)"]],
        "one": [["-c", write, "results/one.json"], ["-c", write, "results/.one.json"]],
    }
    monkeypatch.setattr(gpu, "PIECES", pieces)
    assert gpu.main() == 1
    with tarfile.open("p.tar.gz") as pack:
        assert set(pack.getnames()) == {"results/one.json", "results/gpu-pieces-a1.json"}
    shutil.rmtree("results")
    mended = "import pathlib, sys; sys.exit(not pathlib.Path('results/later.json').exists())"
    monkeypatch.setattr(
        gpu, "PIECES", {"bad": [["-c", mended]], "one": [["-c", "raise SystemExit(4)"]], "later": [["-c", later]]}
    )
    assert gpu.main() == 0
    assert set(json.loads(Path("results/gpu-pieces-a1.json").read_text())) == {"bad", "one", "later"}
    anew = "import pathlib; pathlib.Path('results/later-HERE.json').write_text('[]')"
    monkeypatch.setattr(gpu, "PIECES", {"later": [["-c", anew]]})
    monkeypatch.setattr(gpu, "environment_digits", lambda: "b2")  # of another GPU: nothing is done there yet
    assert gpu.main() == 0
    with tarfile.open("p.tar.gz") as pack:
        assert {"results/one.json", "results/later-b2.json", "results/gpu-pieces-b2.json"} < set(pack.getnames())
    monkeypatch.setattr(gpu, "environment_digits", lambda: "a1")
    monkeypatch.setattr(gpu, "PIECES", {"three": [["-c", "pass"]]})
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--pack", "p.tar.gz", "--seconds", "1"])
    assert gpu.main() == 0 and "three" not in json.loads(Path("results/gpu-pieces-a1.json").read_text())


def test_a_piece_that_is_stopped_has_been_packed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a run may be a machine that is taken away: the pack is written while a piece runs."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "environment_digits", lambda: "a1")
    monkeypatch.setattr(gpu, "PACK_EVERY_S", 0.1)
    monkeypatch.setattr(gpu, "LEAST_S", 0)
    wait = "import pathlib, time; pathlib.Path('results/first.json').write_text('[]'); time.sleep(60)"
    monkeypatch.setattr(gpu, "PIECES", {"long": [["-c", wait]]})
    packs: list[list[str]] = []
    write_pack = gpu.write_pack

    def noted(path: Path) -> None:
        write_pack(path)
        with tarfile.open(path) as pack:
            packs.append(pack.getnames())

    monkeypatch.setattr(gpu, "write_pack", noted)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--seconds", "2"])
    assert gpu.main() == 0
    assert ["results/first.json"] in packs and json.loads(Path("results/gpu-pieces-a1.json").read_text()) == {}


def test_a_piece_that_hangs_leaves_the_time_to_the_others(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is tried last in the next call."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "environment_digits", lambda: "a1")
    monkeypatch.setattr(gpu, "LEAST_S", 0)
    monkeypatch.setattr(gpu, "LONGEST_S", {"tests": 0.5})
    pieces = {"tests": [["-c", "import time; time.sleep(60)"]], "timing": [["-c", "pass"]]}
    monkeypatch.setattr(gpu, "PIECES", pieces)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--seconds", "30"])
    assert gpu.main() == 1
    done = json.loads(Path("results/gpu-pieces-a1.json").read_text())
    assert done["tests"] is None and done["timing"] > 0


def test_without_a_gpu_nothing_is_said_to_be_done(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 2 and "There is no GPU here" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_agreement_finds_a_picture_that_differs(tmp_path: Path) -> None:
    for name, level in (("a", 0), ("b", 1), ("c", 100)):
        store = Store(tmp_path / name)
        store.open_run(ENVIRONMENT, None, "x", [])
        put(
            store,
            cell(),
            "ok",
            body(["C" * 8] * 2, [{"batch": 0, "method": timing(1, 1)}]),
            [image(level), image(level)],
        )
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "out.json")]
    assert agreement.main(*arguments) == 0
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["least_psnr_db"] == pytest.approx(10 * np.log10(255**2 / 0.5))
    assert agreement.main(arguments[0], str(tmp_path / "c"), arguments[2]) == 1
    assert agreement.main(arguments[0], str(tmp_path / "nothing"), arguments[2]) == 1


def test_rates_cover_a_full_step() -> None:
    """The matrix products and attentions that are measured are all but 0.5 % of what is counted of a step."""
    from benchmarks.rates import DOUBLE, SINGLE, TEXT_TOKENS, WIDTH, step

    overrides = ["model=flux1-dev-architecture", "method=none"]
    (point,), (cells, _) = expand(overrides), planned_cells(expand(overrides))
    counted = step_cost(architecture(point.config.model), cells[0], Method()).full_flop
    products = sum(count * 2 * tokens * inputs * outputs for _, count, (tokens, inputs, outputs) in step(4096))
    attention = (DOUBLE + SINGLE) * 4 * (4096 + TEXT_TOKENS) ** 2 * WIDTH
    assert 0.995 < (products + attention) / counted <= 1


def test_the_rates_run(tmp_path: Path) -> None:
    """On a CPU, at the smallest size: the figures are no one's, the report is whole."""
    small = "import benchmarks.rates as r, sys; r.DOUBLE = r.SINGLE = 1; r.WIDTH = 48; r.TEXT_TOKENS = 4; "
    small += "r.LEAST_S = r.HEAT_S = 0; "
    arguments = [str(tmp_path / "r.json"), "--device", "cpu", "--image-tokens", "1"]
    command = [sys.executable, "-c", small + "sys.exit(r.main())", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    report = json.loads((tmp_path / "r.json").read_text())["1"]
    total = sum(part["count"] * part["seconds"] for part in report["parts"])
    assert report["predicted_step_s"] == pytest.approx(total)
    assert report["beside_s"] == pytest.approx(sum(part["count"] * part["seconds"] for part in report["beside"]))


def test_a_rate_takes_the_time_that_it_is_given() -> None:
    """By the wall: the shortest work of a GPU is a thousandth of what it takes to queue and await it."""
    from benchmarks.rates import seconds

    class Short(Clock):
        rows = 0

        def durations_s(self, marks: list[Any]) -> list[float]:
            self.rows += 1
            assert self.rows < 20
            return [1e-9]

    clock = Short(torch.device("cpu"))
    assert seconds(lambda: time.sleep(0.0005), clock, 0.05) == pytest.approx(1e-9 / 20) and clock.rows >= 11


class Written(TorchDispatchMode):
    """Adds up the bytes that are written but for matrix products and what only looks at a tensor."""

    PRODUCTS = ("mm", "addmm", "bmm")

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and not name.startswith(self.PRODUCTS) and "view" not in name:
            self.bytes += sum(x.nbytes for x in (out if isinstance(out, tuple) else (out,)) if isinstance(x, Tensor))
        return out


def test_what_is_measured_beside_the_products_is_what_the_model_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the bytes that FLUX.1-dev's transformer writes in a step at 1024 x 1024, on tensors without data."""
    from benchmarks.rates import beside
    from tsbench.flops import _inputs, _transformer

    overrides = ["model=flux1-dev-architecture", "method=none"]
    (point,) = expand(overrides)
    model = _transformer(json.dumps(architecture(point.config.model), sort_keys=True), "bfloat16")
    inputs = _inputs(model, 1024, 1024, 512, 1)
    attention = "torch.nn.functional.scaled_dot_product_attention"  # without data it is written out
    monkeypatch.setattr(attention, lambda query, key, value, **_: query)
    with torch.no_grad(), Written() as written:
        model(**inputs)
    covered = 0
    for _, count, work in beside(4096, device=torch.device("meta"), dtype=torch.bfloat16):
        with torch.no_grad(), Written() as part:
            work()
        covered += count * part.bytes
    assert 0.99 < covered / written.bytes <= 1


def test_what_the_wheels_hold() -> None:
    packages = gpu_wheels.closure(gpu_wheels.PACKAGES)
    assert {"diffusers", "hydra-core", "omegaconf", "antlr4-python3-runtime", "rich", "pytest"} <= set(packages)
    assert not {"torch", "pandas", "scipy", "pyarrow", "moocore", "matplotlib"} & set(packages)


def test_findings_tell_what_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1024 x 1024 in 4 steps of 0.2 s: lite computes 3 of them, in 0.6 s and in 0.7 s."""
    store = Store(here / "results" / "r")
    store.open_run(ENVIRONMENT, None, "x", [])
    store.note_share(0.98)
    work = {"height": 1024, "width": 1024, "steps": 4, "random_weights": True}
    full = timed(1.0, [0.2] * 4)
    put(store, cell(**work), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": full}], "CCCC"))
    for order, step_s, kept in ((1, 0.15, 7), (2, 0.175, 8)):
        lite = TaylorSeer(cache_interval=2, use_lite_mode=True, max_order=order).resolved(4)
        pair = {"batch": 0, "reference": full, "method": timed(0.8, [step_s] * 4)}
        drawn = body(["CC.C"] * 2, [pair]) | {"cache_bytes": kept}
        put(store, cell("taylorseer", json.dumps(lite), **work), "ok", drawn)
    rates = {"4096": {"predicted_step_s": 0.15, "beside_s": 0.03}}
    found = dict(findings.findings("r", rates))
    held = {text.split(", random weights, ")[-1]: holds for text, holds in found.items() if holds is not None}
    assert [text for text, holds in held.items() if holds] == [
        next(text for text in held if "a step takes 0.2000 s, 1.11 times 0.1800 s, by rates of these and what" in text),
        next(text for text in held if "N=2: denoising 1.333x, T/C is 1.333x" in text),
        next(text for text in held if "the cache keeps 7 bytes, planned 7" in text),
        next(text for text in held if text.startswith("98.0 % of the time inside the pipeline")),
    ]
    assert [text for text, holds in held.items() if not holds] == [
        next(text for text in held if "a step takes 0.2000 s, 1.33 times 0.1500 s, by rates of products and" in text),
        next(text for text in held if "order 2, N=2: denoising 1.143x" in text),
        next(text for text in held if "the cache keeps 8 bytes, planned 7" in text),
    ]
    Path("rates.json").write_text(json.dumps(rates))
    assert findings.main("r", "rates.json") == 1
    assert "no rates" not in capsys.readouterr().out
    assert findings.main("r", "nowhere.json") == 1
    assert "FAILS there are no rates in nowhere.json" in capsys.readouterr().out
    other = json.dumps(TaylorSeer(cache_interval=3).resolved(4))
    put(store, cell("taylorseer", other, **work), "failed", {"reason": "CUDA out of memory", "traceback": ""})
    assert [holds for text, holds in findings.findings("r", rates) if "failed: CUDA out of memory" in text] == [False]


def test_the_pictures_of_runs_that_disagree_stay_in_the_pack(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are compared again when the piece is."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "environment_digits", lambda: "a1")
    draw = "import pathlib; p = pathlib.Path('results/tiny-a/cells/k'); p.mkdir(parents=True); (p / '0000.png').touch()"
    compare = "import pathlib, sys; pathlib.Path('results/agreement.json').write_text('[]'); sys.exit({})"
    for code, packed in ((1, True), (0, False)):
        monkeypatch.setattr(gpu, "PIECES", {"tiny": [["-c", draw if code else "pass"], ["-c", compare.format(code)]]})
        monkeypatch.setattr(sys, "argv", ["gpu.py"])
        assert gpu.main() == code
        with tarfile.open("gpu.tar.gz") as pack:
            assert ("results/tiny-a/cells/k/0000.png" in pack.getnames()) == packed
