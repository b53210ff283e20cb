"""Who is on a front, near it or dominated."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from scipy.stats import ttest_ind

from tests.stores import FAIR, GOOD, PROMPTS, by_interval, document, keys, rewrite, run
from tsbench.report.paper import BEST, SECOND, quantities, ranked
from tsbench.stats import log_speedups
from tsbench.tables import cells_table


def test_a_cell_that_only_noise_keeps_off_the_front_is_said_to_be_near_it(tmp_path: Path) -> None:
    """Against N=2: N=3 is 1 % slower with as good images, both within noise; N=4 is surely slower. N=5 is as fast, and
    worse by 0.03 with every prompt: surely, although the prompts differ by more than that among themselves."""
    wide = [0.02, 0.4, 0.1, 0.3, 0.2, 0.06]
    noise = [0.03, -0.02, 0.01, -0.03, 0.02, 0.0]
    worse = [value + 0.03 + other / 10 for value, other in zip(wide, noise)]
    scores = {2: wide, 3: [x + y for x, y in zip(wide, noise)], 4: wide, 5: worse}
    store = run(tmp_path / "r", scores, {2: 0.5, 3: 0.505, 4: 0.9, 5: 0.501})
    rows = by_interval(store)
    assert rows[2].on_front == "lpips" and {rows[i].on_front for i in (3, 4, 5)} == {""}
    assert rows[3].near_front == "lpips" and rows[3].dominated_by == ""
    assert rows[4].near_front == "" and rows[4].dominated_by == f"lpips:{rows[2].key}"
    assert rows[5].near_front == "" and rows[5].dominated_by == f"lpips:{rows[2].key}"
    assert rows[2].lpips_high > rows[5].lpips_low and rows[2].speedup_low < rows[5].speedup_high  # marginal intervals


def test_more_comparisons_need_a_clearer_difference(tmp_path: Path) -> None:
    """By Yuen's test the speed of N=3 differs from that of N=2 with p between 1 and 2.5 %: enough among two comparisons
    that are to hold together in 95 %, too little among five."""
    few = run(tmp_path / "few", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.53})
    pairs = [log_speedups(few.drawn(keys(few)[interval]).pairs) for interval in (2, 3)]
    assert 0.05 / 5 < ttest_ind(*pairs, equal_var=False, trim=0.2).pvalue < 0.05 / 2
    many = run(tmp_path / "many", dict.fromkeys(range(2, 7), GOOD), {2: 0.5, 3: 0.53, 4: 0.8, 5: 0.8, 6: 0.8})
    found = [(by_interval(store)[3].near_front, by_interval(store)[3].dominated_by) for store in (few, many)]
    assert found == [("", f"lpips:{keys(few)[2]}"), ("lpips", "")]


def test_of_several_cells_that_dominate_the_fastest_is_named(tmp_path: Path) -> None:
    """N=5 is exactly as fast as N=3."""
    poor = [value + 0.1 for value in GOOD]
    store = run(tmp_path / "r", {2: [0.01] * 6, 3: GOOD, 4: FAIR, 5: poor}, {2: 0.5, 3: 0.4, 4: 0.9, 5: 0.4})
    rows = by_interval(store)
    assert [rows[n].on_front for n in (2, 3)] == ["lpips", "lpips"]
    assert {rows[n].dominated_by for n in (4, 5)} == {f"lpips:{rows[3].key}"}


def test_full_compute_dominates_what_is_slower_and_no_better(tmp_path: Path) -> None:
    """N=3 is as fast as full compute within noise, but draws all images but one worse. N=2 and 4 draw its images, one
    surely slower."""
    store = run(tmp_path / "r", {2: [0.0] * 6, 3: [0.0, *GOOD[1:]], 4: [0.0] * 6}, {2: 1.2, 3: 1.005, 4: 1.005})
    for interval in (2, 4):
        store.write_scores(keys(store)[interval], {"lpips": [0.0] * 6, "ssim": [1 - 6e-8] * 6})
    rows = by_interval(store)
    assert {rows[i].on_front for i in (2, 3, 4)} == {""}
    full = rows[0].key
    assert [rows[i].dominated_by for i in (2, 3)] == [f"ssim:{full};lpips:{full}", f"lpips:{full}"]
    assert (rows[4].near_front, rows[4].dominated_by) == ("ssim;lpips", "")


def test_an_identical_image_is_not_dominated_by_another(tmp_path: Path) -> None:
    """N=2 is as fast within noise and has more dB wherever images differ, but one of N=3's is the reference's own."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.501})
    store.write_scores(keys(store)[2], {"psnr": [60.0] * 6})
    store.write_scores(keys(store)[3], {"psnr": [40.0] * 5 + [math.inf]})
    rows = by_interval(store)
    assert (rows[3].near_front, rows[3].dominated_by) == ("psnr", "")


def test_a_cell_that_is_nearer_in_every_image_has_its_place_on_the_front(tmp_path: Path) -> None:
    """The mean of N=3 is lower, of its one image that differs; the others are the reference's own."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD}, {2: 0.4, 3: 0.6})
    store.write_scores(keys(store)[2], {"psnr": [60.0] * 5 + [31.0]})
    store.write_scores(keys(store)[3], {"psnr": [math.inf] * 5 + [32.0]})
    rows = by_interval(store)
    assert [rows[interval].on_front for interval in (2, 3)] == ["psnr", "psnr"]
    assert [rows[interval].psnr_db for interval in (2, 3)] == pytest.approx([331 / 6, 32.0])


def test_identical_images_weigh_as_much_as_any_other(tmp_path: Path) -> None:
    """Whichever of a prompt's two seeds they are of: by the means over prompts, N=2 would be ahead by 3 dB."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD}, {2: 0.4, 3: 0.6})
    most_db = 10 * math.log10(255**2 * 3 * 64 * 64)
    for interval, psnr in ((2, [18.0, 40.0] * 3 + [40.0, math.inf] * 3), (3, [math.inf, 40.0] * 3 + [20.0, 40.0] * 3)):
        key = keys(store)[interval]
        rewrite(store, key, workload=document(store, key)["workload"] | {"seeds": [0, 1]}, schedules=["CC.C"] * 12)
        store.write_scores(key, {"psnr": psnr})
    rows = by_interval(store)
    assert rows[2].psnr_db_ranked == pytest.approx((18 + 40 + 40 + most_db) / 4)
    assert rows[3].psnr_db_ranked == pytest.approx((20 + 40 + 40 + most_db) / 4)
    assert [rows[interval].on_front for interval in (2, 3)] == ["psnr", "psnr"]


def test_a_cell_that_computes_every_step_is_on_no_front(tmp_path: Path) -> None:
    """Nor near one, though it draws full compute's images: noise alone made it as fast, or faster."""
    store = run(tmp_path / "r", {2: GOOD, 3: [0.0] * 6}, {2: 0.9, 3: 1.001})
    for interval in (2, 3):
        rewrite(store, keys(store)[interval], schedules=["CCCC"] * 6)
    rows = by_interval(store)
    assert {(rows[interval].on_front, rows[interval].near_front) for interval in (2, 3)} == {("", "")}


def test_a_mean_lies_within_its_interval(tmp_path: Path) -> None:
    """With identical images in one prompt's seeds alone, a mean over images would count the other prompts twice; and no
    interval leaves the metric's range."""
    store = run(tmp_path / "r", {2: GOOD}, {2: 0.5})
    key = keys(store)[2]
    rewrite(store, key, workload=document(store, key)["workload"] | {"seeds": [0, 1]}, schedules=["CC.C"] * 12)
    psnr = [90.0, 30.0, 31.0, 32.0, 33.0, 34.0, 90.0, *[math.inf] * 5]
    store.write_scores(key, {"psnr": psnr, "lpips": [0.001, 0.002, 0.001, 0.1, 0.001, 0.002] * 2})
    row = by_interval(store)[2]
    assert row.psnr_db == pytest.approx((90 + 30 + 31 + 32 + 33 + 34) / 6)
    assert row.psnr_db_low < row.psnr_db < row.psnr_db_high
    assert row.lpips_low == 0 < row.lpips < row.lpips_high


def test_a_cell_that_changes_no_image_is_on_the_front_of_the_psnr(tmp_path: Path) -> None:
    """Its PSNR is infinite, and has no figure: N=3 is slower and has changed its images, and N=4 is faster."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD, 4: GOOD}, {2: 0.6, 3: 0.8, 4: 0.4})
    for interval, psnr in ((2, math.inf), (3, 40.0), (4, 30.0)):
        store.write_scores(keys(store)[interval], {"psnr": [psnr] * 6})
    rows = by_interval(store)
    assert [rows[interval].on_front for interval in (2, 3, 4)] == ["psnr", "", "psnr"]
    assert rows[3].dominated_by == f"psnr:{rows[2].key}"
    for interval in (2, 3, 4):
        store.write_scores(keys(store)[interval], {"psnr": [math.inf] * 6})
    assert [row.on_front for row in by_interval(store).values()] == ["", "", "", "psnr"]


def test_full_compute_competes_with_its_own_clip_score(tmp_path: Path) -> None:
    """N=2 is slower than full compute and worse, N=3 faster and worse; neither may rest on a perfect score."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD}, {2: 1.3, 3: 0.5})
    for interval, score in ((0, 30.0), (2, 25.0), (3, 29.0)):
        scores = [score + 0.1 * (number % 2) for number in range(6)]
        store.write_scores(keys(store)[interval], {"clip_score:some/model": scores})
    rows = by_interval(store)
    assert [rows[interval].on_front for interval in (0, 2, 3)] == ["", "", "clip_score"]
    assert f"clip_score:{rows[0].key}" in rows[2].dominated_by or f"clip_score:{rows[3].key}" in rows[2].dominated_by
    store.write_scores(rows[3].key, {"clip_score:some/model": [20.0] * 6})
    rows = by_interval(store)
    assert rows[2].on_front == "" and f"clip_score:{rows[0].key}" in rows[2].dominated_by


def test_the_best_in_bold_agrees_with_the_front(tmp_path: Path) -> None:
    """One image at 50 dB among identical ones is better than six at 51; a cell that skips nothing is no competitor."""
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD, 4: [0.0] * 6}, {2: 0.5, 3: 0.5, 4: 0.99})
    for interval, psnr in ((2, [math.inf] * 5 + [50.0]), (3, [51.0] * 6), (4, [60.0] * 6)):
        store.write_scores(keys(store)[interval], {"psnr": psnr, "lpips": store.scores(keys(store)[interval])["lpips"]})
    rewrite(store, keys(store)[4], schedules=["CCCC"] * 6)
    cells = cells_table(store)
    intervals = [json.loads(params).get("cache_interval", 0) for params in cells["params"]]
    ranks = {
        quantity.column: dict(zip(intervals, ranked(list(cells.itertuples()), quantity)))
        for quantity in quantities(cells)
    }
    assert ranks["psnr_db"] == {0: 0, 2: BEST, 3: SECOND, 4: 0}
    assert ranks["lpips"] == {0: 0, 2: 0, 3: 0, 4: 0}  # equal: there is no best


def test_equal_digits_share_the_mark_whatever_their_intervals(tmp_path: Path) -> None:
    store = run(tmp_path / "r", {2: GOOD, 3: GOOD, 4: GOOD}, {2: 0.5, 3: 0.5, 4: 0.7})
    cells = cells_table(store)
    cells.loc[2, "speedup_low"] = 1.5
    (speedup,) = (quantity for quantity in quantities(cells) if quantity.column == "speedup")
    rows = list(cells.itertuples())
    assert [speedup.figure(row) for row in rows] == ["1.00x", "2.00x", "2.00x", "1.43x"]
    assert len({speedup.text(row) for row in rows}) == 4
    assert ranked(rows, speedup) == [0, BEST, BEST, SECOND]


def test_what_may_be_no_faster_than_full_compute_is_near_the_front_at_most(tmp_path: Path) -> None:
    """N=3 is 0.5 % faster, within noise, and its images are the better ones, nearly full compute's: no best in bold."""
    store = run(tmp_path / "r", {2: GOOD, 3: [0.001] * 6}, {2: 0.5, 3: 0.995})
    cells, rows = cells_table(store), by_interval(store)
    assert rows[3].speedup > 1 > rows[3].speedup_low
    assert [(rows[n].on_front, rows[n].near_front) for n in (2, 3)] == [("lpips", ""), ("", "lpips")]
    assert rows[3].on_front_flops == "lpips" and rows[3].on_front_denoise == ""  # of FLOPs there is no doubt
    (lpips,) = (quantity for quantity in quantities(cells) if quantity.column == "lpips")
    ranks = dict(zip(cells["key"], ranked(list(cells.itertuples()), lpips)))
    assert ranks[rows[3].key] == 0


def test_without_intervals_no_cell_is_dominated(tmp_path: Path) -> None:
    """Two pairs say less than twelve: N=3 is near the front, though it is slower and worse by the figures."""
    store = run(tmp_path / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.6})
    for interval in (2, 3):
        key = keys(store)[interval]
        kept = document(store, key)
        workload = kept["workload"] | {"prompts": PROMPTS[:2]}
        rewrite(store, key, workload=workload, pairs=kept["pairs"][:2], schedules=kept["schedules"][:2])
        store.write_scores(key, {"lpips": [0.1 * interval] * 2})
    rows = by_interval(store)
    assert [(rows[n].on_front, rows[n].near_front, rows[n].dominated_by) for n in (2, 3)] == [
        ("lpips", "", ""),
        ("", "lpips", ""),
    ]
