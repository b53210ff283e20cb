"""`python -m tsbench plan [overrides]`: what a sweep would compute and cost, without weights and without images."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from tsbench.errors import UserError
from tsbench.flags import Arguments, number_of
from tsbench.grid import expand
from tsbench.plan import measured_step_s, plan_table, planned_cells
from tsbench.plan_text import print_plan, totals, written
from tsbench.progress import output
from tsbench.store import Store

USAGE = """\
usage: python -m tsbench plan [overrides] [--step-s SECONDS] [--format csv|json|md]

Shows a row for every cell that `sweep` would draw with the same overrides: the steps it computes, what a forecast step
costs, its FLOPs and the speed-up that they allow, the bytes that its cache keeps, and any published FLOPs and speeds.
  --step-s SECONDS      seconds of a full step of the first cell, per image, for device hours; by default as measured in
                        results/NAME
  --format csv|json|md  write only the table, to standard output; csv and json have all columns"""

FORMATS = ("csv", "json", "md")


def main(arguments: list[str]) -> int:
    """The verb `plan`."""
    overrides, form, step_s = _flags(arguments)
    points = expand(overrides)
    cells, methods = planned_cells(points)
    with Console(stderr=True).status("counting FLOPs"):  # on a terminal only; of a real FLUX it takes half a minute
        table = plan_table(points, cells, methods)
    if form is not None:
        sys.stdout.write(written(table, form))
        return 0
    console = output()
    print_plan(table, console)
    first = points[0].config
    store, source = Store(Path("results") / first.folder_name), ""
    if step_s is None and (step_s := measured_step_s(store, cells[0])) is not None:
        source = f" (as measured in {store.folder}; --step-s gives another)"
    for line in totals(table, cells, methods, first.timing.pairs, step_s, source):
        console.print(line, soft_wrap=True)
    return 0


def _flags(arguments: list[str]) -> tuple[list[str], str | None, float | None]:
    """The overrides, the format and the time of a step."""
    parser = Arguments(USAGE)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--step-s")
    given = parser.parse_intermixed_args(arguments)
    if given.step_s is None:
        return given.overrides, given.format, None
    step_s = number_of("--step-s", given.step_s, "--step-s 0.3")
    if step_s <= 0:
        raise UserError(f"--step-s is {given.step_s!r}, but must be seconds, more than 0; try --step-s 0.3.")
    return given.overrides, given.format, step_s
