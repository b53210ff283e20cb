"""What only a GPU can show; run by `make gpu`, skipped elsewhere."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import FLOAT32, cell, workload
from tsbench.cell import Settings
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.drawing.generate import Drawn
from tsbench.drawing.measure import Clock, EnergyMeter, PeakMemory, release_memory
from tsbench.methods import Method
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial
from tsbench.paths import ASSETS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
TINY = ASSETS / "tiny"
LITE = TaylorSeer(cache_interval=3, use_lite_mode=True)


@pytest.fixture(scope="module")
def gpu() -> torch.device:
    torch.cuda.init()
    return torch.device("cuda")


@pytest.fixture(scope="module")
def on_gpu(gpu: torch.device) -> DiffusersSession:
    return DiffusersSession(TINY, FLOAT32, gpu)


def image(session: DiffusersSession, method: Method) -> np.ndarray:
    return session.draw(workload(), workload().batches[0], method).images


def test_events_agree_with_a_kernel_of_known_duration(gpu: torch.device) -> None:
    """A kernel that spins for a given number of cycles, timed by events and by the wall, twice as long twice."""
    clock = Clock(gpu)
    torch.cuda._sleep(2_000_000_000)  # a second or more, in which the clock rate rises from that of an idle GPU

    def measured(cycles: int) -> tuple[float, float]:
        clock.wait()
        started = time.perf_counter()
        marks = [clock.mark()]
        torch.cuda._sleep(cycles)
        marks.append(clock.mark())
        (event_s,) = clock.durations_s(marks)
        return event_s, time.perf_counter() - started

    (once, wall), (twice, _) = measured(400_000_000), measured(800_000_000)
    assert once == pytest.approx(wall, rel=0.05) and twice == pytest.approx(2 * once, rel=0.05)


def test_peak_memory_is_that_of_an_allocation(gpu: torch.device) -> None:
    memory = PeakMemory(gpu)
    memory.reset()
    before = memory.read()
    block = torch.empty(256 * 2**20, dtype=torch.uint8, device=gpu)
    del block
    assert memory.read() - before == 256 * 2**20


def test_energy_grows_with_work(gpu: torch.device) -> None:
    """Between the idle and the highest power of any GPU, 20 to 1500 W, over two seconds of work."""
    meter = EnergyMeter(gpu)
    if meter.missing:
        pytest.skip(meter.missing)
    matrix = torch.randn(8192, 8192, device=gpu, dtype=torch.bfloat16)
    torch.cuda.synchronize()
    started = time.perf_counter()
    meter.start()
    assert meter.used_j() is None  # too short to be told
    while time.perf_counter() - started < 2:
        matrix @ matrix
        torch.cuda.synchronize()
    watts = meter.used_j() / (time.perf_counter() - started)
    assert 20 < watts < 1500


@pytest.mark.parametrize("method", [LITE, TaylorSeer(cache_interval=3), TaylorSeerOfficial(), TaylorSeerDecorator()])
def test_bit_identities(on_gpu: DiffusersSession, method: Method) -> None:
    before = image(on_gpu, Method())
    cached = image(on_gpu, method)
    assert np.array_equal(image(on_gpu, Method()), before)
    assert np.array_equal(image(on_gpu, method), cached) and not np.array_equal(cached, before)


def test_an_interval_of_one_changes_no_bit(on_gpu: DiffusersSession) -> None:
    assert np.array_equal(image(on_gpu, TaylorSeer(cache_interval=1)), image(on_gpu, Method()))


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_changes_no_picture(on_gpu: DiffusersSession, gpu: torch.device, offload: str) -> None:
    offloaded = DiffusersSession(TINY, Settings("float32", offload, False, ""), gpu)
    for method in (Method(), LITE):
        difference = np.abs(image(offloaded, method).astype(int) - image(on_gpu, method))
        assert difference.max() <= 1
        assert offloaded.draw(workload(), workload().batches[0], method).schedule == method.promised_schedule(8)
    offloaded.close()


def test_compiled_runs_are_timed_warm(gpu: torch.device) -> None:
    """With the real compiler: in a timed run nothing is compiled, in a computed or in a forecast step."""
    compiled = DiffusersSession(TINY, replace(FLOAT32, compile=True), gpu)
    timed: list[bool] = []
    draw = compiled.draw

    def noted(*arguments: object, **named: object) -> Drawn:
        drawn = draw(*arguments, **named)
        timed.append(drawn.warm)
        return drawn

    compiled.draw = noted
    result = compiled.draw_cell(cell("taylorseer", '{"x":1}'), LITE, 2, lambda count: None)
    # warm-ups of both arms, the method timed; compiled again: twice the reference, then the method
    assert timed == [False, False, True, False, True, True, False, True]
    assert set(result.schedules) == {LITE.promised_schedule(8)}
    compiled.close()


@pytest.mark.parametrize("offload", ["none", "model"])
def test_a_run_after_running_out_of_memory_is_like_any_other(gpu: torch.device, offload: str) -> None:
    session = DiffusersSession(TINY, replace(FLOAT32, offload=offload), gpu)
    expected = image(session, LITE)

    class Greedy(TaylorSeer):
        def enable(self, pipeline: Any, steps: int) -> None:
            super().enable(pipeline, steps)
            done: list[None] = []

            def in_the_fourth_step(*_: object) -> None:
                done.append(None)
                if len(done) == 4:
                    torch.empty(2**50, dtype=torch.uint8, device=gpu)

            self.hook = pipeline.transformer.register_forward_pre_hook(in_the_fourth_step)

        def disable(self, pipeline: Any) -> None:
            self.hook.remove()
            super().disable(pipeline)

    with pytest.raises(torch.OutOfMemoryError):
        image(session, Greedy(cache_interval=3, use_lite_mode=True))
    release_memory()
    if offload == "model":
        assert {weight.device.type for weight in session.pipeline.transformer.parameters()} == {"cpu"}
    assert np.array_equal(image(session, LITE), expected)
    session.close()


def test_the_gpu_draws_what_the_cpu_draws(
    on_gpu: DiffusersSession, session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float32 with TF32 off: the noise comes from the same generator, so only rounding differs."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # torch's convolutions have it on
    for method in (Method(), LITE):
        assert np.abs(image(on_gpu, method).astype(int) - image(session, method)).max() <= 2
