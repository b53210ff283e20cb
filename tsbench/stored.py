"""What is kept of a run and its cells: what `manifest.json` and `cell.json` say."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tsbench.cell import Cell, Settings, Workload
from tsbench.cost import StepCost
from tsbench.timing import Pair, Timing


@dataclass(frozen=True)
class Command:
    """One that has drawn into a folder.

    Attributes:
        command: as it is typed.
        started: when, in ISO 8601.
        git_revision: of tsbench, where it is known.
        cells: the keys of all cells that it is for, where they were noted.
        pipeline_share: how much of its time was spent inside the pipeline; None if no cell was finished.
    """

    command: str
    started: str
    git_revision: str | None
    cells: tuple[str, ...] = ()
    pipeline_share: float | None = None


@dataclass(frozen=True)
class Manifest:
    """What made a folder: the environment, and every command; and the metrics that were asked for."""

    environment: dict[str, Any]
    metrics: list[str]
    commands: list[Command]


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


RECORDS = (Manifest, Command, StoredCell, DrawnCell)  # other code may have noted more in them, which is left out
kinds_of = cache(get_type_hints)  # of a dataclass's fields, by name


def parsed(document: dict[str, Any]) -> StoredCell:
    """The cell of a document.

    Raises:
        ValueError: if something is missing in it, or is not of its kind.
    """
    cell: StoredCell = of_kind(DrawnCell if document.get("status") == "ok" else StoredCell, document, "document")
    if cell.status not in ("ok", "failed", "skipped"):
        raise ValueError(f"its status is {cell.status!r}")
    if isinstance(cell, DrawnCell):
        if len(cell.schedules) != len(cell.workload.samples):
            raise ValueError("it has not one schedule for every image")
        if not cell.pairs:
            raise ValueError("it has no pair")
        if not cell.is_reference and any(pair.reference is None for pair in cell.pairs):
            raise ValueError("a pair of it has no 'reference'")
    return cell


def of_kind(kind: Any, value: Any, name: str) -> Any:
    """A value of a JSON document as what a field of a dataclass is to hold.

    Args:
        kind: the type of the field: a dataclass, a tuple, list, dict or plain value, or one of these or None.
        value: as JSON gives it.
        name: of the entry.

    Raises:
        ValueError: if it is not of the kind, lacks a part, or has an unknown one and is none of `RECORDS`.
    """
    origin, members = get_origin(kind) or kind, get_args(kind)
    if origin is UnionType:
        return None if value is None else of_kind(members[0], value, name)
    has_fields = is_dataclass(kind)
    as_json = dict if has_fields else {tuple: list, float: int | float}.get(origin, origin)
    if not isinstance(value, as_json) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"its {name!r} is {value!r:.40}")
    if has_fields:
        if lacking := [field.name for field in fields(kind) if field.name not in value and field.default is MISSING]:
            raise ValueError(f"it has no {lacking[0]!r}")
        kinds = kinds_of(kind)
        if kind not in RECORDS and (unknown := sorted(value.keys() - kinds.keys())):
            raise ValueError(f"its {unknown[0]!r} is unknown")
        return kind(**{field: of_kind(its, value[field], field) for field, its in kinds.items() if field in value})
    return origin(of_kind(members[0], member, name) for member in value) if origin in (list, tuple) else value
