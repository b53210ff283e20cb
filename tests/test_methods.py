"""Methods beside diffusers' TaylorSeer: forecasts on closed forms, and what they draw."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import CacheMixin

from tests.helpers import workload
from tsbench.generate import Session
from tsbench.methods import Method
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial
from tsbench.probe import hooked_modules


class Squares(torch.nn.Module):
    """An attention whose output at step t is t squared."""

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return t**2


class Toy(torch.nn.Module, CacheMixin):
    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.transformer_blocks = torch.nn.ModuleList([torch.nn.Module()])
        self.transformer_blocks[0].attn = Squares()

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.transformer_blocks[0].attn(t)


def outputs(method: Method, steps: int) -> list[float]:
    toy = Toy()
    method.enable(SimpleNamespace(transformer=toy), steps)
    values = []
    for step in range(steps):
        with toy.cache_context("cond"):
            values.append(float(toy(torch.tensor([float(step)]))))
    return values


def test_the_official_method_has_no_derivative_before_its_last_warm_up_step() -> None:
    """On t squared at order 2, with E = 3 and N = 4.

    At step 2 only the first derivative is known, 4 - 1 = 3, so steps 3 to 5 lie on a line. At step 6 the first is
    (36 - 4) / 4 = 8 and the second (8 - 3) / 4 = 1.25. diffusers' own rule takes a second derivative of 2 at step 2.
    """
    official = outputs(TaylorSeerOfficial(first_enhance=3, cache_interval=4, max_order=2), 8)
    assert official == [0, 1, 4, 7, 10, 13, 36, 36 + 8 + 1.25 / 2]
    own = outputs(
        TaylorSeer(cache_interval=5, disable_cache_before_step=3, max_order=2, taylor_factors_dtype="float32"), 4
    )
    assert own == [0, 1, 4, 8]


@pytest.mark.parametrize(("first", "interval"), [(1, 2), (2, 3), (3, 4), (3, 8)])
def test_the_official_schedule_is_what_is_computed(session: Session, first: int, interval: int) -> None:
    method = TaylorSeerOfficial(first_enhance=first, cache_interval=interval)
    drawn = session.draw(workload(), workload().batches[0], method)
    assert drawn.schedule == method.promised_schedule(8) and "." in drawn.schedule
    assert not hooked_modules(session.pipeline.transformer)


def test_the_official_method_at_an_interval_of_one_changes_no_bit(session: Session) -> None:
    work = workload()
    full = session.draw(work, work.batches[0], Method()).images
    assert np.array_equal(session.draw(work, work.batches[0], TaylorSeerOfficial(cache_interval=1)).images, full)


def test_fewer_steps_are_a_run_of_so_many_steps(session: Session) -> None:
    """Bit for bit the full run of the smaller number."""
    fewer = session.draw(workload(steps=8), workload().batches[0], FewerSteps(num_inference_steps=5))
    assert fewer.schedule == "CCCCC" and len(fewer.timing.step_s) == 5
    assert np.array_equal(fewer.images, session.draw(workload(steps=5), workload().batches[0], Method()).images)
