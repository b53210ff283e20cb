"""`python -m tsbench doctor`: what can run here, and what each missing thing needs."""

from __future__ import annotations

import shutil

from tsbench.errors import UserError, first_line
from tsbench.methods import Method
from tsbench.paths import carried
from tsbench.progress import output
from tsbench.titles import counted

USAGE = """\
usage: python -m tsbench doctor

Shows the hardware, the versions and the disk, and which models, methods, metrics and backends can run here. Uses no
network."""

GIB = 2**30


def main(arguments: list[str]) -> int:
    """The verb `doctor`."""
    if arguments:
        raise UserError("doctor takes no arguments: python -m tsbench doctor.")
    console = output()
    for title, lines in (
        ("Hardware", hardware()),
        ("Libraries", libraries()),
        ("Models", models()),
        ("Backends and methods", methods()),
        ("Metrics", metrics()),
    ):
        console.print(title, style="bold")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)
    return 0


def hardware() -> list[str]:
    import torch

    from tsbench.drawing.measure import EnergyMeter
    from tsbench.environment import environment

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    here = environment(device)
    lines = [f"CPU: {here['processor']}, {counted(here['threads'], 'thread')}"]
    if "gpu" in here:
        gpu = here["gpu"]
        lines.append(
            f"GPU: {gpu['name']}, {gpu['memory_bytes'] / GIB:.0f} GiB, driver {gpu['driver']}, CUDA {gpu['cuda']}"
        )
        lines.append(f"energy: {EnergyMeter(device).missing or 'counted by the GPU'}")
    else:
        built = "built for CUDA, but finds no GPU" if torch.version.cuda else "a CPU build"
        lines.append(f"GPU: none; torch {torch.__version__} is {built}")
    free = shutil.disk_usage(".").free / GIB
    return [*lines, f"disk: {free:.0f} GiB free here; FLUX.1-dev takes 34 GB in the hub's cache"]


def libraries() -> list[str]:
    from tsbench.environment import LIBRARIES
    from tsbench.packages import installed_version

    wanted = (*LIBRARIES, "torchmetrics", "scikit-image", "moocore", "pandas", "matplotlib", "pyarrow", "lpips")
    return [f"{name} {installed_version(name) or 'is not installed'}" for name in wanted]


def models() -> list[str]:
    from huggingface_hub import get_token

    from tsbench.config import composed

    lines = []
    for name in sorted(path.stem for path in (carried("conf") / "model").glob("*.yaml")):
        path = composed((f"model={name}",)).model.path
        if path == "embedded":
            lines.append(f"{name}: embedded")
        elif path == "architecture":
            lines.append(f"{name}: needs no weights; on a GPU of 40 GB, or a smaller one with runtime.offload=model")
        else:
            lines.append(f"{name}: {_found(path)}")
    return [*lines, f"hub token: {'present' if get_token() else 'none; FLUX.1-dev needs one: hf auth login'}"]


def _found(path: str) -> str:
    from tsbench.models.source import in_hub_cache, lacking, model_folder

    try:
        if model_folder(path):
            return f"in {path}"
    except UserError as error:
        return str(error)
    index = in_hub_cache(path, "model_index.json")
    return (
        "in the local cache"
        if index and lacking(index.parent) is None
        else "not in the local cache, has to be downloaded"
    )


def methods() -> list[str]:
    from tsbench.drawing.openvino_export import missing
    from tsbench.methods.registry import BROKEN, METHODS, PLUGINS

    lines = []
    for backend, known in METHODS.items():
        reason = missing() if backend == "openvino" else None
        lines.append(f"{backend}: {reason or ', '.join(known)}")
        lines += [f"{name}: {reason}" for name, method in known.items() if (reason := _missing(method))]
    lines += [f"of other packages: {', '.join(PLUGINS)}"] if PLUGINS else []
    return [*lines, *BROKEN.values()]


def _missing(method: type[Method]) -> str | None:
    try:
        return method.missing()
    except Exception as error:  # of a method that is not tsbench's, it may be any
        return f"what it needs cannot be found out ({first_line(error)})"


def metrics() -> list[str]:
    from tsbench.metrics import METRICS

    lines = []
    for name, metric in METRICS.items():
        able = f"can be computed with a CLIP model: {name}:CHECKPOINT" if metric.needs_checkpoint else "can be computed"
        lines.append(f"{name}: {metric.missing() or able}")
    return lines
