"""`python -m tsbench score RESULTS metrics=[…]`: add metrics to a finished run from its stored images."""

from __future__ import annotations

from tsbench.errors import UserError
from tsbench.grid import expand
from tsbench.metrics import METRICS, check_columns, check_metrics
from tsbench.progress import output
from tsbench.report.build import build_report
from tsbench.store import opened

USAGE = f"""\
usage: python -m tsbench score RESULTS 'metrics=[NAME,NAME]'

Scores the stored images of a run in more metrics and rebuilds its tables, plots and report. There are:
{", ".join(f"{name}:CHECKPOINT" if metric.needs_checkpoint else name for name, metric in METRICS.items())}."""


def main(arguments: list[str]) -> int:
    """The verb `score`."""
    wanted = [argument for argument in arguments if argument.startswith("metrics=")]
    rest = [argument for argument in arguments if argument not in wanted]
    if len(rest) != 1 or len(wanted) != 1:
        raise UserError("score takes a run and metrics: python -m tsbench score RESULTS 'metrics=[psnr,lpips]'.")
    (point, *_) = expand(wanted)
    names = point.config.metrics
    if not names:
        raise UserError(f"metrics is empty, but must name one or more of: {', '.join(METRICS)}; try metrics=[flip].")
    check_metrics(names)
    store = opened(rest[0])
    check_columns([*store.manifest().metrics, *names])
    store.add_metrics(names)
    return build_report(store, output())
