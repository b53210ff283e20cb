"""Workload, settings and cell: what a point of the grid is, and its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One image to draw."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Workload:
    """What is drawn. Sizes are in pixels; `model` is the identity of the weights, `model_name` how they are shown."""

    model: str
    model_name: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    height: int
    width: int
    steps: int
    guidance_scale: float
    max_sequence_length: int
    batch_size: int
    random_weights: bool = False
    text_encoders: bool = True

    @property
    def samples(self) -> list[Sample]:
        """Every prompt with every seed, all prompts with one before the next: so drawn, timed and numbered."""
        return [Sample(prompt, seed) for seed in self.seeds for prompt in self.prompts]

    @property
    def batches(self) -> list[list[Sample]]:
        samples = self.samples
        return [samples[i : i + self.batch_size] for i in range(0, len(samples), self.batch_size)]


@dataclass(frozen=True)
class Settings:
    """How the model is run, as far as it can change an image or what a speed-up is compared with."""

    dtype: str
    offload: str
    compile: bool
    quantization: str  # JSON of the quantization's configuration, empty without


@dataclass(frozen=True)
class Cell:
    """A workload with a method: one point of the grid."""

    workload: Workload
    settings: Settings
    method: str
    parameters: str  # JSON of the method's resolved settings
    backend: str = "diffusers"

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that identify what the cell computes, and neither where nor how it is timed."""
        workload = asdict(self.workload)
        del workload["model_name"]
        identity = [workload, self.backend, asdict(self.settings), self.method, json.loads(self.parameters)]
        return digest(identity)[:16]

    @property
    def reference(self) -> Cell:
        """The same workload and settings with everything computed."""
        return replace(self, method="none", parameters="{}")

    @property
    def loading(self) -> tuple[str, bool, bool, str, Settings]:
        """What one model in memory can draw: cells that share it share a session."""
        work = self.workload
        return work.model, work.random_weights, work.text_encoders, self.backend, self.settings

    @property
    def is_reference(self) -> bool:
        return self.method == "none"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """The SHA-256 of its canonical JSON, in hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
