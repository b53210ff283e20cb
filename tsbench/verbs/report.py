"""`python -m tsbench report RESULTS`: score what is unscored and rebuild tables and plots from the cells alone."""

from __future__ import annotations

from tsbench.flags import Arguments
from tsbench.progress import output
from tsbench.report.build import build_report
from tsbench.store import opened

USAGE = """\
usage: python -m tsbench report RESULTS

Scores the images that have no scores yet and rebuilds report.html, cells.csv, the Parquet files, table.md, table.tex
and the plots from the cells alone. RESULTS is a folder, or its name in results/."""


def main(arguments: list[str]) -> int:
    """The verb `report`."""
    parser = Arguments(USAGE)
    parser.add_argument("RESULTS")
    return build_report(opened(parser.parse_args(arguments).RESULTS), output())
