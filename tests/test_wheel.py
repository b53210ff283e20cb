"""What is published: the wheel works outside the checkout, the source distribution is whole."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd

from tests.helpers import ROOT


def test_an_installed_wheel_runs_a_sweep(tmp_path: Path) -> None:
    """Two cells, from a folder that is not the checkout, by the installed files alone."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "tsbench/py.typed",
        "tsbench/conf/sweep.yaml",
        "tsbench/experiments/quick.yaml",
        "tsbench/assets/tiny/model_index.json",
    } <= names
    assert not [name for name in names if name.endswith((".pt", ".bin", ".pkl", ".ckpt"))]  # no pickle
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import tsbench.__main__ as m, tsbench; "
        f"assert tsbench.__file__.startswith({str(site)!r}), tsbench.__file__; "
        "sys.exit(m.main(['sweep', 'size=64', 'steps=6', 'prompts.limit=1', 'timing.pairs=1']))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    cells = pd.read_csv(tmp_path / "results" / "sweep" / "cells.csv")
    assert list(cells["status"]) == ["ok", "ok"]


def test_the_source_distribution_has_what_the_makefile_and_the_readme_use(tmp_path: Path) -> None:
    """`make test` and `make gpu` from an unpacked one need more than the package."""
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    used = [
        "Makefile",
        "constraints.txt",
        "benchmarks/gpu.py",
        "tests/helpers.py",
        "docs/plugins.md",
        "results/reference/amd-epyc/quick/pareto.png",
    ]
    assert names.issuperset(used)
