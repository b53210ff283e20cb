"""recommend, explain and compare, on figures that can be worked out by hand, and on a real run."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import cell
from tests.test_tables import ENVIRONMENT, body, by_interval, image
from tsbench.__main__ import main
from tsbench.explain import chain, sentences
from tsbench.grid import expand
from tsbench.methods import METHODS
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.snippet import overrides, snippet
from tsbench.store import Store

PROMPTS = tuple(f"prompt {number}" for number in range(6))


def parameters(interval: int) -> str:
    return json.dumps(TaylorSeer(cache_interval=interval).settings(4))


def timed(latency: float, step_s: list[float]) -> dict[str, object]:
    denoise = sum(step_s)
    outside = (latency - denoise) / 2
    return {"latency_s": latency, "encode_s": outside, "denoise_s": denoise, "decode_s": outside, "step_s": step_s}


def run(folder: Path, lpips: dict[int, list[float]], seconds: dict[int, float], hardware: str = "P") -> Store:
    """A run of 4 steps and six prompts: LPIPS of every prompt and the latency by interval, full compute 1 s."""
    store = Store(folder)
    store.open_run(ENVIRONMENT, hardware, None, "python -m tsbench sweep", ["lpips"])
    spread, jitter = [0.98, 0.99, 1.0, 1.01, 1.02, 1.03], [0.97, 1.03, 1.0, 1.0, 0.98, 1.02]
    full = [{"batch": i, "method": timed(1.0 * r, [0.2 * r] * 4)} for i, r in enumerate(spread)]
    images = [image(0)] * 6
    work = {"steps": 4, "prompts": PROMPTS}
    store.write(cell(**work), "ok", body(["CCCC"] * 6, full, "CCCC") | {"model_path": "embedded"}, images)
    for interval, values in lpips.items():
        method = cell("taylorseer", parameters(interval), **work)
        second = seconds[interval]
        pairs = [
            {
                "batch": i,
                "reference": timed(1.0 * r, [0.2 * r] * 4),
                "method": timed(second * r * j, [second / 5 * r * j] * 4),
            }
            for i, (r, j) in enumerate(zip(spread, jitter))
        ]
        store.write(method, "ok", body(["CC.C"] * 6, pairs) | {"model_path": "embedded"}, images)
        store.write_scores(method.key, {"lpips": values})
    return store


GOOD, FAIR = [0.04, 0.05, 0.06, 0.05, 0.04, 0.06], [0.08, 0.10, 0.12, 0.02, 0.16, 0.06]


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
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=2: 2.00x, lpips 0.05" in text
    assert "up to 2.50x given up for quality" in text and "runner-up" not in text
    assert main(["recommend", "r", "--max-lpips=0.2"]) == 0
    text = capsys.readouterr().out
    assert "use TaylorSeer (diffusers), default, warm-up 3, N=3" in text and "runner-up: TaylorSeer" in text
    assert main(["recommend", "r", "--max-lpips", "0.01", "--min-speedup", "1.5"]) == 1
    assert "nothing qualifies; nearest: TaylorSeer (diffusers), default, warm-up 3, N=2, 2.00x: lpips reaches 0.05" in (
        capsys.readouterr().out
    )


def test_without_an_interval_nothing_is_recommended(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "size=64", "steps=6", "prompts.limit=2", "timing.pairs=2"]) == 0
    capsys.readouterr()
    assert main(["recommend", "sweep", "--max-lpips", "1"]) == 1
    assert "not surely good enough (2 prompts; an interval of a mean needs 5)" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["taylorseer", "first_block_cache", "taylor_seer"])
def test_the_snippet_runs_as_printed(method: str, here: Path) -> None:
    """And draws the first stored picture, bit for bit: the same prompt and noise in the same setting."""
    small = ["size=64", "steps=6", "prompts.limit=1", "timing.pairs=1", "metrics=[psnr]"]
    assert main(["sweep", f"method={method}", *small]) == 0
    (document,) = (d for d in Store(Path("results/sweep")).documents() if d["method"] == method)
    code = "\n".join(snippet(document))
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    (stored,) = Store(Path("results/sweep")).images(document["key"])
    assert np.array_equal(np.asarray(Image.open("image.png")), stored)
    assert ("tsbench" in code.replace(str(here), "").split("pipe =")[0]) == (method == "taylor_seer")


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
    ],
)
def test_the_overrides_that_are_printed_give_the_cell(typed: list[str], here: Path) -> None:
    (point,) = expand(typed)
    wanted = point.cell("m")
    document = {
        "backend": "diffusers", "method": wanted.method, "params": json.loads(wanted.parameters),
        "workload": json.loads(json.dumps(asdict(wanted.workload))), "settings": asdict(wanted.settings),
        "model_path": "embedded",
    }  # fmt: skip
    printed = shlex.split(overrides(document))
    assert printed[:4] == ["python", "-m", "tsbench", "sweep"]
    (again,) = expand(printed[4:])
    assert again.cell("m").key == wanted.key


def test_the_snippet_runs_as_the_cell_ran() -> None:
    """A setting that was measured compiled, offloaded or quantized is not the same one without."""
    workload = asdict(cell().workload)
    quantization = json.dumps({"backend": "quanto", "kwargs": {"weights_dtype": "int8"}, "components": ["transformer"]})
    document = {
        "backend": "diffusers", "method": "taylorseer", "params": {"cache_interval": 3}, "calibration": {},
        "workload": workload, "model_path": "black-forest-labs/FLUX.1-dev",
        "settings": {"dtype": "bfloat16", "offload": "model", "compile": True, "quantization": quantization},
    }  # fmt: skip
    code = "\n".join(snippet(document))
    compile(code, "snippet", "exec")
    assert "pipe.enable_model_cpu_offload()" in code and 'pipe.to("cuda"' not in code
    assert "pipe.transformer.compile_repeated_blocks()" in code
    assert """quant_mapping={"transformer": diffusers.QuantoConfig(weights_dtype='int8')}""" in code


def test_the_chain_multiplies_out(tmp_path: Path) -> None:
    """Full compute 1 s with four steps of 0.2 s; three of four steps computed, forecast steps counted at a quarter and
    measured at half of a full one, 0.1 s outside denoising, and 0.62 s in all."""
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.82, [0.21, 0.2, 0.1, 0.21])}
    store.write(cell("taylorseer", parameters(2), steps=4), "ok", body(["CC.C", "CC.C"], [pair]), [image(0)] * 2)
    (document,) = store.documents()
    latencies = [link.latency_s for link in chain(document)]
    assert latencies == pytest.approx([1, 0.75, (3 + 0.25) / 4, (0.6 + 0.1) / 0.8, 0.7 + 0.1, 0.82])
    factors = [one / other for one, other in itertools.pairwise(latencies)]
    assert np.prod(factors) == pytest.approx(1 / 0.82, rel=1e-12)


def test_what_limits_a_speedup_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open_run(ENVIRONMENT, "P", None, "x", [])
    pair = {"batch": 0, "reference": timed(1.0, [0.2] * 4), "method": timed(0.5, [0.1, 0.1, 0.0, 0.1])}
    document = body(["CC.C"] * 2, [pair]) | {"cost": {"full_flop": 4.0, "forecast_flop": 2.0, "cache_bytes": 0}}
    store.write(cell("taylorseer", parameters(2), steps=4), "ok", document, [image(0)] * 2)
    (stored,) = store.documents()
    assert sentences(stored) == [
        "attention only: feed-forward still runs, 50 % of a full step; no interval passes 2.00x",
        "text encoder and VAE are now 40 % of an image",
        "warm-up is 2 of 4 steps",
    ]
    assert sentences(stored | {"schedules": ["CCCC"] * 2})[0] == "inert: every step was computed"


def test_explain_on_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run(here / "results" / "r", {2: GOOD}, {2: 0.5})
    assert main(["explain", "r"]) == 0
    text = capsys.readouterr().out
    assert "2.000x" in text and "x 1.333   3 of 4 steps computed" in text
    key = next(document["key"] for document in store.documents() if document["method"] == "none")
    assert main(["explain", "r", key[:6]]) == 0
    assert "everything else is compared with it" in capsys.readouterr().out
    assert main(["explain", "r", "zz"]) == 2


def test_compare_finds_what_changed_and_fails_only_beyond_the_threshold(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """B is 20 % slower at N=2, and as it was at N=3, which also lacks nothing; N=4 exists in B only."""
    run(here / "a", {2: GOOD, 3: FAIR}, {2: 0.5, 3: 0.4})
    run(here / "b", {2: [value + 0.02 for value in GOOD], 3: FAIR, 4: FAIR}, {2: 0.6, 3: 0.4, 4: 0.3})
    assert main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (slower,) = (line for line in lines if "N=2: slower" in line)
    assert slower.startswith("* ") and "+0.2 [" in slower
    (same,) = (line for line in lines if "N=3: slower" in line)
    assert same.startswith("  ") and "+0 [" in same
    assert any(line.startswith("* ") and "N=2: lpips +0.02" in line for line in lines)
    assert any(line.startswith("only in b: ") and "N=4" in line for line in lines)
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "lpips=0.01"]) == 1
    text = capsys.readouterr().out
    assert text.count("FAILED") == 2
    assert main(["compare", "a", "b", "--fail-if", "slower=19%"]) == 0  # the interval reaches below
    assert "inconclusive" in capsys.readouterr().out
    assert main(["compare", "b", "a", "--fail-if", "slower=1%", "lpips=0.001"]) == 0  # it became better


def test_timings_of_other_hardware_are_no_regression(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(here / "a", {2: GOOD}, {2: 0.5})
    run(here / "b", {2: GOOD}, {2: 0.9}, hardware="Q")
    assert main(["compare", "a", "b", "--fail-if", "slower=5%"]) == 0
    assert "different hardware: P and Q" in capsys.readouterr().out
    assert main(["compare", "a", "b", "--fail-if", "slower=5%", "--across-hardware"]) == 1
    assert main(["compare", "a", "b", "--across-hardware=no"]) == 2  # and not taken for a yes


def test_two_backends_are_compared_where_they_draw_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OpenVINO's TaylorSeer is diffusers' lite mode at order 1, given the same schedule, and no other of its modes."""
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
        store.write(reference, "ok", body(["CCCC"] * 6, full, "CCCC"), [image(0)] * 6)
        for method, backend in cells:
            drawn = replace(reference, method="taylorseer", parameters=json.dumps(method.settings(4)), backend=backend)
            store.write(drawn, "ok", body(["CC.C"] * 6, pairs), [image(0)] * 6)
            store.write_scores(drawn.key, {"lpips": GOOD})
    assert main(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].strip() for line in lines if "slower" in line] == [
        "64x64 Full compute", "64x64 TaylorSeer (diffusers), lite, warm-up 3, N=2",
    ]  # fmt: skip
    assert [line for line in lines if line.startswith("only in")] == [
        "only in a: TaylorSeer (diffusers), default, warm-up 3, N=3"
    ]


def test_a_cell_that_only_noise_keeps_off_the_front_is_said_to_be_near_it(tmp_path: Path) -> None:
    store = run(tmp_path / "r", {2: GOOD, 3: [value + 0.001 for value in GOOD], 4: FAIR}, {2: 0.5, 3: 0.505, 4: 0.9})
    rows = by_interval(store)
    assert rows[2].on_front == "lpips" and rows[3].on_front == ""
    assert rows[3].near_front == "lpips" and rows[3].dominated_by == ""
    assert rows[4].near_front == "" and rows[4].dominated_by == f"lpips:{rows[2].key}"


MISTAKES = [
    (["recommend", "r"], "recommend takes a results folder and a bar"),
    (["recommend", "r", "--max-lpips"], "--max-lpips needs a value"),
    (["recommend", "r", "--max-lpips", "x"], "--max-lpips is 'x', but must be a number"),
    (["recommend", "r", "--min-ssim", "5"], "--min-ssim is 5, but SSIM lies between -1 and 1; try --min-ssim 0.9."),
    (["recommend", "r", "--best"], "'--best' is no flag of recommend; there are: --max-lpips"),
    (["recommend", "nowhere", "--max-lpips", "1"], "There are no results in 'results/nowhere'"),
    (["explain"], "explain takes a results folder"),
    (["compare", "r"], "compare takes two results folders"),
    (["compare", "r", "r", "--fail-if", "slow=1"], "--fail-if is 'slow=1', but must be NAME=HOW MUCH WORSE"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_every_method_has_a_snippet() -> None:
    """Of two lists of lines that compile."""
    for method in METHODS["diffusers"].values():
        imports, lines = method().snippet(28)
        compile("\n".join(imports + lines), "snippet", "exec")


def test_images_that_are_no_longer_identical_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They have an infinite PSNR on one side, so that no mean of differences shows them."""
    for name, values in (("a", [np.inf] * 6), ("b", [np.inf] * 4 + [40.0] * 2)):
        store = run(here / "results" / name, {2: GOOD}, {2: 0.5})
        (key,) = (document["key"] for document in store.documents() if document["method"] == "taylorseer")
        store.write_scores(key, {"psnr": values})
    assert main(["compare", "a", "b"]) == 0
    assert "6, then 4 images are the reference's; they are in no PSNR difference" in capsys.readouterr().out
