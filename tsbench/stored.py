"""A cell as it is kept: what its `cell.json` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from tsbench.cell import Cell, Settings, Workload
from tsbench.cost import StepCost
from tsbench.timing import Pair, Timing


@dataclass(frozen=True, kw_only=True)
class StoredCell:
    """A cell that failed or was skipped, with the reason why; one that was drawn is a `DrawnCell`.

    Attributes:
        key, reference: of the cell and of the same workload with everything computed.
        status: `ok`, `failed` or `skipped`.
        finished: when it was written, in ISO 8601.
        environment: digest of the environment that drew it.
        hardware: the name of the device.
        params: the method's resolved settings.
    """

    key: str
    reference: str
    status: str
    finished: str
    environment: str
    hardware: str
    backend: str
    method: str
    params: dict[str, Any]
    workload: Workload
    settings: Settings
    reason: str | None = None
    traceback: str | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it is full compute."""
        return self.key == self.reference

    @property
    def full_compute_by_diffusers(self) -> Cell:
        """The same workload and settings, drawn in full by diffusers."""
        return Cell(self.workload, self.settings, "none", "{}")


@dataclass(frozen=True)
class WarmUp:
    """A run before the timed ones, of the method or of full compute."""

    method: str
    timing: Timing


@dataclass(frozen=True, kw_only=True)
class DrawnCell(StoredCell):
    """A cell with its raw figures.

    Attributes:
        schedules: what was computed of every image.
        promised_schedule: what the method's rule says; None if it decides while it draws.
        calibration: parameters that were measured on the model.
        repeat_psnr_db: the lowest PSNR, in dB, of images that were drawn more than once, by the method in the warm-up
            and in pairs or by full compute beside it; None if they always were the same.
        warmups: in the order in which they ran.
        pairs: timed, in the same order.
        step_errors: of the warm-up's latents after every step, relative to full compute: |x - x_full| / |x_full|;
            None if the steps are not the same.
        cache_bytes: the most that the method kept between two steps of the warm-up; None if it cannot be seen.
        cost: what a step costs, counted; None for `cost_reason`.
        peak_memory_bytes: None for `peak_memory_reason`.
        model_path: as the user gave it.
        device: as the backend calls it.
        threads: that were asked for; None leaves them to the library.
    """

    schedules: list[str]
    promised_schedule: str | None
    calibration: dict[str, Any]
    repeat_psnr_db: float | None
    warmups: list[WarmUp]
    pairs: list[Pair]
    step_errors: list[float] | None
    cache_bytes: int | None
    cost: StepCost | None
    cost_reason: str | None
    peak_memory_bytes: int | None
    peak_memory_reason: str | None
    model_path: str
    device: str
    threads: int | None


def check_has(document: dict[str, Any], names: Iterable[str]) -> None:
    """Raise `ValueError` for the first name that a document lacks."""
    if lacking := [name for name in names if name not in document]:
        raise ValueError(f"it has no {lacking[0]!r}")


def parsed(document: dict[str, Any]) -> StoredCell:
    """The cell of a document.

    Raises:
        ValueError: if something is missing in it, or is not of its kind.
    """
    kind = DrawnCell if document.get("status") == "ok" else StoredCell
    check_has(document, [field.name for field in fields(kind) if field.default is MISSING])
    if document["status"] not in ("ok", "failed", "skipped"):
        raise ValueError(f"its status is {document['status']!r}")
    values = {field.name: document[field.name] for field in fields(kind) if field.name in document}
    try:
        values["workload"] = Workload.of_document(document["workload"])
        values["settings"] = Settings(**document["settings"])
        if kind is DrawnCell:
            values["warmups"] = [WarmUp(run["method"], Timing(**run["timing"])) for run in document["warmups"]]
            values["pairs"] = [_pair(pair) for pair in document["pairs"]]
            values["cost"] = None if document["cost"] is None else StepCost(**document["cost"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"an entry of it is no such entry: {error}") from error
    cell = kind(**values)
    if isinstance(cell, DrawnCell):
        if not cell.pairs:
            raise ValueError("it has no pair")
        if not cell.is_reference and any(pair.reference is None for pair in cell.pairs):
            raise ValueError("a pair of it has no 'reference'")
    return cell


def _pair(pair: dict[str, Any]) -> Pair:
    reference = pair.get("reference")
    return Pair(
        pair["batch"], pair["schedule"], Timing(**pair["method"]), None if reference is None else Timing(**reference)
    )
