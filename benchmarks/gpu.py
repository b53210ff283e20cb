"""Everything that needs a GPU, in pieces that are packed and resumed: `python benchmarks/gpu.py --pack gpu.tar.gz`.

A piece that is done is in the pack and is not run again; sweeps go on from their finished cells. No piece needs the
one before it. Results are cells and JSON documents: `python -m tsbench report` builds the tables of them, anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

RESULTS = Path("results")
DONE = RESULTS / "gpu-pieces.json"
FLUX = ["experiment=h200_timing", "report=false"]

PIECES: dict[str, list[list[str]]] = {
    "tests": [["-m", "pytest", "-m", "gpu", "tests/test_gpu.py"]],
    "rates": [["benchmarks/rates.py", "results/rates.json"]],
    "tiny": [
        ["-m", "tsbench", "sweep", "experiment=quick", "name=tiny-cuda", "report=false", "prompts.limit=2"],
        [
            "-m", "tsbench", "sweep", "experiment=quick", "name=tiny-cpu", "report=false", "prompts.limit=2",
            "timing.pairs=1", "runtime.device=cpu",
        ],
        ["benchmarks/agreement.py", "results/tiny-cuda", "results/tiny-cpu", "results/agreement.json"],
    ],
    "h200_timing": [["-m", "tsbench", "sweep", *FLUX]],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=Path("gpu.tar.gz"), help="resumed from where it exists")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no piece after, and stop a sweep at")
    arguments = parser.parse_args()
    if arguments.pack.exists():
        with tarfile.open(arguments.pack) as pack:
            pack.extractall(".", filter="data")
    RESULTS.mkdir(exist_ok=True)
    done: dict[str, float] = json.loads(DONE.read_text()) if DONE.exists() else {}
    ends = time.monotonic() + arguments.seconds
    failed = False
    for name, commands in PIECES.items():
        if name in done:
            print(f"{name}: done before", flush=True)
            continue
        started = time.monotonic()
        codes = [run(command, ends) for command in commands]
        if any(code is None for code in codes):
            print(f"{name}: out of time; what is finished is in the pack", flush=True)
        elif any(codes):
            failed = True
            print(f"{name}: FAILED", flush=True)
        else:
            done[name] = time.monotonic() - started
            print(f"{name}: {done[name]:.0f} s", flush=True)
        DONE.write_text(json.dumps(done))
        write_pack(arguments.pack)
    return int(failed)


def run(command: list[str], ends: float) -> int | None:
    """The exit code; None where the time is over. A sweep that is stopped has kept its finished cells."""
    left = ends - time.monotonic()
    if left < 20:
        return None
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])}
    try:
        return subprocess.run([sys.executable, *command], env=environment, timeout=min(left, 1e6)).returncode
    except subprocess.TimeoutExpired:
        return None


def write_pack(path: Path) -> None:
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w:gz") as pack:
        for file in sorted([*RESULTS.rglob("*.json"), *RESULTS.glob("tiny-*/**/*.png")]):  # agreement needs the images
            pack.add(file)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
