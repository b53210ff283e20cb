"""Small workloads and cells of the embedded model. Needs nothing that a machine for `make gpu` does not have."""

from __future__ import annotations

from pathlib import Path

from tsbench.cell import Cell, Settings, Workload

FLOAT32 = Settings(dtype="float32", offload="none", compile=False, quantization="")
ROOT = Path(__file__).resolve().parent.parent


def workload(**changes: object) -> Workload:
    """Two prompts at 64 pixels and eight steps: enough for every rule, and fast."""
    values = {
        "model": "tiny",
        "model_name": "tiny",
        "prompts": ("large red circle at centre, blue background", "small green star at top-left, white background"),
        "seeds": (0,),
        "height": 64,
        "width": 64,
        "steps": 8,
        "guidance_scale": 3.5,
        "max_sequence_length": 32,
        "batch_size": 1,
    }
    return Workload(**(values | changes))


def cell(method: str = "none", parameters: str = "{}", **changes: object) -> Cell:
    return Cell(workload(**changes), FLOAT32, method, parameters)
