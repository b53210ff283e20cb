"""The grid: what is expanded from what is typed, and the sentences for what cannot be."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import cache_dit
import diffusers
import pytest
from hydra import compose
from omegaconf import OmegaConf

from tsbench.config import composed
from tsbench.drawing.quantization import check_installed
from tsbench.errors import UserError
from tsbench.grid import expand, impossible, ordered
from tsbench.methods.cache_dit import CacheDit
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.registry import METHODS
from tsbench.models.source import find_model
from tsbench.paths import carried


def keys(*overrides: str) -> list[str]:
    return [cell.key for cell in ordered(point.cell("m") for point in expand(list(overrides)))]


def test_the_reference_comes_by_itself_and_once() -> None:
    cells = ordered(point.cell("m") for point in expand(["method=none,taylorseer", "method.cache_interval=2,3"]))
    assert [cell.method for cell in cells] == ["none", "taylorseer", "taylorseer"]
    assert keys("method.cache_interval=2,3") == [cell.key for cell in cells]


def test_two_spellings_of_a_cell_are_one() -> None:
    assert len(keys("size=128,128x128", "guidance_scale=3.5,3.50")) == 2
    assert keys("method.use_lite_mode=true") == keys("method.use_lite_mode=true", "method.cache_identifiers=[x]")
    assert keys("steps=10") == keys("steps=10", "method.disable_cache_after_step=10")
    assert len(keys("backend=openvino", "steps=10", "method.disable_cache_after_step=-2,8")) == 2


def test_what_openvino_spells_in_several_ways_is_resolved_to_one_that_computes_the_same() -> None:
    for steps, interval, before, after in itertools.product((2, 5, 9), (2, 3), range(11), range(-11, 12)):
        spelled = OpenVinoTaylorSeer("taylorseer", interval, before, after)
        resolved = OpenVinoTaylorSeer(**spelled.resolved(steps))
        assert resolved.promised_schedule(steps) == spelled.promised_schedule(steps)
        assert resolved.resolved(steps) == spelled.resolved(steps)


def test_an_interval_of_one_is_a_cell_of_its_own() -> None:
    assert len(keys("method.cache_interval=1")) == 2


@pytest.mark.parametrize(
    "override",
    [
        "size=144",
        "size=128x144",
        "steps=27",
        "guidance_scale=1",
        "max_sequence_length=16",
        "batch_size=2",
        "seeds=[1]",
        "prompts.limit=3",
        "runtime.dtype=bfloat16",
        "runtime.compile=true",
        "runtime.offload=model",
        "runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}}",
        "method.max_order=2",
        "method.taylor_factors_dtype=float32",
    ],
)
def test_what_changes_an_image_changes_the_key(override: str) -> None:
    assert keys(override)[-1] != keys()[-1]


@pytest.mark.parametrize("override", ["runtime.device=cpu", "timing.pairs=2", "name=x", "metrics=[psnr]"])
def test_what_changes_no_image_leaves_the_key(override: str) -> None:
    assert keys(override) == keys()


def test_the_model_is_known_by_its_weights_and_not_by_its_path() -> None:
    (here,), (there,) = ([point.cell("m").key for point in expand([f"model.path={path}"])] for path in ("/a", "/b"))
    (other,) = [point.cell("n").key for point in expand([])]
    assert here == there != other


def test_model_settings_and_size_change_slowest() -> None:
    cells = ordered(point.cell("m") for point in expand(["method.cache_interval=2,3", "size=192,128", "steps=10,20"]))
    order = [(cell.workload.height, cell.workload.steps, cell.method) for cell in cells]
    assert [size for size, *_ in order] == [192] * 6 + [128] * 6  # as listed
    assert [method for *_, method in order] == ["none", "taylorseer", "taylorseer"] * 4


def test_ranges_and_lists() -> None:
    assert len(keys("method.cache_interval=range(2,6)")) == 5
    assert [point.seeds for point in expand(["seeds=[0,1]"])] == [(0, 1)]
    assert [point.seeds for point in expand(["seeds=0,1"])] == [(0,), (1,)]
    assert keys("seeds=0") == keys("seeds=[0]")


def test_an_experiment_is_a_union_and_overrides_apply_to_every_grid() -> None:
    quick = expand(["experiment=quick"])
    assert len(expand(["experiment=quick", "size=64"])) < len(quick)
    assert {point.height for point in expand(["experiment=quick", "size=64"])} == {64}


def test_the_quick_experiment_covers_what_it_promises() -> None:
    """24 cached cells or more; every mode with every interval at every size and warm-up it appears with."""
    points = [point for point in expand(["experiment=quick"]) if point.method.name == "taylorseer"]
    combinations: dict[object, set[int]] = {}
    for point in points:
        method = point.method
        place = (method.use_lite_mode, method.disable_cache_before_step, point.height)
        combinations.setdefault(place, set()).add(method.cache_interval)
    assert len({point.cell("m").key for point in points}) >= 24
    assert set(map(frozenset, combinations.values())) == {frozenset({2, 3, 4, 6, 8})}
    assert {mode for mode, *_ in combinations} == {True, False}
    assert len({size for *_, size in combinations}) == 2 and len({before for _, before, _ in combinations}) == 2
    assert min(len(point.prompts) for point in points) >= 6


def test_a_key_is_given_once() -> None:
    """Else the first of two values would be left out without a word."""
    with pytest.raises(
        UserError, match="steps is given twice, by 'steps=8' and 'steps=9'; leave one out, or type both"
    ):
        expand(["steps=8", "size=128", "steps=9"])
    with pytest.raises(UserError, match=r"by 'steps=8' and 'steps=8'; leave one out\.$"):
        expand(["steps=8", "steps=8"])
    assert {point.config.steps for point in expand(["steps=8,9", "size=128"])} == {8, 9}


def test_fewer_steps_are_half_of_the_reference_unless_told_otherwise() -> None:
    cells = [point.cell("m") for point in expand(["method=fewer_steps", "steps=8,12"])]
    assert [cell.parameters for cell in cells] == ['{"num_inference_steps":4}', '{"num_inference_steps":6}']
    assert cells[0].key == expand(["method=fewer_steps", "steps=8", "method.num_inference_steps=4"])[0].cell("m").key


@pytest.mark.parametrize("path", sorted(carried("experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_expands_and_opens_with_its_command(path: Path) -> None:
    assert expand([f"experiment={path.stem}"])
    head = path.read_text().split("grids:")[0].splitlines()
    assert any(line.startswith(f"# python -m tsbench sweep experiment={path.stem}") for line in head[:2])


MISTAKES = {
    "method=foo": "There is no method 'foo'; there are: auto, cache_dit, faster_cache, fewer_steps, ",
    "model=foo": "There is no model 'foo'; there are: flux1-dev, flux1-dev-architecture, flux1-schnell, tiny (",
    "experiment=foo": "There is no experiment 'foo'; there are: diffusers_taylorseer, ",
    "timing.pairs=1,6": "timing.pairs cannot be swept: one sweep has one",
    "metrics=[nope]": "There is no metric 'nope'; there are: psnr, ssim, ",
    "metrics=[psnr],[ssim]": "metrics cannot be swept: one sweep has one",
    "experiment=a,b": "experiment cannot be swept; run one experiment after another",
    "method.name=sea_cache": "'method.name=sea_cache' would only rename a method; choose one by method=NAME.",
    "model.name=a,b": "'model.name=a,b' gives one model several names; sweep one model after another.",
    "method.interval=2": "There is no parameter 'method.interval'; there are: cache_interval, ",
    "method.cache_intervall=2": "; did you mean method.cache_interval?",
    "stepss=2": "; did you mean steps?",
    "foo=2": "There is no parameter 'foo'; there are: model, backend, method, ",
    "cache_interval=3": "; did you mean method.cache_interval?",
    "cache_intervall=3": "; did you mean method.cache_interval?",
    "pairs=3": "; did you mean timing.pairs?",
    "order=1": "; did you mean method.max_order?",
    "height=512": "; did you mean size?",
    "identifiers=[a]": "; did you mean method.cache_identifiers?",
    "prompts=mine.txt": "(type prompts=CHOICE, or prompts.file=FILE for your own).",
    "method.cache_interval=x": "method.cache_interval is 'x', but must be a whole number, such as",
    "method.cache_interval=1.5": "method.cache_interval is '1.5', but must be a whole number, such as",
    "guidance_scale=x": "guidance_scale is 'x', but must be a number",
    "runtime.compile=x": "runtime.compile is 'x', but must be true or false",
    "seeds=[a]": "seeds is ['a'], but must be distinct whole numbers",
    "seeds=-1": "seeds is -1, but must be distinct whole numbers",
    "metrics=psnr": "metrics must be a list in brackets",
    "method.cache_interval=0": "method.cache_interval is 0, but must be 1 or more",
    "method.disable_cache_before_step=0": "method.disable_cache_before_step is 0, but must be from 1 to 27",
    "method.disable_cache_before_step=28": "method.disable_cache_before_step is 28, but must be from 1 to 27",
    "method.disable_cache_after_step=-2": "for 2 steps from the end of 28 type method.disable_cache_after_step=26.",
    "method.max_order=-1": "method.max_order is -1, but must be from 0 to 27 (a higher one cannot be formed of 28",
    "method.taylor_factors_dtype=int8": "must be one of: float32, bfloat16, float16",
    "steps=0": "steps is 0, but must be from 1 to 1000",
    "batch_size=0": "batch_size is 0, but must be 1 or more",
    "batch_size=99": "batch_size is 99, but the sweep has only 16 samples",
    "timing.pairs=0": "timing.pairs is 0, but must be from 1 to 1000",
    "max_sequence_length=513": "max_sequence_length is 513, but must be from 1 to 512",
    "seeds=[]": "seeds is [], but must be distinct whole numbers",
    "seeds=[1,1]": "seeds is [1, 1], but must be distinct whole numbers",
    "size=100": "size is 100, but must be a positive multiple of 16 pixels",
    "size=0": "size is 0, but must be a positive multiple of 16 pixels",
    "size=-128": "size is -128, but must be a positive multiple of 16 pixels",
    "size=128x": "size is '128x', but must be a positive multiple of 16 pixels",
    "prompts.file=nowhere.txt": "prompts.file is 'nowhere.txt', which cannot be read as a text file",
    "prompts=general": "cannot be drawn by model=tiny: ",
    "prompts.limit=0": "prompts.limit is 0, but must be 1 or more",
    "runtime.dtype=int8": "runtime.dtype is 'int8', but must be one of: float32, bfloat16, float16",
    "runtime.offload=disk": "runtime.offload is 'disk', but must be one of: none, model, sequential",
    "runtime.quantization.backend=quanto": "runtime.quantization.kwargs is None, but must say what the backend needs",
    "runtime.quantization.backend=zip": "runtime.quantization.backend is 'zip', but must be one of: ",
    "runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}, components: [unet]}": (
        "runtime.quantization.components is ['unet'], but must be one or more of: transformer, text_encoder, "
    ),
    "runtime.quantization.kwargs={load_in_4bit: true}": "backend is null, but other keys of runtime.quantization are",
    "model=null": "model is null, but must be a name; try model=tiny.",
    "method=null": "method is null, but must be a name; try method=taylorseer.",
    "prompts=null": "prompts is null, but must be a name; try prompts=model.",
    "runtime=null": "runtime is null, but must be a name; try runtime=default.",
    "runtime.threads=0": "runtime.threads is 0, but must be from 1 to 1024 (or null, which leaves them to",
    "steps": "'steps' is not an override; overrides look like",
    "=4": "'=4' is not an override; overrides look like",
    "steps =6": "The override 'steps =6' cannot be read; overrides look like steps=20 or seeds=[0,1].",
    "+foo=1": "'+foo=1' adds or deletes a key",
    "hydra.verbose=true": "'hydra.verbose' cannot be overridden",
    "steps=[1": "The override 'steps=[1' cannot be read",
    "method.cache_interval=2,,3,": "; did you mean method.cache_interval=2,3?",
    "seeds=[0,,1]": "; did you mean 'seeds=[0,1]'?",
    "prompts.file=,": """takes quotes: 'prompts.file=","'.""",
    "method.cache_interval=[2, 3]": "several values make a grid without brackets: method.cache_interval=2,3.",
    "name=ünïcode": """takes quotes: 'name="ünïcode"'""",
    "steps=interval(1,3)": "'steps=interval(1,3)' is a continuous interval",
    "steps=range(6,2)": "'steps=range(6,2)' has no value in it; list its values: steps=1,2,3.",
    "method.cache_interval=glob(*)": "'method.cache_interval=glob(*)' is a pattern; list its values: ",
    "method=[none,auto]": "must be a name, or several without brackets; try method=none,auto.",
    "method={name:x}": "method is {name:x}, but must be a name; try method=taylorseer.",
    "name=[1]": "name must be one text, without brackets and without keys of its own, such as name=TEXT.",
    "experiment.x=1": "experiment must be one text, without brackets and without keys of its own,",
    "seeds={a:1}": "seeds must be a list in brackets, such as seeds=[0,1]",
    "metrics=[[psnr]]": "metrics is [[psnr]], but must be a list of single values, without lists in it.",
    "method.cache_identifiers=[[a]]": "method.cache_identifiers is [[a]], but must be a list of single values",
    "model.trained_sizes=[128]": "model.trained_sizes is [128], but must be the least and the largest side in pixels",
    "prompts.file='~nobody-here/x.txt'": "prompts.file is '~nobody-here/x.txt', which cannot be read as a text file",
    "steps=null": "steps is null, but must have a value; leave it out to take its default.",
    "timing=6": "timing is 6, but has keys of its own, to be set one by one: timing.pairs.",
    "steps=1": "steps is 1, but must be 2 or more for a step to be forecast",
    "steps=2": "and this sweep has 2 steps); try method.disable_cache_before_step=1.",
    "guidance_scale=nan": "guidance_scale is nan, but must be 0 or more",
    "seeds=9223372036854775808": "0 or more and below 2^63; try seeds=[0,1].",
    "runtime.threads=1025": "runtime.threads is 1025, but must be from 1 to 1024 (or null",
    "steps=???": "'steps=???' stands for another value; type that value.",
    "timing=${steps}": "'timing=${steps}' stands for another value; type that value.",
    "steps=range(2,9,0)": "'steps=range(2,9,0)' has no value in it; list its values: steps=1,2,3.",
    "steps=range(1,1000000000)": "has more than 1000 values in it",
    "steps=99999999999999999999999": "but must be from 1 to 1000; try steps=28.",
    "guidance_scale=1e30": "guidance_scale is 1e+30, but must be from 0 to 1000000000; try guidance_scale=3.5.",
    "method.max_order=28": "method.max_order is 28, but must be from 0 to 27 (a higher one cannot be formed of 28",
    "metrics=[null]": "metrics[0] is null, but must have a value; leave it out to take its default.",
    "runtime.compile=2": "runtime.compile is '2', but must be true or false, such as runtime.compile=true.",
    "method.use_lite_mode=-1": "method.use_lite_mode is '-1', but must be true or false",
    "++steps=4": "'++steps=4' adds or deletes a key",
    "name=-x": "name is '-x', but must be a plain folder name",
    "name='a\tb'": "but must be a plain folder name",
    "method=none/": "There is no method 'none/'; there are: ",
    "experiment=../experiments/quick": "There is no experiment '../experiments/quick'; there are: ",
    "runtime.dtype=bf16": "must be one of: float32, bfloat16, float16; try runtime.dtype=bfloat16",
    "method.cache_identifiers=['(']": "method.cache_identifiers has '(', which is no regular expression",
}


EXPERIMENTS = {
    "grids: [": "cannot be read as YAML",
    "3": "cannot be read as YAML",
    "grids: [steps=2]\ngrids: [steps=3]": "found duplicate key grids",
    "": "must have a list 'grids' of lines of overrides, such as - model=tiny steps=20.",
    "grids: []": "must have a list 'grids'",
    "grids: [steps=2]\nname: mine": "has a key 'name', but only 'grids'; type it as an override in each of them",
    "grids: steps=20": "must have a list 'grids'",
    "grids: [{steps: 20}]": "must have a list 'grids'",
    "grids: [experiment=quick]": "has a grid with experiment=, but only a command can choose one",
    "grids: ['name=\"a']": "has a grid with an open quotation",
    "grids: [method=taylorseer method.cache_intervall=2]": "with a mistake: There is no parameter 'method.cache_int",
    "grids: [method=taylorseer method.tolerance=0.1]": "leave it out, or sweep a method that has it: method=auto.",
}


@pytest.mark.parametrize("text", EXPERIMENTS)
def test_a_mistake_in_an_experiment_is_one_sentence(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr("tsbench.grid.carried", lambda folder: tmp_path)
    with pytest.raises(UserError, match=r"mine\.yaml") as caught:
        expand(["experiment=mine"])
    assert EXPERIMENTS[text] in str(caught.value) and "\n" not in str(caught.value)


def test_a_grid_that_nobody_could_wait_for_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="make 810000 combinations, but a sweep takes 5000 at most; give fewer values"):
        expand(["steps=range(100,1000)", "method.cache_interval=range(2,902)"])


def test_values_of_an_experiment_may_be_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("""grids: ['steps=20 "name=two words"']""")
    monkeypatch.setattr("tsbench.grid.carried", lambda folder: tmp_path)
    assert [(point.config.steps, point.config.name) for point in expand(["experiment=mine"])] == [(20, "two words")]


@pytest.mark.parametrize(
    ("method", "override", "sentence"),
    [
        ("none", "method.foo=2", "There is no parameter 'method.foo'; there is none."),
        ("mag_cache", "method.mag_ratios=[1,a]", "method.mag_ratios[1] is 'a', but must be a number; try method.mag_"),
    ],
)
def test_a_mistake_in_what_a_method_has(method: str, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        expand([f"method={method}", override])


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_one_sentence(override: str) -> None:
    with pytest.raises(UserError) as caught:
        expand([override])
    assert MISTAKES[override] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parameter_that_no_method_has_is_told_with_those_of_all_methods_of_the_sweep() -> None:
    with pytest.raises(UserError, match=r"'method\.wrong'; there are: tolerance, max_order, max_gap, cache_interval, "):
        expand(["method=auto,taylorseer", "method.wrong=2"])


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model=flux1-dev", "method=mag_cache", "method.threshold=0.1", "model.path=/x", "runtime.offload=model"),
        ("method=taylorseer", r"method.cache_identifiers=['^blocks\.\d+$']", "model.dtype=bfloat16", "seeds=[1,2]"),
        ("prompts=general", "runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}}", "name='a b'"),
    ],
)
def test_a_configuration_is_what_hydra_composes(overrides: tuple[str, ...]) -> None:
    """Values are set on a copy of the groups' composition; interpolations such as that of the dtype still follow."""
    mine = composed(overrides)  # initializes Hydra as well
    assert mine == OmegaConf.to_object(compose("sweep", overrides=list(overrides)))


def test_a_quantization_that_offloading_breaks_is_told_before_anything_is_loaded() -> None:
    """accelerate makes every weight anew when it moves it, and knows none of quanto's kinds."""
    quantized = "runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}}"
    with pytest.raises(UserError, match=r"offload is 'sequential', but layers .*; try runtime\.offload=model\."):
        expand([quantized, "runtime.offload=sequential"])
    assert expand([quantized, "runtime.offload=model"])


def test_random_weights_are_not_quantized() -> None:
    """They would be drawn as they are, and the row would say quantized."""
    quantized = "runtime.quantization={backend: quanto, kwargs: {weights_dtype: int8}}"
    with pytest.raises(UserError, match="only weights that are loaded can be quantized; try"):
        expand(["model=flux1-dev-architecture", "method=taylorseer", quantized])


@pytest.mark.parametrize(
    "override",
    ["Fn_compute_blocks=0", "residual_diff_threshold=-0.1", "max_warmup_steps=-1", "max_cached_steps=-2"],
)
def test_a_mistake_in_cache_dits_parameters(override: str) -> None:
    name, _, value = override.partition("=")
    with pytest.raises(UserError, match=rf"method\.{name} is {value}, but must be .* or more.*; try method\.{name}="):
        expand(["method=cache_dit", f"method.{override}"])


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("steps_computation_mask=CC.C", "is 'CC.C', but must be 16 letters, a C for .* or one of cache-dit's: slow,"),
        ("steps_computation_mask=faster", "is 'faster', but must be 16 letters"),
        ("steps_computation_policy=fixed", "is 'fixed', but must be one of: dynamic, static"),
        ("calibrator_type=taylor", "is 'taylor', but must be one of: taylorseer, foca"),
    ],
)
def test_a_mistake_in_what_cache_dit_computes(override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"method\.{override.split('=')[0]} {sentence}"):
        expand(["method=cache_dit", "steps=16", f"method.{override}"])


def test_cache_dit_needs_both_kinds_of_blocks() -> None:
    """What it cannot be disabled without."""
    with pytest.raises(UserError, match="needs double and single blocks, but this model has 3 and 0; try method=tayl"):
        CacheDit().for_architecture({"num_layers": 3, "num_single_layers": 0})


def test_a_mask_that_cache_dit_does_not_have() -> None:
    with pytest.raises(UserError, match=r"'slow', which cache-dit does not have for 5 steps; try .*mask=CCCCC"):
        expand(["method=cache_dit", "steps=5", "method.steps_computation_mask=slow"])


def test_cache_dit_cells_are_what_is_computed() -> None:
    """A mask by its name and by its letters; parameters without effect beside a mask, its policy or a calibrator."""

    def key(*given: str) -> str:
        (point,) = expand(["method=cache_dit", "steps=28", *(f"method.{override}" for override in given)])
        return point.cell("m").key

    letters = "CCCCCC.C...C....C.....C....C"  # six computed, then five between 1, 3, 4, 5 and 4 others
    fast, static = "steps_computation_mask=fast", "steps_computation_policy=static"
    assert key(fast) == key(f"steps_computation_mask={letters}") == key(fast, "max_warmup_steps=2")
    assert (
        key(fast, static) == key(fast, static, "residual_diff_threshold=0.3") == key(fast, static, "max_cached_steps=3")
    )
    assert len({key(), key(fast), key(fast, static), key(fast, "residual_diff_threshold=0.3")}) == 4
    assert key(static) == key() == key("taylorseer_order=2")
    assert len({key(), key("calibrator_type=foca"), key("calibrator_type=taylorseer", "taylorseer_order=2")}) == 3


def test_a_static_mask_is_drawn_with_random_weights() -> None:
    """It does not look at the data, unlike the threshold."""
    architecture = ["model=flux1-dev-architecture", "method=cache_dit"]
    static = ["method.steps_computation_mask=fast", "method.steps_computation_policy=static"]
    reasons = []
    for overrides in (architecture, [*architecture, *static]):
        (point,) = expand(overrides)
        reasons.append(impossible(point.cell("m"), point.method))
    assert reasons[0].startswith("meaningless with random weights") and reasons[1] is None


def test_a_method_whose_package_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsbench.packages.installed_version", lambda name: None)
    sentence = r"method=cache_dit cannot be drawn here: it needs the cache-dit package: pip install .*\[cache-dit\]'\."
    with pytest.raises(UserError, match=sentence):
        expand(["method=cache_dit"])


@pytest.mark.parametrize(("backend", "package"), [("bitsandbytes", "bitsandbytes"), ("quanto", "optimum-quanto")])
def test_a_missing_quantization_library_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, backend: str, package: str
) -> None:
    """Before the model is looked for; without it transformers' own error names a package and no command."""
    monkeypatch.setattr("tsbench.packages.installed_version", lambda name: None)
    sentence = rf"backend={backend} cannot be used here: it needs the {package} package: pip .*\[quantization\]'\."
    with pytest.raises(UserError, match=sentence):
        check_installed(backend)


def test_a_parameter_that_no_method_of_the_sweep_has() -> None:
    with pytest.raises(UserError, match=r"No cell of this sweep has the parameter 'method\.cache_interval'"):
        expand(["method=none", "method.cache_interval=2"])


def test_parameters_of_the_default_method_are_those_of_the_typed_one() -> None:
    """OpenVINO's TaylorSeer has no order; beside diffusers' that is no mistake, whether the method is typed or not."""
    swept = ["backend=diffusers,openvino", "method.max_order=1,2"]
    points = expand(swept)
    assert points == expand([*swept, "method=taylorseer"])
    assert [point.config.backend for point in points] == ["diffusers", "diffusers", "openvino"]


def test_an_architecture_that_is_carried_for_plans_alone_cannot_be_drawn() -> None:
    with pytest.raises(UserError, match=r"model\.architecture is 'flux1-schnell', of which only the transformer is"):
        find_model("architecture", "flux1-schnell")


@pytest.mark.parametrize("written", ["C" * 300, "x" * 300, "CCX", "."])
def test_a_step_map_that_is_none_is_one_sentence(written: str) -> None:
    """No file has a name of 300 letters, and to ask the system for one raises."""
    with pytest.raises(
        UserError, match=r"method\.step_map is .*; (try|give one letter per step, such as) method\.step_map=C"
    ):
        expand(["method=taylor_seer", f"method.step_map={written}"])


def test_a_step_map_may_lie_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "map.txt").write_text("CC.C")
    (point,) = expand(["steps=4", "method=taylor_seer", "method.step_map='~/map.txt'"])
    assert point.method.promised_schedule(4) == "CC.C"


def test_a_step_map_in_a_file_is_read_once(tmp_path: Path) -> None:
    """Or an edit while a sweep draws would change the images under the name and key of the old map."""
    path = tmp_path / "map.txt"
    path.write_text("CC.C")
    (point,) = expand(["steps=4", "method=taylor_seer", f"method.step_map='{path}'"])
    path.write_text("C...")
    assert point.method.promised_schedule(4) == "CC.C"
    path.unlink()
    assert point.method.promised_schedule(4) == point.method.resolved(4)["step_map"] == "CC.C"


def test_prompts_may_be_given_as_they_are() -> None:
    """No file is read, so none is named, and a prompt may have lines."""
    (point,) = expand(["model=flux1-dev"], prompts=("a cat\na dog",))
    assert point.prompts == ("a cat\na dog",)
    with pytest.raises(UserError, match=r"The prompt 'a cat\\na dog' cannot be drawn by model=tiny: .*try one of them"):
        expand([], prompts=("a cat\na dog",))


CONFIGURED = [(backend, name) for backend, methods in METHODS.items() for name in methods]


@pytest.mark.parametrize(("backend", "name"), CONFIGURED, ids=map("-".join, CONFIGURED))
def test_defaults_are_the_same_in_conf_and_in_the_class(backend: str, name: str) -> None:
    """They are written in both, and commands to paste leave out what the class says."""
    (point,) = expand([f"backend={backend}", f"method={name}"])
    assert point.method == METHODS[backend][name]()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("taylorseer", diffusers.TaylorSeerCacheConfig),
        ("first_block_cache", diffusers.FirstBlockCacheConfig),
        ("mag_cache", diffusers.MagCacheConfig),
        ("sea_cache", diffusers.SeaCacheConfig),
        ("cache_dit", cache_dit.DBCacheConfig),
    ],
)
def test_names_and_defaults_are_the_librarys_where_conf_says_so(name: str, theirs: Any) -> None:
    assert "names and defaults are those of " in (carried("conf") / "method" / f"{name}.yaml").read_text()
    own = METHODS["diffusers"][name]().parameters()
    own.pop("calibrator_type", None)  # which of cache-dit's calibrator configurations
    known = {field.name: field.default for field in fields(theirs)}
    if name == "cache_dit":
        known |= {"taylorseer_order": cache_dit.TaylorSeerCalibratorConfig().taylorseer_order}
    assert own == {key: str(known[key]).removeprefix("torch.") if "dtype" in key else known[key] for key in own}


def test_a_prompt_file_is_the_one_that_was_named(tmp_path: Path) -> None:
    """Not one with .txt behind its name, as tsbench's own lists have it."""
    (tmp_path / "mine").write_text("a cat")
    (tmp_path / "mine.txt").write_text("a dog")
    (tmp_path / "other.txt").write_text("a dog")
    (point,) = expand(["model=flux1-dev", f"prompts.file={tmp_path / 'mine'}"])
    assert point.prompts == ("a cat",)
    with pytest.raises(UserError, match="cannot be read as a text file"):
        expand(["model=flux1-dev", f"prompts.file={tmp_path / 'other'}"])


def test_prompt_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeffa cat\r\n\n  a dog \n# a\u2028cat\na cat\n".encode())  # no line ends at U+2028
    (point,) = expand(["model=flux1-dev", f"prompts.file={file}"])
    assert point.prompts == ("a cat", "a dog", "# a\u2028cat")
    file.write_text("a cat")
    with pytest.raises(UserError, match="'a cat' is not in the grammar of the embedded model, which knows captions"):
        expand([f"prompts.file={file}"])
    file.write_text("\n \n")
    with pytest.raises(UserError, match="which has no prompt in it"):
        expand([f"prompts.file={file}"])
