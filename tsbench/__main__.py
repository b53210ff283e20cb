"""`python -m tsbench VERB …`: choose the module of a verb and turn a user's mistake into one sentence."""

import os
import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from tsbench import __version__
from tsbench.errors import UserError

VERBS = {
    "sweep": "draw, time, score and plot a grid of settings: tsbench sweep [overrides], tsbench sweep --help",
    "plan": "what such a grid would compute and cost, without weights or images: tsbench plan [overrides]",
    "recommend": "the fastest setting that is good enough: tsbench recommend RESULTS --max-lpips 0.1",
    "explain": "why a speed-up is what it is: tsbench explain RESULTS [SETTING]",
    "compare": "two runs of the same cells: tsbench compare A B [--fail-if slower=5%]",
    "try": 'one prompt with and without a method: tsbench try "PROMPT" [overrides]',
    "score": "add metrics to a finished run: tsbench score RESULTS 'metrics=[flip]'",
    "doctor": "what can run here, and what each missing thing needs",
    "export": "make the OpenVINO IR of a model: tsbench export model=tiny",
    "report": "score what is unscored and rebuild tables and plots of a results folder: tsbench report RESULTS",
}
# A thread of torch that waits spins. On few cores, beside another process, it keeps a core from the very thread that it
# waits for: on two cores an image then takes ten times as long, and three times with this limit, which costs nothing
# where there is no other process.
FEW_CORES, SPINS = 4, "2000"
USAGE = f"""\
tsbench {__version__}: speed against quality of caching methods for diffusion transformers

usage: python -m tsbench VERB [arguments]

""" + "\n".join(f"  {verb:10}{text}" for verb, text in VERBS.items())


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Returns:
        0 when all went well, 1 when something failed while running, 2 when the user asked for something impossible,
        130 when interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for library in ("DIFFUSERS", "TRANSFORMERS"):  # their hints on what else could be installed are not for the user
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    verb, *rest = arguments or [""]
    kept = "; finished cells are kept, and the same command goes on from them" if verb == "sweep" else ""
    try:
        if verb in ("", "-h", "--help", "help"):
            print(USAGE, flush=True)
            return 0 if verb else 2
        if verb == "--version":
            print(__version__)
            return 0
        if verb not in VERBS:
            raise UserError(f"There is no verb {verb!r}; there are: {', '.join(VERBS)}.")
        module = import_module(f"tsbench.verbs.{'trial' if verb == 'try' else verb}")  # `try` is a keyword
        if hasattr(module, "USAGE") and {"-h", "--help"} & set(rest):
            print(module.USAGE)
            return 0
        if verb != "doctor":  # which lists them
            for reason in import_module("tsbench.methods.registry").BROKEN.values():
                print(f"tsbench: left out: {reason}", file=sys.stderr)
        return module.main(rest)
    except UserError as error:
        print(f"tsbench: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if kept:
            print(f"tsbench: stopped, since its output was closed{kept}.", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno is None:  # not of the system
            raise
        what = error.filename or f"a file under {Path.cwd()}"
        print(f"tsbench: {what} could not be read or written ({error.strerror or error}){kept}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ntsbench: interrupted{kept}.", file=sys.stderr)
        return 130


def run() -> None:
    """The command: `main` with its exit code; a scheduler's SIGTERM ends it like Ctrl-C, with a sentence."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "OMP_WAIT_POLICY" not in os.environ and (os.cpu_count() or 1) <= FEW_CORES:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that a terminal cannot show must not end a run
    sys.exit(main())


if __name__ == "__main__":
    run()
