"""One loaded model, and the drawing of cells with it."""

from __future__ import annotations

import gc
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsbench.cell import Cell, Sample, Settings, Workload
from tsbench.errors import UserError
from tsbench.measure import Clock, EnergyMeter, PeakMemory
from tsbench.methods import Method
from tsbench.probe import ScheduleProbe, hooked_modules, remove_hooks


class DrawingFailed(Exception):
    """Something in a cell went wrong while it ran; the message is the cell's reason."""


@dataclass(frozen=True)
class Timing:
    """Seconds per image; `step_s` sums to `denoise_s`, and the three parts to `latency_s`.

    Text encoding lasts from the call to the first denoising step, decoding from the last step to the finished image.
    """

    latency_s: float
    encode_s: float
    denoise_s: float
    decode_s: float
    step_s: list[float]
    energy_j: float | None = None  # of the GPU, where it tells

    @classmethod
    def per_image(cls, durations_s: Sequence[float], images: int, energy_j: float | None = None) -> Timing:
        """From the durations of encoding, of every step and of decoding of one batch."""
        encode, *steps, decode = (duration / images for duration in durations_s)
        return cls(encode + sum(steps) + decode, encode, sum(steps), decode, steps, energy_j)


@dataclass(frozen=True)
class Drawn:
    """A finished batch: uint8 images [n, height, width, 3], its schedule, and its timing."""

    images: np.ndarray
    schedule: str
    timing: Timing


@dataclass(frozen=True)
class CellResult:
    """All that a cell leaves: an image and a schedule a sample, and the raw figures; `method` is as calibrated."""

    method: Method
    images: list[np.ndarray]
    schedules: list[str]
    warmup: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    peak_memory_bytes: int | None
    peak_memory_reason: str | None


def choose_device(wanted: str, offload: str) -> torch.device:
    """`auto` takes the GPU where there is one.

    Raises:
        UserError: for a device that this machine does not have, and for offloading without a GPU.
    """
    name = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"runtime.device is {wanted!r}, which this machine does not have; try runtime.device=auto."
        ) from error
    if offload != "none" and device.type != "cuda":
        raise UserError(
            f"runtime.offload is {offload!r}, but there is no GPU to offload from; try runtime.offload=none."
        )
    return device


class Session:
    """A model in memory. It draws any number of cells that share the model and the settings."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        device: torch.device,
        random_weights: bool = False,
        text_encoders: bool = True,
    ) -> None:
        self.device, self.clock, self.memory = device, Clock(device), PeakMemory(device)
        self.energy = EnergyMeter(device)
        self.text_encoders = text_encoders
        self.pipeline_s = 0.0  # spent inside the pipeline so far
        self.pipeline = _load(folder, settings, device, random_weights, text_encoders)
        self._encoded: dict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        self._warm: set[str] = set()

    def draw_cell(
        self, cell: Cell, method: Method, reference: Method, pairs: int, image_drawn: Callable[[int], None]
    ) -> CellResult:
        """Draw a cell's samples and time it.

        The timed runs of the method are drawn whole, text encoding included, interleaved with as many runs of the
        reference; the order alternates. The samples that they do not cover follow, with the text encoded beforehand.

        Args:
            cell: what to draw.
            method: the method of the cell.
            reference: the method that computes everything.
            pairs: how many pairs of runs to time.
            image_drawn: called with the number of images after every batch.

        Raises:
            DrawingFailed: where an image is not finite or the cache did not take hold.
        """
        workload = cell.workload
        method = method.calibrated(
            self.pipeline, lambda arm: self.draw(workload, workload.batches[0], arm), workload.steps
        )
        full = [i for i, batch in enumerate(workload.batches) if len(batch) == workload.batch_size]
        arms = [method] if cell.is_reference else [reference, method]
        warmup = self._warm_up(cell, arms, workload.batches[full[0]], image_drawn)
        images: dict[int, Drawn] = {}
        timings: list[dict[str, Any]] = []
        peaks: list[int | None] = []
        for number in range(pairs):
            index = full[number % len(full)]
            pair: dict[str, Any] = {"batch": index}
            for arm in arms if number % 2 == 0 else arms[::-1]:
                self.memory.reset()
                drawn = self.draw(workload, workload.batches[index], arm)
                if arm is method:
                    peaks.append(self.memory.read())
                    images.setdefault(index, drawn)
                pair["method" if arm is method else "reference"] = asdict(drawn.timing)
                image_drawn(len(drawn.images))
            timings.append(pair)
        for index, batch in enumerate(workload.batches):
            if index not in images:
                self.memory.reset()
                images[index] = self.draw(workload, batch, method, encoded=self._encode(workload, batch))
                peaks.append(self.memory.read())
                image_drawn(len(batch))
        known = [peak for peak in peaks if peak is not None]
        return CellResult(
            method=method,
            images=[image for index in sorted(images) for image in images[index].images],
            schedules=[images[index].schedule for index in sorted(images) for _ in images[index].images],
            warmup=warmup,
            pairs=timings,
            peak_memory_bytes=max(known) if known else None,
            peak_memory_reason=self.memory.missing,
        )

    def _warm_up(
        self, cell: Cell, arms: list[Method], batch: list[Sample], image_drawn: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        """One run of every arm at the full number of steps; the reference's once per workload."""
        runs = []
        for arm, key in zip(reversed(arms), (cell.key, cell.reference.key)):
            if key not in self._warm:
                drawn = self.draw(cell.workload, batch, arm)
                runs.append({"method": arm.name, **asdict(drawn.timing)})
                image_drawn(len(batch))
                self._warm.add(key)
        return runs

    def draw(
        self,
        workload: Workload,
        batch: list[Sample],
        method: Method,
        encoded: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> Drawn:
        """Draw one batch.

        Args:
            workload: size, steps and the rest.
            batch: the samples; each starts from its own CPU generator, so that the noise depends on nothing else.
            method: applied before and taken away after.
            encoded: prompt embeddings; None encodes the prompts within the timed call.
        """
        if not self.text_encoders:
            encoded = self._encode(workload, batch)
        with self._applied(method, workload.steps) as probe:
            text: dict[str, Any] = {"prompt": [sample.prompt for sample in batch]}
            if encoded is not None:
                text = {"prompt_embeds": encoded[0].to(self.device), "pooled_prompt_embeds": encoded[1].to(self.device)}
            marks: list[Any] = []

            def first_step(*_: Any) -> None:
                if len(marks) == 1:
                    marks.append(self.clock.mark())

            def step_ended(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
                marks.append(self.clock.mark())
                probe.end_step()
                return tensors

            started = self.pipeline.transformer.register_forward_pre_hook(first_step)
            try:
                self.clock.wait()
                energy_before, started_s = self.energy.read_j(), time.perf_counter()
                marks.append(self.clock.mark())
                pictures = self.pipeline(
                    **text,
                    height=workload.height,
                    width=workload.width,
                    num_inference_steps=method.drawn_steps(workload.steps),
                    guidance_scale=workload.guidance_scale,
                    max_sequence_length=workload.max_sequence_length,
                    generator=[torch.Generator("cpu").manual_seed(sample.seed) for sample in batch],
                    output_type="np",
                    callback_on_step_end=step_ended,
                    callback_on_step_end_tensor_inputs=[],
                ).images
                marks.append(self.clock.mark())
            finally:
                started.remove()
            durations_s = self.clock.durations_s(marks)
            self.pipeline_s += time.perf_counter() - started_s
            energy_j = (self.energy.read_j() - energy_before) / len(batch) if self.energy.handle else None
        if not np.isfinite(pictures).all():
            raise DrawingFailed("the image is not finite (NaN or infinity)")
        return Drawn(
            images=(pictures * 255).round().astype(np.uint8),
            schedule=probe.schedule,
            timing=Timing.per_image(durations_s, len(batch), energy_j),
        )

    @contextmanager
    def _applied(self, method: Method, steps: int) -> Iterator[ScheduleProbe]:
        """The method on the pipeline, its state fresh, with a probe that counts; all of it undone at the end."""
        transformer = self.pipeline.transformer
        try:
            method.enable(self.pipeline, steps)
            skips = "." in (method.promised_schedule(steps) or ".")
            if skips and not hooked_modules(transformer):
                raise DrawingFailed("the cache found no module of this model to hook")
            transformer._reset_stateful_cache()
            probe = ScheduleProbe(transformer)
            with probe.watching():
                yield probe
        finally:
            transformer._reset_stateful_cache()
            method.disable(self.pipeline)
            left_behind = remove_hooks(transformer)
        if left_behind:
            raise DrawingFailed(f"{left_behind} modules still had hooks of the cache after disabling it")

    def _encode(self, workload: Workload, batch: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompt embeddings of a batch, kept in host memory."""
        prompts = tuple(sample.prompt for sample in batch)
        key = (prompts, workload.max_sequence_length)
        if key not in self._encoded and not self.text_encoders:
            from tsbench.models.random_weights import random_embeddings

            self._encoded[key] = random_embeddings(self.pipeline, len(batch), workload.max_sequence_length)
        if key not in self._encoded:
            with torch.no_grad():
                embeddings, pooled, _ = self.pipeline.encode_prompt(
                    prompt=list(prompts), prompt_2=None, max_sequence_length=workload.max_sequence_length
                )
            self._encoded[key] = embeddings.cpu(), pooled.cpu()
        return self._encoded[key]

    def close(self) -> None:
        """Give the model's memory back."""
        self.pipeline = None
        self._encoded.clear()
        self.recover()

    def recover(self) -> None:
        """After a failure: drop what the failed cell left in memory."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _quantization(backend: str, kwargs: dict[str, Any], components: list[str]) -> Any:
    """diffusers' configuration: for each component the class of the library that it comes from."""
    import diffusers
    import transformers

    name = {"bitsandbytes": "BitsAndBytesConfig", "quanto": "QuantoConfig"}[backend]
    mapping = {
        component: getattr(transformers if component.startswith("text_encoder") else diffusers, name)(**kwargs)
        for component in components
    }
    return diffusers.PipelineQuantizationConfig(quant_mapping=mapping)


def _load(folder: Path, settings: Settings, device: torch.device, random_weights: bool, text_encoders: bool) -> Any:
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        options: dict[str, Any] = {"torch_dtype": getattr(torch, settings.dtype)}
        if settings.quantization:
            options["quantization_config"] = _quantization(**json.loads(settings.quantization))
        if random_weights:
            from tsbench.models.random_weights import random_pipeline

            pipeline = random_pipeline(folder, options["torch_dtype"], device, text_encoders)
        else:
            pipeline = diffusers.FluxPipeline.from_pretrained(folder, **options)
        if settings.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif settings.offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
        if settings.compile:
            pipeline.transformer.compile_repeated_blocks()
        pipeline.set_progress_bar_config(disable=True)
    return pipeline
