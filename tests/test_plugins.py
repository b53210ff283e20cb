"""The package that docs/plugins.md shows, installed and drawn with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import ROOT
from tsbench.methods.registry import BROKEN, method_class
from tsbench.methods.taylorseer import TaylorSeer

HEAD = (
    "from dataclasses import dataclass\nfrom typing import ClassVar, Literal\nfrom tsbench.methods import Method\n"
    "@dataclass\n"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documented package, as pip installs it."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site (1), x")
    text = (ROOT / "docs" / "plugins.md").read_text()
    files = re.findall(r"`([\w/.]+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in files] == ["pyproject.toml", "reuse_method/__init__.py"]
    for name, content in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(source)], check=True, capture_output=True)
    return site


def tsbench(site: Path, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "tsbench", *arguments]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)


def test_the_documented_package_is_a_method_like_any_other(installed: Path, here: Path) -> None:
    small = ["size=64", "steps=6", "prompts.limit=1", "timing.pairs=1", "metrics=[psnr]"]
    drawn = tsbench(installed, here, "sweep", "method=reuse", "method.every=2,3", *small)
    assert drawn.returncode == 0, drawn.stderr
    cells = pd.read_csv(here / "results" / "sweep" / "cells.csv")
    assert list(cells["schedule"]) == ["CCCCCC", "C.C.C.", "C..C.."]
    assert list(cells["flops_speedup"]) == [1, 2, 3] and cells["psnr_db"][1] > cells["psnr_db"][2]
    assert "every: 2" in tsbench(installed, here, "sweep", "--cfg", "job", "method=reuse").stdout
    wrong = tsbench(installed, here, "plan", "method=reuse", "method.evry=2")
    assert wrong.returncode == 2 and "'method.evry'; there are: every; did you mean method.every?" in wrong.stderr


def test_cells_are_shown_where_their_package_is_not_installed(installed: Path, here: Path) -> None:
    """As on the machine of a colleague, or after an edit that breaks the package."""
    small = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=1", "metrics=[psnr]", "method=reuse,fewer_steps"]
    drawn = tsbench(installed, here, "sweep", *small, "method.every=2", "method.num_inference_steps=3")
    assert drawn.returncode == 0, drawn.stderr
    elsewhere = here / "nothing installed"
    told = tsbench(elsewhere, here, "report", "sweep")
    assert told.returncode == 0, told.stderr
    assert "| reuse (not installed) | every=2 " in (here / "results" / "sweep" / "table.md").read_text()
    assert "reuse (not installed), every=2: " in tsbench(elsewhere, here, "explain", "sweep", "reuse").stdout
    page = (here / "results" / "sweep" / "report.html").read_text()
    assert "method=reuse method.every=2" in page and "# reuse comes from a package that is not installed here" in page


def test_all_code_of_the_package_is_part_of_what_drew(installed: Path, here: Path) -> None:
    """Cells of a rule that lies in another file of the package, before and after it changes, do not mix.

    In a process that imports the package before tsbench, as its own tests or a notebook may.
    """

    change_and_look = """if True:
        import pathlib, reuse_method
        from tsbench.environment import drawing_code
        folder = pathlib.Path(reuse_method.__file__).parent
        for name, text in (("rule.py", ""), ("rule.py", "EVERY = 2"), ("rule.py", "EVERY = 3"), ("c.json", "[1]")):
            file = folder / name
            if text:
                file.write_text(text)
            print(drawing_code())
            file.unlink(missing_ok=True)
    """
    environment = os.environ | {"PYTHONPATH": str(installed)}
    shown = subprocess.run([sys.executable, "-c", change_and_look], env=environment, capture_output=True, text=True)
    assert len(set(shown.stdout.split())) == 4, shown.stderr


BROKEN_CODE = {  # and what is told of it
    "1 / 0": "does not import (ZeroDivisionError: division by zero)",
    "raise SystemExit('needs CUDA')": "does not import (SystemExit: needs CUDA)",
    "class Reuse: pass": "is no subclass of tsbench.methods.Method",
    "from tsbench.methods import Method as Reuse": (
        "has the name 'none', but must have its entry point's in a field `name`"
    ),
    # an instance of it would be full compute by name, and its images the reference
    f"{HEAD}class Reuse(Method):\n name = 'NAME'\n def enable(self, pipeline, steps): pass": (
        "has the name 'none', but must have its entry point's in a field `name`"
    ),
    f"{HEAD}class Reuse(Method):\n name: str = 'NAME'\n mode: complex = 1j": (
        "does not work with its defaults (TypeError: Object of type complex is not JSON serializable)"
    ),
    f"{HEAD}class Reuse(Method):\n name: str = 'NAME'\n mode: Literal['a', 'b'] = 'a'": (
        "does not work with its defaults (ValidationError: Unexpected type annotation: Literal[a, b])"
    ),
    f"{HEAD}class Reuse(Method):\n name: str = 'NAME'\n label_format: ClassVar[str] = 'N={{every}}'": (
        "does not work with its defaults (KeyError: 'every')"
    ),
    f"{HEAD}class Reuse(Method): name: str = 'NAME'": (
        "defines neither enable(pipeline, steps) nor drawn_steps(steps)"
    ),
}


def test_a_broken_package_stops_its_own_method_alone(installed: Path, here: Path) -> None:
    """All mistakes at once, each a method of one package."""
    entries, sentences = ["[tsbench.methods]"], []
    for number, (code, wrong) in enumerate(BROKEN_CODE.items()):
        name = f"broken{number}"
        (here / f"{name}.py").write_text(code.replace("NAME", name))  # the working directory comes first
        entries.append(f"{name} = {name}:Reuse")
        sentences.append(f"The method {name!r} of the package 'broken' {wrong}; fix it, or type pip uninstall broken.")
    sound = "from tsbench import load\n" + HEAD + "class Reuse(Method):\n name: str = 'model'\n"
    (here / "sound.py").write_text(f"{sound} def drawn_steps(self, steps): return 1")  # tsbench has a model too
    entries.append("model = sound:Reuse")
    information = here / "broken-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (information / "entry_points.txt").write_text("\n".join(entries))
    planned = tsbench(installed, here, "plan", "method=reuse", "size=64", "steps=4")
    assert planned.returncode == 0
    assert planned.stderr.splitlines() == [f"tsbench: left out: {sentence}" for sentence in sentences]
    assert "model" in tsbench(installed, here, "sweep", "--help").stdout.split("method: ")[1].splitlines()[0]
    asked = tsbench(installed, here, "plan", "method=broken0")
    assert asked.returncode == 2 and asked.stderr.splitlines()[-1] == f"tsbench: {sentences[0]}"


def test_a_broken_namesake_leaves_tsbenchs_own_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BROKEN, "taylorseer", "The method 'taylorseer' of the package 'x' does not import")
    assert method_class("diffusers", "taylorseer") is TaylorSeer
