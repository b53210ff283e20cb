"""compare, on figures that can be worked out by hand."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_ind

from tests.helpers import cell
from tests.stores import (
    ENVIRONMENT,
    FAIR,
    GOOD,
    PROMPTS,
    body,
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
from tsbench.comparison import compared, counterparts, metric_change
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.metrics import METRICS
from tsbench.stats import log_speedups
from tsbench.store import Store


def test_compare_finds_what_changed_and_fails_only_beyond_the_threshold(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B is 20 % slower at N=2, and as it was at N=3; N=4 exists in B only."""
    run(here / "a", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})
    run(here / "b", {2: [value + 0.02 for value in GOOD], 3: FAIR, 4: FAIR}, {2: 0.6, 3: 0.4, 4: 0.3})
    assert main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (slower,) = (line for line in lines if "N=2: slower" in line)
    assert slower.startswith("* ") and "slower +20 % [" in slower
    (same,) = (line for line in lines if "N=3: slower" in line)
    assert same.startswith("  ") and "slower +0 % [" in same
    assert any(line.startswith("* ") and "N=2: lpips +0.02" in line for line in lines)
    assert "only in b: 64x64 TaylorSeer (diffusers), default, warm-up 3, N=4" in lines
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "lpips=0.01"]) == 1
    text = capsys.readouterr().out
    assert text.count("FAILED") == 2 and "more than 5 %" in text
    assert main(["compare", "a", "b", "--fail-if", "slower=19%"]) == 0  # the interval reaches below
    assert "inconclusive" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=0.05"]) == 1
    capsys.readouterr()
    assert main(["compare", "a", "b", "--fail-if", "ssim=0.1"]) == 2
    assert "--fail-if is 'ssim', but a has no scores of it; there are: slower, lpips." in capsys.readouterr().err


def test_runs_without_a_cell_in_common_are_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a model and its fine-tune, drawn by the same command."""
    store = run(here / "a", {2: GOOD}, {2: 0.5})
    other = Store(here / "b")
    other.open_run(ENVIRONMENT, None, "x", [])
    tuned = cell(steps=4, prompts=document(store, keys(store)[0])["workload"]["prompts"], model="another")
    put(other, tuned, "ok", body(["CCCC"] * 6, [{"batch": 0, "method": timed(1.0, [0.2] * 4)}]), [image(0)] * 6)
    assert main(["compare", "a", "b"]) == 2
    told = "a and b have no cell in common: they differ in weights; compare two runs of the same settings."
    assert told in capsys.readouterr().err


def test_what_became_better_fails_nothing(here: Path) -> None:
    run(here / "a", {2: [value + 0.02 for value in GOOD]}, {2: 0.6})
    run(here / "b", {2: GOOD}, {2: 0.5})
    assert main(["compare", "a", "b", "--fail-if", "slower=1%", "lpips=0.001"]) == 0


def test_a_slower_day_is_no_regression_and_a_slower_cache_is_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the machine of c everything takes 8 % longer; d is as slow by the cache alone. Full compute is only told."""
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "c", {2: GOOD}, {2: 0.54}, full_s=1.08)
    run(here / "d", {2: GOOD}, {2: 0.54})
    assert main(["compare", "a", "c", "--fail-if", "slower=1%"]) == 0
    text = capsys.readouterr().out
    assert "N=2: slower +0 % [" in text and "lpips" not in text
    assert text.splitlines()[-2:] == [
        "of 2 figures: 0 surely changed (*), 1 inconclusive, 1 equal",
        "passed: nothing is surely worse than slower=1%",
    ]
    assert "  64x64 Full compute: latency +8 % [" in text and "], due to the machine or to the code" in text
    assert main(["compare", "a", "d", "--fail-if", "slower=1%"]) == 1
    assert "slower +8 % [" in capsys.readouterr().out


def test_a_slower_cell_among_thirty_can_still_fail(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six ranks against six cannot: their smallest p, 2 / 924, times 30 is above 0.05. The 29 others stay unmarked."""
    run(here / "a", dict.fromkeys(range(2, 32), GOOD), dict.fromkeys(range(2, 32), 0.5))
    run(here / "b", dict.fromkeys(range(2, 32), GOOD), {i: 0.65 if i == 7 else 0.5 for i in range(2, 32)})
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1
    (marked,) = (line for line in capsys.readouterr().out.splitlines() if line[0] == "*")
    assert "N=7: slower +30 % [" in marked


def test_the_more_cells_are_compared_the_clearer_a_change_has_to_be(tmp_path: Path) -> None:
    """N=2 became 6 % slower, by Yuen's test with p between 5 % / 6 and 5 % / 2: sure beside full compute alone, and not
    among six cells."""
    for more, sure in (((), True), (range(3, 7), False)):
        lpips, seconds = dict.fromkeys((2, *more), GOOD), dict.fromkeys(more, 0.5)
        a, b = (run(tmp_path / f"{s}, {len(more)} more", lpips, seconds | {2: s}) for s in (0.5, 0.53))
        pairs = [log_speedups(store.drawn(keys(store)[2]).pairs) for store in (a, b)]
        assert 0.05 / 6 < ttest_ind(*pairs, equal_var=False, trim=0.2).pvalue < 0.05 / 2
        (change,) = (c for c in compared(a, b, ["a", "b"]).changes if "N=2" in c.cell and c.figure == "slower")
        assert change.is_sure == sure


def test_what_is_lost_is_told_and_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """N=2 is not scored, N=3 failed and N=4 is missing in B; N=5 had failed before. In A nothing is lost."""
    a = run(here / "a", {2: GOOD, 3: GOOD, 4: GOOD}, {2: 0.5, 3: 0.4, 4: 0.3})
    b = run(here / "b", {2: GOOD}, {2: 0.5})
    work = {"steps": 4, "prompts": PROMPTS}
    b.write_scores(keys(b)[2], {})
    put(b, cell("taylorseer", parameters(3), **work), "failed", {"reason": "no memory"})
    put(a, cell("taylorseer", parameters(5), **work), "failed", {"reason": "no luck"})
    assert main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    name = "64x64 TaylorSeer (diffusers), default, warm-up 3"
    lost = [f"{name}, N=2: lpips is not scored", f"{name}, N=3: failed: no memory", f"{name}, N=4: missing"]
    assert [line for line in lines if line.startswith("lost")] == [f"lost: {text}" for text in lost]
    assert f"{name}, N=5: failed in a (no luck), missing in b" in lines
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAILED")] == [f"FAILED {text}" for text in lost[1:]]
    assert main(["compare", "a", "b", "--fail-if", "lpips=1"]) == 1
    assert capsys.readouterr().out.count("FAILED") == 3
    assert main(["compare", "b", "a", "--fail-if", "slower=5%"]) == 0
    assert f"only in a: {name}, N=5 (failed: no luck)" in capsys.readouterr().out


def test_a_difference_without_an_interval_is_never_marked() -> None:
    """One prompt, or four: however far apart, nothing is known of the others. Five that agree are evidence."""
    for prompts, sure in ((1, False), (4, False), (5, True)):
        (change,) = metric_change("cell", "lpips", [0.1] * prompts, [0.3] * prompts, prompts, 0.95)
        assert change.value == pytest.approx(0.2) and change.is_sure == sure
    (change,) = metric_change("cell", "psnr", [math.inf] * 5, [math.inf] * 5, 5, 0.95)
    assert (change.value, change.is_sure, change.equal) == (0, False, True)
    (change,) = metric_change("cell", "lpips", [0.1] * 5, [0.1] * 4 + [0.2], 5, 0.95)
    assert (change.is_sure, change.equal) == (False, False)
    assert metric_change("cell", "psnr", [math.inf] * 5, [40.0] * 5, 5, 0.95) == []


def test_timings_of_other_hardware_are_no_regression(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "b", {2: GOOD}, {2: 0.9}, hardware="Q")
    assert main(["compare", "a", "b"]) == 0
    assert "different hardware: P and Q" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1  # or a gate that judges nothing would be green
    assert "FAILED nothing could be judged: A and B were timed on different hardware" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "lpips=1"]) == 0
    assert capsys.readouterr().out.endswith("passed: nothing is surely worse than lpips=1\n")
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "--across-hardware"]) == 1
    assert main(["compare", "a", "b", "--across-hardware=no"]) == 2  # and not taken for a yes


def test_a_run_that_also_drew_on_other_hardware_is_judged_where_it_is_the_same(here: Path) -> None:
    run(here / "a", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.5})
    store = run(here / "b", {2: GOOD, 3: GOOD}, {2: 0.9, 3: 0.5})
    rewrite(store, keys(store)[3], hardware="Q")
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1


def test_two_backends_are_compared_where_they_draw_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OpenVINO's TaylorSeer is diffusers' lite mode at order 1, given the same schedule, and no other of its modes.

    Where two cells of lite mode have that schedule, nothing says which one is meant.
    """
    lite = TaylorSeer(cache_interval=2, use_lite_mode=True, max_order=1)
    for folder, cells in (
        ("a", [(lite, "diffusers"), (TaylorSeer(cache_interval=3), "diffusers")]),
        ("b", [(OpenVinoTaylorSeer(cache_interval=3), "openvino")]),
    ):
        store = Store(here / folder)
        store.open_run(ENVIRONMENT, None, "python -m tsbench sweep", ["lpips"])
        full = [{"batch": 0, "method": timed(1.0, [0.2] * 4)}] * 6
        pairs = [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.5, [0.1] * 4)}] * 6
        reference = replace(cell(steps=4, prompts=PROMPTS), backend=cells[0][1])
        put(store, reference, "ok", body(["CCCC"] * 6, full, "CCCC"), [image(0)] * 6)
        for method, backend in cells:
            drawn = replace(reference, method="taylorseer", parameters=json.dumps(method.resolved(4)), backend=backend)
            put(store, drawn, "ok", body(["CC.C"] * 6, pairs), [image(0)] * 6)
            store.write_scores(drawn.key, {"lpips": GOOD})
    assert main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines if "slower" in line or "latency" in line] == [
        "64x64 Full compute",
        "64x64 TaylorSeer (diffusers), lite, warm-up 3, N=2, "
        "then 64x64 TaylorSeer Lite (OpenVINO), warm-up 6, after -2, N=3",
    ]
    assert [line for line in lines if line.startswith("only in")] == [
        "only in a: 64x64 TaylorSeer (diffusers), default, warm-up 3, N=3"
    ]
    store, other = Store(here / "a"), replace(lite, taylor_factors_dtype="float32")
    drawn = cell("taylorseer", json.dumps(other.resolved(4)), steps=4, prompts=PROMPTS)
    put(store, drawn, "ok", body(["CC.C"] * 6, pairs), [image(0)] * 6)
    assert main(["compare", "a", "b"]) == 0
    assert "slower" not in capsys.readouterr().out


def test_cells_of_one_backend_are_the_same_by_their_settings_alone(tmp_path: Path) -> None:
    """Whatever steps they compute."""
    a, b = (run(tmp_path / str(interval), {interval: GOOD}, {interval: 0.5}).all_cells() for interval in (2, 3))
    assert list(counterparts(a, b).values()) == [cell.key for cell in b if cell.is_reference]


def test_cells_of_several_workloads_are_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By size and method where that is enough, else by the workload."""
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    pairs = [{"batch": 0, "method": timed(1.0, [0.2] * 4)}] * 6
    put(
        store,
        cell(steps=4, prompts=PROMPTS, guidance_scale=1.0),
        "ok",
        body(["CCCC"] * 6, pairs, "CCCC"),
        [image(0)] * 6,
    )
    assert main(["compare", "r", "./results/r"]) == 2
    assert "compare takes two runs, but both are results/r; draw the other one with name=" in capsys.readouterr().err
    shutil.copytree(here / "results" / "r", here / "results" / "same")
    assert main(["compare", "r", "same"]) == 0
    told = [line.strip().split(":")[0] for line in capsys.readouterr().out.splitlines() if ": " in line]
    title = "tiny, 64 x 64, 4 steps, 6 images, float32, guidance"
    assert {f"{title} 3.5", f"{title} 1", "64x64 TaylorSeer (diffusers), default, warm-up 3, N=2"} <= set(told)


def test_a_regression_that_a_run_is_too_noisy_for_is_announced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs within 2 % of each other cannot fail a change of 1 %, and can one of 20 %."""
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "b", {2: GOOD}, {2: 0.51})
    assert main(["compare", "a", "b", "--fail-if", "slower=1%"]) == 0
    assert "slower: in a typical cell only a change above about 5" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=20%"]) == 0
    assert "in a typical cell" not in capsys.readouterr().out


def test_images_that_are_no_longer_identical_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They have an infinite PSNR on one side, so that no mean of differences shows them: an image that was the
    reference's and now is not has become worse by more than any threshold."""
    for name, values in (("a", [np.inf] * 6), ("b", [np.inf] * 4 + [40.0] * 2), ("c", [np.inf] * 3 + [40.0] * 3)):
        store = run(here / "results" / name, {2: GOOD}, {2: 0.5})
        store.write_scores(keys(store)[2], {"psnr": values})
    assert main(["compare", "a", "b"]) == 0
    assert "6, then 4 images are the reference's; they count in no PSNR difference" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "psnr=1"]) == 1
    assert main(["compare", "b", "c", "--fail-if", "psnr=1"]) == 1
    assert "4, then 3 images" in capsys.readouterr().out
    assert main(["compare", "c", "a", "--fail-if", "psnr=1"]) == 0
    assert "3, then 6 images are the reference's" in capsys.readouterr().out


def test_full_compute_that_draws_other_images_is_told_and_judged(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell is held against its own run's full compute: a scheduler that broke would change no other figure."""
    for name in ("a", "b"):
        store = run(here / name, {2: GOOD}, {2: 0.5})
        store.write_scores(keys(store)[2], {"lpips": GOOD, "ssim": [0.9] * 6, "psnr": [30.0] * 6})
    gate = ["compare", "a", "b", "--fail-if", "lpips=0.01"]
    assert main(gate) == 0
    assert "images against" not in capsys.readouterr().out
    for path in (store.cells / keys(store)[0]).glob("*.png"):
        Image.fromarray(255 - image(60)).save(path)
    assert main(gate) == 1
    text = capsys.readouterr().out
    psnr = 10 * math.log10(
        255**2 / ((55**2 + 5**2) / 2)
    )  # of 155 - 100 in one half of the columns, 95 - 100 in the other
    assert f"64x64 Full compute, B's images against A's: 6 of 6 differ, by {psnr:.2f} dB on average" in text
    assert "FAILED 64x64 Full compute, B's images against A's: lpips is worse by at least 0." in text
    assert main(["compare", "a", "b", "--fail-if", "ssim=0.01", "psnr=1", "slower=50%"]) == 1
    text = capsys.readouterr().out
    assert "images against A's: ssim is worse by at least 0." in text
    assert "images against A's: psnr" not in text  # of which nothing is a threshold's distance from identical images
    monkeypatch.setitem(METRICS, "lpips", replace(METRICS["lpips"], missing=lambda: "it is not installed"))
    assert main(gate) == 0
    assert "B's images against A's: not judged by LPIPS: it is not installed" in capsys.readouterr().out


def test_a_gate_that_nothing_can_be_judged_by_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three times as slow, but of two pairs: exit 0 would be all that a build server sees."""
    for name, seconds in (("a", 0.25), ("b", 0.75)):
        store = run(here / name, {2: GOOD}, {2: seconds})
        key = keys(store)[2]
        rewrite(store, key, pairs=document(store, key)["pairs"][:2])
    assert main(["compare", "a", "b", "--fail-if", "lpips=0.01"]) == 0
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1
    text = capsys.readouterr().out
    assert "slower +2" in text and "inconclusive: there is no interval" in text
    assert "FAILED slower could not be judged: no cell has an interval, which takes five pairs in A and B" in text


def test_identical_images_leave_a_gate_nothing_to_judge_by(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of six prompts, only four have a PSNR that can be averaged."""
    for name, psnr in (("a", [30.0] * 6), ("b", [10.0] * 4 + [math.inf] * 2)):
        store = run(here / name, {2: GOOD}, {2: 0.5})
        store.write_scores(keys(store)[2], {"psnr": psnr})
    assert main(["compare", "a", "b", "--fail-if", "psnr=1"]) == 1
    needs = "which takes five prompts whose images differ from full compute's in A and B"
    assert f"FAILED psnr could not be judged: no cell has an interval, {needs}" in capsys.readouterr().out


def test_of_some_metrics_less_is_worse(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SSIM falls by 0.1 with every prompt, surely by more than 0.09; the other way it is better."""
    for name, ssim in (("a", 0.9), ("b", 0.8)):
        store = run(here / name, {2: GOOD}, {2: 0.5})
        store.write_scores(keys(store)[2], {"ssim": [ssim + value / 100 for value in FAIR]})
    assert main(["compare", "a", "b", "--fail-if", "ssim=0.09"]) == 1
    assert "ssim is worse by at least 0.1, more than 0.09\n" in capsys.readouterr().out
    assert main(["compare", "b", "a", "--fail-if", "ssim=0.09"]) == 0


def test_a_change_is_told_from_its_threshold(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rounding above it passes, and one that fails shows more than it by as many digits as that takes."""
    run(here / "a", {2: [0.1] * 6}, {2: 0.5})
    for above, code in ((1e-16, 0), (1e-7, 1)):
        shutil.rmtree(here / "b", ignore_errors=True)
        run(here / "b", {2: [0.1 + 0.01 + above] * 6}, {2: 0.5})
        assert main(["compare", "a", "b", "--fail-if", "lpips=0.01"]) == code
    assert "lpips is worse by at least 0.0100001, more than 0.01\n" in capsys.readouterr().out


def test_runs_with_only_full_compute_in_common_pass_no_gate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where every setting of a baseline has failed."""
    run(here / "a", {}, {})
    run(here / "b", {2: GOOD}, {2: 0.5})
    assert main(["compare", "a", "b"]) == 0
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 1
    said = "FAILED nothing could be judged: beside full compute, A and B have no drawn cell in common"
    assert said in capsys.readouterr().out


def test_a_gate_has_one_threshold_for_a_figure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two the last would hold, and the first one say so."""
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "slower=30%"]) == 2
    assert "--fail-if has slower twice; give it one threshold: --fail-if slower=30%." in capsys.readouterr().err
