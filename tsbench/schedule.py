"""Which steps an implementation computes.

A schedule is written as a string with a letter a step: `C` where everything the method may skip is computed, `.`
where at least a part of it is forecast.
"""

from __future__ import annotations


def diffusers_taylorseer(steps: int, interval: int, before: int, after: int | None) -> str:
    """The rule of diffusers' `TaylorSeerCacheHook` (diffusers 0.42, hooks/taylorseer_cache.py).

    Args:
        steps: number of denoising steps.
        interval: `cache_interval`.
        before: `disable_cache_before_step`: earlier steps are computed.
        after: `disable_cache_after_step`: this step and later ones are computed; an absolute step, or None.
    """
    return "".join(
        "C" if s < before or (s - before - 1) % interval == 0 or (after is not None and s >= after) else "."
        for s in range(steps)
    )


def computed_steps(schedule: str) -> int:
    """Number of computed steps of a schedule."""
    return schedule.count("C")
