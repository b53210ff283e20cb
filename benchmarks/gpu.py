"""Everything that needs a GPU, in pieces that are packed and resumed: `python benchmarks/gpu.py --pack gpu.tar.gz`.

A piece that is done is in the pack and is not run again, one that has failed is tried last, and sweeps go on from their
finished cells. No piece needs the one before it. The pack is written every half a minute, so that whatever ends this
loses little. Results are cells and JSON documents: `python -m tsbench report` builds the tables of them, anywhere, and
`python benchmarks/findings.py` says what they show.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import torch

RESULTS = Path("results")
DONE = RESULTS / "gpu-pieces.json"  # seconds of every piece that is done, null of one that has failed
PACK_EVERY_S = 30
LEAST_S = 20  # of time left, to begin anything
TINY = ["-m", "tsbench", "sweep", "experiment=quick", "report=false", "prompts.limit=2", "timing.pairs=1"]

PIECES: dict[str, list[list[str]]] = {
    "tests": [["-m", "pytest", "-m", "gpu", "tests/test_gpu.py", "--junitxml=results/gpu-tests.xml"]],
    "rates": [["benchmarks/rates.py", "results/rates.json"]],
    "tiny": [
        [*TINY, "name=tiny-cuda"],
        [*TINY, "name=tiny-cpu", "runtime.device=cpu"],
        ["benchmarks/agreement.py", "results/tiny-cuda", "results/tiny-cpu", "results/agreement.json"],
    ],
    "h200_timing": [["-m", "tsbench", "sweep", "experiment=h200_timing", "timing.pairs=3", "report=false"]],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=Path("gpu.tar.gz"), help="resumed from where nothing is done here")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no piece after, and stop a sweep at")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here: torch.cuda.is_available() is false.", file=sys.stderr)
        return 2
    if arguments.pack.exists() and not DONE.exists():
        with tarfile.open(arguments.pack) as pack:
            pack.extractall(".", filter="data")
    RESULTS.mkdir(exist_ok=True)
    done: dict[str, float | None] = json.loads(DONE.read_text()) if DONE.exists() else {}
    ends = time.monotonic() + arguments.seconds
    for name in sorted(PIECES, key=lambda name: done.get(name, 0) is None):
        if done.get(name) is not None:
            print(f"{name}: done before", flush=True)
            continue
        started = time.monotonic()
        codes = [run(command, ends, arguments.pack) for command in PIECES[name]]
        if any(codes):
            done[name] = None
            print(f"{name}: FAILED", flush=True)
        elif None in codes:
            print(f"{name}: out of time; what is finished is in the pack", flush=True)
        else:
            done[name] = time.monotonic() - started
            print(f"{name}: {done[name]:.0f} s", flush=True)
        DONE.write_text(json.dumps(done))
        write_pack(arguments.pack)
    return int(None in done.values())


def run(command: list[str], ends: float, pack: Path) -> int | None:
    """The exit code; None where the time is over. A sweep that is stopped has kept its finished cells."""
    if ends - time.monotonic() < LEAST_S:
        return None
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what else is installed there is not ours to run
    }
    process = subprocess.Popen([sys.executable, *command], env=environment)
    try:
        while (left := ends - time.monotonic()) > 0:
            try:
                return process.wait(min(PACK_EVERY_S, left))
            except subprocess.TimeoutExpired:
                with suppress(FileNotFoundError):  # a cell was being put in its place: the next pack has it
                    write_pack(pack)
        return None
    finally:
        process.kill()
        process.wait()


def write_pack(path: Path) -> None:
    """Pack what the pieces have left so far; pictures only as long as they are still to be compared."""
    names = ["*.json", "*.xml", "h200_timing/**/*.json", "tiny-*/**/*.json"]
    done = json.loads(DONE.read_text()) if DONE.exists() else {}
    names += [] if done.get("tiny") is not None else ["tiny-*/**/*.png"]
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w:gz") as pack:
        for file in sorted(file for name in names for file in RESULTS.glob(name)):
            if not any(part.startswith(".") for part in file.parts):  # what is being written
                pack.add(file)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
