"""The typed configuration behind conf/."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from tsbench.methods.registry import METHODS, PLUGINS

GROUPS = {"model": "tiny", "method": "taylorseer", "prompts": "model", "runtime": "default"}  # of conf/sweep.yaml


@dataclass
class ModelConfig:
    """Where a model is, and its default drawing settings."""

    name: str = MISSING
    path: str = MISSING
    size: Any = MISSING
    steps: int = MISSING
    guidance_scale: float = MISSING
    max_sequence_length: int = MISSING
    dtype: str = MISSING
    prompts: str = MISSING
    random_weights: bool = False
    text_encoders: bool = True
    architecture: str | None = None  # of tsbench/assets/architectures: what is counted where no weights are at hand
    trained_sizes: list[int] | None = None  # the least and the largest side in pixels
    captions_only: bool = False  # it draws captions of `tsbench.models.tiny.pictures`, and nothing else

    @property
    def source(self) -> tuple[str, str | None]:
        """What its weights and its architecture are found by."""
        return self.path, self.architecture


@dataclass
class PromptsConfig:
    file: str = MISSING
    limit: int | None = None


@dataclass
class QuantizationConfig:
    backend: str | None = None
    kwargs: Any = None
    components: list[str] = field(default_factory=lambda: ["transformer"])


@dataclass
class RuntimeConfig:
    device: str = "auto"
    threads: int | None = None
    dtype: str = MISSING
    offload: str = "none"
    compile: bool = False
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)


@dataclass
class TimingConfig:
    pairs: int = 6


@dataclass
class SweepConfig:
    """One point of a grid, as Hydra composes it."""

    model: ModelConfig = field(default_factory=ModelConfig)
    backend: str = "diffusers"
    method: Any = MISSING
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    timing: TimingConfig = field(default_factory=TimingConfig)
    experiment: str | None = None
    report: bool = True
    name: str | None = None
    size: Any = MISSING
    steps: int = MISSING
    guidance_scale: float = MISSING
    max_sequence_length: int = MISSING
    seeds: Any = MISSING
    batch_size: int = 1
    metrics: list[str] = field(default_factory=list)

    @property
    def folder_name(self) -> str:
        """The name of its folder in results/."""
        return self.name or self.experiment or "sweep"


def register() -> None:
    """Make the schemas known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="sweep_schema", node=SweepConfig)
    store.store(name="model_schema", node=ModelConfig)
    for name, method in METHODS["diffusers"].items():
        if name in PLUGINS:
            store.store(group="method", name=name, node=method)
        else:  # its YAML names it
            store.store(name=f"{name}_schema", node=method)
    store.store(name="openvino_taylorseer_schema", node=METHODS["openvino"]["taylorseer"])
