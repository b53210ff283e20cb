"""Rates of matrix products and attention at FLUX.1-dev's shapes, and the full step that they predict.

`python benchmarks/rates.py OUT.json [--device cuda] [--image-tokens 4096]`: a step is predicted as the sum of its
matrix products and attentions, as measured at their shapes. What goes through memory beside them, norms, modulation,
rotation, gates, joining and the weights that modulation is made with, is measured by itself: without a compiler that
fuses it, a step takes it on top. What a measured step takes beyond both is launches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from tsbench.drawing.measure import Clock
from tsbench.environment import device_name
from tsbench.files import write_json

WIDTH, HEADS, TEXT_TOKENS, DOUBLE, SINGLE = 3072, 24, 512, 19, 38
LAUNCHES = 20  # between two marks
CYCLES_PER_S = 2e9  # of the fastest clock of a GPU: a slower one sleeps longer
LEAST_S = 0.3  # of measuring one kind of work
HEAT_S = 2.0  # of work before anything is measured: long enough for the clock rate to settle


def seconds(work: Callable[[], object], clock: Clock, least_s: float) -> float:
    """Median of what one of `LAUNCHES` in a row takes, over ten rows or more, after one for warming up.

    A GPU sleeps for as long as it takes to queue a row, so that it never waits for a launch, and is else at work.
    """
    times: list[float] = []
    queueing_s, ends = 0.005, time.perf_counter() + least_s
    while len(times) < 11 or time.perf_counter() < ends:
        clock.wait()
        if clock.device.type == "cuda":
            torch.cuda._sleep(int(2 * queueing_s * CYCLES_PER_S))
        marks, started = [clock.mark()], time.perf_counter()
        for _ in range(LAUNCHES):
            work()
        queueing_s = time.perf_counter() - started
        marks.append(clock.mark())
        times += clock.durations_s(marks)
    return statistics.median(times[1:]) / LAUNCHES


def step(image_tokens: int) -> list[tuple[str, int, tuple[int, int, int]]]:
    """The large matrix products of one step: what for, how often, (tokens, in, out)."""
    both = image_tokens + TEXT_TOKENS
    return [
        ("double, image: q, k, v, out", 4 * DOUBLE, (image_tokens, WIDTH, WIDTH)),
        ("double, text: q, k, v, out", 4 * DOUBLE, (TEXT_TOKENS, WIDTH, WIDTH)),
        ("double, image: feed-forward up", DOUBLE, (image_tokens, WIDTH, 4 * WIDTH)),
        ("double, image: feed-forward down", DOUBLE, (image_tokens, 4 * WIDTH, WIDTH)),
        ("double, text: feed-forward up", DOUBLE, (TEXT_TOKENS, WIDTH, 4 * WIDTH)),
        ("double, text: feed-forward down", DOUBLE, (TEXT_TOKENS, 4 * WIDTH, WIDTH)),
        ("single: q, k, v", 3 * SINGLE, (both, WIDTH, WIDTH)),
        ("single: feed-forward up", SINGLE, (both, WIDTH, 4 * WIDTH)),
        ("single: out", SINGLE, (both, 5 * WIDTH, WIDTH)),
    ]


def beside(image_tokens: int, **kind: Any) -> list[tuple[str, int, Callable[[], object]]]:
    """What goes through memory beside the matrix products of one step, as diffusers' blocks do it.

    Returns:
        What for, how often, and the work.
    """
    from diffusers.models.embeddings import apply_rotary_emb

    both, head = image_tokens + TEXT_TOKENS, WIDTH // HEADS
    norm = torch.nn.LayerNorm(WIDTH, eps=1e-6, elementwise_affine=False, **kind)
    head_norm, scale = torch.nn.RMSNorm(head, eps=1e-6, **kind), torch.randn(1, 1, WIDTH, **kind)
    angles = (torch.randn(both, head, device=kind["device"]), torch.randn(both, head, device=kind["device"]))

    def stream(name: str, tokens: int, blocks: int, parts: int) -> list[tuple[str, int, Callable[[], object]]]:
        x, wide = torch.randn(1, tokens, WIDTH, **kind), torch.randn(1, tokens, 4 * WIDTH, **kind)
        heads = torch.randn(1, tokens, HEADS, head, **kind)
        return [
            (f"{name}: layer norm and modulation", parts * blocks, lambda: norm(x) * (1 + scale) + scale),
            (f"{name}: gate and residual", parts * blocks, lambda: x + scale * x),
            (f"{name}: GELU", blocks, lambda: gelu(wide, approximate="tanh")),
            (f"{name}: RMS norm of q, k", 2 * blocks, lambda: head_norm(heads)),
        ]

    embedding, linear = torch.randn(1, WIDTH, **kind), torch.nn.Linear
    text, image, joint = (torch.randn(1, tokens, WIDTH, **kind) for tokens in (TEXT_TOKENS, image_tokens, both))
    wide, heads = torch.randn(1, both, 4 * WIDTH, **kind), torch.randn(1, both, HEADS, head, **kind)
    return [
        *stream("double, image", image_tokens, DOUBLE, 2),
        *stream("double, text", TEXT_TOKENS, DOUBLE, 2),
        *stream("single", both, SINGLE, 1),
        ("double: modulation from the embedding", 2 * DOUBLE, partial(linear(WIDTH, 6 * WIDTH, **kind), embedding)),
        ("single: modulation from the embedding", SINGLE, partial(linear(WIDTH, 3 * WIDTH, **kind), embedding)),
        ("rotation of q, k", 2 * (DOUBLE + SINGLE), lambda: apply_rotary_emb(heads, angles, sequence_dim=1)),
        ("text and image joined", 3 * DOUBLE + SINGLE, lambda: torch.cat([text, image], dim=1)),
        ("single: attention and feed-forward joined", SINGLE, lambda: torch.cat([joint, wide], dim=2)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--image-tokens", type=int, nargs="*", default=[4096, 1024])
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    clock, kind = Clock(device), {"device": device, "dtype": torch.bfloat16}
    matrix = torch.randn(WIDTH, WIDTH, **kind)
    seconds(lambda: matrix @ matrix, clock, HEAT_S)
    report: dict[str, Any] = {"hardware": device_name(device), "torch": torch.__version__}
    for image_tokens in arguments.image_tokens:
        with torch.no_grad():
            parts = [part_of(*work, clock) for work in products(image_tokens, **kind)]
            rest = [part_of(name, count, None, work, clock) for name, count, work in beside(image_tokens, **kind)]
        predicted_s, beside_s = (sum(part["count"] * part["seconds"] for part in of) for of in (parts, rest))
        report[str(image_tokens)] = {
            "predicted_step_s": predicted_s, "beside_s": beside_s, "parts": parts, "beside": rest,
        }  # fmt: skip
        print(
            f"{image_tokens} image tokens: a full step is predicted to take {predicted_s:.4f} s, and {beside_s:.4f} s "
            "where nothing is fused",
            flush=True,
        )
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out, report)
    return 0


def products(image_tokens: int, **kind: Any) -> Iterator[tuple[str, int, float, Callable[[], object]]]:
    """The matrix products and attentions of one step: what for, how often, FLOPs, and the work."""
    for name, count, (tokens, inputs, outputs) in step(image_tokens):
        layer, x = torch.nn.Linear(inputs, outputs, **kind), torch.randn(1, tokens, inputs, **kind)
        yield name, count, 2 * tokens * inputs * outputs, partial(layer, x)
    tokens = image_tokens + TEXT_TOKENS
    q, k, v = (torch.randn(1, HEADS, tokens, WIDTH // HEADS, **kind) for _ in range(3))
    yield "attention", DOUBLE + SINGLE, 4 * tokens**2 * WIDTH, partial(scaled_dot_product_attention, q, k, v)


def part_of(name: str, count: int, flop: float | None, work: Callable[[], object], clock: Clock) -> dict[str, Any]:
    time_s = seconds(work, clock, LEAST_S)
    rate = {} if flop is None else {"tflop_per_s": flop / time_s / 1e12}
    return {"what": name, "count": count, "seconds": time_s, **rate}


if __name__ == "__main__":
    sys.exit(main())
