"""Drawing with OpenVINO GenAI's `Text2ImagePipeline`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsbench.backends.openvino_export import exported
from tsbench.cell import Sample, Settings, Workload
from tsbench.errors import UserError
from tsbench.generate import DrawingFailed, Drawn, Session, Timing
from tsbench.measure import PeakMemory
from tsbench.methods import Method
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
FORECAST_SHARE = 0.05  # a step in which the transformer takes less than this share of its longest is a forecast


def choose_openvino_device(wanted: str) -> str:
    """`auto` takes the CPU; others are OpenVINO's names.

    Raises:
        UserError: for a device that OpenVINO does not find here.
    """
    import openvino

    known = openvino.Core().available_devices
    name = "CPU" if wanted == "auto" else wanted
    if name not in known:
        raise UserError(
            f"runtime.device is {wanted!r}, but must be one of OpenVINO's devices here: {', '.join(known)}; "
            f"try runtime.device={known[0]}."
        )
    return name


class OpenVinoSession(Session):
    """A `Text2ImagePipeline` in memory, made of a model that is exported where it has not been."""

    def __init__(self, folder: Path, settings: Settings, device: str, threads: int | None) -> None:
        super().__init__(PeakMemory(torch.device("cpu")))
        self.folder, self.device = exported(folder), device
        self.properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": HINTS[settings.dtype]}
        if threads is not None:
            self.properties["INFERENCE_NUM_THREADS"] = threads
        self.text_tokens = 0
        self.pipeline = self._loaded()

    def _loaded(self) -> Any:
        import openvino_genai

        return openvino_genai.Text2ImagePipeline(str(self.folder), self.device, **self.properties)

    def draw(
        self, workload: Workload, batch: list[Sample], method: Method, text_first: bool = False, keep: bool = False
    ) -> Drawn:
        import openvino_genai

        (sample,) = batch
        if self.text_tokens not in (0, workload.max_sequence_length):  # a pipeline keeps the length of its first text
            self.pipeline = self._loaded()
        self.text_tokens = workload.max_sequence_length
        steps = method.drawn_steps(workload.steps)
        latents: list[np.ndarray] = []

        def after_step(step: int, _count: int, current: Any) -> bool:
            if keep:
                latents.append(np.array(current.data))
            return False

        started = time.perf_counter()
        picture = self.pipeline.generate(
            sample.prompt,
            height=workload.height,
            width=workload.width,
            num_inference_steps=steps,
            guidance_scale=workload.guidance_scale,
            max_sequence_length=workload.max_sequence_length,
            generator=openvino_genai.TorchGenerator(sample.seed),
            taylorseer_config=_generation_config(method),  # left out, it would be on
            callback=after_step,
        )
        image = np.array(picture.data)
        latency_s = time.perf_counter() - started
        self.pipeline_s += latency_s
        metrics = self.pipeline.get_performance_metrics()
        transformer_us = [float(duration) for duration in metrics.raw_metrics.transformer_inference_durations]
        step_s = [float(duration) / 1e6 for duration in metrics.raw_metrics.iteration_durations]
        if not (len(transformer_us) == len(step_s) == steps):
            raise DrawingFailed(f"OpenVINO GenAI reports {len(transformer_us)} durations for {steps} steps")
        decode_s = float(metrics.get_vae_decoder_infer_duration()) / 1e3
        encode_s = latency_s - decode_s - sum(step_s)
        timing = Timing(latency_s, encode_s, sum(step_s), decode_s, step_s)
        return Drawn(image, schedule_of(transformer_us), timing, tuple(latents))

    def close(self) -> None:
        self.pipeline = None
        self.recover()


def _generation_config(method: Method) -> Any:
    """OpenVINO GenAI's configuration of the cache; None computes everything."""
    import openvino_genai

    if not isinstance(method, OpenVinoTaylorSeer):
        return None
    config = openvino_genai.TaylorSeerCacheConfig()
    config.cache_interval = method.cache_interval
    config.disable_cache_before_step = method.disable_cache_before_step
    config.disable_cache_after_step = method.disable_cache_after_step
    return config


def schedule_of(transformer_us: list[float]) -> str:
    """The schedule, read off the time that the transformer took at each step."""
    longest = max(transformer_us)
    return "".join("C" if duration >= FORECAST_SHARE * longest else "." for duration in transformer_us)
