"""torch.compile: the probe leaves compiled blocks whole, and no setting runs with the code of another, or cold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partialmethod
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch._dynamo.exc import FailOnRecompileLimitHit

from tests.helpers import FLOAT32, cell, workload
from tsbench.budget import planned_images
from tsbench.drawing.diffusers import RECOMPILE_LIMIT, DiffusersSession
from tsbench.drawing.generate import Drawn
from tsbench.errors import DrawingFailed
from tsbench.methods import Method
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial
from tsbench.paths import ASSETS

FULL, DEFAULT, LITE = Method(), TaylorSeer(cache_interval=3), TaylorSeer(cache_interval=3, use_lite_mode=True)
BLOCKS = 12  # of the embedded model


class Calls:
    """A compiler that runs what it is given as it is, and counts the calls."""

    def __init__(self) -> None:
        self.count = 0

    def compiler(self, graph: torch.fx.GraphModule, _example: list[Any]) -> Any:
        def run(*tensors: Any) -> Any:
            self.count += 1
            return graph(*tensors)

        return run


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def compiled(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiffusersSession]:
    blocks = partialmethod(FluxTransformer2DModel.compile_repeated_blocks, backend=calls.compiler)
    monkeypatch.setattr(FluxTransformer2DModel, "compile_repeated_blocks", blocks)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False):  # torch's own, put back
        yield DiffusersSession(ASSETS / "tiny", replace(FLOAT32, compile=True), torch.device("cpu"))
    torch._dynamo.reset()


def drawn(session: DiffusersSession, method: Method, steps: int = 5) -> Drawn:
    work = workload(steps=steps)
    return session.draw(work, work.batches[0], method)


def test_full_compute_is_one_program_a_block_whatever_ran_before(compiled: DiffusersSession, calls: Calls) -> None:
    """Counting steps breaks no block into pieces, and the pieces that a method needs are not used for full compute."""
    for _ in range(2):
        calls.count = 0
        assert drawn(compiled, FULL).schedule == "CCCCC" and calls.count == BLOCKS * 5
        calls.count = 0
        assert drawn(compiled, DEFAULT).schedule == "CCC.C" and calls.count > BLOCKS * 5


@pytest.mark.parametrize(
    "method",
    [
        LITE,
        TaylorSeerOfficial(cache_interval=2),
        TaylorSeerDecorator(wrap="blocks", skip_interval_steps=2),
        CacheDit(
            residual_diff_threshold=1.0, max_warmup_steps=3, max_continuous_cached_steps=1, calibrator_type="taylorseer"
        ),
    ],
)
def test_a_second_run_compiles_nothing(compiled: DiffusersSession, method: Method) -> None:
    first, second = (drawn(compiled, method, steps=8) for _ in range(2))
    assert (first.warm, second.warm) == (False, True)
    assert first.schedule == second.schedule == (method.promised_schedule(8) or "CCC.C.C.")


def test_no_run_that_compiles_is_timed(compiled: DiffusersSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change of arms compiles again, in a run that is drawn once more."""
    runs: list[tuple[str, bool]] = []
    draw = compiled.draw

    def noted(work: Any, batch: Any, method: Method, **keep: bool) -> Drawn:
        result = draw(work, batch, method, **keep)
        runs.append((method.name, result.warm))
        return result

    monkeypatch.setattr(compiled, "draw", noted)
    images: list[int] = []
    wanted = replace(cell("taylorseer", '{"x":1}', steps=5), settings=replace(FLOAT32, compile=True))
    result = compiled.draw_cell(wanted, LITE, 2, images.append)
    cold, warm = False, True
    assert runs == [
        ("none", cold), ("taylorseer", cold),  # the warm-ups
        ("taylorseer", warm), ("none", cold), ("none", warm),
        ("none", warm), ("taylorseer", cold), ("taylorseer", warm),
    ]  # fmt: skip
    assert len(result.pairs) == 2
    assert (
        sum(images) == len(runs) == planned_images([wanted], 2, {wanted.key: LITE})[wanted.key].total
    )  # as it is announced


def test_compiling_is_no_part_of_the_peak_memory(compiled: DiffusersSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of the warm-ups, nor of an image after the pairs, which compiles since full compute was the last arm."""
    draw, warm = compiled.draw, []

    def noted(*given: Any, **named: bool) -> Drawn:
        result = draw(*given, **named)
        warm.append(result.warm)
        return result

    monkeypatch.setattr(compiled, "draw", noted)
    monkeypatch.setattr(compiled.memory, "read", lambda: 1 if warm[-1] else 2)
    wanted = replace(cell("taylorseer", '{"x":1}', steps=4, seeds=(0, 1)), settings=replace(FLOAT32, compile=True))
    assert compiled.draw_cell(wanted, LITE, 1, lambda count: None).peak_memory_bytes == 1
    assert warm[5:] == [False, True, True]  # what no pair covers


def test_code_that_never_gets_warm_is_an_error(compiled: DiffusersSession, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = compiled.draw
    monkeypatch.setattr(compiled, "draw", lambda *given, **named: replace(draw(*given, **named), warm=False))
    with pytest.raises(DrawingFailed, match="still compiles in run 5 of the same setting"):
        compiled.draw_cell(cell(steps=2), FULL, 2, lambda count: None)


def test_giving_up_on_compiling_is_an_error(compiled: DiffusersSession) -> None:
    """torch itself would run the rest eagerly, and the row would say compiled."""
    torch._dynamo.config.recompile_limit = 1
    with pytest.raises(FailOnRecompileLimitHit):
        drawn(compiled, DEFAULT)
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    assert drawn(compiled, DEFAULT).schedule == "CCC.C"
