"""What figures depend on: cells of two states of the code that draws must never share a folder."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tsbench import environment
from tsbench.environment import DRAWING, drawing_code
from tsbench.paths import PACKAGE

WITHOUT_FIGURES = {
    "__init__",
    "checks",
    "environment",
    "errors",
    "packages",
    "paths",
    "titles",
}  # messages, and where files are


def imported_by(file: Path) -> set[Path]:
    """The files of tsbench that one of them names in its import statements."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = [PACKAGE.parent / (node.module or "").replace(".", "/") for node in nodes]
    return {file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py")
            if PACKAGE in file.parents and file.is_file()}  # fmt: skip


def test_all_that_the_drawing_code_imports_is_drawing_code() -> None:
    """The list is kept by hand: a module that is split off or added must not be forgotten."""
    reached: set[Path] = set()
    todo = [*(PACKAGE / "drawing").iterdir()]
    while todo:
        file = todo.pop()
        if file.suffix == ".py" and file not in reached:
            reached.add(file)
            todo += imported_by(file)
    names = {file.relative_to(PACKAGE).with_suffix("").as_posix() for file in reached} - WITHOUT_FIGURES
    assert {"budget", "methods/mag_cache"} < names
    assert {name for name in names if not {name, name.split("/")[0]} & set(DRAWING)} == set()


def made_by_the_command(code: str, cores: int = 2, **variables: str) -> str:
    """What a line prints after `run` has set up a process."""
    before = (
        "import os, signal, sys\nfrom tsbench import __main__\n__main__.main = lambda: None\n"
        f"os.cpu_count = lambda: {cores}\n"
    )
    variables = {"PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-c", f"{before}try: __main__.run()\nexcept SystemExit: {code}"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()


def test_how_long_threads_spin_is_limited_and_written_down() -> None:
    """Beside another process, torch takes ten times as long without a limit; with OMP_WAIT_POLICY=passive twice as long
    on a quiet machine. The command comes too late where torch is imported first."""
    assert made_by_the_command("print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])") == "False 2000"
    waiting = "import torch, tsbench.environment as t; print(t.environment(torch.device('cpu'))['openmp'])"
    assert made_by_the_command(waiting, cores=16) == "{}"
    assert made_by_the_command(waiting) == "{'GOMP_SPINCOUNT': '2000'}"
    assert made_by_the_command(waiting, OMP_WAIT_POLICY="active") == "{'OMP_WAIT_POLICY': 'active'}"


def test_an_installed_package_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git would name that of a checkout of something else around it, such as one with a .venv in it."""
    monkeypatch.setattr(environment, "PACKAGE", tmp_path / "tsbench")
    described = subprocess.CompletedProcess([], 0, stdout="0123\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: described)
    assert environment.git_revision() is None
    (tmp_path / ".git").mkdir()
    assert environment.git_revision() == "0123"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source, which the digits are taken of."""
    copy = tmp_path / "tsbench"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    monkeypatch.setattr(environment, "PACKAGE", copy)
    return copy


def changed(file: Path) -> str:
    with file.open("a") as source:
        source.write("\n")
    return drawing_code()


@pytest.mark.parametrize("file", ["drawing/generate.py", "budget.py", "methods/auto.py", "drawing/diffusers.py"])
def test_a_change_of_what_draws_is_another_environment(package: Path, file: str) -> None:
    """The version of a checkout stays when its code changes."""
    assert drawing_code() != changed(package / file)


def test_tables_and_plots_can_change_under_finished_cells(package: Path) -> None:
    assert drawing_code() == changed(package / "report" / "plots" / "style.py") == changed(package / "tables.py")


def test_a_method_that_is_one_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other packages all code does; of a package that is being written the version stays too."""
    source = tmp_path / "plugin.py"
    source.touch()
    before = drawing_code()
    monkeypatch.setattr("tsbench.methods.registry.PLUGINS", {"mine": object})
    monkeypatch.setattr(environment.inspect, "getfile", lambda method: str(source))
    one = drawing_code()
    assert len({before, one, changed(source)}) == 3
