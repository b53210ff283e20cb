"""Drawing with diffusers' `FluxPipeline`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsbench.cell import Cell, Sample, Settings, Workload
from tsbench.drawing.generate import Backend, Drawn, Session
from tsbench.drawing.hooks import cached_bytes
from tsbench.drawing.measure import Clock, EnergyMeter, PeakMemory, most, release_memory
from tsbench.drawing.probe import ScheduleProbe, probed
from tsbench.drawing.quantization import COMPONENTS, TEXT_ENCODERS, check_is_quantized, quantization_call
from tsbench.environment import device_name
from tsbench.errors import DrawingFailed, UserError, first_line
from tsbench.methods import Method
from tsbench.models.source import check_is_whole, configuration
from tsbench.timing import Timing
from tsbench.titles import counted

RECOMPILE_LIMIT = 64  # of torch.compile, whose own, 8, is too low for methods that hook many kinds of modules


def choose_device(wanted: str, offload: str) -> torch.device:
    """`auto` takes the GPU where there is one.

    Raises:
        UserError: for a device that this machine does not have or that cannot be timed, and for offloading without a
            GPU.
    """
    name = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"runtime.device is {wanted!r}, which this machine does not have; try runtime.device=auto."
        ) from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(
            f"runtime.device is {wanted!r}, but time and memory can be measured on cpu and cuda only; "
            "try runtime.device=auto."
        )
    if offload != "none" and device.type != "cuda":
        raise UserError(
            f"runtime.offload is {offload!r}, but there is no GPU to offload from; try runtime.offload=none."
        )
    return device


class DiffusersBackend(Backend):
    """diffusers on a GPU or a CPU."""

    def __init__(self, wanted: str, offloads: Iterable[str]) -> None:
        """Choose the device by `choose_device`, which allows all of the offloads."""
        for offload in offloads:
            self.torch_device = choose_device(wanted, offload)
        self.device = str(self.torch_device)

    @property
    def hardware(self) -> str:
        return device_name(self.torch_device)

    def load(self, folder: Path, cell: Cell) -> DiffusersSession:
        work = cell.workload
        return DiffusersSession(folder, cell.settings, self.torch_device, work.random_weights, work.text_encoders)


class Recorder:
    """What is noted while a pipeline draws one batch.

    Attributes:
        marks: in time: of the call, the first denoising step, the end of every step and the finished image.
        finite: whether what the VAE has decoded is so; the pipeline cuts infinity to black or white.
        latents: after every step, float32; of an inspected run only.
        kept_bytes: what the cache keeps after every step; of an inspected run only.
    """

    def __init__(self, pipeline: Any, method: Method, clock: Clock, probe: ScheduleProbe, inspect: bool) -> None:
        self.transformer, self.decoder = pipeline.transformer, pipeline.vae.decoder
        self.method, self.clock, self.probe, self.inspect = method, clock, probe, inspect
        self.marks: list[Any] = []
        self.finite: list[torch.Tensor] = []  # read after the image, so that nothing waits
        self.latents: list[np.ndarray] = []
        self.kept_bytes: list[int | None] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """From the call of the pipeline to the finished image."""
        started = self.transformer.register_forward_pre_hook(self._first_step)
        decoded = self.decoder.register_forward_hook(self._decoded)
        try:
            self._mark()
            yield
            self._mark()
        finally:
            started.remove()
            decoded.remove()

    def step_ended(self, _pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """The pipeline's `callback_on_step_end`."""
        self._mark()
        self.probe.end_step()
        if self.inspect:
            self.latents.append(tensors["latents"].float().cpu().numpy())
            self.kept_bytes.append(cached_bytes(self.transformer, self.method))
        return tensors

    def _first_step(self, *_: Any) -> None:
        if len(self.marks) == 1:
            self._mark()

    def _decoded(self, _decoder: Any, _inputs: Any, picture: torch.Tensor) -> None:
        self.finite.append(torch.isfinite(picture).all())

    def _mark(self) -> None:
        self.marks.append(self.clock.mark())


class DiffusersSession(Session):
    """A `FluxPipeline` in memory, with a probe on what its transformer computes."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        device: torch.device,
        random_weights: bool = False,
        text_encoders: bool = True,
    ) -> None:
        super().__init__(PeakMemory(device))
        self.device, self.clock, self.energy = device, Clock(device), EnergyMeter(device)
        self.text_encoders = text_encoders
        self.compiles = settings.compile
        self.compiled_for: tuple[Any, ...] | None = None
        self.pipeline = load_pipeline(folder, settings, device, random_weights, text_encoders)
        self._encoded: dict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        self._calibration: tuple[Any, dict[str, Any]] = None, {}  # the last one: of what, and what it measured

    def calibrated(self, method: Method, workload: Workload, image_drawn: Callable[[int], None]) -> Method:
        method = method.for_architecture(self.pipeline.transformer.config)
        calibrator = method.calibrator()
        if calibrator is None:
            return method
        its = (type(calibrator), repr(calibrator.parameters()), workload)
        if self._calibration[0] != its:
            for batch in workload.batches:
                self.draw(workload, batch, calibrator, reuse_text=True)
                image_drawn(len(batch))
            measured = calibrator.measured()
            try:
                self._calibration = its, json.loads(json.dumps(measured))
            except (TypeError, ValueError) as error:
                raise DrawingFailed(f"what the method measures cannot be kept: {first_line(error)}") from error
        return replace(method, **self._calibration[1])

    def draw(
        self,
        workload: Workload,
        batch: list[Sample],
        method: Method,
        reuse_text: bool = False,
        inspect: bool = False,
    ) -> Drawn:
        text: dict[str, Any] = {"prompt": [sample.prompt for sample in batch]}
        if reuse_text or not self.text_encoders:
            embeddings, pooled = self._encode(workload, batch)
            text = {"prompt_embeds": embeddings.to(self.device), "pooled_prompt_embeds": pooled.to(self.device)}
        self._forget_other_code(workload, len(batch), method)
        with self._offloaded_on_failure(), probed(method, self.pipeline, workload.steps, method.enable) as probe:
            recorder = Recorder(self.pipeline, method, self.clock, probe, inspect)
            self.clock.wait()
            frames_before = compiled_frames()
            self.energy.start()
            started_s = time.perf_counter()
            with recorder.recording():
                pictures = self.pipeline(
                    **text,
                    height=workload.height,
                    width=workload.width,
                    num_inference_steps=method.drawn_steps(workload.steps),
                    guidance_scale=workload.guidance_scale,
                    max_sequence_length=workload.max_sequence_length,
                    generator=[torch.Generator("cpu").manual_seed(sample.seed) for sample in batch],
                    output_type="np",
                    callback_on_step_end=recorder.step_ended,
                    callback_on_step_end_tensor_inputs=["latents"] if inspect else [],
                ).images
            durations_s = self.clock.durations_s(recorder.marks)
            self.pipeline_s += time.perf_counter() - started_s
            energy_j = self.energy.used_j()
        if method == Method() and "." in probe.schedule:
            raise DrawingFailed(f"full compute has not computed every step: {probe.schedule}")
        if not (np.isfinite(pictures).all() and all(map(bool, recorder.finite))):
            raise DrawingFailed("the image is not finite (NaN or infinity)")
        return Drawn(
            images=(pictures * 255).round().astype(np.uint8),
            schedule=probe.schedule,
            timing=Timing.per_image(durations_s, len(batch), energy_j),
            latents=tuple(recorder.latents),
            cache_bytes=most(recorder.kept_bytes),
            warm=compiled_frames() == frames_before,
        )

    @contextmanager
    def _offloaded_on_failure(self) -> Iterator[None]:
        """Offload what a pipeline that did not come to its end has left on the GPU."""
        try:
            yield
        except Exception:
            with suppress(RuntimeError):  # of a GPU that is lost; what failed first is the reason
                self.pipeline.maybe_free_model_hooks()
            raise

    def _forget_other_code(self, workload: Workload, images: int, method: Method) -> None:
        """Let every setting compile for itself.

        Hooks are not among what torch guards compiled code by: code that was compiled in pieces, for a method, would
        be taken for full compute too; and what was compiled for one size makes the next one compile for any size.
        """
        setting = (method, workload.height, workload.width, workload.max_sequence_length, images)
        if self.compiles and self.compiled_for != setting:
            torch._dynamo.reset()
            self.compiled_for = setting

    def _encode(self, workload: Workload, batch: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompt embeddings of a batch, kept in host memory."""
        prompts = tuple(sample.prompt for sample in batch)
        key = (prompts, workload.max_sequence_length)
        if key not in self._encoded and not self.text_encoders:
            from tsbench.models.random_weights import random_embeddings

            self._encoded[key] = random_embeddings(self.pipeline, len(batch), workload.max_sequence_length)
        if key not in self._encoded:
            with self._offloaded_on_failure(), torch.no_grad():
                embeddings, pooled, _ = self.pipeline.encode_prompt(
                    prompt=list(prompts), prompt_2=None, max_sequence_length=workload.max_sequence_length
                )
            self._encoded[key] = embeddings.cpu(), pooled.cpu()
        return self._encoded[key]

    def cut_prompts(self, workload: Workload) -> str | None:
        if workload.random_weights:
            return None
        most, tokens = workload.max_sequence_length, self.pipeline.tokenizer_2(list(workload.prompts)).input_ids
        cut = [prompt for prompt, its in zip(workload.prompts, tokens) if len(its) > most]
        if not cut:
            return None
        return f'{counted(len(cut), "prompt")} cut after max_sequence_length={most} tokens, such as "{cut[0]:.60}"'

    def close(self) -> None:
        self.pipeline = None
        self._encoded.clear()
        release_memory()


def compiled_frames() -> int:
    """How many pieces of Python torch.compile has looked at in this process."""
    from torch._dynamo.utils import counters

    return counters["frames"]["total"]


def _quantized(backend: str, kwargs: dict[str, Any], components: list[str]) -> dict[str, Any]:
    """By component the configuration that it is quantized by, of the library that it comes from."""
    found = {}
    for component in components:
        library, name, named = quantization_call(backend, component, kwargs)
        found[component] = getattr(import_module(library), name)(**named)
    return found


def load_pipeline(
    folder: Path, settings: Settings, device: torch.device, random_weights: bool = False, text_encoders: bool = True
) -> Any:
    """A `FluxPipeline` on its device, silent, with the settings applied.

    Raises:
        ValueError: if weights are missing, or a component that is to be quantized was not.
    """
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    if random_weights:
        from tsbench.models.random_weights import random_pipeline

        place = device if settings.offload == "none" else torch.device("cpu")
        pipeline = random_pipeline(folder, getattr(torch, settings.dtype), place, text_encoders)
    else:
        pipeline = _stored_pipeline(folder, settings)
    if settings.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif settings.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    if settings.compile:
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        torch._dynamo.config.fail_on_recompile_limit_hit = True  # else the rest runs eagerly, without a word
        pipeline.transformer.compile_repeated_blocks()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _stored_pipeline(folder: Path, settings: Settings) -> Any:
    import diffusers
    import transformers

    check_is_whole(folder)
    quantized = _quantized(**json.loads(settings.quantization)) if settings.quantization else {}
    dtype = getattr(torch, settings.dtype)
    classes = configuration(folder, "model_index.json")
    parts = {}
    for name in COMPONENTS:  # one by one: a pipeline does not tell what it has not found, and draws text encoders' anew
        kind = getattr(transformers if name in TEXT_ENCODERS else diffusers, classes[name][1])
        parts[name], found = kind.from_pretrained(
            str(folder / name), dtype=dtype, quantization_config=quantized.get(name), output_loading_info=True
        )
        if missing := found["missing_keys"]:
            raise ValueError(f"the {name} lacks {len(missing)} of its weights, such as {min(missing)}")
        # those of text encoders have parts that FLUX does without
        if name not in TEXT_ENCODERS and (unused := found["unexpected_keys"]):
            print(
                f"tsbench: the {name} has no place for {len(unused)} of its weights, such as {min(unused)}, which are "
                "left out: perhaps its config.json is that of another model",
                file=sys.stderr,
            )
    for name in quantized:
        check_is_quantized(name, parts[name])
    return diffusers.FluxPipeline.from_pretrained(folder, dtype=dtype, **parts)
