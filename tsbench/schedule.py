"""Which steps each implementation computes.

A schedule is written as a string with a letter per step: `C` where everything the method may skip is computed, `.`
where at least a part of it is forecast. The rules differ although their parameters share names: compare methods by
the steps they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

INERT = "inert: every step was computed"


def diffusers_taylorseer(steps: int, interval: int, before: int, after: int | None = None) -> str:
    """The rule of diffusers' `TaylorSeerCacheHook` (diffusers 0.42, hooks/taylorseer_cache.py).

    Args:
        steps: number of denoising steps.
        interval: `cache_interval`.
        before: `disable_cache_before_step`: earlier steps are computed.
        after: `disable_cache_after_step`: this step and later ones are computed; an absolute step, or None.
    """
    return _written(
        steps, lambda s: s < before or (s - before - 1) % interval == 0 or (after is not None and s >= after)
    )


def official_taylorseer(steps: int, first_enhance: int, interval: int) -> str:
    """The rule of the TaylorSeer authors' FLUX code (Liu et al., 2025, arXiv:2503.06923).

    Args:
        steps: number of denoising steps.
        first_enhance: earlier steps are computed.
        interval: `interval`, called N in the paper: one step in this many is computed.
    """
    return _written(steps, lambda step: official_computes(step, first_enhance, interval))


def official_computes(step: int, first_enhance: int, interval: int) -> bool:
    """Whether `official_taylorseer` computes a step; also the rule of the decorator of alexarmbr/taylor-seer."""
    return step < first_enhance or (step - first_enhance + 1) % interval == 0


def openvino_taylorseer(steps: int, interval: int, before: int, after: int) -> str:
    """The rule of OpenVINO GenAI's TaylorSeer Lite (openvino.genai 2026.4, `TaylorSeerCacheConfig`).

    Args:
        steps: number of denoising steps.
        interval: `cache_interval`, 2 or more.
        before: `disable_cache_before_step`: earlier steps are computed; at least two are.
        after: `disable_cache_after_step`: this step and later ones are computed; a negative one counts from the end.

    Raises:
        ValueError: for an interval below 2.
    """
    if interval < 2:
        raise ValueError(f"cache_interval is {interval}, but must be 2 or more")
    end = after if after >= 0 else steps + after
    return _written(steps, lambda step: step >= end or official_computes(step, max(before, 2), interval))


def always_skipping(steps: int, first: int, in_a_row: int) -> str:
    """The first steps computed, and of the others one after every so many that are skipped in a row."""
    return official_taylorseer(steps, first, in_a_row + 1)


def computed_steps(schedule: str) -> int:
    """Number of computed steps of a schedule."""
    return schedule.count("C")


def formable_order(order: int, schedule: str, first: int = 0) -> int:
    """The order of a series that a schedule is enough for: of the one through its computed steps.

    Args:
        order: the largest that is wanted.
        schedule: of the run.
        first: steps before this one do not count.
    """
    return max(0, min(order, computed_steps(schedule[first:]) - 1))


def schedule_note(promised: str | None, measured: Sequence[str], steps: int) -> str | None:
    """A remark on schedules that are inert or break the method's rule; None if there is none to make.

    Args:
        promised: the schedule of its rule; None if it decides while it draws.
        measured: one of every image.
        steps: of the reference.
    """
    if all(computed_steps(schedule) == steps for schedule in measured):
        if promised is None:
            return INERT
        return f"{INERT}, " + (f"although its rule is {promised}" if "." in promised else "as its rule has it here")
    if promised is not None and any(schedule != promised for schedule in measured):
        return f"did not follow its rule, {promised}"
    return None


def _written(steps: int, computes: Callable[[int], bool]) -> str:
    return "".join("C" if computes(step) else "." for step in range(steps))
