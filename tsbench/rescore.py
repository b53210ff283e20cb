"""`python -m tsbench score RESULTS metrics=[…]`: add metrics to a finished run from its stored images."""

from __future__ import annotations

from tsbench.errors import UserError
from tsbench.metrics import METRICS, check_metrics
from tsbench.progress import output
from tsbench.report import build_report
from tsbench.tables import opened

USAGE = f"""\
usage: python -m tsbench score RESULTS metrics=[NAME,NAME]

Scores the stored images of a run in more metrics and rebuilds its tables, plots and report. There are:
{", ".join(METRICS)}."""


def main(arguments: list[str]) -> int:
    """The verb `score`."""
    wanted = [argument for argument in arguments if argument.startswith("metrics=")]
    rest = [argument for argument in arguments if argument not in wanted]
    if len(rest) != 1 or len(wanted) != 1:
        raise UserError("score takes a run and metrics: python -m tsbench score RESULTS metrics=[psnr,lpips].")
    names = [name.strip() for name in wanted[0].removeprefix("metrics=").strip("[]").split(",") if name.strip()]
    check_metrics(names)
    store = opened(rest[0])
    store.add_metrics(names)
    manifest = store.manifest()
    assert manifest is not None
    return build_report(store, manifest["metrics"], output())
