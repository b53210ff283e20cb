"""Methods that do what they should not, as those of packages do while they are written: what is told of them."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import UserDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module

from tests.helpers import FLOAT32, cell, workload
from tsbench.__main__ import main
from tsbench.cell import Cell
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.drawing.generate import FullCompute
from tsbench.drawing.hooks import cached_bytes
from tsbench.drawing.surroundings import surroundings
from tsbench.errors import DrawingFailed, ModelSpoilt, first_line
from tsbench.flops import step_cost
from tsbench.methods import Method
from tsbench.methods.auto import Auto
from tsbench.methods.registry import METHODS
from tsbench.methods.taylorseer import TaylorSeer


@dataclass
class Leaky(Method):
    """A cache of a package that is being written: every other step reuses the last, and nothing is undone."""

    name: str = "leaky"

    def enable(self, pipeline: Any, steps: int) -> None:
        transformer, kept, calls = pipeline.transformer, [], []
        forward = transformer.forward

        def reusing(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            if len(calls) % 2:
                kept[:] = [forward(*args, **kwargs)]
            return kept[0]

        transformer.forward = reusing
        transformer.norm_out.register_forward_hook(lambda module, given, output: output)


class Replacing(Method):
    """Puts other modules in the place of the blocks."""

    def enable(self, pipeline: Any, steps: int) -> None:
        class Reusing(torch.nn.Module):
            def __init__(self, block: torch.nn.Module) -> None:
                super().__init__()
                self.block, self.kept = block, []

            def forward(self, *args: Any, **kwargs: Any) -> Any:
                self.kept = self.kept or [self.block(*args, **kwargs)]
                return self.kept[0]

        blocks = pipeline.transformer.single_transformer_blocks
        pipeline.transformer.single_transformer_blocks = torch.nn.ModuleList(map(Reusing, blocks))


class Raising(Leaky):
    def disable(self, pipeline: Any) -> None:
        raise RuntimeError("disable raised")


@pytest.mark.parametrize("offloaded", [False, True])
@pytest.mark.parametrize(
    ("method", "told"),
    [
        (Leaky(), "left another forward, part or hook on 2 modules, such as the transformer itself"),
        (Replacing(), "left another forward, part or hook on 1 module, such as the transformer itself"),
        (Raising(), "disable raised"),
    ],
)
def test_a_method_that_undoes_nothing_fails_and_spoils_no_other(
    session: DiffusersSession, method: Method, told: str, offloaded: bool
) -> None:
    """Else it would stay in full compute, and every speed-up after it would be against a cached baseline."""
    work, transformer = workload(), session.pipeline.transformer
    full = session.draw(work, work.batches[0], Method())
    for module in transformer.modules() if offloaded else []:
        if module is transformer or next(module.parameters(recurse=False), None) is not None:
            add_hook_to_module(module, ModelHook())
    try:
        with pytest.raises((DrawingFailed, RuntimeError), match=told):
            session.draw(work, work.batches[0], method)
        again = session.draw(work, work.batches[0], Method())
        assert again.schedule == "C" * 8 and np.array_equal(again.images, full.images)
    finally:
        remove_hook_from_module(transformer, recurse=True)


@dataclass
class Hasty(TaylorSeer):
    """Speeds up all of torch: full compute beside it too."""

    late: bool = False

    def enable(self, pipeline: Any, steps: int) -> None:
        TaylorSeer(cache_interval=3).enable(pipeline, steps)
        if not self.late:
            self.hasten()

    def disable(self, pipeline: Any) -> None:
        super().disable(pipeline)
        if self.late:
            self.hasten()

    def hasten(self) -> None:
        torch.set_float32_matmul_precision("high")
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.backends.cudnn.benchmark = True


@pytest.mark.parametrize(("late", "how"), [(False, "the method set"), (True, "not undone its enable: it left")])
def test_settings_of_torch_that_a_method_changes_are_put_back(session: DiffusersSession, late: bool, how: str) -> None:
    """Else their gain would be the cache's, or that of every full compute after it, and no row would say so."""
    before, threads = surroundings(), torch.get_num_threads()
    told = (
        rf"{how} torch\.get_num_threads\(\) at {threads + 1} \(it was {threads}\); "
        r"torch\.backends\.cuda\.matmul\.fp32_precision at 'tf32' \(it was '\w+'\); .*"
        r"torch\.backends\.cudnn\.benchmark at True \(it was False\)"
    )
    with pytest.raises(DrawingFailed, match=told):
        session.draw(workload(), workload().batches[0], Hasty(late=late))
    assert surroundings() == before


class Unready(Method):
    """Fails before it has kept what its `disable` puts back."""

    def enable(self, pipeline: Any, steps: int) -> None:
        raise ValueError("no coefficients for this model")

    def disable(self, pipeline: Any) -> None:
        pipeline.transformer.forward = self.forward


def test_what_fails_first_is_the_reason(session: DiffusersSession) -> None:
    with pytest.raises(ValueError, match="no coefficients for this model"):
        session.draw(workload(), workload().batches[0], Unready())


@dataclass
class Skipping(Method):
    """Reuses what every second step computes, by calls that it replaces itself, on whatever module it is told to."""

    name: str = "skipping"
    of: str = "block"

    def promised_schedule(self, steps: int) -> str:
        return ("C." * steps)[:steps]

    def condensed(self, steps: int) -> tuple[Method, int]:
        return self, 4

    def enable(self, pipeline: Any, steps: int) -> None:
        model = pipeline.transformer
        blocks = [*model.transformer_blocks, *model.single_transformer_blocks]
        self.undone = []
        for module in blocks if self.of == "block" else [block.attn for block in blocks]:
            name = "processor" if self.of == "processor" else "forward"
            before = getattr(module, name)
            setattr(module, name, Every2nd(before))
            self.undone.append((module, name, before))

    def disable(self, pipeline: Any) -> None:
        for module, name, before in self.undone:
            setattr(module, name, before)
            if name == "forward":
                del module.__dict__[name]


class Every2nd:
    def __init__(self, compute: Any) -> None:
        self.compute, self.calls = compute, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls % 2:
            self.kept = self.compute(*args, **kwargs)
        return self.kept


@pytest.mark.parametrize(("of", "share"), [("block", 0.05), ("attention", 0.95), ("processor", 0.95)])
def test_what_a_method_replaces_itself_is_seen_below_it(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch, of: str, share: float
) -> None:
    """As most methods do that are published with code of their own; each would be called inert."""
    monkeypatch.setitem(METHODS["diffusers"], "skipping", Skipping)
    drawn = session.draw(workload(), workload().batches[0], Skipping(of=of), inspect=True)
    assert drawn.schedule == "C.C.C.C."
    assert drawn.cache_bytes is None  # it does not say where it keeps them
    cost = step_cost(dict(session.pipeline.transformer.config), cell("skipping"), Skipping(of=of))
    assert 0 < cost.forecast_share < share and cost.cache_bytes is None


def test_compiled_blocks_are_not_taken_apart(session: DiffusersSession) -> None:
    """To watch what runs within them would make them slower."""
    blocks = session.pipeline.transformer.single_transformer_blocks
    blocks[0].compile()  # when it is called first
    try:
        with pytest.raises(DrawingFailed, match="in compiled blocks it cannot be seen which steps"):
            session.draw(workload(), workload().batches[0], Skipping(of="processor"))
    finally:
        blocks[0]._compiled_call_impl = None


class Predicting(Skipping):
    """Has a part of its own, which forecast steps alone run."""

    def enable(self, pipeline: Any, steps: int) -> None:
        self.block = pipeline.transformer.single_transformer_blocks[0]
        self.block.predictor = torch.nn.Linear(1, 1)
        super().enable(pipeline, steps)
        every_2nd = self.block.forward

        def predicting(*args: Any, **kwargs: Any) -> Any:
            if every_2nd.calls % 2:
                self.block.predictor(torch.zeros(1))
            return every_2nd(*args, **kwargs)

        self.block.forward = predicting

    def disable(self, pipeline: Any) -> None:
        super().disable(pipeline)
        del self.block.predictor


def test_what_forecasts_alone_run_is_not_asked_of_a_computed_step(session: DiffusersSession) -> None:
    assert session.draw(workload(), workload().batches[0], Predicting()).schedule == "C.C.C.C."


@dataclass
class Unseen(Skipping):
    """Leaves out what no module is called for."""

    name: str = "unseen"

    def enable(self, pipeline: Any, steps: int) -> None:
        linear = pipeline.transformer.single_transformer_blocks[0].proj_mlp
        before, calls = linear.forward, itertools.count()
        linear.forward = lambda x: x.new_zeros(*x.shape[:-1], linear.out_features) if next(calls) % 2 else before(x)
        self.undone = [(linear, "forward", before)]


def test_flops_of_steps_that_are_not_seen_are_not_told(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS["diffusers"], "unseen", Unseen)
    with pytest.raises(
        DrawingFailed, match=r"computed takes 9\d\.?\d* % of the first one: which steps this method computes is"
    ):
        step_cost(dict(session.pipeline.transformer.config), cell("unseen"), Unseen())


def test_a_subclass_is_not_shown_as_what_it_is_made_of() -> None:
    """Full compute, of all names, or the built-in method whose rule it shares."""

    class Shared(Method):
        def enable(self, pipeline: Any, steps: int) -> None: ...

    @dataclass
    class Mine(Shared):
        name: str = "mine"

    @dataclass
    class MyAuto(Auto):
        name: str = "my_auto"

    class Titled(Auto):
        title = "Titled"

    assert (Mine.title, MyAuto.title, Titled.title) == ("mine", "my_auto", "Titled")
    assert MyAuto.full_name(MyAuto().parameters()) == "my_auto, tol 0.2"


@pytest.mark.parametrize("kind", [method for method in METHODS["diffusers"].values() if method is not Method])
def test_a_subclass_is_counted_by_what_it_enables_itself(kind: type[Method]) -> None:
    """Not by what the method does that it is made of."""
    mine = type("Mine", (kind,), {"enable": lambda self, pipeline, steps: None})
    short, _ = mine().condensed(28)
    assert type(short) is mine


@dataclass
class WithState(Skipping):
    name: str = "skipping"
    kept: Any = field(default=None, init=False)


def test_state_is_no_parameter() -> None:
    """A field that nobody can give would be asked for where a table shows the Python that draws with the method."""
    assert WithState().parameters() == Skipping().parameters()
    assert replace(WithState()).parameters() == Skipping().parameters()


class Slotted:
    """Refers to itself, as parts of a model do."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.itself = tensor, self


@pytest.mark.parametrize("container", [deque, set, frozenset, lambda of: Slotted(*of), lambda of: UserDict(a=of[0])])
def test_what_a_method_keeps_is_found_in_any_container(
    session: DiffusersSession, container: Callable[[list[torch.Tensor]], Any]
) -> None:
    class Keeping(Skipping):
        def states(self, transformer: Any) -> list[Any]:
            tensor = torch.zeros(4)
            return [container([tensor]), {"again": tensor}]

    assert cached_bytes(session.pipeline.transformer, Keeping()) == 16


@dataclass
class Measuring(Skipping):
    """Measures a number that depends on its parameter."""

    every: int = 2
    coefficient: Any = None

    def calibrator(self) -> Method:
        return Ruler(every=self.every)


@dataclass
class Ruler(Method):
    every: int = 2

    def promised_schedule(self, steps: int) -> str:
        return "C" * steps

    def measured(self) -> dict[str, Any]:
        return {"coefficient": np.float32(1) if self.every == 4 else 10 * self.every}


def test_what_is_measured_is_of_the_settings_that_it_was_measured_with(session: DiffusersSession) -> None:
    """The second cell of a sweep had what the first one had measured, and another one where it was drawn alone."""
    work = workload(steps=2, prompts=("large red circle at centre, blue background",))
    calibrated = [session.calibrated(Measuring(every=every), work, lambda count: None) for every in (2, 3)]
    assert [method.coefficient for method in calibrated] == [20, 30]
    with pytest.raises(DrawingFailed, match="what the method measures cannot be kept: TypeError: Object of type float"):
        session.calibrated(Measuring(every=4), work, lambda count: None)


def test_a_setting_without_a_name_is_not_drawn(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No table could show its cell, nor those beside it."""
    monkeypatch.setattr(Auto, "label_format", "tol {tolerance:d}")
    assert main(["sweep", "method=auto"]) == 2
    assert "method=auto has no name for this setting (ValueError: Unknown format code 'd'" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_an_error_without_text_is_told_with_its_place() -> None:
    """As of an assertion of a library: its kind alone would be the whole reason of a cell."""
    with pytest.raises(AssertionError) as caught:
        raise AssertionError
    assert re.fullmatch(r"AssertionError: in test_foreign_methods\.py, line \d+", first_line(caught.value))
    assert first_line(MemoryError()) == "MemoryError" and first_line(ValueError("a\nb")) == "ValueError: a"


class Forgetful(Leaky):
    """Never forgets what it has kept, nor how many steps there were."""

    def __init__(self) -> None:
        self.kept, self.calls = [], itertools.count()

    def enable(self, pipeline: Any, steps: int) -> None:
        forward = pipeline.transformer.forward

        def reusing(*args: Any, **kwargs: Any) -> Any:
            if next(self.calls) % 3 == 0:
                self.kept = [forward(*args, **kwargs)]
            return self.kept[0]

        pipeline.transformer.forward = reusing

    def disable(self, pipeline: Any) -> None:
        del pipeline.transformer.forward


def test_a_step_that_is_taken_from_another_image_is_an_error(session: DiffusersSession) -> None:
    method, work = Forgetful(), workload()
    assert session.draw(work, work.batches[0], method).schedule == "C..C..C."
    with pytest.raises(DrawingFailed, match=r"the first step was not computed \(\.C\.\.C\.\.C\)"):
        session.draw(work, work.batches[1], method)


def test_full_compute_that_skips_a_step_is_an_error(session: DiffusersSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """However that came about: what it is the baseline of would be wrong."""
    Leaky().enable(session.pipeline, 8)
    try:
        with pytest.raises(DrawingFailed, match=r"full compute has not computed every step: C\.C\.C\.C\."):
            session.draw(workload(), workload().batches[0], Method())
    finally:
        del session.pipeline.transformer.forward
        session.pipeline.transformer.norm_out._forward_hooks.clear()


def test_what_a_method_leaves_out_is_not_the_references() -> None:
    """Its rows would be named full compute, and planned as computing every step."""
    assert Leaky.title == "leaky" and Leaky().promised_schedule(8) is None
    assert Method.title == "Full compute" and Method().promised_schedule(8) == "C" * 8


def test_a_method_that_changes_full_compute_fails_and_spoils_no_other(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is outside of the transformer's calls: hooks on the VAE, weights, the scheduler. Every figure after it
    would be against another model."""
    small = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=2", "metrics=[psnr]", "report=true"]
    assert main(["sweep", "name=alone", *small, "method.cache_interval=2,4"]) == 0
    enable = TaylorSeer.enable

    def spoiling(method: TaylorSeer, pipeline: Any, steps: int) -> None:
        enable(method, pipeline, steps)
        if method.cache_interval == 3 and hasattr(pipeline, "vae"):
            pipeline.vae.decoder.register_forward_hook(lambda module, given, output: output * 0.5)

    monkeypatch.setattr(TaylorSeer, "enable", spoiling)
    assert main(["sweep", "name=beside", *small, "method.cache_interval=2,3,4"]) == 1
    alone, beside = (pd.read_csv(here / "results" / name / "cells.csv") for name in ("alone", "beside"))
    assert list(beside["status"]) == ["ok", "ok", "failed", "ok"]
    assert beside["reason"][2].startswith("full compute drew another image than before (")
    assert beside["reason"][2].endswith("the method leaves something on the pipeline that its disable does not undo")
    pd.testing.assert_series_equal(alone["psnr_db"], beside["psnr_db"].drop(2), check_index=False)


def test_what_full_compute_draws_again_may_differ_by_rounding_alone() -> None:
    """Of compiled code and of random weights nobody knows what a rounding brings about: there it is only noted."""
    full = FullCompute()
    grey = np.full((2, 8, 8, 3), 100, np.uint8)
    assert full.check_repeats(cell(), 0, grey) == full.check_repeats(cell(), 0, grey) == math.inf
    assert full.check_repeats(cell(), 0, grey + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)  # 20 lg 255
    other = np.stack([grey[0], grey[1] + np.uint8(10)])  # the worse one of the batch counts
    with pytest.raises(ModelSpoilt, match=r"28\.1 dB apart\): this model does not draw the same image twice"):
        full.check_repeats(cell(), 0, other)
    compiled = replace(cell(), settings=replace(FLOAT32, compile=True))
    for passed in (compiled, cell(random_weights=True)):
        assert full.check_repeats(passed, 0, other) == pytest.approx(28.1308, abs=1e-4)


def test_a_method_that_draws_another_image_each_time_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures are those of one draw among many."""
    enable, disable = TaylorSeer.enable, TaylorSeer.disable

    def noisy(method: TaylorSeer, pipeline: Any, steps: int) -> None:
        enable(method, pipeline, steps)
        method.hook = pipeline.transformer.register_forward_hook(lambda m, g, o: (o[0] + torch.randn_like(o[0]) / 9,))

    def silent(method: TaylorSeer, pipeline: Any) -> None:
        method.hook.remove()
        disable(method, pipeline)

    small = ["size=64", "steps=6", "prompts.limit=2", "timing.pairs=2", "metrics=[psnr]"]
    assert main(["sweep", *small]) == 0
    assert pd.read_csv("results/sweep/cells.csv")["note"].isna().all()
    monkeypatch.setattr(TaylorSeer, "enable", noisy)
    monkeypatch.setattr(TaylorSeer, "disable", silent)
    assert main(["sweep", *small, "method.cache_interval=3"]) == 0
    notes = pd.read_csv("results/sweep/cells.csv").set_index("setting")["note"].dropna()
    assert len(notes) == 1 and notes.str.fullmatch(r"two runs of an image differ \(\d\d\.\d dB apart\)").all()


class Hoarding(Skipping):
    """Keeps what the first step of its first image computes, for every image."""

    def enable(self, pipeline: Any, steps: int) -> None:
        self.first = getattr(self, "first", [])
        self.forward = forward = pipeline.transformer.forward

        def first_of_all(*args: Any, **kwargs: Any) -> Any:
            if len(self.first) < steps:
                self.first.append(forward(*args, **kwargs))
                return self.first[-1]
            forward(*args, **kwargs)
            return self.first[0]

        pipeline.transformer.forward = first_of_all

    def disable(self, pipeline: Any) -> None:
        pipeline.transformer.forward = self.forward
        del pipeline.transformer.__dict__["forward"]


def test_what_a_method_keeps_on_itself_does_not_outlive_the_image(session: DiffusersSession) -> None:
    """All runs of an image after the first would be the same wrong one, so that no figure of the cell showed it."""
    work = workload(prompts=("large red star at centre", "small blue ring at left", "large green cross at right"))
    drawn = session.draw_cell(Cell(work, FLOAT32, "hoarding", "{}"), Hoarding(), 2, lambda images: None)
    alone = [session.draw(work, batch, Method()).images[0] for batch in work.batches]
    assert np.array_equal(drawn.images, alone) and drawn.repeat_psnr_db is None


@dataclass
class Odd(Method):
    """Has defaults that neither JSON nor Python writes as they are."""

    name: str = "odd"
    threshold: float = math.inf
    within: tuple[int, int] = (1, 2)

    def enable(self, pipeline: Any, steps: int) -> None:
        pass


def test_defaults_of_any_kind_are_defaults_and_can_be_pasted() -> None:
    assert Odd.full_name(json.loads(json.dumps(Odd().parameters()))) == "odd"
    names: dict[str, Any] = {"Odd": Odd}
    exec(Odd(threshold=-math.inf).snippet(4).before[0], names)
    assert names["method"] == Odd(threshold=-math.inf)
