"""What figures depend on besides the settings: hardware, versions, threads, and the code that draws."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tsbench.packages import installed_version
from tsbench.paths import PACKAGE
from tsbench.titles import counted

LIBRARIES = (
    "tsbench", "torch", "diffusers", "transformers", "accelerate", "tokenizers", "numpy", "bitsandbytes",
    "optimum-quanto", "cache-dit", "openvino", "openvino-genai", "openvino-tokenizers",
)  # fmt: skip

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # how long threads spin before they sleep

DRAWING = (  # files and folders of this package
    "drawing", "methods", "models/random_weights", "models/source", "budget", "cell", "cost", "flops", "forecast",
    "schedule", "stored", "timing",
)  # fmt: skip


def environment(device: torch.device, openvino_device: str | None = None) -> dict[str, Any]:
    """The hardware, the versions and the threads that figures depend on: one environment a results folder."""
    from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND

    found: dict[str, Any] = {
        "device": device.type,
        "processor": processor_name(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),  # clouds give different processors one name
        "threads": torch.get_num_threads(),
        "openmp": {name: os.environ[name] for name in WAITING if name in os.environ},
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: installed for name in LIBRARIES if (installed := installed_version(name))},
        "drawing_code": drawing_code(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "attention_backend": DIFFUSERS_ATTN_BACKEND,
    }
    if openvino_device not in (None, "CPU"):
        found["openvino_device"] = openvino_device
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "driver": _driver_version(),
        }
    return found


def drawing_code() -> str:
    """Eight hexadecimal digits over the source that cells depend on, and over all files of packages with methods."""
    from tsbench.methods.registry import PLUGINS

    files = [path for name in DRAWING for path in ((PACKAGE / f"{name}.py"), *(PACKAGE / name).rglob("*.py"))]
    named = [(path.relative_to(PACKAGE), path) for path in files if path.is_file()]
    for package in sorted({method.__module__.partition(".")[0] for method in PLUGINS.values()}):
        module = sys.modules[package]
        for folder in map(Path, getattr(module, "__path__", ())):
            for path in filter(Path.is_file, folder.rglob("*")):
                name = path.relative_to(folder)
                if not any(part.startswith((".", "__pycache__")) for part in name.parts):  # of editors and of Python
                    named.append((package / name, path))
        if not hasattr(module, "__path__"):
            named.append((Path(package), Path(inspect.getfile(module))))
    digest = hashlib.sha256()
    for name, path in sorted(named):
        digest.update(name.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def device_name(device: torch.device) -> str:
    """A device as it is shown to people."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).name
    return f"{processor_name()}, {counted(torch.get_num_threads(), 'thread')}"


def processor_name() -> str:
    """The CPU's model name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _driver_version() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def git_revision() -> str | None:
    """The commit of the checkout that runs, marked where it has changes; None outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():  # installed; perhaps within a checkout of something else
        return None
    try:
        describe = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(describe, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
