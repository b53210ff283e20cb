"""What a schedule costs, from what its steps cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tsbench.schedule import computed_steps

UNCOUNTED = "what a forecast step costs is not known: the run that counts FLOPs computed every step"
COST_COLUMNS = ["forecast_share", "tflop", "flops_speedup", "cache_bytes"]


@dataclass(frozen=True)
class StepCost:
    """What the transformer's steps of one method cost, for one batch.

    `flop` counts a multiplication with its addition as two, in matrix products, convolutions and attention, as
    `torch.utils.flop_counter` does. `cache_bytes` is what the method keeps between steps; None if it does not say.
    """

    full_flop: float
    forecast_flop: float | None  # None if no step of the run that counted was a forecast
    cache_bytes: int | None

    @property
    def forecast_share(self) -> float | None:
        """A forecast step's share of the FLOPs of a full one."""
        return None if self.forecast_flop is None else self.forecast_flop / self.full_flop

    def columns(self, schedules: Sequence[str], steps: int, batch_size: int) -> dict[str, Any]:
        """`COST_COLUMNS` of a cell.

        Args:
            schedules: one of every image; empty if they are not known before an image is drawn.
            steps: of the reference.
            batch_size: images a batch.

        Returns:
            `forecast_share`; `tflop`: of the transformer, per image; `flops_speedup`: the reference's over these;
            `cache_bytes`: per batch. Where the cell skips steps whose cost is not known, `cost_reason` says so instead.
        """
        row: dict[str, Any] = {"forecast_share": self.forecast_share, "cache_bytes": self.cache_bytes}
        if self.forecast_share is None:
            if not schedules or any("." in schedule for schedule in schedules):
                return row | {"cost_reason": UNCOUNTED}
        elif not schedules:
            return row
        full_steps = fmean(self._in_full_steps(schedule) for schedule in schedules)
        return row | {
            "tflop": full_steps * self.full_flop / batch_size / 1e12,
            "flops_speedup": steps / full_steps if full_steps else None,  # of a cache that computes nothing
        }

    def _in_full_steps(self, schedule: str) -> float:
        computed = computed_steps(schedule)
        return computed + (len(schedule) - computed) * (self.forecast_share or 0.0)
