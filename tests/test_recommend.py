"""recommend, and mistakes in what the verbs of a finished run are told, on figures that can be worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers import cell
from tests.stores import (
    ENVIRONMENT,
    FAIR,
    GOOD,
    body,
    by_interval,
    document,
    image,
    keys,
    parameters,
    put,
    rewrite,
    run,
    timed,
)
from tsbench.__main__ import main
from tsbench.present import best_rows
from tsbench.report.paper import markdown
from tsbench.report.plots.quality import pareto
from tsbench.store import Store
from tsbench.tables import cells_table


def test_what_is_recommended_meets_the_bar_with_its_whole_interval(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The faster cell's mean of 0.09 is below 0.1, but its interval, 0.09 +- 2.571 sd / sqrt 6, ends above."""
    store = run(here / "results" / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})
    fair = by_interval(store)[3]
    half = 2.570582 * np.std(FAIR, ddof=1) / np.sqrt(6)
    assert (fair.lpips_low, fair.lpips_high) == pytest.approx((0.09 - half, 0.09 + half), rel=1e-6)
    assert main(["recommend", "r", "--max-lpips", "0.1"]) == 0
    text = capsys.readouterr().out
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=2: 2.00x [1.94, 2.06], LPIPS 0.05" in text
    assert "N=3 is faster (2.50x), but LPIPS is 0.09, its 95 % interval goes up to 0.1" in text
    assert "runner-up" not in text
    assert main(["recommend", "r", "--max-lpips=0.2"]) == 0
    text = capsys.readouterr().out
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=3" in text and "runner-up: TaylorSeer" in text
    assert "the best of 2 settings, partly by luck: before a close decision, draw it again" in text
    assert main(["recommend", "r", "--max-lpips", "0.01", "--min-speedup", "1.5"]) == 1
    text = capsys.readouterr().out
    assert (
        "nothing qualifies; nearest: TaylorSeer (diffusers), default, warm-up 3, N=2, 2.00x: LPIPS is 0.05, its" in text
    )
    assert ", its 95 % interval goes up to 0.05" in text and ", and 0.01 is wanted" in text


def test_of_equally_fast_settings_the_nearer_one_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=3 is 1 % slower in pairs that spread by 6 %, and has the better LPIPS; N=4 is slower by more than a tenth."""
    run(here / "results" / "r", {2: FAIR, 3: GOOD, 4: [0.01] * 6}, {2: 0.5, 3: 0.505, 4: 0.6})
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("use TaylorSeer (diffusers), default, warm-up 3, N=2: 2.00x [")
    assert lines[2].startswith("as fast within the noise, and nearer to full compute by LPIPS: TaylorSeer")
    assert "N=3: 1.98x [" in lines[2]
    assert main(["recommend", "r", "--max-lpips", "0.2", "--min-ssim", "-1"]) == 1  # SSIM was not computed


def test_the_nearer_setting_is_farther_in_no_bar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=3 has the better PSNR and four times the LPIPS: with a bar on both, neither is the nearer one."""
    store = run(here / "results" / "r", {2: [0.02] * 6, 3: [0.08] * 6}, {2: 0.5, 3: 0.505})
    for interval, psnr in ((2, 30.0), (3, 33.0)):
        lpips = store.scores(keys(store)[interval])["lpips"]
        store.write_scores(keys(store)[interval], {"psnr": [psnr] * 6, "lpips": lpips})
    assert main(["recommend", "r", "--min-psnr-db", "25"]) == 0
    assert "nearer to full compute by PSNR: TaylorSeer (diffusers), default, warm-up 3, N=3" in capsys.readouterr().out
    both = ["recommend", "r", "--min-psnr-db", "25", "--max-lpips", "0.1"]
    assert main(both) == 0
    assert "nearer" not in capsys.readouterr().out
    store.write_scores(keys(store)[3], {"psnr": [33.0] * 6, "lpips": [0.02] * 6})
    assert main(both) == 0
    assert "nearer to full compute by PSNR: TaylorSeer (diffusers), default, warm-up 3, N=3" in capsys.readouterr().out


def test_what_is_surely_slower_is_not_as_fast(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=3 by 8 %, in pairs that spread by 6 %."""
    run(here / "results" / "r", {2: FAIR, 3: GOOD}, {2: 0.5, 3: 0.54})
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    text = capsys.readouterr().out
    assert "nearer" not in text and "runner-up: TaylorSeer (diffusers), default, warm-up 3, N=3" in text


def test_a_figure_is_told_from_the_bar_that_it_misses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0.1 of every prompt meets 0.1, although its mean is a rounding above it; 0.1000001 does not, and says so."""
    for lpips, code in ((0.1, 0), (0.1000001, 1)):
        run(here / "results" / str(code), {2: [lpips] * 6}, {2: 0.5})
        assert main(["recommend", str(code), "--max-lpips", "0.1"]) == code
    missed = "LPIPS is 0.1000001, its 95 % interval goes up to 0.1000001, and 0.1 is wanted"
    assert missed in capsys.readouterr().out
    assert main(["recommend", "0", "--max-lpips", "0.123456"]) == 0
    assert "wanted: LPIPS <= 0.123456, speed-up >= 1x" in capsys.readouterr().out
    store = run(here / "results" / "slow", {2: GOOD}, {2: 0.973})
    low = by_interval(store)[2].speedup_low
    assert 0.995 < low < 1
    assert f"[{low:.3f}, " in markdown(cells_table(store), store.manifest())


def test_an_answer_counts_identical_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=2 is nearer to full compute by these alone: the mean of its other images is the lower one."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 0.505, 3: 0.5})
    for interval, psnr in ((2, [math.inf, *[30.0, 31.0, 32.0, 31.0, 31.0]]), (3, [38.0] * 6)):
        store.write_scores(keys(store)[interval], {"psnr": psnr})
    assert main(["recommend", "r", "--min-psnr-db", "25"]) == 0
    text = capsys.readouterr().out
    assert "nearer to full compute by PSNR: " in text and "PSNR 31 dB, 1 of 6 images identical\n" in text
    (shown,) = best_rows(cells_table(store)).values()
    assert "31.00, 1 of 6 images identical" in [row["PSNR (dB) ↑"] for row in shown]
    assert {row["Speed-up"] for row in shown} == {"1.98x", "2.00x"}
    labels = [text.get_text() for axis in pareto(cells_table(store), "P").axes for text in axis.texts]
    assert "N=2, 1 of 6 images identical" in labels


def test_not_judged_names_what_is_unknown_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six identical images meet the bar on the PSNR, although it has no interval; two pairs judge no speed-up."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.4})
    for interval in (2, 3):
        store.write_scores(keys(store)[interval], {"psnr": [math.inf] * 6})
    rewrite(store, keys(store)[3], pairs=document(store, keys(store)[3])["pairs"][:2])
    assert main(["recommend", "r", "--min-psnr-db", "25"]) == 0
    (told,) = (line for line in capsys.readouterr().out.splitlines() if "not judged" in line)
    assert told.strip().startswith("not judged, 2 pairs: an interval of the speed-up needs 6: TaylorSeer")


def test_settings_that_draw_the_same_are_no_choice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a short run two intervals compute the same steps; which is the faster one is chance."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD, 4: FAIR}, {2: 0.5, 3: 0.49, 4: 0.6})
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    same = "the same steps and images, so that only noise differs: TaylorSeer (diffusers), default, warm-up 3, N=2"
    assert lines[2] == same and lines[3].startswith("runner-up: TaylorSeer (diffusers), default, warm-up 3, N=4: ")
    rewrite(store, keys(store)[2], schedules=["CC.C"] * 6)
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    assert "the same steps" not in capsys.readouterr().out
    rewrite(store, keys(store)[2], schedules=["C..."] * 6)
    for interval, ssim in ((2, {"ssim": [0.9] * 6}), (3, {"ssim": [0.8] * 6}), (3, {})):  # other images after all
        store.write_scores(keys(store)[interval], {"lpips": GOOD} | ssim)
        assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
        assert "the same steps" not in capsys.readouterr().out
    store.write_scores(keys(store)[2], {"lpips": GOOD})
    varying = ["CC.C"] * 3 + ["C..C"] * 3
    for key in keys(store).values():
        rewrite(store, key, schedules=varying)
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    assert same in capsys.readouterr().out
    for key in keys(store).values():
        store.write_scores(key, {})  # then nothing is known of the images
    assert main(["recommend", "r", "--min-speedup", "1.1"]) == 0
    assert "the same steps" not in capsys.readouterr().out


def test_what_is_slower_by_more_than_a_tenth_is_not_as_fast(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the pairs cannot tell: they spread by a third here, and N=3 is slower by 15 %."""
    store = run(here / "results" / "r", {2: FAIR, 3: GOOD}, {2: 0.5, 3: 0.575})
    for key in keys(store).values():
        pairs = document(store, key)["pairs"]
        for pair, factor in zip(pairs, [0.85, 1.0, 1.15, 0.9, 1.1, 1.0]):
            pair["method"]["latency_s"] *= factor
        rewrite(store, key, pairs=pairs)
    assert main(["recommend", "r", "--max-lpips", "0.2"]) == 0
    assert "runner-up: TaylorSeer (diffusers), default, warm-up 3, N=3" in capsys.readouterr().out


def test_a_metric_of_ones_own_is_a_bar_a_column_and_a_plot(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric is one object: here the largest difference of a byte, which nothing else knows of."""
    monkeypatch.chdir(here)
    code = (
        "import sys, numpy as np\n"
        "from tsbench.metrics import METRICS, Metric\n"
        "largest = lambda: lambda a, b: float(np.abs(a.astype(int) - b).max())\n"
        "METRICS['largest'] = Metric('largest', 'largest', 'Largest', '', False, (0, 255), 1, 9, largest)\n"
        "from tsbench.__main__ import main\n"
        "small = ['size=64', 'steps=4', 'prompts.limit=1', 'timing.pairs=1', 'metrics=[largest]']\n"
        "assert main(['sweep', *small, 'method.cache_interval=2']) == 0\n"
        "main(['recommend', 'sweep', '--max-largest', '255'])\n"
    )
    drawn = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert drawn.returncode == 0, drawn.stderr
    assert "wanted: Largest <= 255" in drawn.stdout
    assert "Largest" in Path("results/sweep/table.md").read_text()
    assert 0 < pd.read_csv("results/sweep/cells.csv")["largest"].max() <= 255


def test_a_run_that_is_not_scored_yet_is_told_how(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As after report=false; `score` is for metrics that the run was not asked for, and random weights have none."""
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    method = keys(store)[2]
    store.write_scores(method, {})

    def told(bar: str) -> str:
        assert main(["recommend", "r", bar, "0.1"]) == 1
        return capsys.readouterr().out.split("nothing qualifies: ")[1].strip()

    assert told("--max-lpips") == "LPIPS is not computed yet (python -m tsbench report results/r computes it)"
    assert told("--max-flip") == "FLIP was not computed (python -m tsbench score RESULTS 'metrics=[flip]' adds it)"
    rewrite(store, method, workload=document(store, method)["workload"] | {"random_weights": True})
    assert told("--max-lpips") == "with random weights the images mean nothing"


def test_another_metrics_failure_is_no_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name may begin with that of the one that was not computed."""
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    store.write_scores(keys(store)[2], {})
    store.open_run(ENVIRONMENT, None, "x", ["lpips_vgg"])
    store.write_unscored(keys(store)[2], {"lpips_vgg": "LPIPS (vgg) failed: OSError: no weights"})

    def told(bar: str) -> str:
        assert main(["recommend", "r", bar, "0.1"]) == 1
        return capsys.readouterr().out.split("nothing qualifies: ")[1].strip()

    assert told("--max-lpips-vgg") == "LPIPS (vgg) failed: OSError: no weights"
    assert told("--max-lpips").startswith("LPIPS is not computed yet (python -m tsbench report ")
    assert "'metrics=[clip_score:CHECKPOINT]' adds it" in told("--min-clip-score")


def test_given_up_is_the_fastest_that_misses_a_bar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=3, for its LPIPS alone. Of N=4, the fastest, nothing is known, and N=5 is slower."""
    store = run(here / "results" / "r", {2: GOOD, 3: FAIR, 4: GOOD, 5: FAIR}, {2: 0.5, 3: 0.4, 4: 0.35, 5: 0.45})
    store.write_scores(keys(store)[4], {})
    assert main(["recommend", "r", "--max-lpips", "0.1", "--max-memory-gb", "1"]) == 0
    (told,) = (line for line in capsys.readouterr().out.splitlines() if "is faster" in line)
    assert "N=3 is faster (2.50x), but LPIPS is 0.09, its" in told and "memory" not in told


def test_memory_that_is_not_known_is_not_judged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    rewrite(store, keys(store)[2], peak_memory_bytes=None, peak_memory_reason="the kernel does not tell")
    assert main(["recommend", "r", "--max-memory-gb", "1"]) == 1
    assert "nothing qualifies: the kernel does not tell\n" in capsys.readouterr().out
    assert main(["recommend", "r", "--max-memory-gb", "1", "--max-lpips", "0.01"]) == 1
    assert "not judged" not in capsys.readouterr().out  # whatever the memory, it misses the other bar


def test_the_nearest_misses_its_worst_bar_by_the_smallest_share(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=2 has 0.012 for an LPIPS of 0.01, a fifth too much; N=3 is a tenth too slow for 2x. Any is far from 0."""
    run(here / "results" / "r", {2: [0.012] * 6, 3: [0.001] * 6}, {2: 0.4, 3: 0.54})
    assert main(["recommend", "r", "--max-lpips", "0.01", "--min-speedup", "2"]) == 1
    assert "warm-up 3, N=3, 1.85x: speed-up is 1.852x, its 95 % interval goes down to 1.79" in capsys.readouterr().out
    assert main(["recommend", "r", "--max-lpips", "0", "--min-speedup", "2"]) == 1
    assert "nearest: TaylorSeer (diffusers), default, warm-up 3, N=2" in capsys.readouterr().out


def test_identical_images_are_the_nearest(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their PSNR is infinite, and has no figure: N=3 draws full compute's images, N=2 others at 40 dB."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.505})
    for interval, psnr in ((2, [40.0, 41.0] * 3), (3, [math.inf] * 6)):
        store.write_scores(keys(store)[interval], {"psnr": psnr})
    assert main(["recommend", "r", "--min-psnr-db", "30"]) == 0
    text = capsys.readouterr().out
    assert "nearer to full compute by PSNR: TaylorSeer (diffusers), default, warm-up 3, N=3: 1.98x" in text
    assert ", 6 of 6 images identical\n" in text
    store.write_scores(keys(store)[2], {"psnr": [math.inf] * 6})
    store.write_scores(keys(store)[3], {"psnr": [40.0, 41.0] * 3})
    assert main(["recommend", "r", "--min-psnr-db", "30"]) == 0
    assert "runner-up" in capsys.readouterr().out


def test_every_metric_has_a_bar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    store.write_scores(keys(store)[2], {"flip": GOOD, "clip_score:some/model": [30.0] * 6})
    assert main(["recommend", "r", "--max-flip", "0.1", "--min-clip-score", "29"]) == 0
    assert "N=2: 2.00x [1.94, 2.06], FLIP 0.05, CLIP score 30" in capsys.readouterr().out
    assert main(["recommend", "r", "--max-flip", "0.01"]) == 1
    store = run(here / "results" / "s", {2: FAIR, 3: GOOD}, {2: 0.5, 3: 0.505})
    for interval in (2, 3):
        scores = {"lpips": store.scores(keys(store)[interval])["lpips"], "clip_score:some/model": [30.0] * 6}
        store.write_scores(keys(store)[interval], scores)
    capsys.readouterr()
    assert main(["recommend", "s", "--min-clip-score", "29"]) == 0  # which is not against full compute
    assert "nearer to full compute by LPIPS: TaylorSeer" in capsys.readouterr().out


def test_without_an_interval_nothing_is_recommended(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two pairs and one prompt are told, in the singular where there is one."""
    store = Store(here / "results" / "r")
    store.open_run(ENVIRONMENT, None, "x", ["lpips"])
    full = {"batch": 0, "method": timed(1.0, [0.2] * 4)}
    put(store, cell(steps=4, prompts=("a",)), "ok", body(["CCCC"], [full], "CCCC"), [image(0)])
    method = cell("taylorseer", parameters(2), steps=4, prompts=("a",))
    put(store, method, "ok", body(["CC.C"], [full | {"reference": timed(2.0, [0.4] * 4)}] * 2), [image(0)])
    store.write_scores(method.key, {"lpips": [0.1]})
    assert main(["recommend", "r", "--max-lpips", "1"]) == 1
    text = capsys.readouterr().out
    reason = "1 prompt: an interval of a mean needs 5; 2 pairs: an interval of the speed-up needs 6"
    assert f"nothing qualifies: {reason}\n" in text and "not judged" not in text
    assert main(["recommend", "r", "--min-ssim", "0"]) == 1
    text = capsys.readouterr().out
    assert "nothing qualifies: SSIM was not computed (python -m tsbench score RESULTS 'metrics=[ssim]' adds it)" in text
    store.write_unscored(method.key, {"ms_ssim": "MS-SSIM failed: ValueError: no"})  # which is no reason of another's
    assert main(["recommend", "r", "--min-ssim", "0"]) == 1 and "SSIM was not computed (" in capsys.readouterr().out
    assert main(["recommend", "r", "--min-ms-ssim", "0"]) == 1 and "MS-SSIM failed: " in capsys.readouterr().out
    store.write_unscored(method.key, {"lpips": "LPIPS needs 31 pixels", "ms_ssim": "MS-SSIM needs 161 pixels"})
    assert main(["recommend", "r", "--max-lpips", "1", "--min-ms-ssim", "0"]) == 1
    assert "MS-SSIM needs 161 pixels" in capsys.readouterr().out


def test_what_is_not_faster_or_skips_nothing_is_not_recommended(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=2 is as fast as full compute, by its interval perhaps slower; N=3 is faster, but computed every step."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 1.0, 3: 0.5})
    rewrite(store, keys(store)[3], schedules=["CCCC"] * 6)
    assert main(["recommend", "r", "--max-lpips", "0.1"]) == 1
    text = capsys.readouterr().out
    assert "wanted: LPIPS <= 0.1, speed-up >= 1x" in text
    assert "nearest: TaylorSeer (diffusers), default, warm-up 3, N=2" in text
    assert "speed-up is 1x, its 95 % interval goes down to 0.9709x, and 1x is wanted" in text


def test_nothing_drawn_is_no_success(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty run, and one of full compute alone: a script that goes on with an answer would have none."""
    Store(here / "results" / "r").open_run(ENVIRONMENT, None, "x", ["lpips"])
    assert main(["recommend", "r", "--max-lpips", "0.1"]) == 2
    assert "'results/r' has no cells yet; run x." in capsys.readouterr().err
    run(here / "results" / "r", {}, {})
    assert main(["recommend", "r", "--max-lpips", "0.1"]) == 1
    assert "nothing qualifies: no setting that skips steps was drawn" in capsys.readouterr().out


def test_bars_are_shown_in_their_units(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The 3 MB of every cell."""
    run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    assert main(["recommend", "r", "--max-memory-gb", "0.001"]) == 1
    text = capsys.readouterr().out
    assert "wanted: peak memory <= 0.001 GB" in text
    assert "peak memory is 0.003 GB, and 0.001 GB is wanted" in text
    assert main(["recommend", "r", "--max-memory-gb", "0.004"]) == 0
    assert ", peak memory 0.003 GB" in capsys.readouterr().out


def test_identical_images_meet_a_psnr_bar_and_are_never_averaged(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five prompts that differ have an interval, of 40 dB; four have none, and it is said why; none differ: met."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD, 4: GOOD}, {2: 0.5, 3: 0.4, 4: 0.3})
    finite = [40.0, 41.0, 39.0, 40.5, 39.5]
    for interval, values in ((2, [*finite, np.inf]), (3, [*finite[:4], np.inf, np.inf]), (4, [np.inf] * 6)):
        store.write_scores(keys(store)[interval], {"psnr": list(map(float, values))})
    rows = by_interval(store)
    assert rows[2].psnr_db == pytest.approx(40) and 38 < rows[2].psnr_db_low < 40
    reason = "4 of 6 prompts differ from full compute: an interval of the PSNR of those that do needs 5"
    assert rows[3].interval_reason == reason and np.isnan(rows[3].psnr_db_low)
    assert main(["recommend", "r", "--min-psnr-db", "38"]) == 0
    text = capsys.readouterr().out
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=4" in text and "runner-up: TaylorSeer" in text
    assert f"not judged, {reason}: TaylorSeer (diffusers), default, warm-up 3, N=3" in text


MISTAKES = [
    (["recommend", "r"], "a bar is needed, such as --max-lpips 0.1; usage: python -m tsbench recommend RESULTS BAR"),
    (["recommend", "r", "--max-lpips"], "argument --max-lpips: expected one argument; usage: "),
    (["recommend", "r", "--max-lpips", "x"], "--max-lpips is 'x', but must be a finite number; try --max-lpips 0.1."),
    (["recommend", "r", "--max-memory-gb", "nan"], "'nan', but must be a finite number; try --max-memory-gb 40."),
    (["recommend", "r", "--min-speedup", "0.5"], "nothing slower than full compute is ever recommended"),
    (["recommend", "r", "--min-ssim", "5"], "--min-ssim is 5, but SSIM lies between -1 and 1; try --min-ssim 0.9."),
    (["explain", "r", "--all"], "unrecognized arguments: --all; usage: python -m tsbench explain RESULTS [SETTING]"),
    (["explain", "r", "-x"], "unrecognized arguments: -x"),
    (
        ["recommend", "r", "--max-lpips", "0.1", "--max-lpips=0.2"],
        "a bar is one limit, but --max-lpips 0.1 and 0.2 are",
    ),
    (["recommend", "r", "--best"], "unrecognized arguments: --best; usage: "),
    (
        ["recommend", "r", "--max-lpips", "0.1", "--max-lpips=0.2"],
        "a bar is one limit, but --max-lpips 0.1 and 0.2 are",
    ),
    (["recommend", "r", "--best"], "with bars of: --min-psnr-db, --min-ssim, --max-lpips, "),
    (["recommend", "nowhere", "--max-lpips", "1"], "There are no results in 'results/nowhere'"),
    (["explain"], "the following arguments are required: RESULTS"),
    (["compare", "r"], "the following arguments are required: B; usage: python -m tsbench compare A B [--fail-if"),
    (["compare", "r", "r", "--fail-if", "slow=1"], "--fail-if is 'slow=1', but must be NAME=HOW MUCH WORSE"),
    (
        ["compare", "r", "r", "--fail-if", "slower=x"],
        "--fail-if slower is 'x', but must be a finite number; try --fail-if slower=5%.",
    ),
    (
        ["compare", "r", "r", "--fail-if", "slower=5"],
        "--fail-if slower is '5', but must be a percentage or a share below 1; try --fail-if slower=5%.",
    ),
    (
        ["compare", "r", "r", "--fail-if", "slower=1"],
        "--fail-if slower is '1', but must be a percentage or a share below 1; try --fail-if slower=5%.",
    ),
    (["compare", "r", "r", "--fail-if", "slower=nan"], "--fail-if slower is 'nan', but must be a finite number"),
    (["compare", "r", "r", "--fail-if", "lpips=-1"], "'-1', but must be 0 or more; try --fail-if lpips=0.01."),
    (["compare", "r", "r", "--fail-if", "lpips=5%"], "'5%', but must be a finite number; try --fail-if lpips=0.01."),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_speedup_that_cannot_be_is_judged_nowhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of four steps computed is 4x at most, and N=3 was 8x: something held full compute up."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 0.4, 3: 0.125})
    rows = by_interval(store)
    assert np.isnan(rows[3].speedup_low) and rows[3].speedup == pytest.approx(8, rel=0.01)
    assert "2.00 times as fast as its computed steps allow" in rows[3].interval_reason
    assert [rows[n].on_front for n in (2, 3)] == ["lpips", ""]
    assert (rows[3].near_front, rows[3].dominated_by, rows[3].on_front_denoise) == ("", "", "")
    assert main(["recommend", "r", "--max-lpips", "0.1"]) == 0
    text = capsys.readouterr().out
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=2: " in text
    assert "not judged, denoising was 2.00 times as fast as its computed steps allow" in text
    assert main(["recommend", "r", "--max-lpips", "0.1", "--max-memory-gb", "0.001"]) == 1
    failing = run(here / "results" / "s", {2: GOOD, 3: FAIR}, {2: 0.4, 3: 0.125})
    capsys.readouterr()
    assert main(["recommend", "s", "--max-lpips", "0.1"]) == 0  # N=3 misses the bar by its interval
    assert by_interval(failing)[3].lpips_high > 0.1 and "is faster" not in capsys.readouterr().out
    run(here / "results" / "before", {2: GOOD, 3: GOOD}, {2: 0.4, 3: 0.3})
    assert main(["compare", "r", "before", "--fail-if", "slower=5%"]) == 0  # 140 % slower than what cannot be
    assert "N=3, in A: timing disturbed: denoising was 2.00 times" in capsys.readouterr().out


def test_a_disturbed_timing_is_told_wherever_it_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    first, *others = document(store, keys(store)[2])["pairs"]
    rewrite(store, keys(store)[2], pairs=[first | {"reference": timed(3.0, [0.6] * 4)}, *others])
    told = "timing disturbed: full compute took from 0.99 to 3 s"
    for arguments in (["recommend", "r", "--max-lpips", "0.1"], ["explain", "r"]):
        assert main(arguments) == 0
        assert told in capsys.readouterr().out
    cells = cells_table(store)
    (rows,) = best_rows(cells).values()
    assert [row["Speed-up"] for row in rows] == ["2.00x (timing disturbed)"]
    (axis,) = pareto(cells, "P").axes
    (hollow,) = (line for line in axis.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata()))
    row = by_interval(store)[2]
    assert list(hollow.get_xdata()) == [row.speedup]
    assert "timing disturbed" in [text.get_text() for text in axis.figure.legends[0].get_texts()]
