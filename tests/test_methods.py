"""Methods beside diffusers' TaylorSeer: forecasts on closed forms, and what they draw."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from diffusers import CacheMixin
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tests.helpers import FLOAT32, cell, workload
from tsbench.budget import planned_images
from tsbench.cell import Cell
from tsbench.drawing.diffusers import DiffusersSession
from tsbench.drawing.hooks import hooked_modules
from tsbench.flops import step_cost
from tsbench.forecast import STATE
from tsbench.methods import Method
from tsbench.methods.auto import Auto
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.faster_cache import FasterCache
from tsbench.methods.fewer_steps import FewerSteps
from tsbench.methods.first_block_cache import FirstBlockCache
from tsbench.methods.mag_cache import MagCache
from tsbench.methods.pyramid_attention_broadcast import PyramidAttentionBroadcast
from tsbench.methods.registry import METHODS
from tsbench.methods.sea_cache import SeaCache
from tsbench.methods.taylor_seer import TaylorSeerDecorator
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.methods.taylorseer_official import TaylorSeerOfficial
from tsbench.paths import ASSETS
from tsbench.schedule import schedule_note


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
def test_the_official_schedule_is_what_is_computed(session: DiffusersSession, first: int, interval: int) -> None:
    method = TaylorSeerOfficial(first_enhance=first, cache_interval=interval)
    drawn = session.draw(workload(), workload().batches[0], method)
    assert drawn.schedule == method.promised_schedule(8) and "." in drawn.schedule
    assert not hooked_modules(session.pipeline.transformer)


def test_the_official_method_at_an_interval_of_one_changes_no_bit(session: DiffusersSession) -> None:
    work = workload()
    full = session.draw(work, work.batches[0], Method()).images
    assert np.array_equal(session.draw(work, work.batches[0], TaylorSeerOfficial(cache_interval=1)).images, full)


def test_fewer_steps_are_a_run_of_so_many_steps(session: DiffusersSession) -> None:
    """Bit for bit the full run of the smaller number."""
    fewer = session.draw(workload(steps=8), workload().batches[0], FewerSteps(num_inference_steps=5))
    assert fewer.schedule == "CCCCC" and len(fewer.timing.step_s) == 5
    assert np.array_equal(fewer.images, session.draw(workload(steps=5), workload().batches[0], Method()).images)


STEPS = 12
EVERY = {  # settings under which each method skips something in a short run; SeaCache never does
    "fewer_steps": FewerSteps(num_inference_steps=6),
    "taylorseer": TaylorSeer(cache_interval=3),
    "taylorseer_official": TaylorSeerOfficial(cache_interval=3),
    "first_block_cache": FirstBlockCache(threshold=0.5),
    "cache_dit": CacheDit(
        Fn_compute_blocks=2,
        Bn_compute_blocks=1,
        residual_diff_threshold=0.5,
        max_warmup_steps=5,
        calibrator_type="taylorseer",
    ),
    "mag_cache": MagCache(threshold=0.5),
    "pyramid_attention_broadcast": PyramidAttentionBroadcast(),
    "faster_cache": FasterCache(),
    "sea_cache": SeaCache(threshold=100.0),
    "taylor_seer": TaylorSeerDecorator(skip_interval_steps=3),
    "auto": Auto(tolerance=0.5),
}


def counted_flop(session: DiffusersSession, method: Method) -> float:
    """Of one run, counted while it really draws: all but text encoders and decoder, whose modules no cache touches.

    torch has no count for attention on a CPU by itself.
    """
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mapping = {attention: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v)}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        session.draw(workload(steps=STEPS), workload().batches[0], method)
    counts = counter.get_flop_counts()
    others = sum(sum(counts[name].values()) for name in ("CLIPTextModel", "T5EncoderModel", "Decoder"))
    return counter.get_total_flops() - others


def parts_of(session: DiffusersSession) -> list[tuple[str, object]]:
    """Every module in its place, and the code of its forward."""
    return [(name, part.forward.__func__) for name, part in session.pipeline.transformer.named_modules()]


def calibrated(session: DiffusersSession, method: Method) -> Method:
    return session.calibrated(method, workload(steps=STEPS), lambda count: None)


def test_every_method_is_here() -> None:
    assert set(EVERY) == set(METHODS["diffusers"]) - {"none"}


FOCA = CacheDit(
    Fn_compute_blocks=1,
    steps_computation_mask="CCCC.C..C..C",
    steps_computation_policy="static",
    calibrator_type="foca",
)


@pytest.mark.parametrize("setting", [*EVERY.values(), FOCA], ids=[*EVERY, "cache_dit with FoCa"])
def test_a_method_leaves_no_trace_repeats_and_saves_what_is_counted(session: DiffusersSession, setting: Method) -> None:
    """Bit-identities, and the FLOPs and kept bytes of a real run against the plan's, for its measured schedule."""
    work, name = workload(steps=STEPS), setting.name
    before, parts = session.draw(work, work.batches[0], Method()).images, parts_of(session)
    method = calibrated(session, setting)
    drawn = session.draw(work, work.batches[0], method, inspect=True)
    again = session.draw(work, work.batches[0], method)
    assert np.array_equal(drawn.images, again.images) and drawn.schedule == again.schedule
    assert np.array_equal(session.draw(work, work.batches[0], Method()).images, before)
    assert not hooked_modules(session.pipeline.transformer) and parts_of(session) == parts
    promised = method.promised_schedule(STEPS)
    assert promised is None or drawn.schedule == promised
    inert = name == "sea_cache"
    assert np.array_equal(drawn.images, before) == inert
    assert ("." in drawn.schedule) == (name not in ("sea_cache", "fewer_steps"))
    note = schedule_note(promised, [drawn.schedule], STEPS)
    assert note == ("inert: every step was computed" if inert else None)

    config = dict(session.pipeline.transformer.config)
    cost = step_cost(config, Cell(work, FLOAT32, name, "{}"), method)
    scalars = 8 if name == "mag_cache" else 0  # two running scalars, which are no tensors in the count
    assert drawn.cache_bytes == cost.cache_bytes + scalars
    assert (cost.cache_bytes > 0) == (name not in ("sea_cache", "fewer_steps"))
    planned = cost.columns([drawn.schedule], STEPS, 1)["tflop"] * 1e12
    assert counted_flop(session, method) == pytest.approx(planned, rel=1e-6)
    assert inert or planned < STEPS * cost.full_flop


@pytest.mark.parametrize(
    "method",
    [
        FirstBlockCache(threshold=1e9),
        CacheDit(residual_diff_threshold=1.0, max_warmup_steps=0),
        CacheDit(residual_diff_threshold=1.0, max_warmup_steps=3, max_continuous_cached_steps=2, max_cached_steps=3),
        CacheDit(residual_diff_threshold=1.0, max_cached_steps=0),
        CacheDit(residual_diff_threshold=1.0, steps_computation_mask="C.C.......C.", max_continuous_cached_steps=3),
        CacheDit(residual_diff_threshold=1.0, steps_computation_mask="CC...C......", max_cached_steps=5),
        MagCache(threshold=1e9),
        MagCache(threshold=1e9, max_skip_steps=5, retention_ratio=0.0),
        Auto(tolerance=1e9, max_gap=3),
        Auto(tolerance=1e9, max_order=2),
        PyramidAttentionBroadcast(
            spatial_attention_block_skip_range=3, spatial_attention_timestep_skip_range=[-1, 1001]
        ),
        FasterCache(spatial_attention_block_skip_range=3, spatial_attention_timestep_skip_range=[-1, 1000]),
    ],
    ids=lambda method: method.full_name(method.parameters()),
)
def test_no_setting_computes_fewer_steps_than_its_limits_allow(session: DiffusersSession, method: Method) -> None:
    """And one that never finds a reason to compute comes down to them: the ceiling of a plan can be reached."""
    work = workload(steps=STEPS)
    drawn = session.draw(work, work.batches[0], calibrated(session, method))
    assert drawn.schedule == method.fewest_computed(STEPS)


def test_a_workload_is_calibrated_once_and_its_images_are_announced(session: DiffusersSession) -> None:
    """However many thresholds a sweep has: ratios depend on the model and the workload alone."""
    cells = [cell("mag_cache", f'{{"threshold":{t}}}', steps=STEPS, guidance_scale=2.0) for t in (0.1, 0.5)]
    methods = {cells[0].key: MagCache(threshold=0.1), cells[1].key: MagCache(threshold=0.5)}
    planned = planned_images(cells, 1, methods)
    ratios = []
    for each in cells:
        drawn: list[int] = []
        ratios.append(session.draw_cell(each, methods[each.key], 1, drawn.append).method.mag_ratios)
        assert sum(drawn) == planned[each.key].total
    first, second = (planned[each.key].total for each in cells)
    assert first - second == 2 + 1  # of two samples, and the reference's warm-up
    assert ratios[0] is ratios[1] and methods[cells[0].key].mag_ratios is None


def test_mag_cache_calibrates_itself_and_says_with_what(session: DiffusersSession) -> None:
    """The ratios are means of the growth of the residual's magnitude, 1 at the first step; then the rule is known.

    Of all images, so that neither their order nor their batches decide which steps a threshold computes.
    """
    method = calibrated(session, MagCache(threshold=0.5))
    assert len(method.mag_ratios) == STEPS and method.mag_ratios[0] == 1
    assert all(0.1 < ratio < 10 for ratio in method.mag_ratios)
    assert "." in method.promised_schedule(STEPS) and MagCache().promised_schedule(STEPS) is None
    work = workload(steps=STEPS)
    result = session.draw_cell(cell("mag_cache", steps=STEPS), MagCache(threshold=0.5), 1, lambda count: None)
    assert result.method.mag_ratios == method.mag_ratios

    together = session.calibrated(MagCache(threshold=0.5), workload(steps=STEPS, batch_size=2), lambda count: None)
    assert together.mag_ratios == pytest.approx(method.mag_ratios, rel=1e-4)
    residuals: list[Any] = []
    blocks = (
        session.pipeline.transformer.transformer_blocks[0],
        session.pipeline.transformer.single_transformer_blocks[-1],
    )
    first = blocks[0].register_forward_pre_hook(
        lambda _, args, kwargs: residuals.append(kwargs["hidden_states"]), with_kwargs=True
    )
    last = blocks[1].register_forward_hook(lambda *args: residuals.append(args[2][1] - residuals.pop()))
    for batch in work.batches:
        session.draw(work, batch, Method())
    first.remove(), last.remove()
    norms = [residual.norm(dim=-1) for residual in residuals]
    grown = [float((now / before).mean()) for before, now in itertools.pairwise(norms)]
    ratios = [(one + other) / 2 for one, other in zip(grown, grown[STEPS:])]  # between the two, nothing
    assert method.mag_ratios[1:] == pytest.approx(ratios, rel=1e-5)


@pytest.mark.parametrize("threshold", [0.1, 0.4])
def test_two_libraries_draw_the_same_image(session: DiffusersSession, threshold: float) -> None:
    """DBCache of one block without a warm-up is First Block Cache: cache-dit's and diffusers' agree in every bit."""
    work = workload(steps=28)
    drawn = session.draw(work, work.batches[0], FirstBlockCache(threshold=threshold))
    method = CacheDit(Fn_compute_blocks=1, residual_diff_threshold=threshold, max_warmup_steps=0)
    other = session.draw(work, work.batches[0], method)
    assert drawn.schedule == other.schedule and 4 < drawn.schedule.count("C") < 24
    assert np.array_equal(drawn.images, other.images)


@pytest.mark.parametrize("mask", ["CCC.C...C..C", "fast"])
def test_a_mask_is_the_schedule_of_a_static_policy(session: DiffusersSession, mask: str) -> None:
    """And the least that a dynamic one computes: bit for bit the same where every residual passes for unchanged.

    Where none does, a mask skips nothing.
    """
    work = workload(steps=STEPS)
    masked = CacheDit(Fn_compute_blocks=1, steps_computation_mask=mask)
    static = session.draw(work, work.batches[0], replace(masked, steps_computation_policy="static"))
    assert static.schedule == masked.resolved(STEPS)["steps_computation_mask"] and "." in static.schedule
    dynamic = session.draw(work, work.batches[0], replace(masked, residual_diff_threshold=1.0))
    assert dynamic.schedule == static.schedule and np.array_equal(dynamic.images, static.images)
    strict = session.draw(work, work.batches[0], replace(masked, residual_diff_threshold=0.0))
    assert strict.schedule == "C" * STEPS


def test_foca_is_a_straight_line_of_the_taylor_series_near_two_computed_steps(session: DiffusersSession) -> None:
    """Worked out from cache-dit's formula (after Zheng et al., 2025, arXiv:2508.16211): its two slopes are one there.

    From the fourth step on it is damped, and computed steps with others between them give it another slope.
    """
    work = workload(steps=STEPS)

    def drawn(mask: str, calibrator: str | None) -> Any:
        method = replace(FOCA, steps_computation_mask=mask, calibrator_type=calibrator)
        return session.draw(work, work.batches[0], method).images.astype(int)

    near, far, apart = "CCCC...CC..C", "CCCC....CCCC", "CCCC.C.C.C.C"
    assert np.abs(drawn(near, "foca") - drawn(near, "taylorseer")).max() <= 1
    assert np.abs(drawn(near, "foca") - drawn(near, None)).max() > 1
    for mask in (far, apart):
        assert np.abs(drawn(mask, "foca") - drawn(mask, "taylorseer")).max() > 1


def test_mag_cache_is_calibrated_on_a_model_without_single_blocks(session: DiffusersSession) -> None:
    transformer = session.pipeline.transformer
    blocks, transformer.single_transformer_blocks = transformer.single_transformer_blocks, torch.nn.ModuleList()
    try:
        ratios = session.calibrated(MagCache(), workload(steps=5), lambda count: None).mag_ratios
    finally:
        transformer.single_transformer_blocks = blocks
    assert len(ratios) == 5 and ratios[0] == 1 and all(0.1 < ratio < 10 for ratio in ratios)


def test_an_offloaded_model_is_still_offloaded_after_cache_dit(session: DiffusersSession) -> None:
    """accelerate replaces `forward` of the same module, which cache-dit does not put back."""
    calls = []

    class Noting(ModelHook):
        def pre_forward(self, module: torch.nn.Module, *args: object, **kwargs: object) -> tuple[object, object]:
            calls.append(module)
            return args, kwargs

    work, transformer = workload(steps=4), session.pipeline.transformer
    add_hook_to_module(transformer, Noting())
    try:
        for method in (Method(), CacheDit(max_warmup_steps=2), Method()):
            calls.clear()
            session.draw(work, work.batches[0], method)
            assert len(calls) == 4
    finally:
        remove_hook_from_module(transformer)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_every_method_works_on_a_model_that_is_offloaded(
    session: DiffusersSession, monkeypatch: pytest.MonkeyPatch, name: str, offload: str
) -> None:
    """As accelerate does it, on a machine without a GPU: `forward` is replaced, of the model, and again at the end of
    every image, or of every part of it. Nothing of that is taken for what a method left behind."""
    work, transformer = workload(steps=STEPS), session.pipeline.transformer
    method = calibrated(session, EVERY[name])
    alone = session.draw(work, work.batches[0], method)

    def offloaded() -> None:
        remove_hook_from_module(transformer, recurse=True)
        for module in transformer.modules() if offload == "sequential" else [transformer]:
            if module is transformer or next(module.parameters(recurse=False), None) is not None:
                add_hook_to_module(module, ModelHook())

    offloaded()
    if offload == "model":
        monkeypatch.setattr(session.pipeline, "maybe_free_model_hooks", offloaded)
    try:
        for _ in range(2):
            drawn = session.draw(work, work.batches[0], method)
            assert drawn.schedule == alone.schedule and np.array_equal(drawn.images, alone.images)
        assert session.draw(work, work.batches[0], Method()).schedule == "C" * STEPS
    finally:
        remove_hook_from_module(transformer, recurse=True)


def test_the_forecaster_agrees_with_diffusers_lite(session: DiffusersSession) -> None:
    """Both forecast in a straight line, of the transformer's output and of its last layer: one and the same."""
    work = workload(steps=STEPS)
    lite = TaylorSeer(cache_interval=3, disable_cache_before_step=3, use_lite_mode=True, taylor_factors_dtype="float32")
    by_diffusers = session.draw(work, work.batches[0], lite)
    by_tsbench = session.draw(work, work.batches[0], TaylorSeerDecorator(step_map=by_diffusers.schedule))
    assert by_tsbench.schedule == by_diffusers.schedule
    assert np.abs(by_tsbench.images.astype(int) - by_diffusers.images).max() <= 1


@pytest.mark.parametrize("wrap", ["blocks", "transformer"])
def test_both_wraps_of_the_forecaster(session: DiffusersSession, wrap: str) -> None:
    method = TaylorSeerDecorator(wrap=wrap, skip_interval_steps=3)
    drawn = session.draw(workload(steps=STEPS), workload().batches[0], method)
    assert drawn.schedule == method.promised_schedule(STEPS) == "CCC..C..C..C"
    assert all(STATE not in module.__dict__ for module in session.pipeline.transformer.modules())


def test_every_image_has_its_own_schedule(session: DiffusersSession) -> None:
    work = workload(steps=28, height=128, width=128)
    schedules = [session.draw(work, batch, Auto(tolerance=0.1)).schedule for batch in work.batches]
    assert all(schedule.startswith("CCC") and schedule.endswith("C") for schedule in schedules)
    assert all(schedule.count(".") > 10 for schedule in schedules)


CHANGED = {  # where neither a larger number nor the opposite is another value
    "disable_cache_after_step": (20, 21),
    "taylor_factors_dtype": ("float32", "float16"),
    "cache_identifiers": (["attn"], ["ff"]),
    "skip_predict_identifiers": (["attn"], ["ff"]),
    "spatial_attention_timestep_skip_range": ([0, 700], [0, 600]),
    "mag_ratios": ([1.0, 1.0], [1.0, 0.9]),
    "step_map": ("CC.C", "CCC."),
    "wrap": ("blocks",),
    "steps_computation_mask": ("CC.C", "CCC."),
    "steps_computation_policy": ("static",),
    "calibrator_type": ("taylorseer", "foca"),
    "num_inference_steps": (14, 7),
}


@pytest.mark.parametrize(
    "method", [pytest.param(m, id=f"{backend}-{name}") for backend, own in METHODS.items() for name, m in own.items()]
)
def test_no_two_settings_have_the_same_name(method: type[Method]) -> None:
    """A row of a table or a line of a plot that could be either of two settings is of no use."""
    defaults = method().parameters()
    settings = [defaults]
    for name, value in defaults.items():
        values = CHANGED.get(name) or ((not value,) if isinstance(value, bool) else (value + 1, value + 2))
        settings += [defaults | {name: changed} for changed in values]
    names = [method.full_name(one) for one in settings]
    assert len(set(names)) == len(names)


def test_what_has_no_place_in_a_name_is_added_to_the_series() -> None:
    """At its default, or where a step map leaves it without effect, a parameter is not named."""
    assert MagCache.full_name(MagCache(retention_ratio=0.5).resolved(STEPS)) == (
        "MagCache (diffusers), up to 3 skipped, retention_ratio=0.5, thr 0.06"
    )
    mapped = TaylorSeerDecorator(step_map="C" + "." * 7).resolved(8)
    assert TaylorSeerDecorator.full_name(mapped) == "taylor_seer (tsbench), transformer, maps, C......."


@pytest.mark.parametrize("name", EVERY)
def test_the_python_to_paste_draws_what_the_cell_drew(session: DiffusersSession, name: str) -> None:
    """In every bit, on the pipeline as a user has it: nothing of tsbench runs but what the lines ask for.

    The next image too, which what a cache keeps of the first would change.
    """
    work, method = workload(steps=STEPS), calibrated(session, EVERY[name])
    pipe = DiffusersSession(ASSETS / "tiny", FLOAT32, torch.device("cpu")).pipeline
    imports, before, after = method.snippet(STEPS)
    names = {"pipe": pipe}
    exec("\n".join(["import torch", *imports]), names)
    for number, batch in enumerate(work.batches):
        if number == 0 or after:
            exec("\n".join(before), names)
        picture = pipe(
            prompt=[batch[0].prompt],
            height=work.height,
            width=work.width,
            num_inference_steps=method.drawn_steps(STEPS),
            guidance_scale=work.guidance_scale,
            max_sequence_length=work.max_sequence_length,
            generator=[torch.Generator("cpu").manual_seed(batch[0].seed)],
            output_type="np",
        ).images[0]
        exec("\n".join(after), names)
        drawn = session.draw(work, batch, method)
        assert np.array_equal((picture * 255).round().astype(np.uint8), drawn.images[0])
    assert number == 1
