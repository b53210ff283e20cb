"""`python -m tsbench compare A B`: two runs of the same cells, before and after."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tsbench.comparison import FULL, SLOWER, Change, Comparison, compared
from tsbench.errors import UserError
from tsbench.flags import Arguments, number_of
from tsbench.metrics import METRICS, metric_of
from tsbench.present import is_same
from tsbench.progress import output
from tsbench.store import Store, opened

USAGE = """\
usage: python -m tsbench compare A B [--fail-if slower=5% lpips=0.01 …] [--across-hardware]

For each cell that both runs have: how much slower it became, and the change of its metrics, B - A. `slower` is the
change of the latency as a share of full compute's, from the timed pairs, so a slower machine or day changes nothing.
For full compute itself, the change of its time is shown and fails nothing. A star marks figures whose interval excludes
zero; the intervals of a figure hold for all cells together with 95 %. Metrics that are equal for every prompt are only
counted. If the runs have different backends, cells of the same method that compute the same steps are compared, each
with its own full compute, if there is only one of either.

Each run is measured against its own full compute. If the images of full compute differ between the runs, that is told,
and the metrics of --fail-if judge the difference, except psnr, which is infinite for identical images.

--fail-if takes slower=5%, or a metric's name with how much worse it may get, in the metric's unit. It exits with 1 if a
whole interval lies beyond a threshold; if no cell has an interval to judge by, or the runs have only full compute in
common; if a cell of A, or its score in such a metric, is missing in B, or the cell failed or was skipped there; and,
with psnr, if an image that equalled full compute's no longer does. Timings of different hardware are shown, but judged
only if you add --across-hardware; a gate that has nothing else to judge exits with 1."""


def main(arguments: list[str]) -> int:
    """The verb `compare`: 1 if a threshold is given and B is beyond it, or lacks what A has."""
    parser = Arguments(USAGE)
    parser.add_argument("A")
    parser.add_argument("B")
    parser.add_argument("--fail-if", nargs="+", action="extend", default=[])
    parser.add_argument("--across-hardware", action="store_true")
    given = parser.parse_args(arguments)
    limits = thresholds(given.fail_if)
    a, b = opened(given.A), opened(given.B)
    if a.folder.resolve() == b.folder.resolve():
        raise UserError(f"compare takes two runs, but both are {a.folder}; draw the other one with name=NAME.")
    _check_scored(a, limits, given.A)
    found = compared(a, b, (given.A, given.B), limits)
    console = output()
    for hardware in dict.fromkeys(change.hardware for change in found.changes if change.hardware):
        judged_too = SLOWER not in limits or given.across_hardware
        instead = "" if judged_too else f"; {SLOWER} is not judged there (--across-hardware judges it)"
        console.print(f"different hardware: {' and '.join(hardware)}{instead}", soft_wrap=True)
    if given.across_hardware:
        found = replace(found, changes=[replace(change, hardware=None) for change in found.changes])
    failures = list(judged(found, limits)) if limits else []
    verdict = [f"FAILED {failure}" for failure in failures]
    if limits and not failures:
        timed = any(change.figure == SLOWER and not change.hardware for change in found.changes)
        passed = [text for text in given.fail_if if timed or text.partition("=")[0] != SLOWER]
        verdict = [f"passed: nothing is surely worse than {', '.join(passed)}"]
    for line in [*lines(found, limits), *verdict]:
        console.print(line, soft_wrap=True)
    return int(bool(failures))


def thresholds(given: Sequence[str]) -> dict[str, float]:
    """`slower=5%` and `lpips=0.01` as figures by name.

    Raises:
        UserError: for another name, and for what is not how much worse it may get.
    """
    limits: dict[str, float] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in (SLOWER, *METRICS):
            names = ", ".join((SLOWER, *METRICS))
            raise UserError(
                f"--fail-if is {text!r}, but must be NAME=HOW MUCH WORSE, with a name of: {names}; "
                "try --fail-if slower=5%."
            )
        if name in limits:
            raise UserError(f"--fail-if has {name} twice; give it one threshold: --fail-if {text}.")
        limits[name] = _limit(name, value)
    return limits


def _limit(name: str, text: str) -> float:
    flag, example = f"--fail-if {name}", f"--fail-if {name}={'5%' if name == SLOWER else '0.01'}"
    if name == SLOWER and text.endswith("%"):
        limit = number_of(flag, text[:-1], example) / 100
    else:
        limit = number_of(flag, text, example)
        if name == SLOWER and limit >= 1:
            raise UserError(f"{flag} is {text!r}, but must be a percentage or a share below 1; try {example}.")
    if limit < 0:
        raise UserError(f"{flag} is {text!r}, but must be 0 or more; try {example}.")
    return limit


def _check_scored(store: Store, limits: dict[str, float], name: str) -> None:
    scored = {metric_of(s).name for cell in store.all_cells() for s in store.scores(cell.key)}
    for metric in limits.keys() - {SLOWER, *scored}:
        there = ", ".join((SLOWER, *sorted(scored)))
        raise UserError(f"--fail-if is {metric!r}, but {name} has no scores of it; there are: {there}.")


def lines(found: Comparison, limits: dict[str, float]) -> Iterator[str]:
    """What to print of a comparison, the full compute of every workload first."""
    full = [change for change in found.changes if change.figure == FULL]
    yield from (f"  {change}, due to the machine or to the code" for change in full)
    others = [change for change in found.changes if change.figure != FULL]
    different = [change for change in others if not change.equal]
    for change in different:
        yield f"{'*' if change.is_sure else ' '} {change}"
        limit = _limit_of(change, limits)
        if limit is not None and not _is_above(change.worse_by_at_least, limit):
            if change.interval is None:
                yield "    inconclusive: there is no interval"
            elif _is_above(change.worse_by, limit):
                yield "    inconclusive: the interval does not lie beyond the threshold"
    yield from _blunt(found.changes, limits)
    yield from found.told
    yield from (f"lost: {lost}" for _, lost in found.lost)
    sure = sum(change.is_sure for change in different)
    yield (
        f"of {len(others)} figures: {sure} surely changed (*), {len(different) - sure} inconclusive, "
        f"{len(others) - len(different)} equal"
    )


def _is_above(figure: float, limit: float) -> bool:
    return figure > limit and not is_same(figure, limit)


def _limit_of(change: Change, limits: dict[str, float]) -> float | None:
    """The threshold that a change is held against; none for times of different hardware."""
    return None if change.hardware else limits.get(change.figure)


def _blunt(changes: Sequence[Change], limits: dict[str, float]) -> Iterator[str]:
    """Which thresholds a run is too noisy for: a change fails one only when it is beyond it by half an interval."""
    for figure, limit in limits.items():
        judged_by = [change for change in changes if change.figure == figure and not change.hardware]
        halves = [(change.interval[1] - change.interval[0]) / 2 for change in judged_by if change.interval]
        if halves and (half := statistics.median(halves)) > limit:
            least = judged_by[0].shown(limit + half, "")
            more = "pairs (timing.pairs)" if figure == SLOWER else "prompts"
            yield (
                f"{figure}: in a typical cell only a change above about {least} can fail, because the intervals are "
                f"that wide; more {more} make them narrower"
            )


def judged(found: Comparison, limits: dict[str, float]) -> Iterator[str]:
    """What fails the gate."""
    for change in found.changes:
        limit = _limit_of(change, limits)
        if limit is not None and _is_above(change.worse_by_at_least, limit):
            least = change.shown(change.worse_by_at_least, "", limit)
            yield f"{change.cell}: {change.figure} is worse by at least {least}, more than {change.shown(limit, '')}"
    yield from (lost for figure, lost in found.lost if figure in ("", *limits))
    timed = [change for change in found.changes if change.figure == SLOWER]
    if not timed:
        yield "nothing could be judged: beside full compute, A and B have no drawn cell in common"
    elif list(limits) == [SLOWER] and all(change.hardware for change in timed):
        yield "nothing could be judged: A and B were timed on different hardware (--across-hardware judges that too)"
    for figure in limits:
        held = [change for change in found.changes if change.figure == figure and not change.hardware]
        if any(not change.equal for change in held) and all(change.interval is None for change in held):
            differ = " whose images differ from full compute's" if figure == "psnr" else ""
            needs = "five pairs" if figure == SLOWER else f"five prompts{differ}"
            yield f"{figure} could not be judged: no cell has an interval, which takes {needs} in A and B"
