"""A cell as text to paste: Python that draws with its setting, and overrides of `sweep` that draw it again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from tsbench.cell import Settings
from tsbench.config import composed
from tsbench.drawing.quantization import quantization_call
from tsbench.errors import first_line
from tsbench.methods import Method
from tsbench.methods.base import keywords
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.methods.registry import NotInstalled, method_class
from tsbench.paths import ASSETS, carried, expanded
from tsbench.prompts import CARRIED, read_prompts
from tsbench.schema import TimingConfig
from tsbench.stored import DrawnCell

AUTOMATIC = ("cuda", "CPU")  # what runtime.device=auto comes to wherever a cell can be drawn, and OpenVINO's


def snippet(cell: DrawnCell) -> list[str]:
    """Python that draws the first image of a cell with its setting, ready to run."""
    workload, settings = cell.workload, cell.settings
    if workload.random_weights:
        return ["# random weights: there is no image to draw"]
    folder = ASSETS / "tiny" if cell.model_path == "embedded" else expanded(cell.model_path)
    path = str(folder.resolve() if folder.is_dir() else folder)  # of the hub it is a name
    kind = method_class(cell.backend, cell.method)
    if issubclass(kind, NotInstalled):
        return [f"# {cell.method} comes from a package that is not installed here"]
    if other := _of_other_code(cell, kind):
        return [other]
    method = kind(**_fields(kind, cell.params | cell.calibration))
    prompt = json.dumps(workload.prompts[0], ensure_ascii=False)
    given = (
        f"height={workload.height}, width={workload.width}, "
        f"num_inference_steps={method.drawn_steps(workload.steps)}, guidance_scale={workload.guidance_scale}, "
        f"max_sequence_length={workload.max_sequence_length}"
    )
    if cell.backend == "openvino":
        return _openvino_snippet(cell, path, method, prompt, given)
    try:
        imports, before, after = method.snippet(workload.steps)
    except Exception as error:  # of a method that is not tsbench's, it may be any
        return [f"# {cell.method} has no Python to show ({first_line(error)})"]
    if workload.batch_size > 1:
        batch = f"# measured in batches of {workload.batch_size}: alone an image may come out a little different"
        before = [batch, *before]
    more_imports, options, placed = _runtime(settings, cell.device)
    return [
        "import torch",
        "from diffusers import FluxPipeline",
        *more_imports,
        *imports,
        "",
        f"pipe = FluxPipeline.from_pretrained({json.dumps(path)}, dtype=torch.{settings.dtype}{options})",
        *placed,
        *before,
        f'generator = torch.Generator("cpu").manual_seed({workload.seeds[0]})',
        f"image = pipe({prompt}, {given}, generator=generator).images[0]",
        'image.save("image.png")',
        *after,
    ]


def _runtime(settings: Settings, device: str) -> tuple[list[str], str, list[str]]:
    """Imports, arguments of `from_pretrained`, and lines that put the pipeline where it ran."""
    imports, options = [], ""
    if settings.quantization:
        quantization = json.loads(settings.quantization)
        parts = []
        for part in quantization["components"]:
            library, name, kwargs = quantization_call(quantization["backend"], part, quantization["kwargs"])
            parts.append(f'"{part}": {library}.{name}({keywords(kwargs)})')
        imports = ["import diffusers", "import transformers"]
        mapping = f"{{{', '.join(parts)}}}"
        options = f", quantization_config=diffusers.PipelineQuantizationConfig(quant_mapping={mapping})"
    placed = {
        "none": f'pipe.to("{device}")',
        "model": f'pipe.enable_model_cpu_offload(device="{device}")',
        "sequential": f'pipe.enable_sequential_cpu_offload(device="{device}")',
    }[settings.offload]
    if not settings.compile:
        return imports, options, [placed]
    from tsbench.drawing.diffusers import RECOMPILE_LIMIT

    limit = f"torch._dynamo.config.recompile_limit = {RECOMPILE_LIMIT}"
    return imports, options, [placed, limit, "pipe.transformer.compile_repeated_blocks()"]


def _openvino_snippet(cell: DrawnCell, path: str, method: Method, prompt: str, given: str) -> list[str]:
    from tsbench.drawing.openvino import properties

    loaded = properties(cell.settings.dtype, cell.threads)
    arguments = ", ".join([f'"{cell.device}"', *(f"{name}={json.dumps(value)}" for name, value in loaded.items())])
    values = [f"config.{name} = {value}" for name, value in method.parameters().items()]
    cached = isinstance(method, OpenVinoTaylorSeer)
    return [
        "import openvino_genai",
        "from PIL import Image",
        "from tsbench.drawing.openvino_export import exported",
        "from tsbench.models.source import find_model",
        "",
        f"folder = exported(find_model({json.dumps(path)}))",
        f"pipe = openvino_genai.Text2ImagePipeline(str(folder), {arguments})",
        *(["config = openvino_genai.TaylorSeerCacheConfig()", *values] if cached else ["config = None"]),
        f"generator = openvino_genai.TorchGenerator({cell.workload.seeds[0]})",
        f"image = pipe.generate({prompt}, {given}, generator=generator, taylorseer_config=config)",
        'Image.fromarray(image.data[0]).save("image.png")',
    ]


def overrides(cell: DrawnCell) -> str:
    """The cell as a command, whose prompts are those of a list that tsbench carries or YOUR_PROMPTS.txt."""
    kind = method_class(cell.backend, cell.method)
    if other := _of_other_code(cell, kind):
        return other
    workload, settings = cell.workload, cell.settings
    parts = _model(cell)
    parts += [f"backend={cell.backend}"] if cell.backend != "diffusers" else []
    parts += [f"size={workload.height}x{workload.width}"]
    parts += [
        f"{name}={getattr(workload, name)}" for name in ("steps", "guidance_scale", "max_sequence_length", "batch_size")
    ]
    parts += _prompts(workload.prompts)
    parts += [f"seeds={_hydra(workload.seeds)}", f"runtime.dtype={settings.dtype}"]
    parts += [f"runtime.offload={settings.offload}"] if settings.offload != "none" else []
    parts += ["runtime.compile=true"] if settings.compile else []
    if settings.quantization:
        values = json.loads(settings.quantization).items()
        parts += [f"runtime.quantization.{name}={_hydra(value)}" for name, value in values]
    if (pairs := len(cell.pairs)) != TimingConfig.pairs:
        parts.append(f"timing.pairs={pairs}")
    if cell.device not in AUTOMATIC:
        parts.append(f"runtime.device={cell.device}")
    if cell.threads is not None:
        parts.append(f"runtime.threads={cell.threads}")
    parts += [f"method={cell.method}"]
    own = kind().parameters()
    given = _fields(kind, cell.params)
    parts += [f"method.{name}={_hydra(value)}" for name, value in given.items() if value != own.get(name)]
    return "python -m tsbench sweep " + shlex.join(parts)


def _model(cell: DrawnCell) -> list[str]:
    """The model, and what differs from the configuration of that name, or from FLUX.1-dev's where there is none."""
    workload = cell.workload
    known = carried("conf") / "model" / f"{workload.model_name}.yaml"
    base = workload.model_name if known.is_file() else "flux1-dev"
    own = composed((f"model={base}",)).model
    drawn = {"name": workload.model_name, "path": cell.model_path}
    drawn |= {name: getattr(workload, name) for name in ("random_weights", "text_encoders")}
    differing = [f"model.{name}={_hydra(value)}" for name, value in drawn.items() if value != getattr(own, name)]
    return [f"model={base}", *differing]


def _prompts(prompts: tuple[str, ...]) -> list[str]:
    for file in sorted(CARRIED.glob("*.txt")):
        if read_prompts(file.stem, len(prompts)) == prompts:
            return [f"prompts.file={file.stem}", f"prompts.limit={len(prompts)}"]
    return ["prompts.file=YOUR_PROMPTS.txt", f"prompts.limit={len(prompts)}"]  # whatever file they were read from


def _hydra(value: Any) -> str:
    """A value in the grammar of Hydra's overrides, whose mappings have no quotes around their keys."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_hydra(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_hydra, value))}]"
    return QuotedString(value, Quote.double).with_quotes() if isinstance(value, str) else json.dumps(value)


def _of_other_code(cell: DrawnCell, kind: type[Method]) -> str | None:
    """A comment for a cell whose method had other parameters than it has here, so that nothing here is that method."""
    lacking = [] if issubclass(kind, NotInstalled) else sorted(cell.params.keys() - kind().parameters().keys())
    return f"# {cell.method}, as it is installed here, has no parameter {lacking[0]!r}" if lacking else None


def _fields(kind: type[Method], settings: dict[str, Any]) -> dict[str, Any]:
    """A cell's resolved settings as arguments of its method: what was left out keeps its default."""
    own = dict.fromkeys(settings) if issubclass(kind, NotInstalled) else kind().parameters()
    return {name: value for name, value in settings.items() if name in own and (value is not None or own[name] is None)}
