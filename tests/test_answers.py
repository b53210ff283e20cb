"""recommend, explain and compare, on figures that can be worked out by hand, and on a real run."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers import cell
from tests.stores import (
    ENVIRONMENT,
    FAIR,
    GOOD,
    PROMPTS,
    body,
    by_interval,
    document,
    drawn_cell,
    image,
    parameters,
    put,
    rewrite,
    run,
    timed,
)
from tsbench.__main__ import main
from tsbench.cell import Settings
from tsbench.chain import chain, sentences
from tsbench.comparison import metric_change
from tsbench.errors import UserError
from tsbench.grid import expand
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.point import Point
from tsbench.present import best_rows
from tsbench.report.paper import BEST, SECOND, quantities, ranked
from tsbench.report.plots.quality import pareto
from tsbench.snippet import overrides, snippet
from tsbench.store import Store, write_json
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
    assert lines[2].startswith("as fast within the noise, and nearer to full compute: TaylorSeer (diffusers), default")
    assert "N=3: 1.98x [" in lines[2]
    assert main(["recommend", "r", "--max-lpips", "0.2", "--min-ssim", "-1"]) == 1  # SSIM was not computed


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


def test_identical_images_are_the_nearest(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their PSNR is infinite, and has no figure: N=3 draws full compute's images, N=2 others at 40 dB."""
    store = run(here / "results" / "r", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.505})
    for interval, psnr in ((2, [40.0, 41.0] * 3), (3, [math.inf] * 6)):
        store.write_scores(keys(store)[interval], {"psnr": psnr})
    assert main(["recommend", "r", "--min-psnr-db", "30"]) == 0
    assert "nearer to full compute: TaylorSeer (diffusers), default, warm-up 3, N=3" in capsys.readouterr().out
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


def keys(store: Store) -> dict[int, str]:
    return {number: row.key for number, row in by_interval(store).items()}


def test_without_an_interval_nothing_is_recommended(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two pairs and one prompt are told, in the singular where there is one."""
    store = Store(here / "results" / "r")
    store.open_run(ENVIRONMENT, "P", None, "x", ["lpips"])
    full = {"batch": 0, "method": timed(1.0, [0.2] * 4)}
    put(store, cell(steps=4, prompts=("a",)), "ok", body(["CCCC"], [full], "CCCC"), [image(0)])
    method = cell("taylorseer", parameters(2), steps=4, prompts=("a",))
    put(store, method, "ok", body(["CC.C"], [full | {"reference": timed(2.0, [0.4] * 4)}] * 2), [image(0)])
    store.write_scores(method.key, {"lpips": [0.1]})
    assert main(["recommend", "r", "--max-lpips", "1"]) == 1
    text = capsys.readouterr().out
    reason = "2 pairs: an interval of the speed-up needs 6; 1 prompt: an interval of a mean needs 5"
    assert f"nothing qualifies: {reason}\n" in text and "not judged" not in text
    assert main(["recommend", "r", "--min-ssim", "0"]) == 1
    text = capsys.readouterr().out
    assert "nothing qualifies: SSIM was not computed (python -m tsbench score RESULTS 'metrics=[ssim]' adds it)" in text
    store.write_unscored(method.key, {"ms_ssim": "MS-SSIM failed: ValueError: no"})  # which is no reason of another's
    assert main(["recommend", "r", "--min-ssim", "0"]) == 1 and "SSIM was not computed (" in capsys.readouterr().out
    assert main(["recommend", "r", "--min-ms-ssim", "0"]) == 1 and "MS-SSIM failed: " in capsys.readouterr().out


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
    Store(here / "results" / "r").open_run(ENVIRONMENT, "P", None, "x", ["lpips"])
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


def test_the_snippets_run_as_printed(here: Path) -> None:
    """And draw the first stored picture, bit for bit: the same prompt and noise in the same setting.

    In one process that has nothing of tsbench, since that takes its time to start, and each with no name but its own.
    """
    methods = ["taylorseer", "first_block_cache", "cache_dit", "taylor_seer"]
    small = ["size=64", "steps=6", "prompts.limit=1", "timing.pairs=1", "metrics=[psnr]"]
    assert main(["sweep", f"method={','.join(methods)}", *small]) == 0
    store = Store(Path("results/sweep"))
    cached = {drawn.method: drawn for drawn in store.all_drawn() if not drawn.is_reference}
    code = {method: "\n".join(snippet(cached[method])) for method in methods}
    for method, text in code.items():
        Path(f"draw_{method}.py").write_text(text)
        assert ("tsbench" in text.replace(str(here), "").split("pipe =")[0]) == (method == "taylor_seer")
    run_all = f"""if True:
        import os, runpy
        for method in {methods}:
            runpy.run_path(f"draw_{{method}}.py")
            os.rename("image.png", f"{{method}}.png")
    """
    shown = subprocess.run([sys.executable, "-c", run_all], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    for method in methods:
        (picture,) = store.images(cached[method].key)
        assert np.array_equal(np.asarray(Image.open(f"{method}.png")), picture)


@pytest.mark.parametrize(
    "typed",
    [
        ["method=taylorseer", "method.max_order=2", "method.use_lite_mode=true", "steps=6", "size=64"],
        [
            "method=taylor_seer",
            "method.step_map=CC.C..",
            "steps=6",
            "seeds=[0,1]",
            "batch_size=2",
            "runtime.compile=true",
        ],
        ["method=taylorseer", r"method.cache_identifiers=['^blocks\.\d+$']", "runtime.dtype=bfloat16", "size=64x128"],
        ["runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}}", "max_sequence_length=16"],
        ["model=flux1-dev-architecture", "model.text_encoders=false"],
        ["model=flux1-dev", "model.random_weights=true", "model.path=folder"],
        ["model=flux1-dev", "model.name=mine"],
        ["timing.pairs=24", "runtime.threads=1"],
    ],
)
def test_the_overrides_that_are_printed_give_the_cell(typed: list[str], here: Path) -> None:
    """With its prompts, since they are of a list that tsbench carries."""
    (point,) = expand([*typed, "prompts.file=captions", "prompts.limit=2"])
    (again,) = expand(printed_overrides(point))
    assert again.cell("m").key == point.cell("m").key
    assert again.config.timing == point.config.timing and again.config.runtime == point.config.runtime


def printed_overrides(point: Point) -> list[str]:
    """Those that are printed of the cell that is drawn at a point."""
    config, pair = point.config, {"batch": 0, "method": timed(1.0, [0.2])}
    kept = drawn_cell(
        point.cell("m"),
        ["C"],
        [pair] * config.timing.pairs,
        model_path=config.model.path,
        threads=config.runtime.threads,
    )
    printed = shlex.split(overrides(kept))
    assert printed[:4] == ["python", "-m", "tsbench", "sweep"]
    return printed[4:]


def test_prompts_of_a_user_are_asked_for_by_the_overrides(here: Path) -> None:
    """Without a word of them the command would draw the model's own prompts, and call it the same cell."""
    (here / "mine.txt").write_text("a cat\na dog\n")
    (point,) = expand(["model=flux1-dev", "prompts.file=mine.txt"])
    with pytest.raises(UserError, match="YOUR_PROMPTS"):
        expand(printed_overrides(point))
    (here / "mine.txt").rename(here / "YOUR_PROMPTS.txt")
    (again,) = expand(printed_overrides(point))
    assert again.cell("m").key == point.cell("m").key


def test_the_snippet_runs_as_the_cell_ran() -> None:
    """A setting that was measured compiled, offloaded or quantized is not the same one without."""
    quantization = {"backend": "quanto", "kwargs": {"weights_dtype": "int8"}}
    quantized = json.dumps(quantization | {"components": ["transformer", "text_encoder_2"]})
    settings = Settings(dtype="bfloat16", offload="model", compile=True, quantization=quantized)
    kept = drawn_cell(
        replace(cell("taylorseer", '{"cache_interval":3}'), settings=settings),
        [],
        [],
        model_path="black-forest-labs/FLUX.1-dev",
    )
    code = "\n".join(snippet(kept))
    compile(code, "snippet", "exec")
    assert "pipe.enable_model_cpu_offload()" in code and 'pipe.to("cuda"' not in code
    assert "pipe.transformer.compile_repeated_blocks()" in code
    assert "torch._dynamo.config.recompile_limit = 64" in code
    mapping = (
        """{"transformer": diffusers.QuantoConfig(weights_dtype='int8'), """
        """"text_encoder_2": transformers.QuantoConfig(weights='int8')}"""
    )
    assert f"quant_mapping={mapping}" in code


def test_the_chain_multiplies_out(tmp_path: Path) -> None:
    """Full compute 1 s with four steps of 0.2 s; three of four steps computed, forecast steps counted at a quarter and
    measured at half of a full one, 0.1 s outside denoising, and 0.82 s in all."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.82, [0.21, 0.2, 0.1, 0.21])}
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C", "CC.C"], [pair]), [image(0)] * 2)
    (drawn,) = store.all_drawn()
    links = chain(drawn)
    assert [link.latency_s for link in links] == pytest.approx(
        [1, 0.75, (3 + 0.25) / 4, (0.6 + 0.1) / 0.8, 0.7 + 0.1, 0.82, 0.82]
    )
    assert np.prod([link.factor for link in links]) == pytest.approx(1 / 0.82, rel=1e-12)


def test_the_factors_multiply_to_the_speedup_of_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One slow pair moves the ratio of means to 1.83 and not the median of the ratios, 2."""
    store = Store(here / "results" / "r")
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    pairs = [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.5, [0.1] * 4)} for _ in range(4)]
    pairs += [{"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.73, [0.1] * 4)}]
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C"] * 2, pairs), [image(0)] * 2)
    (drawn,) = store.all_drawn()
    (row,) = by_interval(store).values()
    assert np.prod([link.factor for link in chain(drawn)]) == pytest.approx(row.speedup) == 2.0
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "N=2: 2.000x" in text and "x 1.092   by the median of the pairs' ratios, as in the table" in text


def test_what_limits_a_speedup_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.75, [0.2, 0.2, 0.0, 0.2])}
    half = body(["CC.C"] * 2, [pair]) | {"cost": {"full_flop": 4.0, "forecast_flop": 2.0, "cache_bytes": 0}}
    put(store, cell("taylorseer", parameters(2), steps=4), "ok", half, [image(0)] * 2)
    (drawn,) = store.all_drawn()
    assert sentences(drawn) == [
        "a forecast step still takes 50 % of a full one's FLOPs: by these no setting of it passes 2.00x",
        "text encoder and VAE are now 20 % of an image",
        "the first 2 of 4 steps are computed",
    ]
    assert sentences(replace(drawn, schedules=["CCCC"] * 2))[0] == "inert: every step was computed"


def test_explain_on_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "2.000x" in text and "x 4.000   1 of 4 steps computed" in text
    key = keys(store)[0]
    assert main(["explain", "r", key[:6]]) == 0
    assert "everything else is compared with it" in capsys.readouterr().out
    assert main(["explain", "r", "WARM-UP 3, n=2"]) == 0
    assert "2.000x" in capsys.readouterr().out
    assert main(["explain", "r", "zz"]) == 2
    error = capsys.readouterr().err
    assert "results/r has no setting 'zz'; type a part of a name, such as 'TaylorSeer (diffusers), default" in error


def test_explain_of_full_compute_alone_says_what_is_lacking(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "r", {}, {})
    assert main(["explain", "r"]) == 2
    assert "r has full compute only; draw a setting, such as method.cache_interval=3." in capsys.readouterr().err


def test_explain_speaks_of_the_fronts_where_nothing_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(here / "results" / "r", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.6})
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "N=2" in text and "N=3" not in text
    assert "1 more on no front; by name: python -m tsbench explain r SETTING" in text


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
    assert any(line.startswith("only in b: ") and "N=4" in line for line in lines)
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "lpips=0.01"]) == 1
    text = capsys.readouterr().out
    assert text.count("FAILED") == 2 and "more than 5 %" in text
    assert main(["compare", "a", "b", "--fail-if", "slower=19%"]) == 0  # the interval reaches below
    assert "inconclusive" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=0.05"]) == 1
    capsys.readouterr()
    assert main(["compare", "a", "b", "--fail-if", "ssim=0.1"]) == 2
    assert "--fail-if is 'ssim', but a has no scores of it; there are: slower, lpips." in capsys.readouterr().err


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


def test_a_difference_without_an_interval_is_never_marked() -> None:
    """One prompt, or four: however far apart, nothing is known of the others. Five that agree are evidence."""
    for prompts, sure in ((1, False), (4, False), (5, True)):
        (change,) = metric_change("cell", "lpips", [0.1] * prompts, [0.3] * prompts, prompts, 0.95)
        assert change.value == pytest.approx(0.2) and change.is_sure == sure
    (change,) = metric_change("cell", "psnr", [math.inf] * 5, [math.inf] * 5, 5, 0.95)
    assert (change.value, change.is_sure) == (0, False)


def test_timings_of_other_hardware_are_no_regression(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "b", {2: GOOD}, {2: 0.9}, hardware="Q")
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 0
    text = capsys.readouterr().out
    assert "different hardware: P and Q" in text and text.endswith("nothing was judged\n") and "passed" not in text
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "lpips=1"]) == 0
    assert capsys.readouterr().out.endswith("passed: nothing is surely worse than lpips=1\n")
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "--across-hardware"]) == 1
    assert main(["compare", "a", "b", "--across-hardware=no"]) == 2  # and not taken for a yes


def test_a_run_that_also_drew_on_other_hardware_is_judged_where_it_is_the_same(here: Path) -> None:
    run(here / "a", {2: GOOD}, {2: 0.5})
    store = run(here / "b", {2: GOOD}, {2: 0.9})
    write_json(store.folder / "manifest.json", store.manifest() | {"hardware": "Q; P"})
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
        store.open_run(ENVIRONMENT, "P", None, "python -m tsbench sweep", ["lpips"])
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


def test_full_compute_dominates_what_is_slower_and_no_better(tmp_path: Path) -> None:
    """N=3 is as fast as full compute within noise, but worse. N=2 and 4 draw its images, one surely slower."""
    store = run(tmp_path / "r", {2: [0.0] * 6, 3: GOOD, 4: [0.0] * 6}, {2: 1.2, 3: 1.005, 4: 1.005})
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


def test_a_cell_that_computes_every_step_is_on_no_front(tmp_path: Path) -> None:
    """Nor near one, though it draws full compute's images: noise alone made it as fast, or faster."""
    store = run(tmp_path / "r", {2: GOOD, 3: [0.0] * 6}, {2: 0.9, 3: 1.001})
    for interval in (2, 3):
        rewrite(store, keys(store)[interval], schedules=["CCCC"] * 6)
    rows = by_interval(store)
    assert {(rows[interval].on_front, rows[interval].near_front) for interval in (2, 3)} == {("", "")}


def test_a_regression_that_a_run_is_too_noisy_for_is_announced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs within 2 % of each other cannot fail a change of 1 %, and can one of 20 %."""
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "b", {2: GOOD}, {2: 0.51})
    assert main(["compare", "a", "b", "--fail-if", "slower=1%"]) == 0
    assert "slower: in a typical cell only a change above about 5" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=20%"]) == 0
    assert "in a typical cell" not in capsys.readouterr().out


def test_more_cells_make_a_verdict_harder(tmp_path: Path) -> None:
    """Of N=3, 5 % slower than N=2 and as good, two cells alone are sure; among eighteen one may be so by chance."""
    few = run(tmp_path / "few", {2: GOOD, 3: GOOD}, {2: 0.5, 3: 0.525})
    many = run(tmp_path / "many", dict.fromkeys(range(2, 20), GOOD), {n: 0.5 + 0.025 * (n == 3) for n in range(2, 20)})
    assert by_interval(few)[3].dominated_by.startswith("lpips:") and by_interval(few)[3].near_front == ""
    assert by_interval(many)[3].near_front == "lpips" and by_interval(many)[3].dominated_by == ""


def test_a_mean_lies_within_its_interval(tmp_path: Path) -> None:
    """With identical images in one prompt's seeds alone, a mean over images would count the other prompts twice; and no
    interval leaves the metric's range."""
    store = run(tmp_path / "r", {2: GOOD}, {2: 0.5})
    key = keys(store)[2]
    rewrite(store, key, workload=document(store, key)["workload"] | {"seeds": [0, 1]})
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


MISTAKES = [
    (["recommend", "r"], "a bar is needed, such as --max-lpips 0.1; usage: python -m tsbench recommend RESULTS BAR"),
    (["recommend", "r", "--max-lpips"], "argument --max-lpips: expected one argument; usage: "),
    (["recommend", "r", "--max-lpips", "x"], "--max-lpips is 'x', but must be a finite number; try --max-lpips 0.1."),
    (["recommend", "r", "--max-memory-gb", "nan"], "'nan', but must be a finite number; try --max-memory-gb 40."),
    (["recommend", "r", "--min-speedup", "0.5"], "nothing slower than full compute is ever recommended"),
    (["recommend", "r", "--min-ssim", "5"], "--min-ssim is 5, but SSIM lies between -1 and 1; try --min-ssim 0.9."),
    (["explain", "r", "--all"], "unrecognized arguments: --all; usage: python -m tsbench explain RESULTS [SETTING]"),
    (["explain", "r", "-x"], "unrecognized arguments: -x"),
    (["recommend", "r", "--best"], "unrecognized arguments: --best; usage: "),
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
    (["compare", "r", "r", "--fail-if", "slower=nan"], "--fail-if slower is 'nan', but must be a finite number"),
    (["compare", "r", "r", "--fail-if", "lpips=-1"], "'-1', but must be 0 or more; try --fail-if lpips=0.01."),
    (["compare", "r", "r", "--fail-if", "lpips=5%"], "'5%', but must be a finite number; try --fail-if lpips=0.01."),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


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


def test_full_compute_that_draws_other_images_is_told_and_judged(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every cell is held against its own run's full compute: a scheduler that broke would change no other figure."""
    run(here / "a", {2: GOOD}, {2: 0.5})
    store = run(here / "b", {2: GOOD}, {2: 0.5})
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
    assert "FAILED slower could not be judged: no cell has an interval, which takes five pairs or prompts in A" in text


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
