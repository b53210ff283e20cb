"""Signs of other work on the machine in a cell's timings."""

from __future__ import annotations

import statistics
from typing import Any

from tsbench.schedule import computed_steps
from tsbench.stats import denoise_speedups
from tsbench.stored import DrawnCell

UNSTEADY = 2.0  # the slowest of runs of the same over the fastest, from which on it is said
TOO_FAST = 1.1  # denoising's speed-up over that of computed steps alone, likewise


def disturbance(cell: DrawnCell) -> str | None:
    """What disturbed a cell's timings: repeated runs that differ `UNSTEADY`-fold, or `impossibly_fast`; else None."""
    found = []
    alike: dict[tuple[Any, ...], list[float]] = {}  # latencies of what computes the same steps
    for pair in cell.pairs:
        alike.setdefault(("it", pair.schedule), []).append(pair.method.latency_s)
        if pair.reference is not None:
            alike.setdefault(("full compute",), []).append(pair.reference.latency_s)
    for (what, *_), latencies in sorted(alike.items()):
        if max(latencies) > UNSTEADY * min(latencies):
            found.append(f"{what} took from {min(latencies):.4g} to {max(latencies):.4g} s")
    found += filter(None, [impossibly_fast(cell)])
    return f"timing disturbed: {', '.join(found)}" if found else None


def impossibly_fast(cell: DrawnCell) -> str | None:
    """A denoising speed-up beyond steps over computed steps, so that full compute was held up; None if it is not."""
    if cell.is_reference:
        return None
    possible = [cell.workload.steps / max(1, computed_steps(pair.schedule)) for pair in cell.pairs]
    share = statistics.median(ratio / most for ratio, most in zip(denoise_speedups(cell.pairs), possible))
    return f"denoising was {share:.2f} times as fast as its computed steps allow" if share > TOO_FAST else None
