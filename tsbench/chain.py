"""Why a speed-up is what it is: latencies from full compute to what was measured, and what limits it, in words."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tsbench.disturbance import disturbance
from tsbench.schedule import computed_steps, schedule_note
from tsbench.stats import speedups
from tsbench.stored import DrawnCell


@dataclass(frozen=True)
class Link:
    """One latency of the chain, in seconds per image, what it takes into account, and the factor that this brings."""

    what: str
    latency_s: float
    factor: float


def chain(cell: DrawnCell) -> list[Link]:
    """The latencies from full compute to what was measured.

    Means over the cell's pairs: full compute; its computed steps alone; with forecast steps as counted, and then as
    measured; with what lies outside denoising; all as measured. The last is full compute's mean over the median of the
    pairs' speed-ups, so that the factors' product is the table's speed-up.
    """
    pairs, steps = cell.pairs, cell.workload.steps
    schedules = [pair.schedule for pair in pairs]
    full_s = statistics.fmean(pair.full.latency_s for pair in pairs)
    step_s = statistics.fmean(statistics.fmean(pair.full.step_s) for pair in pairs)
    computed = statistics.fmean(computed_steps(schedule) for schedule in schedules)
    forecast = statistics.fmean(len(schedule) - computed_steps(schedule) for schedule in schedules)
    forecast_s = statistics.fmean(
        sum(second for second, letter in zip(pair.method.step_s, schedule) if letter == ".")
        for pair, schedule in zip(pairs, schedules)
    )
    outside_s = statistics.fmean(pair.method.latency_s - pair.method.denoise_s for pair in pairs)
    measured_s = statistics.fmean(pair.method.latency_s for pair in pairs)
    speedup = statistics.median(speedups(pairs))
    latencies = [("full compute", full_s)]
    if computed:
        latencies.append((f"{computed:.4g} of {steps} steps computed", full_s * computed / steps))
    share = _forecast_share(cell)
    if forecast and share is not None:
        what = f"forecast steps at {100 * share:.3g} % of a full one, as counted"
        latencies.append((what, full_s * (computed + forecast * share) / steps))
    inside_s = computed * step_s + forecast_s
    if forecast:
        each = 100 * forecast_s / forecast / step_s
        latencies.append((f"at {each:.3g} %, as measured", full_s * inside_s / (steps * step_s)))
    latencies.append((f"plus {outside_s:.3g} s outside denoising, which no cache shortens", inside_s + outside_s))
    latencies.append(
        (
            "as measured: computed steps that are slower or faster than full compute's, and the cache's own work",
            measured_s,
        )
    )
    latencies.append(("by the median of the pairs' ratios, as in the table", full_s / speedup))
    befores = [full_s, *(latency_s for _, latency_s in latencies)]
    return [Link(what, latency_s, before / latency_s) for before, (what, latency_s) in zip(befores, latencies)]


def _forecast_share(cell: DrawnCell) -> float | None:
    return None if cell.cost is None else cell.cost.forecast_share


def limits(cell: DrawnCell) -> list[str]:
    """What limits the speed-up, in words."""
    schedules, pairs, steps = cell.schedules, cell.pairs, cell.workload.steps
    note = schedule_note(cell.promised_schedule, schedules, steps)
    said = [text for text in (note, disturbance(cell)) if text]
    share = _forecast_share(cell)
    if share is not None and share > 0.3:
        said.append(
            f"a forecast step still takes {100 * share:.0f} % of a full one's FLOPs: by these, "
            f"skipping more steps never passes {1 / share:.2f}x"
        )
    latency_s = statistics.fmean(pair.method.latency_s for pair in pairs)
    outside = 1 - statistics.fmean(pair.method.denoise_s for pair in pairs) / latency_s
    if outside > 0.15:
        moving = ", the VAE and moving weights" if cell.settings.offload != "none" else " and VAE"
        said.append(f"text encoder{moving} are now {100 * outside:.0f} % of an image")
    warm = min(len(schedule) - len(schedule.lstrip("C")) for schedule in schedules)
    if warm > 0.3 * steps and any("." in schedule for schedule in schedules):
        said.append(f"the first {warm} of {steps} steps are computed")
    return said
