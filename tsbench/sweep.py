"""`python -m tsbench sweep [overrides]`: the grid, drawn, timed, scored and plotted, resumed where it stopped."""

from __future__ import annotations

import shlex
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsbench.budget import planned_images
from tsbench.cell import Cell, Settings
from tsbench.errors import UserError, first_line
from tsbench.grid import cells_of, expand, for_its_method, impossible
from tsbench.methods import Method
from tsbench.paths import carried
from tsbench.point import Point
from tsbench.store import Store
from tsbench.titles import drawn_columns, titles_of

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from tsbench.generate import CellResult, Session
    from tsbench.progress import SweepProgress

SHOWING_FLAGS = {"--help", "-h", "--cfg", "-c", "--resolve"}


def main(arguments: list[str]) -> int:
    """The verb `sweep`."""
    arguments = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    if any(argument.startswith("-") for argument in arguments):
        return show_configuration(arguments)
    from tsbench.progress import output

    return Sweep(arguments).run(output())


@dataclass(frozen=True)
class NotLoaded:
    """Why there is no model for a cell."""

    reason: str
    traceback: str


class Sweep:
    """A grid that was expanded and checked as a whole, before anything ran."""

    def __init__(self, arguments: list[str], prompts: tuple[str, ...] | None = None) -> None:
        import torch

        from tsbench.backends.diffusers import choose_device
        from tsbench.metrics import check_metrics
        from tsbench.models.source import check_is_flux, find_model, identity

        points = expand(arguments, prompts)
        check_one_run(points)
        first = points[0].config
        self.arguments = arguments
        backends = {point.config.backend for point in points}
        self.name = first.folder_name
        self.report = first.report
        self.pairs, self.metrics = first.timing.pairs, list(first.metrics)
        check_metrics(self.metrics)
        self.threads = first.runtime.threads
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self.device, self.openvino_device = torch.device("cpu"), None
        if "openvino" in backends:
            from tsbench.backends.openvino_export import check_installed

            check_installed()
            from tsbench.backends.openvino import choose_openvino_device

            self.openvino_device = choose_openvino_device(first.runtime.device)
        if "diffusers" in backends:
            for offload in {point.config.runtime.offload for point in points}:
                self.device = choose_device(first.runtime.device, offload)
        self.costs: dict[str, dict[str, Any]] = {}  # by key, of the cells to draw
        self.paths: dict[str, str] = {}  # as the user gave them, by identity
        self.folders: dict[str, Path] = {}
        identities: dict[tuple[str, str | None], str] = {}
        for path, architecture in dict.fromkeys(point.config.model.source for point in points):
            folder = find_model(path, architecture)
            check_is_flux(folder)
            known = identities[path, architecture] = identity(folder)
            self.paths[known], self.folders[known] = path, folder
        self.cells, self.methods = cells_of(points, identities)

    def run(self, console: Console) -> int:
        """Draw what is missing, then score and report everything.

        Returns:
            0, or 1 where a cell has failed.
        """
        from tsbench.environment import environment
        from tsbench.metrics import check_columns

        store = Store(Path("results") / self.name)
        check_columns([*store.manifest().get("metrics", []), *self.metrics])
        missing = [cell for cell in self.cells if not store.is_done(cell.key)]
        here = environment(self.device, self.openvino_device)
        if missing:
            store.check_environment(here)
            session = self.first_session(missing)
            with store.held():
                store.check_environment(here)  # again: another sweep may have drawn here meanwhile
                if any(store.is_done(cell.key) for cell in missing):
                    raise UserError(
                        f"Another sweep has drawn cells of {store.folder} while this one loaded its model; "
                        "type the same command again for the rest."
                    )
                self._draw_missing(store, missing, session, here, console)
        else:
            console.print(f"{store.folder}: all {len(self.cells)} cells are there already")
            store.add_metrics(self.metrics)
        if not self.report:
            console.print(
                f"cells are in {store.folder}; python -m tsbench report {self.name} builds tables and plots of them"
            )
            return int(any(document["status"] == "failed" for document in store.documents()))
        from tsbench.report import build_report

        console.print("scoring and drawing tables and plots")
        return build_report(store, console)

    def _draw_missing(
        self, store: Store, missing: list[Cell], session: Session | NotLoaded, here: dict[str, Any], console: Console
    ) -> None:
        from tsbench.environment import git_revision
        from tsbench.progress import SweepProgress

        command = shlex.join(["python", "-m", "tsbench", "sweep", *self.arguments])
        devices = "; ".join(dict.fromkeys(self.hardware(cell) for cell in self.cells))
        store.open_run(here, devices, git_revision(), command, self.metrics)
        possible = [cell for cell in missing if impossible(cell, self.methods[cell.key]) is None]
        planned = {key: images.total for key, images in planned_images(possible, self.pairs).items()}
        images = sum(planned.values())
        done = len(self.cells) - len(missing)
        console.print(
            f"{store.folder}: {len(missing)} cells to draw, {images} images"
            + (f"; {done} cells are there already" if done else ""),
            soft_wrap=True,
        )
        self.costs = {cell.key: self._cost(cell, self.methods[cell.key]) for cell in possible}
        started, in_pipeline, share = time.perf_counter(), 0.0, 0.0
        titles, workload = workloads(self.cells), ""
        with SweepProgress(console, len(missing), images) as progress:
            for cell, loaded in self.with_sessions(missing, session):
                if cell.reference.key != workload:
                    workload = cell.reference.key
                    console.print(titles[workload], style="bold", soft_wrap=True)
                before = 0.0 if isinstance(loaded, NotLoaded) else loaded.pipeline_s
                self._run_cell(cell, loaded, store, progress, planned.get(cell.key, 0))
                in_pipeline += 0.0 if isinstance(loaded, NotLoaded) else loaded.pipeline_s - before
                share = in_pipeline / (time.perf_counter() - started)
                store.note_share(share)
        console.print(f"{100 * share:.1f} % of the time was spent inside the pipeline")

    def hardware(self, cell: Cell) -> str:
        """The name of the device that draws a cell."""
        import torch

        from tsbench.environment import device_name

        if cell.backend != "openvino":
            return device_name(self.device)
        from tsbench.backends.openvino import full_device_name

        assert self.openvino_device is not None
        return full_device_name(self.openvino_device) or device_name(torch.device("cpu"))

    def load(self, cell: Cell) -> Session:
        from tsbench.backends.diffusers import DiffusersSession

        work = cell.workload
        try:
            if cell.backend == "openvino":
                from tsbench.backends.openvino import OpenVinoSession

                assert self.openvino_device is not None
                return OpenVinoSession(self.folders[work.model], cell.settings, self.openvino_device, self.threads)
            return DiffusersSession(
                self.folders[work.model], cell.settings, self.device, work.random_weights, work.text_encoders
            )
        except Exception as error:
            raise UserError(
                f"The model {cell.workload.model_name!r} could not be loaded with {describe(cell.settings)}: "
                f"{first_line(error)}."
            ) from error

    def first_session(self, cells: list[Cell]) -> Session | NotLoaded:
        """The model that the first of the cells needs.

        Raises:
            UserError: where it cannot be loaded and all cells need the same.
        """
        session = self._loaded(cells[0])
        if isinstance(session, NotLoaded) and len({cell.loading for cell in cells}) == 1:
            raise UserError(session.reason)
        return session

    def with_sessions(
        self, cells: list[Cell], session: Session | NotLoaded
    ) -> Iterator[tuple[Cell, Session | NotLoaded]]:
        """Every cell with the loaded model it needs, or with the reason why there is none."""
        groups = groupby(cells, key=lambda cell: cell.loading)
        for number, (_, group) in enumerate(groups):
            members = list(group)
            if number > 0:
                if not isinstance(session, NotLoaded):
                    session.close()
                session = self._loaded(members[0])
            for cell in members:
                yield cell, session

    def _loaded(self, cell: Cell) -> Session | NotLoaded:
        from tsbench.measure import release_memory

        try:
            return self.load(cell)
        except UserError as error:
            failure = NotLoaded(str(error), traceback.format_exc())
        release_memory()  # which the exception held until here
        return failure

    def _run_cell(
        self, cell: Cell, session: Session | NotLoaded, store: Store, progress: SweepProgress, planned: int
    ) -> None:
        before = progress.done_images
        method = self.methods[cell.key]
        label = method.full_name(method.parameters())
        if reason := impossible(cell, method):
            self._write(store, cell, "skipped", {"reason": reason})
            outcome = f"skipped, {reason}"
        elif isinstance(session, NotLoaded):
            self._write(store, cell, "failed", asdict(session))
            outcome = f"FAILED: {session.reason}"
        else:
            outcome = self._draw(cell, method, session, store, progress)
        progress.cell_finished(f"{label}: {outcome}", planned, before)

    def _draw(self, cell: Cell, method: Method, session: Session, store: Store, progress: SweepProgress) -> str:
        """Draw and store a cell, or store why it failed; and what to say of it."""
        from tsbench.measure import release_memory

        try:
            result = session.draw_cell(cell, method, self.pairs, progress.images_drawn)
        except Exception as error:
            failure = {"reason": first_line(error), "traceback": traceback.format_exc()}
        else:
            images = [] if cell.workload.random_weights else result.images  # of noise nothing is to be learnt
            self._write(store, cell, "ok", self._body(cell, method, result), images)
            return _outcome(result, cell)
        self._write(store, cell, "failed", failure)
        release_memory()
        return f"FAILED: {failure['reason']}"

    def _write(
        self, store: Store, cell: Cell, status: str, body: dict[str, Any], images: Iterable[np.ndarray] = ()
    ) -> None:
        store.write(cell, status, body | {"hardware": self.hardware(cell)}, images)

    def _body(self, cell: Cell, method: Method, result: CellResult) -> dict[str, Any]:
        return {
            "promised_schedule": result.method.promised_schedule(cell.workload.steps),
            "calibration": {
                name: value for name, value in result.method.parameters().items() if value != method.parameters()[name]
            },
            "schedules": result.schedules,
            "warmup": result.warmup,
            "step_errors": result.step_errors,
            "cache_bytes": result.cache_bytes,
            "pairs": result.pairs,
            "peak_memory_bytes": result.peak_memory_bytes,
            "peak_memory_reason": result.peak_memory_reason,
            "model_path": self.paths[cell.workload.model],
            "device": self.openvino_device if cell.backend == "openvino" else str(self.device),
            "threads": self.threads,
            **self.costs[cell.key],
        }

    def _cost(self, cell: Cell, method: Method) -> dict[str, Any]:
        """What a step costs, counted; or why it could not be."""
        from tsbench.flops import step_cost
        from tsbench.models.source import configuration

        try:
            config = configuration(self.folders[cell.workload.model], "transformer/config.json")
            return {"cost": asdict(step_cost(config, cell, method)), "cost_reason": None}
        except Exception as error:
            return {"cost": None, "cost_reason": f"FLOPs could not be counted: {first_line(error)}"}


def workloads(cells: list[Cell]) -> dict[str, str]:
    """The title of every workload of a sweep, by the key of its reference."""
    return titles_of(
        {"reference": cell.reference.key, "backend": cell.backend}
        | drawn_columns(asdict(cell.workload), asdict(cell.settings))
        for cell in cells
    )


def check_one_run(points: list[Point]) -> None:
    """Raise `UserError` where the cells of a sweep could not go into one results folder."""
    shared = {
        "name": lambda point: point.config.name,
        "runtime.device": lambda point: point.config.runtime.device,
        "runtime.threads": lambda point: point.config.runtime.threads,
        "timing.pairs": lambda point: point.config.timing.pairs,
        "metrics": lambda point: tuple(point.config.metrics),
        "report": lambda point: point.config.report,
    }
    for key, value in shared.items():
        if len({value(point) for point in points}) > 1:
            raise UserError(f"{key} cannot be swept: one sweep has one; run a sweep for each value.")


def show_configuration(arguments: list[str]) -> int:
    """`--help` and `--cfg job`, with which Hydra shows something and runs nothing."""
    import os

    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from tsbench.config import one_sentence, register

    unknown = [text for text in arguments if text.startswith("-") and text.split("=")[0] not in SHOWING_FLAGS]
    if unknown:
        raise UserError(f"{unknown[0]!r} is not a flag of sweep; settings are overrides such as steps=20 (see --help).")
    if not {text.split("=")[0] for text in arguments} & SHOWING_FLAGS - {"--resolve"}:
        raise UserError("--resolve fills in what --cfg shows; type --cfg job --resolve.")
    register()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    choosing = [text for text in arguments if text.split("=")[0] in ("backend", "method", "runtime.dtype")]
    chosen = choosing if any("," in text for text in choosing) else for_its_method(tuple(choosing))
    sys.argv = ["tsbench sweep", *(text for text in arguments if text not in choosing), *chosen]
    try:
        hydra.main(version_base="1.3", config_path=str(carried("conf")), config_name="sweep")(lambda config: None)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(one_sentence(error)) from error
    return 0


def describe(settings: Settings) -> str:
    compiled = ", compiled" if settings.compile else ""
    quantized = f", quantization {settings.quantization}" if settings.quantization else ""
    return f"dtype {settings.dtype}, offload {settings.offload}{quantized}{compiled}"


def _outcome(result: CellResult, cell: Cell) -> str:
    from statistics import fmean, median

    from tsbench.schedule import computed_steps
    from tsbench.stats import speedups

    latency = median(pair["method"]["latency_s"] for pair in result.pairs)
    computed = fmean(computed_steps(schedule) for schedule in result.schedules)
    text = f"{latency:.3g} s, {computed:g} of {cell.workload.steps} steps computed"
    if cell.is_reference:
        return text
    return f"{median(speedups(result.pairs)):.2f}x, {text}"
