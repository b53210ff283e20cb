"""The chain on the embedded model: bit-identities that hold only if nothing leaks from one run into the next."""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers import cell, workload
from tsbench.budget import method_first
from tsbench.cell import Sample, Workload
from tsbench.drawing.diffusers import DiffusersSession, choose_device
from tsbench.drawing.generate import Drawn
from tsbench.drawing.hooks import hooked_modules
from tsbench.drawing.measure import EnergyMeter, PeakMemory
from tsbench.drawing.quantization import check_is_quantized
from tsbench.errors import DrawingFailed, UserError
from tsbench.methods import Method
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.timing import Timing

FULL = Method()
OFFICIAL_MODULES = {
    "cache_identifiers": [
        r"transformer_blocks\.\d+\.(attn|ff|ff_context)",
        r"single_transformer_blocks\.\d+\.proj_out",
    ],
    "skip_predict_identifiers": [r"single_transformer_blocks\.\d+\.(attn|proj_mlp)"],
}
MODES = {"default": {}, "lite": {"use_lite_mode": True}, "official modules": OFFICIAL_MODULES}


def first_batch(session: DiffusersSession, method: Method, **changes: object) -> np.ndarray:
    work = workload(**changes)
    return session.draw(work, work.batches[0], method).images


@pytest.mark.parametrize("mode", MODES)
def test_an_interval_of_one_changes_no_bit(session: DiffusersSession, mode: str) -> None:
    assert np.array_equal(first_batch(session, TaylorSeer(cache_interval=1, **MODES[mode])), first_batch(session, FULL))


@pytest.mark.parametrize("mode", MODES)
def test_a_cache_changes_the_image_and_leaves_no_trace(session: DiffusersSession, mode: str) -> None:
    before = first_batch(session, FULL)
    cached = first_batch(session, TaylorSeer(cache_interval=3, **MODES[mode]))
    assert not np.array_equal(cached, before)
    assert np.array_equal(first_batch(session, FULL), before)
    assert np.array_equal(first_batch(session, TaylorSeer(cache_interval=3, **MODES[mode])), cached)


@pytest.mark.parametrize("mode", MODES)
def test_the_measured_schedule_is_the_rules(session: DiffusersSession, mode: str) -> None:
    """Counted below the hooks, in every mode: a leaf of a block, of an attention, or the hooked layer itself."""
    for interval, before in ((2, 1), (3, 2), (5, 3)):
        method = TaylorSeer(cache_interval=interval, disable_cache_before_step=before, **MODES[mode])
        drawn = session.draw(workload(), workload().batches[0], method)
        assert drawn.schedule == method.promised_schedule(8)
        assert "." in drawn.schedule


def test_the_first_lite_forecast_is_a_straight_line(session: DiffusersSession) -> None:
    """With float32 factors the first forecast after outputs y1, y2 is y2 + (y2 - y1), bit for bit."""
    outputs = []
    hook = session.pipeline.transformer.proj_out.register_forward_hook(lambda *args: outputs.append(args[2].clone()))
    try:
        method = TaylorSeer(disable_cache_before_step=2, use_lite_mode=True, taylor_factors_dtype="float32")
        drawn = session.draw(workload(steps=4), workload().batches[0], method)
    finally:
        hook.remove()
    assert drawn.schedule == "CC.C"
    y1, y2, forecast, _ = outputs
    assert torch.equal(forecast, y2 + (y2 - y1))


def test_errors_after_every_step_are_relative_to_full_compute(session: DiffusersSession) -> None:
    """None while everything is computed, some from the first forecast on; the last is that of the decoded latents."""
    method = TaylorSeer(cache_interval=3, use_lite_mode=True)
    parameters = json.dumps(method.resolved(8))
    result = session.draw_cell(cell("taylorseer", parameters), method, 1, lambda count: None)
    assert result.schedules[0] == "CCC.C..C"
    assert result.step_errors[:3] == [0, 0, 0] and min(result.step_errors[3:]) > 0 and len(result.step_errors) == 8
    full, cached = (session.draw(workload(), workload().batches[0], m, inspect=True).latents for m in (FULL, method))
    assert result.step_errors[-1] == pytest.approx(np.linalg.norm(cached[-1] - full[-1]) / np.linalg.norm(full[-1]))
    fewer = session.draw_cell(cell("fewer_steps", "{}"), FewerSteps(num_inference_steps=5), 1, lambda count: None)
    assert fewer.step_errors is None


def test_a_run_after_a_failure_is_like_any_other(session: DiffusersSession) -> None:
    """diffusers resets a cache's state only at the normal end of a run."""
    method = TaylorSeer(cache_interval=3, use_lite_mode=True)
    expected = first_batch(session, method)

    def fail(*_: object) -> None:
        raise RuntimeError("in mid-run")

    handle = session.pipeline.transformer.single_transformer_blocks[0].norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="in mid-run"):
        first_batch(session, method)
    handle.remove()
    assert not hooked_modules(session.pipeline.transformer)
    assert np.array_equal(first_batch(session, method), expected)


def test_a_cache_that_fails_while_enabling_leaves_no_hooks(session: DiffusersSession) -> None:
    """diffusers' own `disable_cache` does not remove them."""

    class Failing(TaylorSeer):
        def enable(self, pipeline: object, steps: int) -> None:
            super().enable(pipeline, steps)
            pipeline.transformer._cache_config = None
            raise RuntimeError("while enabling")

    expected = first_batch(session, FULL)
    with pytest.raises(RuntimeError, match="while enabling"):
        first_batch(session, Failing())
    assert not hooked_modules(session.pipeline.transformer)
    assert np.array_equal(first_batch(session, FULL), expected)


def test_a_cache_without_a_module_to_hook_is_an_error(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaylorSeer, "enable", lambda *_: None)
    with pytest.raises(DrawingFailed, match="found no module"):
        first_batch(session, TaylorSeer())
    assert np.isfinite(first_batch(session, FULL)).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_image_that_is_not_finite_is_an_error(session: DiffusersSession, value: float) -> None:
    """The pipeline cuts infinity, of a VAE that overflows in float16, to white or black."""
    bias = session.pipeline.vae.decoder.conv_out.bias
    kept = bias.detach().clone()
    with torch.no_grad():
        bias[0] = value
    try:
        with pytest.raises(DrawingFailed, match="not finite"):
            first_batch(session, FULL)
    finally:
        with torch.no_grad():
            bias.copy_(kept)


def test_a_component_of_which_no_layer_is_quantized_is_refused() -> None:
    """The libraries mark it as quantized all the same, and the row would say so."""
    quantized = type("QLinear", (torch.nn.Linear,), {"__module__": "optimum.quanto.nn.qlinear"})
    check_is_quantized("transformer", torch.nn.Sequential(torch.nn.Linear(2, 2), quantized(2, 2)))
    with pytest.raises(ValueError, match=r"no layer of the vae was quantized; leave it out of runtime\.quantization"):
        check_is_quantized("vae", torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_what_a_failed_run_leaves_on_the_gpu_is_offloaded(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline offloads at its end alone: the transformer would stay, beside the text encoders of the next run."""
    offloaded: list[str] = []
    monkeypatch.setattr(session.pipeline, "maybe_free_model_hooks", lambda: offloaded.append("all"))
    first_batch(session, FULL)
    assert offloaded == ["all"]
    for part in ("transformer", "text_encoder_2"):

        def fails(*_: object) -> None:
            raise MemoryError("no room")

        hook = getattr(session.pipeline, part).register_forward_pre_hook(fails)
        with pytest.raises(MemoryError):
            first_batch(session, FULL)
        with pytest.raises(MemoryError):
            session.draw(workload(seeds=(99,)), workload(seeds=(99,)).batches[0], FULL, reuse_text=True)
        hook.remove()
        session._encoded.clear()
    assert offloaded == ["all"] * 5

    def lost() -> None:
        raise RuntimeError("the GPU is lost")

    monkeypatch.setattr(session.pipeline, "maybe_free_model_hooks", lost)
    with pytest.raises(MemoryError, match="no room"), session._offloaded_on_failure():
        raise MemoryError("no room")


def test_timed_and_untimed_images_are_the_same(session: DiffusersSession) -> None:
    """Text encoded within the call, or beforehand."""
    work = workload()
    (batch, _) = work.batches
    whole = session.draw(work, batch, FULL)
    reused = session.draw(work, batch, FULL, reuse_text=True)
    assert np.array_equal(whole.images, reused.images)


def test_the_noise_of_a_sample_depends_on_its_seed_alone(session: DiffusersSession) -> None:
    alone = session.draw(workload(), workload().batches[1], FULL).images[0]
    together = session.draw(workload(batch_size=2), workload(batch_size=2).batches[0], FULL).images[1]
    assert np.abs(alone.astype(int) - together.astype(int)).max() <= 1  # a batch adds in another order
    other_seed = first_batch(session, FULL, seeds=(1,))
    assert not np.array_equal(other_seed, first_batch(session, FULL))


def test_times_add_up(session: DiffusersSession) -> None:
    """To what passes on the wall meanwhile: no part of an image is left out, and none counted twice."""
    started, inside = time.perf_counter(), session.pipeline_s
    timing = session.draw(workload(), workload().batches[0], FULL).timing
    whole = timing.encode_s + sum(timing.step_s) + timing.decode_s
    assert len(timing.step_s) == 8
    assert timing.latency_s == pytest.approx(whole) and timing.denoise_s == pytest.approx(sum(timing.step_s))
    assert timing.latency_s == pytest.approx(session.pipeline_s - inside, rel=0.05)
    assert timing.latency_s < time.perf_counter() - started
    assert min(timing.encode_s, timing.decode_s, *timing.step_s) > 0


def test_times_are_per_image() -> None:
    """And the energy, where there is a counter."""
    timing = Timing.per_image([2.0, 4.0, 6.0, 8.0], images=2, energy_j=900.0)
    assert (timing.encode_s, timing.step_s, timing.decode_s, timing.latency_s) == (1.0, [2.0, 3.0], 4.0, 10.0)
    assert timing.energy_j == 450.0 and Timing.per_image([2.0, 4.0, 8.0], images=2).energy_j is None


def test_a_cell_pairs_every_run_with_a_reference_run(session: DiffusersSession) -> None:
    method = TaylorSeer(cache_interval=4)
    wanted = cell("taylorseer", json.dumps(method.resolved(8)), seeds=(0, 1), batch_size=2)
    drawn: list[int] = []
    result = session.draw_cell(wanted, method, pairs=3, image_drawn=drawn.append)
    assert all(pair.reference is not None for pair in result.pairs)
    assert [pair.batch for pair in result.pairs] == [0, 1, 0]
    assert len(result.images) == len(result.schedules) == 4
    assert [run.method for run in result.warmups] == ["none", "taylorseer"]
    assert sum(drawn) == 2 * (3 * 2 + 2)  # three pairs and a warm-up of each arm, two images each
    assert (result.peak_memory_bytes or 0) > 1e6 or result.peak_memory_reason
    again = session.draw_cell(wanted, method, pairs=1, image_drawn=lambda _: None)
    assert [run.method for run in again.warmups] == ["taylorseer"]  # full compute of this workload is warm


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 16])
def test_the_order_of_a_pair_alternates_for_every_batch(batches: int) -> None:
    """Whatever runs first may be slower: with two batches, going by the pair alone, always the same arm of a prompt."""
    firsts = [method_first(pair, batches) for pair in range(2 * batches)]
    assert all(firsts[batch] != firsts[batch + batches] for batch in range(batches))
    assert firsts.count(True) == batches


def test_the_runs_of_a_pair_are_neighbours_in_alternating_order(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two warm-ups; then pairs of either prompt in either order; full compute has no other run beside it."""
    method, runs, draw = TaylorSeer(cache_interval=4), [], session.draw

    def noted(work: Workload, batch: list[Sample], arm: Method, **given: bool) -> Drawn:
        runs.append((batch[0].prompt, arm.name))
        return draw(work, batch, arm, **given)

    monkeypatch.setattr(session, "draw", noted)
    wanted = cell("taylorseer", json.dumps(method.resolved(8)), seeds=(6,))
    session.draw_cell(wanted, method, pairs=4, image_drawn=lambda _: None)
    one, other = wanted.workload.prompts
    pairs = [
        [(one, "taylorseer"), (one, "none")],
        [(other, "none"), (other, "taylorseer")],
        [(one, "none"), (one, "taylorseer")],
        [(other, "taylorseer"), (other, "none")],
    ]
    assert runs == [(one, "none"), (one, "taylorseer"), *itertools.chain(*pairs)]
    runs.clear()
    session.draw_cell(wanted.reference, FULL, pairs=2, image_drawn=lambda _: None)
    assert runs == [(one, "none"), (one, "none"), (other, "none")]


def test_memory_is_measured_before_anything_is_timed(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has given back what it does not use has to ask for it again, which would be timed."""
    resets: list[int] = []
    monkeypatch.setattr(session.memory, "reset", lambda: resets.append(len(drawn)))
    method, drawn = TaylorSeer(cache_interval=4), []
    session.draw_cell(cell("taylorseer", json.dumps(method.resolved(8)), seeds=(5,)), method, 2, drawn.append)
    assert resets == [0, 1] and len(drawn) == 6  # before each of the two warm-ups


def test_a_last_batch_that_is_not_full_is_drawn_and_never_timed(session: DiffusersSession) -> None:
    wanted = cell(seeds=(0, 1, 2), batch_size=4)
    result = session.draw_cell(wanted, FULL, pairs=2, image_drawn=lambda _: None)
    assert len(result.images) == 6
    assert [pair.batch for pair in result.pairs] == [0, 0]


def test_pairs_are_spread_over_prompts_before_seeds(session: DiffusersSession) -> None:
    """Pairs of one prompt's seeds alone would time one schedule of a method that decides from the image."""
    wanted = cell(seeds=(0, 1, 2))
    result = session.draw_cell(wanted, FULL, pairs=2, image_drawn=lambda _: None)
    timed = [wanted.workload.batches[pair.batch][0] for pair in result.pairs]
    assert [(sample.prompt, sample.seed) for sample in timed] == [(prompt, 0) for prompt in wanted.workload.prompts[:2]]
    first = session.draw(wanted.workload, [timed[1]], FULL)
    assert (result.images[1] == first.images[0]).all()


def test_a_missing_device_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match=r"runtime.device is 'cuda:99', which this machine does not have"):
        choose_device("cuda:99", "none")
    with pytest.raises(UserError, match=r"runtime.device is 'meta', but time and memory can be measured on"):
        choose_device("meta", "none")
    with pytest.raises(UserError, match=r"runtime.offload is 'model', but there is no GPU"):
        choose_device("cpu", "model")


def test_peak_memory_does_not_remember_what_was_freed() -> None:
    """200 MB in small blocks, which the C library keeps: a cell's figure would be that of a larger one before it."""
    memory = PeakMemory(torch.device("cpu"))
    memory.reset()
    before = memory.read()
    if memory.missing:
        pytest.skip(memory.missing)
    blocks = [bytearray(2000) for _ in range(100_000)]
    last = blocks[-1]  # on top of the heap, which can therefore not shrink
    assert memory.read() > before + 180_000_000
    del blocks
    memory.reset()
    assert memory.read() < before + 50_000_000 and last


def test_energy_is_told_of_runs_that_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML counts millijoules, in steps of up to 100 ms."""
    meter = EnergyMeter(torch.device("cpu"))
    meter.start()
    assert meter.used_j() is None and meter.missing
    meter.handle, counted, now = "gpu", iter([1_000_000, 1_150_000]), iter([10.0, 10.5, 12.0])
    nvml = SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counted))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr("tsbench.drawing.measure.time.perf_counter", lambda: next(now))
    meter.start()
    assert meter.used_j() is None
    assert meter.used_j() == 150
