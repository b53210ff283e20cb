"""Rates of matrix products and attention at FLUX.1-dev's shapes, and the full step that they predict.

`python benchmarks/rates.py OUT.json [--device cuda] [--image-tokens 4096]`: a step is predicted as the sum of its
matrix products and attentions at the rates measured for their shapes. What a measured step takes beyond that is
launches, norms, modulation, rotation and memory traffic.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import scaled_dot_product_attention

from tsbench.measure import Clock

WIDTH, HEADS, TEXT_TOKENS, DOUBLE, SINGLE = 3072, 24, 512, 19, 38


LAUNCHES = 20  # between two marks, so that the device is never idle for want of a launch


def seconds(work: Callable[[], object], clock: Clock, repeats: int = 10) -> float:
    """Median over repeats of what one of `LAUNCHES` in a row takes, after as many for warming up."""
    for _ in range(LAUNCHES):
        work()
    times = []
    for _ in range(repeats):
        clock.wait()
        marks = [clock.mark()]
        for _ in range(LAUNCHES):
            work()
        marks.append(clock.mark())
        times += clock.durations_s(marks)
    return statistics.median(times) / LAUNCHES


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--image-tokens", type=int, nargs="*", default=[4096, 1024])
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    clock, kind = Clock(device), {"device": device, "dtype": torch.bfloat16}
    report = {}
    for image_tokens in arguments.image_tokens:
        rows, total = [], 0.0
        for name, count, (tokens, inputs, outputs) in step(image_tokens):
            layer, x = torch.nn.Linear(inputs, outputs, **kind), torch.randn(1, tokens, inputs, **kind)
            with torch.no_grad():
                time_s = seconds(lambda layer=layer, x=x: layer(x), clock)
            rate = 2 * tokens * inputs * outputs / time_s
            rows.append({"what": name, "count": count, "seconds": time_s, "tflop_per_s": rate / 1e12})
            total += count * time_s
        tokens = image_tokens + TEXT_TOKENS
        q, k, v = (torch.randn(1, HEADS, tokens, WIDTH // HEADS, **kind) for _ in range(3))
        time_s = seconds(lambda q=q, k=k, v=v: scaled_dot_product_attention(q, k, v), clock)
        rate = 4 * tokens**2 * WIDTH / time_s
        rows.append({"what": "attention", "count": DOUBLE + SINGLE, "seconds": time_s, "tflop_per_s": rate / 1e12})
        total += (DOUBLE + SINGLE) * time_s
        report[str(image_tokens)] = {"predicted_step_s": total, "parts": rows}
        print(f"{image_tokens} image tokens: a full step is predicted to take {total:.4f} s", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
