"""Drawing with OpenVINO GenAI's `Text2ImagePipeline`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsbench.cell import Cell, Sample, Settings, Workload
from tsbench.drawing.generate import Backend, Drawn, Session
from tsbench.drawing.measure import PeakMemory, release_memory
from tsbench.drawing.openvino_export import check_installed, exported
from tsbench.environment import device_name
from tsbench.errors import DrawingFailed, UserError
from tsbench.methods import Method
from tsbench.methods.openvino_taylorseer import OpenVinoTaylorSeer
from tsbench.timing import Timing

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
FORECAST_SHARE = 0.1  # a step in which the transformer takes less than this share of a computed one is a forecast


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


class OpenVinoBackend(Backend):
    """OpenVINO GenAI on a device of OpenVINO's."""

    def __init__(self, wanted: str, threads: int | None) -> None:
        """Choose the device by `choose_openvino_device`; the number of threads is for models that are loaded."""
        check_installed()
        self.device, self.threads = choose_openvino_device(wanted), threads

    @property
    def hardware(self) -> str:
        """Of the CPU the name that the system gives it, as with diffusers."""
        if self.device == "CPU":
            return device_name(torch.device("cpu"))
        import openvino

        return str(openvino.Core().get_property(self.device, "FULL_DEVICE_NAME"))

    def load(self, folder: Path, cell: Cell) -> OpenVinoSession:
        return OpenVinoSession(folder, cell.settings, self.device, self.threads)


class OpenVinoSession(Session):
    """A `Text2ImagePipeline` in memory, loaded from the model's IR, which is exported first if it is not there."""

    def __init__(self, folder: Path, settings: Settings, device: str, threads: int | None) -> None:
        super().__init__(PeakMemory(torch.device("cpu")))
        if device != "CPU":
            self.memory.missing = f"OpenVINO does not tell the memory of {device}"
        self.folder, self.device = exported(folder), device
        self.properties = properties(settings.dtype, threads)
        self.text_tokens = 0
        self._shortest_us: dict[Any, list[float]] = {}  # the transformer's time at each step, over the runs of a cell
        self.pipeline = self._loaded()

    def _loaded(self) -> Any:
        import openvino_genai

        return openvino_genai.Text2ImagePipeline(str(self.folder), self.device, **self.properties)

    def draw(
        self,
        workload: Workload,
        batch: list[Sample],
        method: Method,
        reuse_text: bool = False,
        inspect: bool = False,
    ) -> Drawn:
        import openvino_genai

        (sample,) = batch
        if self.text_tokens not in (0, workload.max_sequence_length):  # a pipeline keeps the length of its first text
            self.pipeline = None  # first, so that there are never two
            self.pipeline = self._loaded()
        self.text_tokens = workload.max_sequence_length
        steps = method.drawn_steps(workload.steps)
        latents: list[np.ndarray] = []
        finite = True

        def after_step(step: int, _count: int, current: Any) -> bool:
            nonlocal finite
            if inspect:
                latents.append(np.array(current.data))
            if step == steps - 1:
                finite = bool(np.isfinite(current.data).all())
            return False

        started = time.perf_counter()
        try:
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
        except RuntimeError as error:
            raise DrawingFailed(f"OpenVINO GenAI cannot draw {sample.prompt[:60]!r}: {_told(error)}") from error
        image = np.array(picture.data)
        latency_s = time.perf_counter() - started
        self.pipeline_s += latency_s
        if not finite or not image.any():  # the decoder's NaN and infinity are black in 8 bits
            raise DrawingFailed("the image is not finite (NaN or infinity), or black everywhere")
        metrics = self.pipeline.get_performance_metrics()
        transformer_us = [float(duration) for duration in metrics.raw_metrics.transformer_inference_durations]
        step_s = [float(duration) / 1e6 for duration in metrics.raw_metrics.iteration_durations]
        if not (len(transformer_us) == len(step_s) == steps):
            raise DrawingFailed(f"OpenVINO GenAI reports {len(transformer_us)} durations for {steps} steps")
        schedule = self._schedule(transformer_us, workload, method, timed=not inspect)
        decode_s = float(metrics.get_vae_decoder_infer_duration()) / 1e3
        encode_s = latency_s - decode_s - sum(step_s)
        timing = Timing(latency_s, encode_s, sum(step_s), decode_s, step_s)
        return Drawn(image, schedule, timing, tuple(latents))

    def _schedule(self, transformer_us: list[float], workload: Workload, method: Method, timed: bool) -> str:
        """The schedule, read off the shortest time of each step over the runs of a cell so far.

        OpenVINO GenAI decides by the number of the step alone, and what else runs on the machine can only lengthen one.
        """
        key = workload, repr(method)
        shortest = [min(times) for times in zip(transformer_us, self._shortest_us.get(key, transformer_us))]
        self._shortest_us[key] = shortest
        schedule = schedule_of(shortest)
        if timed:
            check_reading(schedule, str(method.promised_schedule(workload.steps)))
        return schedule

    def close(self) -> None:
        self.pipeline = None
        release_memory()


def _told(error: RuntimeError) -> str:
    """What OpenVINO says in one line: its first ones name places in its own source."""
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("Exception from "))


def _generation_config(method: Method) -> Any:
    """OpenVINO GenAI's configuration of the cache; None computes everything."""
    import openvino_genai

    if not isinstance(method, OpenVinoTaylorSeer):
        return None
    config = openvino_genai.TaylorSeerCacheConfig()
    for name, value in method.parameters().items():
        setattr(config, name, value)
    return config


def properties(dtype: str, threads: int | None) -> dict[str, Any]:
    """What a pipeline is loaded with."""
    return {"INFERENCE_PRECISION_HINT": HINTS[dtype]} | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})


def schedule_of(transformer_us: list[float]) -> str:
    """The schedule, read off the time that the transformer took at each step, in microseconds.

    OpenVINO GenAI always computes the first two steps: the shorter one is what a computed step takes. A forecast one
    takes tens of microseconds.
    """
    computed_us = min(transformer_us[:2])
    return "".join("C" if duration >= FORECAST_SHARE * computed_us else "." for duration in transformer_us)


def check_reading(schedule: str, promised: str) -> None:
    """Raise `DrawingFailed` for a schedule that can be neither the rule's nor that of a cache that is off.

    A forecast step that the machine held up for long reads as a computed one, so a schedule with a few steps more than
    the rule has is a doubtful reading. One with none skipped, or with a step skipped that the rule computes, is not.
    """
    held_up = [step for step, (read, rule) in enumerate(zip(schedule, promised)) if (read, rule) == ("C", ".")]
    skipped_more = any((read, rule) == (".", "C") for read, rule in zip(schedule, promised))
    if held_up and not skipped_more and "." in schedule:
        raise DrawingFailed(
            f"the measured schedule {schedule} computes steps {held_up} that OpenVINO GenAI's rule forecasts "
            f"({promised}): either other work on this machine held them up, or the rule is another; it is tried again "
            "by the same command"
        )
