"""The scripts that `make gpu` runs, as far as a CPU goes."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement, gpu, gpu_wheels
from tests.helpers import ROOT, cell
from tests.stores import ENVIRONMENT, body, image, timing
from tsbench.flops import step_cost
from tsbench.grid import expand
from tsbench.methods import Method
from tsbench.plan import architecture, planned_cells
from tsbench.store import Store


def test_pieces_are_packed_and_resumed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that is done is not run again, from the pack alone; one that fails or has no time is."""
    append = "import sys, json, pathlib; p = pathlib.Path(sys.argv[1]); p.write_text(json.dumps([sys.argv[1]]))"
    pieces = {"one": [["-c", append, "results/one.json"]], "two": [["-c", "raise SystemExit(3)"]]}
    monkeypatch.setattr(gpu, "PIECES", pieces)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--pack", "p.tar.gz"])
    assert gpu.main() == 1
    with tarfile.open("p.tar.gz") as pack:
        assert set(pack.getnames()) == {"results/one.json", "results/gpu-pieces.json"}
    for file in Path("results").iterdir():
        file.unlink()
    monkeypatch.setattr(gpu, "PIECES", {"one": [["-c", "raise SystemExit(4)"]], "two": [["-c", "pass"]]})
    assert gpu.main() == 0
    assert set(json.loads(Path("results/gpu-pieces.json").read_text())) == {"one", "two"}
    monkeypatch.setattr(gpu, "PIECES", {"three": [["-c", "pass"]]})
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--pack", "p.tar.gz", "--seconds", "1"])
    assert gpu.main() == 0 and "three" not in json.loads(Path("results/gpu-pieces.json").read_text())


def test_agreement_finds_a_picture_that_differs(tmp_path: Path) -> None:
    for name, level in (("a", 0), ("b", 1), ("c", 100)):
        store = Store(tmp_path / name)
        store.open_run(ENVIRONMENT, "P", None, "x", [])
        store.write(
            cell(), "ok", body(["C" * 8] * 2, [{"batch": 0, "method": timing(1, 1)}]), [image(level), image(level)]
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
    arguments = [str(tmp_path / "r.json"), "--device", "cpu", "--image-tokens", "1"]
    command = [sys.executable, "-c", small + "sys.exit(r.main())", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    report = json.loads((tmp_path / "r.json").read_text())["1"]
    total = sum(part["count"] * part["seconds"] for part in report["parts"])
    assert report["predicted_step_s"] == pytest.approx(total)


def test_what_the_wheels_hold() -> None:
    packages = gpu_wheels.closure(gpu_wheels.PACKAGES)
    assert {"diffusers", "hydra-core", "omegaconf", "antlr4-python3-runtime", "rich", "pytest"} <= set(packages)
    assert not {"torch", "pandas", "scipy", "pyarrow", "moocore", "matplotlib"} & set(packages)
