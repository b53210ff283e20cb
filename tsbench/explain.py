"""`python -m tsbench explain RESULTS [CELL]`: why a speed-up is what it is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from tsbench.cost import StepCost
from tsbench.disturbance import disturbance
from tsbench.errors import UserError
from tsbench.flags import read_flags
from tsbench.present import full_name, workload_titles
from tsbench.progress import output
from tsbench.schedule import computed_steps, schedule_note
from tsbench.stats import speedups
from tsbench.store import Store, opened
from tsbench.tables import cells_table, pair_schedules

USAGE = """\
usage: python -m tsbench explain RESULTS [CELL]

For each cell (or one, by the beginning of its key) the chain from full compute to the measured latency. Latencies are
means over the timed pairs, and each factor is the ratio of two neighbours; a last one leads to the median of the pairs'
ratios, which is the table's speed-up and the product of all factors."""


@dataclass(frozen=True)
class Link:
    """One latency of the chain, in seconds per image, what it takes into account, and the factor that this brings."""

    what: str
    latency_s: float
    factor: float


def main(arguments: list[str]) -> int:
    """The verb `explain`."""
    rest, _ = read_flags("explain", arguments, ())
    if not 1 <= len(rest) <= 2:
        raise UserError(
            "explain takes a results folder and, if wanted, a cell: python -m tsbench explain RESULTS [CELL]."
        )
    store = opened(rest[0])
    table = cells_table(store)
    rows = [row for row in table.itertuples() if row.key != row.reference]
    if len(rest) == 2:
        rows = [row for row in table.itertuples() if row.key.startswith(rest[1])]
        if len(rows) != 1:
            keys = ", ".join([row.key for row in rows] or table["key"])
            there = "it begins" if rows else "there are"
            raise UserError(f"{rest[1]!r} begins the keys of {len(rows)} cells, but must begin one; {there}: {keys}.")
    console = output()
    titles, title = workload_titles(table), None
    for row in rows:
        if titles[row.reference] != title:
            title = titles[row.reference]
            console.print(title, style="bold", soft_wrap=True)
        for line in explanation(store, row):
            console.print(line, soft_wrap=True)
    return 0


def explanation(store: Store, row: Any) -> list[str]:
    """The chain of one cell and what it says, line by line."""
    if row.status != "ok":
        return [f"  {full_name(row)}: {row.status}: {row.reason}"]
    document = store.document(row.key)
    if row.key == row.reference:
        return [f"  {full_name(row)}: everything else is compared with it, {row.latency_s:.4g} s"]
    lines = [f"  {full_name(row)}: {row.speedup:.3f}x (cell {row.key[:6]})"]
    for number, link in enumerate(chain(document)):
        lines.append(f"    {link.latency_s:10.4g} s  {f'x {link.factor:.3f}' if number else '':9} {link.what}")
    return lines + [f"    {sentence}" for sentence in sentences(document)]


def chain(document: dict[str, Any]) -> list[Link]:
    """The latencies from full compute to what was measured.

    Means over the cell's pairs: with T steps of which C are computed, s the reference's mean step and the cell's
    forecast steps as measured. The last is full compute's mean over the median of the pairs' speed-ups, so that the
    factors' product is the table's speed-up.
    """
    pairs = document["pairs"]
    schedules = pair_schedules(document)
    full_s = statistics.fmean(pair["reference"]["latency_s"] for pair in pairs)
    step_s = statistics.fmean(statistics.fmean(pair["reference"]["step_s"]) for pair in pairs)
    steps = document["workload"]["steps"]
    computed = statistics.fmean(computed_steps(schedule) for schedule in schedules)
    forecast = statistics.fmean(len(schedule) - computed_steps(schedule) for schedule in schedules)
    forecast_s = statistics.fmean(
        sum(second for second, letter in zip(pair["method"]["step_s"], schedule) if letter == ".")
        for pair, schedule in zip(pairs, schedules)
    )
    outside_s = statistics.fmean(pair["method"]["latency_s"] - pair["method"]["denoise_s"] for pair in pairs)
    measured_s = statistics.fmean(pair["method"]["latency_s"] for pair in pairs)
    speedup = statistics.median(speedups(pairs))
    latencies = [("full compute", full_s)]
    if computed:
        latencies.append((f"{computed:g} of {steps} steps computed", full_s * computed / steps))
    share = _forecast_share(document)
    if share is not None:
        what = f"forecast steps at {100 * share:.3g} % of a full one, as counted"
        latencies.append((what, full_s * (computed + forecast * share) / steps))
    inside_s = computed * step_s + forecast_s
    if forecast:
        each = 100 * forecast_s / forecast / step_s
        latencies.append((f"at {each:.3g} %, as measured", full_s * inside_s / (steps * step_s)))
    latencies.append((f"with {outside_s:.3g} s outside denoising, of which nothing is skipped", inside_s + outside_s))
    latencies.append(("as measured: what computed steps really take, and bookkeeping", measured_s))
    latencies.append(("by the median of the pairs' ratios, as in the table", full_s / speedup))
    befores = [full_s, *(latency_s for _, latency_s in latencies)]
    return [Link(what, latency_s, before / latency_s) for before, (what, latency_s) in zip(befores, latencies)]


def _forecast_share(document: dict[str, Any]) -> float | None:
    return None if document["cost"] is None else StepCost(**document["cost"]).forecast_share


def sentences(document: dict[str, Any]) -> list[str]:
    """What limits the speed-up, in words."""
    schedules, pairs, steps = document["schedules"], document["pairs"], document["workload"]["steps"]
    note = schedule_note(document["promised_schedule"], schedules, steps)
    said = [text for text in (note, disturbance(document)) if text]
    share = _forecast_share(document)
    if share is not None and share > 0.3:
        said.append(
            f"a forecast step still costs {100 * share:.0f} % of a full one: by FLOPs "
            f"no interval passes {1 / share:.2f}x"
        )
    latency_s = statistics.fmean(pair["method"]["latency_s"] for pair in pairs)
    outside = 1 - statistics.fmean(pair["method"]["denoise_s"] for pair in pairs) / latency_s
    if outside > 0.15:
        said.append(f"text encoder and VAE are now {100 * outside:.0f} % of an image")
    warm = min(len(schedule) - len(schedule.lstrip("C")) for schedule in schedules)
    if warm > 0.3 * steps and any("." in schedule for schedule in schedules):
        said.append(f"warm-up is {warm} of {steps} steps")
    return said
