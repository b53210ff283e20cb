"""Python and overrides to paste."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import cell
from tests.stores import drawn_cell, timed
from tsbench.__main__ import main
from tsbench.cell import Settings
from tsbench.errors import UserError
from tsbench.grid import expand
from tsbench.methods.taylorseer import TaylorSeer
from tsbench.point import Point
from tsbench.snippet import overrides, snippet
from tsbench.store import Store
from tsbench.stored import DrawnCell

PAIR: dict[str, object] = {"batch": 0, "reference": timed(1.0, [0.4]), "method": timed(1.0, [0.2])}


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
        ["timing.pairs=24", "runtime.threads=1", "runtime.device=cpu"],
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
    config = point.config
    kept = drawn_cell(
        point.cell("m"),
        ["C"] * len(point.cell("m").workload.samples),
        [PAIR] * config.timing.pairs,
        model_path=config.model.path,
        device=config.runtime.device.replace("auto", "cuda"),
        threads=config.runtime.threads,
    )
    printed = shlex.split(overrides(kept))
    assert printed[:4] == ["python", "-m", "tsbench", "sweep"]
    return printed[4:]


def test_a_parameter_that_is_gone_leaves_no_other_setting_to_paste() -> None:
    """As after an edit of a package: the defaults would be drawn in its place."""
    drawn = drawn_cell(cell("taylorseer", '{"cache_interval": 2, "every": 3}', steps=4), ["CCCC"] * 2, [PAIR])
    told = "# taylorseer, as it is installed here, has no parameter 'every'"
    assert isinstance(drawn, DrawnCell) and snippet(drawn) == [told] and overrides(drawn) == told
    assert TaylorSeer.full_name(drawn.params) == "TaylorSeer (diffusers), cache_interval=2, every=3"


def test_what_a_snippet_cannot_show_is_said() -> None:
    random = drawn_cell(cell(random_weights=True), ["C"] * 2, [PAIR])
    assert snippet(random) == ["# random weights: there is no image to draw"]
    elsewhere = drawn_cell(cell("of_a_package", '{"every": 3}'), ["C"] * 2, [PAIR])
    assert snippet(elsewhere) == ["# of_a_package comes from a package that is not installed here"]
    batch = "# measured in batches of 2: alone an image may come out a little different"
    said = [batch in snippet(drawn_cell(cell(batch_size=size), ["C"] * 2, [PAIR])) for size in (1, 2)]
    assert said == [False, True]


def test_prompts_of_a_user_are_asked_for_by_the_overrides(here: Path) -> None:
    """Without a word of them the command would draw the model's own prompts, and call it the same cell."""
    (here / "mine.txt").write_text("a cat\na dog\n")
    (point,) = expand(["model=flux1-dev", "prompts.file=mine.txt"])
    with pytest.raises(UserError, match="YOUR_PROMPTS"):
        expand(printed_overrides(point))
    (here / "mine.txt").rename(here / "YOUR_PROMPTS.txt")
    (again,) = expand(printed_overrides(point))
    assert again.cell("m").key == point.cell("m").key


def test_the_model_is_found_from_anywhere(here: Path) -> None:
    """A relative path is relative to where the cell was drawn, and a hub id is none."""
    (here / "m" / "mine").mkdir(parents=True)
    for typed, path in (("m/mine", str(here / "m" / "mine")), ("black-forest-labs/FLUX.1-dev",) * 2):
        (code,) = (
            line for line in snippet(drawn_cell(cell(), ["C"] * 2, [PAIR], model_path=typed)) if "pretrained(" in line
        )
        assert f'"{path}"' in code


def test_the_snippet_runs_as_the_cell_ran() -> None:
    """A setting that was measured compiled, offloaded or quantized is not the same one without."""
    quantization = {"backend": "quanto", "kwargs": {"weights_dtype": "int8"}}
    quantized = json.dumps(quantization | {"components": ["transformer", "text_encoder_2"]})
    settings = Settings(dtype="bfloat16", offload="model", compile=True, quantization=quantized)
    kept = drawn_cell(
        replace(cell("taylorseer", '{"cache_interval":3}'), settings=settings),
        ["CCC"] * 2,
        [PAIR],
        model_path="black-forest-labs/FLUX.1-dev",
        device="cuda",
    )
    code = "\n".join(snippet(kept))
    compile(code, "snippet", "exec")
    assert 'pipe.enable_model_cpu_offload(device="cuda")' in code and "pipe.to(" not in code
    assert "pipe.transformer.compile_repeated_blocks()" in code
    assert "torch._dynamo.config.recompile_limit = 64" in code
    mapping = (
        """{"transformer": diffusers.QuantoConfig(weights_dtype='int8'), """
        """"text_encoder_2": transformers.QuantoConfig(weights='int8')}"""
    )
    assert f"quant_mapping={mapping}" in code
    again = overrides(kept)
    assert "runtime.offload=model runtime.compile=true " in again and "runtime.quantization.backend=" in again
    assert "runtime.device" not in again
    on_cpu = replace(kept, device="cpu", settings=replace(settings, offload="none"))
    assert "runtime.device=cpu" in overrides(on_cpu) and "offload" not in overrides(on_cpu)
    assert 'pipe.to("cpu")' in snippet(on_cpu)
