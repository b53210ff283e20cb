"""Which published rows stand beside a cell."""

from __future__ import annotations

import json

import pytest

from tests.stores import (
    FOCA,
    INFERRED,
)
from tsbench import published
from tsbench.methods.cache_dit import CacheDit
from tsbench.schedule import official_taylorseer

OTHER_BASELINE = "its FLOPs speed-up fits 3719.5 TFLOP of full compute, not the 3726.87 of its baseline"


def flux_row(method: str, params: dict[str, object], schedule: str, **changes: object) -> dict[str, object]:
    row = {"model": "flux1-dev", "height": 1024, "width": 1024, "steps": 50, "compile": False, "method": method}
    row |= {"backend": "diffusers", "quantization": "", "dtype": "bfloat16", "offload": "none"}
    row |= {"max_sequence_length": 512, "batch_size": 1}
    return row | {"params": json.dumps(params), "schedule": schedule, "tflop": 893.48} | changes


def test_a_published_row_is_of_the_same_method_and_order_or_says_so() -> None:
    settings = {"first_enhance": 3, "cache_interval": 4, "max_order": 2}
    four, five = official_taylorseer(50, 3, 4), official_taylorseer(50, 3, 5)
    assert published.matches(flux_row("taylorseer_official", settings, four))[0].title == "TaylorSeer N=4 O=2"
    first = published.matches(flux_row("taylorseer_official", settings | {"max_order": 1}, four))[0]
    assert first.title == "same schedule, TaylorSeer N=4 O=2"
    columns = published.columns(flux_row("taylorseer_official", settings | {"cache_interval": 5}, five))
    assert columns["published"] == f"same schedule, FoCa N=5: {FOCA}; {INFERRED}; {OTHER_BASELINE}"
    assert columns["published_tflop"] == 893.54
    assert columns["published_difference"] == pytest.approx(893.48 / 893.54 - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 512},
        {"steps": 27},
        {"model": "tiny"},
        {"backend": "openvino"},
        {"quantization": "quanto"},
        {"max_sequence_length": 128},
    ],
)
def test_nothing_published_of_another_workload_is_shown(change: dict[str, object]) -> None:
    assert published.matches(flux_row("none", {}, "C" * 50)) != []
    assert published.matches(flux_row("none", {}, "C" * 50, **change)) == []


def test_another_methods_figures_are_shown_as_far_as_they_follow_from_the_steps() -> None:
    """And seconds only beside a run like the published one; FoCa's images say nothing of TaylorSeer's."""
    schedule = official_taylorseer(50, 3, 6)
    row = flux_row("taylorseer_official", {"first_enhance": 3, "cache_interval": 6, "max_order": 1}, schedule)
    assert published.speed_columns(row)["published_speedup"] == 3.53
    assert "the authors' own FLUX code" in published.speed_columns(row)["published_speed"]
    for other in (row | {"dtype": "float32"}, row | {"batch_size": 2}, row | {"offload": "model"}):
        assert published.speed_columns(other)["published_speedup"] is None
    second = row | {"params": json.dumps({"first_enhance": 3, "cache_interval": 6, "max_order": 2})}
    forecaster = flux_row("taylor_seer", {"step_map": schedule}, schedule)
    for other in (second, forecaster):
        assert published.speed_columns(other)["published_speedup"] is None
        figures = {c: m.figure(c) for m in published.matches(other) for c in m.row if m.figure(c) is not None}
        assert figures == {"flops_speedup": 4.99}


def test_what_a_published_row_does_not_say_itself_is_in_its_caveat() -> None:
    """Figures of other sources than their row's, of parameters that were inferred, and of a baseline that differs."""
    four = {"first_enhance": 3, "cache_interval": 4, "max_order": 2}
    found = published.matches(flux_row("taylorseer_official", four, official_taylorseer(50, 3, 4)))
    assert INFERRED in found[0].footnote
    other = found[1].row
    assert other["imagereward"] == 0.7864 and "its own baseline has an ImageReward of 0.8069" in other["caveat"]
    said = [match.row["imagereward"] for match in published.matches(flux_row("none", {}, "C" * 50))]
    assert [value for value in said if value is not None] == [1.0412, 0.9898, 0.8069]
    for row in published.rows():
        inferred = row["source"] == "TaylorSeer official README" or ("#12648" in row["source"] and row["compile"])
        assert not inferred or "inferred" in row["caveat"] or "derived" in row["caveat"]


def test_published_speedups_are_those_of_the_published_latencies() -> None:
    """Of cache-dit's benchmark, whose tables of DBCache with TaylorSeer have a baseline of their own: the caveat."""
    for row in published.rows():
        if row["source"].startswith("cache-dit benchmark") and row["latency_s"] and row["method"] == "cache_dit":
            baseline_s = 42.92 if "a baseline of 42.92 s" in row["caveat"] else 42.74
            assert round(baseline_s / row["latency_s"], 2) == row["speedup"]


def test_published_dbcache_is_found_by_its_parameters() -> None:
    """61 settings of the cache-dit benchmark, whose names write the parameters once more, and 5 masks of its manual."""
    rows = [row for row in published.rows() if row["method"] == "cache_dit"]
    assert [len(row["params"]["steps_computation_mask"] or "") for row in rows] == [0] * 61 + [28] * 5
    for row in rows:
        method = CacheDit(**row["params"])
        if row["steps"] == 50:
            longest = max(0, method.max_continuous_cached_steps)
            order = method.taylorseer_order if method.calibrator_type else 0
            name = f"F{method.Fn_compute_blocks}B{method.Bn_compute_blocks}_W{method.max_warmup_steps}M0MC{longest}"
            name += f"_R{method.residual_diff_threshold}_T{int(order > 0)}O{order}"
            assert row["label"] == f"DBCache {name}, text encoders and VAE included"
        assert not (row["psnr_db"] and row["psnr_comparable"])
        drawn = flux_row("cache_dit", method.resolved(row["steps"]), "varies")
        found = published.matches(drawn | {"steps": row["steps"], "compile": bool(row["compile"])})
        assert [match.row for match in found if match.same_run] == [row]


def test_both_published_baselines_are_shown() -> None:
    columns = published.columns(flux_row("none", {}, "C" * 50, tflop=3719.23))
    assert columns["published_tflop"] == 3719.5
    with_encoders = "3726.87: 50 steps, text encoders and VAE included: "
    assert columns["published"] == (
        "50 steps: L2P (arXiv:2604.26365), secondary, https://arxiv.org/abs/2604.26365; A100; quoted from L2P "
        f"(arXiv:2604.26365) by a secondary source, resolution not stated; {with_encoders}cache-dit benchmark "
        "(DrawBench, 200 prompts), "
        "https://github.com/vipshop/cache-dit/blob/f86744af/bench/cache/README.md; NVIDIA L20; 3726.87 TFLOP count "
        "text encoders and VAE too; its tables of DBCache with TaylorSeer have a baseline of 42.92 s; "
        f"{with_encoders}{FOCA}; its ImageReward of the baseline is 0.9898, that of the "
        "cache-dit benchmark 1.0412"
    )
