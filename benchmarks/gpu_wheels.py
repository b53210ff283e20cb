"""Collect wheels for `make gpu` on a machine with CUDA, Python 3.12 and torch but no network.

`python benchmarks/gpu_wheels.py FOLDER` prints what to type there. Versions are those of the environment that runs
this; torch, numpy and Pillow, which are there with torch and torchvision, and what only tables and plots need, stay
out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = [
    "diffusers", "transformers", "accelerate", "hydra-core", "rich", "PyYAML", "nvidia-ml-py", "pytest",
]  # fmt: skip
LEFT_OUT = {"torch", "numpy", "pillow", "hf-xet"}  # there with torch and torchvision; the last one only downloads
SOURCE_ONLY = ["antlr4-python3-runtime==4.9.3"]
PLATFORMS = ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]


def closure(packages: list[str]) -> dict[str, str]:
    """The versions, in this environment, of packages and of what they need."""
    found: dict[str, str] = {}
    todo = list(packages)
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found or name in LEFT_OUT:
            continue
        distribution = importlib.metadata.distribution(name)
        found[name] = distribution.version
        needs = [Requirement(text) for text in distribution.requires or []]
        todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def main(folder: str) -> int:
    for old in Path(folder).glob("*.whl"):  # of other versions, which pip would not choose between
        old.unlink()
    pins = [f"{name}=={version}" for name, version in closure(PACKAGES).items()]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    target = ["--python-version", "3.12", "--implementation", "cp", *(f"--platform={name}" for name in PLATFORMS)]
    wheels = [pin for pin in pins if pin not in SOURCE_ONLY]
    for command in (
        [*pip, "download", "-q", "--no-deps", "--only-binary=:all:", *target, "-d", folder, *wheels],
        [*pip, "wheel", "-q", "--no-deps", "-w", folder, *SOURCE_ONLY],
    ):
        subprocess.run(command, check=True)
    files = sorted(Path(folder).glob("*.whl"))
    print(f"{len(files)} wheels, {sum(file.stat().st_size for file in files) / 2**20:.1f} MiB, in {folder}/; there:")
    install = f"python3 -m pip install --no-index --no-deps --no-compile --upgrade --target site {folder}/*.whl"
    print(f"{install} && PYTHONPATH=site make gpu")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    sys.exit(main(**vars(parser.parse_args())))
