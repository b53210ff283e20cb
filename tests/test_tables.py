"""Tables from stored cells, on figures that can be worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers import FLOAT32, cell
from tests.stores import (
    ENVIRONMENT,
    body,
    by_interval,
    drawn_cell,
    image,
    put,
    timing,
)
from tsbench.disturbance import disturbance
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.report import paper
from tsbench.schedule import schedule_note
from tsbench.scoring import score_cells
from tsbench.store import Store
from tsbench.tables import COLUMNS, EXTRA_COLUMNS, cells_table, samples_table


def test_speedups_are_medians_of_paired_ratios(store: Store) -> None:
    row = by_interval(store)[4]
    assert row.speedup == pytest.approx(1.025 / 0.4)
    assert (row.speedup_low, row.speedup_high) == pytest.approx((0.9 / 0.4, 1.4 / 0.4))
    assert row.denoise_speedup == pytest.approx(0.8 / 0.2)
    assert (row.latency_s, row.n_pairs) == (0.4, 6)
    reference = by_interval(store)[0]
    assert (reference.speedup, reference.denoise_speedup, reference.latency_s) == (1, 1, 1)


def test_psnr_is_a_mean_over_images_without_the_identical_ones(store: Store) -> None:
    """Half of the columns differ by 32 levels in both images: 10 log10(255^2 / 512) each.

    The second cell's second image is the reference's own.
    """
    assert by_interval(store)[4].psnr_db == pytest.approx(10 * np.log10(255**2 / 512), abs=1e-4)
    assert by_interval(store)[4].n_identical == 0
    assert by_interval(store)[2].psnr_db == pytest.approx(10 * np.log10(255**2 / 128), abs=1e-4)
    assert by_interval(store)[2].n_identical == 1
    samples = samples_table(store)
    assert list(samples[samples["key"] == by_interval(store)[2].key]["psnr_db"])[1] == np.inf


def test_a_mean_over_images_is_not_a_pooled_one(tmp_path: Path) -> None:
    """40 dB and 10.46 dB are 25.23 dB on average; their pooled error would be 13.46 dB."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    parameters = json.dumps(TaylorSeer().resolved(4))
    black = np.zeros((64, 64, 3), np.uint8)
    near, far = black.copy(), black.copy()
    near[:32, :, 0], far[...] = 6, 76  # squared errors of 6 and 5776
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}]), [black, black])
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    put(store, cell("taylorseer", parameters, steps=4), "ok", body(["CC.C"] * 2, [pair]), [near, far])
    score_cells(store, ["psnr"])
    expected = (10 * np.log10(255**2 / 6) + 10 * np.log10(255**2 / 5776)) / 2
    assert by_interval(store)[5].psnr_db == pytest.approx(expected, abs=1e-4)


def test_the_front_and_the_schedule(store: Store) -> None:
    rows = by_interval(store)
    assert rows[4].on_front == "psnr;ssim" and rows[2].on_front == "psnr;ssim"
    assert rows[6].on_front == "" and rows[0].on_front == "" and rows[8].on_front == ""
    assert (rows[4].schedule, rows[4].computed_steps) == ("C...", 1)
    assert (rows[2].schedule, rows[2].computed_steps) == ("varies", 2.5)
    assert rows[4].note is None or np.isnan(rows[4].note)
    assert rows[2].note == "did not follow its rule, C..."
    assert (rows[8].status, rows[8].reason) == ("failed", "no memory")


def test_runs_that_compute_other_steps_of_one_image_are_noted(tmp_path: Path) -> None:
    """A cache that is on in the first run alone is as slow as full compute, whatever its first schedule says."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    pair = {"batch": 0, "reference": timing(1, 1), "method": timing(1, 1)}
    drawn = body(["CC.C"] * 2, [pair | {"schedule": schedule} for schedule in ("CC.C", "CCCC")])
    put(store, cell("taylorseer", json.dumps(TaylorSeer().resolved(4)), steps=4), "ok", drawn, [image(0)] * 2)
    assert by_interval(store)[5].note == "the schedule of an image differed between runs"


def test_schedules_of_a_batch_are_held_against_its_own_images(tmp_path: Path) -> None:
    """Two batches of two: the second pair drew the third and the fourth image."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    drawn = cell("taylorseer", '{"cache_interval":2}', prompts=("a", "b", "c", "d"), batch_size=2, steps=4)
    pairs = [{"batch": number, "reference": timing(2, 2), "method": timing(1, 1)} for number in (0, 1)]
    both = [pair | {"schedule": schedule} for pair, schedule in zip(pairs, ("CC.C", "CCCC"))]
    put(store, drawn, "ok", body(["CC.C", "CC.C", "CCCC", "CCCC"], both, None), [image(0)] * 4)
    assert "differed between runs" not in str(cells_table(store).note[0])
    swapped = [pair | {"schedule": schedule} for pair, schedule in zip(pairs, ("CC.C", "CC.C"))]
    put(store, drawn, "ok", body(["CC.C", "CC.C", "CCCC", "CCCC"], swapped, None), [image(0)] * 4)
    assert "differed between runs" in cells_table(store).note[0]


def test_workloads_are_in_an_order_that_people_expect(tmp_path: Path) -> None:
    """By what they draw and how, not by their keys, which are digests: so are the panels of plots."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    eager = [cell(steps=4, height=64, width=64, seeds=(seed,), batch_size=n) for n in (1, 2) for seed in range(4)]
    compiled = [replace(one, settings=replace(FLOAT32, compile=True)) for one in eager[:4]]
    expected = [
        *eager[:4],
        *compiled,
        *eager[4:],
        cell(steps=8, height=64, width=64),
        cell(steps=4, height=64, width=96),
    ]
    for one in reversed(expected):
        put(store, one, "failed", {"reason": "no memory", "traceback": "…"})
    assert list(cells_table(store)["key"]) == [one.key for one in expected]


def test_a_second_name_of_a_model_leaves_full_compute_first(tmp_path: Path) -> None:
    """Cells are the same whatever the model is called, and its reference names it."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    expected = [
        cell(steps=4, model_name="mine"),
        cell("taylorseer", json.dumps(TaylorSeer().resolved(4)), steps=4, model_name="a later name"),
    ]
    for one in expected:
        put(store, one, "failed", {"reason": "no memory", "traceback": "…"})
    assert list(cells_table(store)["key"]) == [one.key for one in expected]


def test_identical_images_share_no_place_with_an_equal_psnr(tmp_path: Path) -> None:
    """Both show 40.00 dB, of which one leaves out an identical image: that one is the better, alone."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    prompts = ("a", "b")
    put(store, cell(prompts=prompts, steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(2, 2)}], "CCCC"))
    pairs = [{"batch": 0, "reference": timing(2, 2), "method": timing(1, 1)}]
    for interval, psnr in ((2, [40.0, 40.0]), (3, [40.0, float("inf")])):
        drawn = cell("taylorseer", f'{{"cache_interval":{interval}}}', prompts=prompts, steps=4)
        put(store, drawn, "ok", body(["C..C"] * 2, pairs, "C..C"))
        store.write_scores(drawn.key, {"psnr": psnr})
    cells = cells_table(store)
    quantity = next(quantity for quantity in paper.quantities(cells) if quantity.column == "psnr_db")
    assert paper.ranked(list(cells.itertuples()), quantity) == [0, 2, 1]


def test_what_is_said_of_a_schedule() -> None:
    assert schedule_note("CC.C", ["CC.C"], 4) is None
    assert schedule_note(None, ["CCCC", "CCCC"], 4) == "inert: every step was computed"
    assert schedule_note("CC.C", ["CCCC"], 4) == "inert: every step was computed, although its rule is CC.C"
    assert schedule_note("CCCC", ["CCCC"], 4) == "inert: every step was computed, as its rule has it here"
    assert schedule_note("CCC", ["CCC"], 4) is None  # fewer steps
    assert schedule_note(None, ["C..C"], 4) is None
    assert schedule_note(None, ["CCCC", "C..C"], 4) is None  # one image that changes much
    assert schedule_note("C.C.", ["C.C.", "C.CC"], 4) == "did not follow its rule, C.C."


def test_a_cell_is_in_its_place_whole_or_not_at_all(store: Store) -> None:
    """A crash while writing leaves the old state; a failed cell gives way to its second try."""

    def broken() -> object:
        yield image(0)
        raise RuntimeError

    timed_once = [{"batch": 0, "reference": timing(1, 1), "method": timing(0.5, 0.5)}]
    new = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=9).resolved(4)), steps=4)
    with pytest.raises(RuntimeError):
        put(store, new, "ok", body(["CC.C"] * 2, timed_once), broken())
    assert store.cell(new.key) is None
    assert not list(store.cells.glob(".*"))
    failed = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=8).resolved(4)), steps=4)
    assert not store.is_done(failed.key)
    put(store, failed, "ok", body(["CC.C"] * 2, timed_once), [image(0)] * 2)
    assert store.is_done(failed.key)


def test_a_compiled_cell_of_a_cache_that_stays_eager_says_so(tmp_path: Path) -> None:
    """Its speed-up is against full compute that was compiled."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "x", [])
    for name, compiled in (("mag_cache", True), ("mag_cache", False), ("first_block_cache", True)):
        drawn = replace(cell(name, "{}", steps=4), settings=replace(FLOAT32, compile=compiled))
        pair = {"batch": 0, "reference": timing(1, 1), "method": timing(0.5, 0.5)}
        put(store, drawn, "ok", body(["CC.C"] * 2, [pair]), [image(0)] * 2)
    notes = {(row.method, row.compile): row.note for row in cells_table(store).itertuples()}
    assert "diffusers keeps torch.compile off the blocks" in notes["mag_cache", True]
    assert pd.isna(notes["mag_cache", False]) and pd.isna(notes["first_block_cache", True])


def test_energy_of_the_longer_runs_alone_is_not_shown(tmp_path: Path) -> None:
    """The counter tells nothing of runs below a second: the median of the others would be that of the slow ones."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "x", [])
    for number, energies in enumerate(([300.0, 320.0, 310.0], [None, 320.0, 310.0])):
        pairs = [{"batch": 0, "method": timing(1, 1) | {"energy_j": energy}} for energy in energies]
        put(store, cell(steps=4, seeds=(number,)), "ok", body(["CCCC"] * 2, pairs, "CCCC"), [image(0)] * 2)
    energy = cells_table(store).sort_values("seeds")["energy_j"]
    assert energy.iloc[0] == 310 and pd.isna(energy.iloc[1])


def test_a_disturbed_timing_is_told(tmp_path: Path) -> None:
    """Full compute that takes three times as long in one pair, and a denoising faster than half of its steps can be."""
    store = Store(tmp_path / "run")
    store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", [])
    put(store, cell(steps=4), "ok", body(["CCCC"] * 2, [{"batch": 0, "method": timing(1, 1)}], "CCCC"), [image(0)] * 2)
    steady = [{"batch": 0, "reference": timing(1, 1), "method": timing(0.52, 0.52)}] * 2
    for interval, first in ((2, timing(1, 1)), (3, timing(3, 3)), (4, timing(1.9, 1.9))):
        pairs = [steady[0] | {"reference": first}, steady[1]]
        method = cell("taylorseer", json.dumps(TaylorSeer(cache_interval=interval).resolved(4)), steps=4)
        put(store, method, "ok", body(["C..C"] * 2, pairs), [image(0)] * 2)
    rows = by_interval(store)
    assert pd.isna(rows[0].timing_disturbed) and pd.isna(rows[2].timing_disturbed)
    both = "took from 1 to 3 s, denoising was 1.92 times as fast as its computed steps allow"
    assert rows[3].timing_disturbed == f"timing disturbed: full compute {both}"
    assert rows[4].timing_disturbed == "timing disturbed: denoising was 1.39 times as fast as its computed steps allow"
    assert both in paper.markdown(cells_table(store), store.manifest())


def test_prompts_of_which_more_is_computed_are_no_disturbance() -> None:
    """A method that decides by the image: a tenth of a second for every computed step."""
    runs = [4, 4, 4, 4, 28, 28]
    schedules = ["C" * computed + "." * (28 - computed) for computed in runs]
    pairs = [
        {"batch": i, "schedule": schedule, "reference": timing(2.8, 2.8), "method": timing(n / 10, n / 10)}
        for i, (schedule, n) in enumerate(zip(schedules, runs))
    ]
    decides = cell("auto", steps=28, prompts=tuple("abcdef"))
    assert disturbance(drawn_cell(decides, schedules, pairs)) is None
    pairs.append(pairs[0] | {"method": timing(1.2, 1.2)})
    assert disturbance(drawn_cell(decides, schedules, pairs)) == "timing disturbed: it took from 0.4 to 1.2 s"


def test_fronts_of_other_speeds_are_their_own(store: Store) -> None:
    """N=4 denoises four times and N=2 twice as fast; by FLOPs N=6 is as fast as N=2, and poorer."""
    rows = by_interval(store)
    assert rows[4].on_front_denoise == "psnr;ssim" and rows[2].on_front_denoise == "psnr;ssim"
    assert rows[4].on_front_flops == "psnr;ssim" and rows[6].on_front_flops == ""


def test_every_column_is_explained() -> None:
    """What stands in cells.csv and nowhere in the documents is a figure nobody can read."""
    document = (Path(__file__).parents[1] / "docs" / "reading-results.md").read_text(encoding="utf-8")
    assert [column for column in (*COLUMNS, *EXTRA_COLUMNS) if f"`{column}`" not in document] == []
