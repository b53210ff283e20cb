"""`python -m tsbench explain RESULTS [CELL]`: why a speed-up is what it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tsbench.cost import StepCost
from tsbench.disturbance import disturbance
from tsbench.errors import UserError
from tsbench.flags import Arguments
from tsbench.present import full_name, workload_titles
from tsbench.progress import output
from tsbench.schedule import computed_steps, schedule_note
from tsbench.stats import speedups
from tsbench.store import Store, opened
from tsbench.tables import cells_table, pair_schedules

USAGE = """\
usage: python -m tsbench explain RESULTS [SETTING]

Shows the chain from full compute to the measured latency, for each setting on a front, or for those whose name contains
SETTING or whose key begins with it. Latencies are means over the timed pairs, and each factor is the ratio of two
neighbours. The last factor leads to the median of the pairs' ratios, so that their product is the table's speed-up."""


@dataclass(frozen=True)
class Link:
    """One latency of the chain, in seconds per image, what it takes into account, and the factor that this brings."""

    what: str
    latency_s: float
    factor: float


def main(arguments: list[str]) -> int:
    """The verb `explain`."""
    parser = Arguments(USAGE)
    parser.add_argument("RESULTS")
    parser.add_argument("SETTING", nargs="?")
    given = parser.parse_args(arguments)
    store = opened(given.RESULTS)
    table = cells_table(store)
    rows = explained(list(table.itertuples()), given.SETTING, store)
    console = output()
    titles, title = workload_titles(table), None
    for row in rows:
        if titles[row.reference] != title:
            title = titles[row.reference]
            console.print(title, style="bold", soft_wrap=True)
        for line in explanation(store, row):
            console.print(line, soft_wrap=True)
    others = sum(row.key != row.reference for row in table.itertuples()) - len(rows)
    if given.SETTING is None and others > 0:
        console.print(
            f"{others} more on no front; by name: python -m tsbench explain {given.RESULTS} SETTING", soft_wrap=True
        )
    return 0


def explained(rows: Sequence[Any], wanted: str | None, store: Store) -> list[Any]:
    """The cells that are asked for; without a wish those on a front, or all but the references where none is.

    Raises:
        UserError: where there are none.
    """
    if wanted is None:
        settings = [row for row in rows if row.key != row.reference]
        if not settings:
            raise UserError(f"{store.folder} has full compute only; draw a setting, such as method.cache_interval=3.")
        return [row for row in settings if row.on_front] or settings
    found = [row for row in rows if row.key.startswith(wanted) or wanted.lower() in full_name(row).lower()]
    if not found:
        example = next((row for row in rows if row.key != row.reference), rows[0])
        raise UserError(
            f"{store.folder} has no setting {wanted!r}; type a part of a name, such as {full_name(example)!r}, or the "
            f"beginning of a key, such as {example.key[:6]}."
        )
    return found


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
    latencies.append((f"plus {outside_s:.3g} s outside denoising, which no cache shortens", inside_s + outside_s))
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
            f"a forecast step still takes {100 * share:.0f} % of a full one's FLOPs: by these "
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
