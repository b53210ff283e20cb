"""What is timed: a run, and a pair of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds per image; `step_s` sums to `denoise_s`, and the three parts to `latency_s`.

    Text encoding lasts from the call to the first denoising step, decoding from the last step to the finished image.
    OpenVINO reports only steps and decoding; encoding is the remainder.
    """

    latency_s: float
    encode_s: float
    denoise_s: float
    decode_s: float
    step_s: list[float]
    energy_j: float | None = None  # joules per image of the GPU, where it tells

    @classmethod
    def per_image(cls, durations_s: Sequence[float], images: int, energy_j: float | None = None) -> Timing:
        """From the durations of encoding, of every step and of decoding of one batch, and its energy."""
        encode, *steps, decode = (duration / images for duration in durations_s)
        energy_j = None if energy_j is None else energy_j / images
        return cls(encode + sum(steps) + decode, encode, sum(steps), decode, steps, energy_j)


@dataclass(frozen=True)
class Pair:
    """A run of the method and one of full compute, one right after the other.

    Attributes:
        batch: the number of the batch of the workload that both have drawn.
        schedule: what the method's run computed.
        method: its timing.
        reference: that of full compute; None if the method is full compute itself.
    """

    batch: int
    schedule: str
    method: Timing
    reference: Timing | None = None

    @property
    def full(self) -> Timing:
        """The timing of full compute.

        Raises:
            ValueError: if the pair is of full compute itself, which has nothing beside it.
        """
        if self.reference is None:
            raise ValueError("full compute has no other run beside it")
        return self.reference
