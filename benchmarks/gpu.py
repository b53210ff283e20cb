"""Everything that needs a GPU, in pieces that are packed and resumed: `python benchmarks/gpu.py --pack gpu.tar.gz`.

A piece that is done is in the pack and is not run again, one that has failed or takes too long is tried last, and
sweeps go on from their finished cells. No piece needs the one before it. The pack is written every half a minute, so
that whatever ends this loses little. On another GPU, with other versions or after a change of the code that draws
everything begins anew, beside what is there: all names end in six digits of the environment. Results are cells and JSON
documents: `python -m tsbench report` builds the tables of them, anywhere, and `python benchmarks/findings.py` says what
they show.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from tsbench.cell import digest
from tsbench.environment import environment
from tsbench.files import write_json

RESULTS = Path("results")
PACK_EVERY_S = 30
LEAST_S = 20  # of time left, to begin anything
HERE = "HERE"  # in names: the environment
TINY = ["-m", "tsbench", "sweep", "experiment=quick", "size=128", "report=false", "prompts.limit=2", "timing.pairs=1"]

PIECES: dict[str, list[list[str]]] = {
    "tests": [
        [
            "-m", "pytest", "-v", "-m", "gpu", "-o", "faulthandler_timeout=100", "tests/test_gpu.py",
            f"--junitxml=results/gpu-tests-{HERE}.xml",
        ]
    ],
    "rates": [["benchmarks/rates.py", f"results/rates-{HERE}.json"]],
    "tiny": [
        [*TINY, f"name=tiny-cuda-{HERE}"],
        [*TINY, f"name=tiny-cpu-{HERE}", "runtime.device=cpu"],
        [
            "benchmarks/agreement.py", f"results/tiny-cuda-{HERE}", f"results/tiny-cpu-{HERE}",
            f"results/agreement-{HERE}.json",
        ],
    ],
    "h200_timing": [
        [
            "-m", "tsbench", "sweep", "experiment=h200_timing", f"name=h200_timing-{HERE}", "timing.pairs=2",
            "report=false",
        ]
    ],
}  # fmt: skip
# about twice what they should need: on a machine that is lent for minutes the timing must not wait for one that hangs
LONGEST_S = {"tests": 200, "rates": 90, "tiny": 150}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=Path("gpu.tar.gz"), help="resumed from where nothing is done here")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no piece after, and stop a sweep at")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here: torch.cuda.is_available() is false.", file=sys.stderr)
        return 2
    here = environment_digits()
    pieces_done = RESULTS / f"gpu-pieces-{here}.json"  # seconds of each that is done, null of one that has failed
    if arguments.pack.exists() and not pieces_done.exists():
        with tarfile.open(arguments.pack) as pack:
            pack.extractall(".", filter="data")
    RESULTS.mkdir(exist_ok=True)
    done: dict[str, float | None] = json.loads(pieces_done.read_text()) if pieces_done.exists() else {}
    ends = time.monotonic() + arguments.seconds
    for name in sorted(PIECES, key=lambda name: done.get(name, 0) is None):
        if done.get(name) is not None:
            print(f"{name}: done before", flush=True)
            continue
        started = time.monotonic()
        commands = [[part.replace(HERE, here) for part in command] for command in PIECES[name]]
        ends_itself = started + LONGEST_S.get(name, float("inf"))
        codes = [run(command, min(ends, ends_itself), arguments.pack) for command in commands]
        if any(codes) or (None in codes and ends_itself < ends):
            done[name] = None
            print(f"{name}: FAILED", flush=True)
        elif None in codes:
            print(f"{name}: out of time; what is finished is in the pack", flush=True)
        else:
            done[name] = time.monotonic() - started
            print(f"{name}: {done[name]:.0f} s", flush=True)
        write_json(pieces_done, done)
        write_pack(arguments.pack)
    print(f"python benchmarks/findings.py results/h200_timing-{here} results/rates-{here}.json says what holds")
    return int(None in done.values())


def environment_digits() -> str:
    """Six hexadecimal digits of what figures of this machine depend on."""
    return digest(environment(torch.device("cuda")))[:6]


def run(command: list[str], ends: float, pack: Path) -> int | None:
    """The exit code; None if the time is over. A sweep that is stopped has kept its finished cells."""
    if ends - time.monotonic() < LEAST_S:
        return None
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what else is installed there is not ours to run
    process = subprocess.Popen([sys.executable, *command], env=os.environ | alone)
    try:
        while (left := ends - time.monotonic()) > 0:
            try:
                return process.wait(min(PACK_EVERY_S, left))
            except subprocess.TimeoutExpired:
                with suppress(OSError):  # a file was being written or put in its place: the next pack has it
                    write_pack(pack)
        return None
    finally:
        process.kill()
        process.wait()


def write_pack(path: Path) -> None:
    """Pack what the pieces have left so far; pictures only as long as they are still to be compared."""
    names = ["*.json", "*.xml", "h200_timing-*/**/*.json", "tiny-*/**/*.json"]
    compared = [json.loads(path.read_text()).get("tiny") is not None for path in RESULTS.glob("gpu-pieces-*.json")]
    names += [] if compared and all(compared) else ["tiny-*/**/*.png"]
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w:gz") as pack:
        for file in sorted(file for name in names for file in RESULTS.glob(name)):
            if not any(part.startswith(".") for part in file.parts):  # what is being written
                pack.add(file)
    partial.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs here is not to go on alone
    sys.exit(main())
