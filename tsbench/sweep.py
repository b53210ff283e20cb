"""A grid, drawn, timed, scored and plotted, resumed where it stopped.

What imports torch, which takes seconds, is imported where it is needed: most mistakes are told before.
"""

from __future__ import annotations

import json
import shlex
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tsbench.budget import planned_images
from tsbench.cell import Cell
from tsbench.cost import StepCost
from tsbench.disturbance import disturbance
from tsbench.errors import ModelSpoilt, UserError, first_line
from tsbench.grid import cells_of, expand, impossible
from tsbench.methods import Method
from tsbench.metrics import check_columns, check_metrics
from tsbench.point import unusual_size
from tsbench.progress import SweepProgress
from tsbench.schedule import computed_steps
from tsbench.stats import speedups
from tsbench.store import Store, differences
from tsbench.stored import DrawnCell, StoredCell
from tsbench.titles import counted, drawn_columns, titles_of

if TYPE_CHECKING:
    from tsbench.drawing.generate import CellResult


class Sweep:
    """A grid that was expanded and checked as a whole, before anything ran."""

    def __init__(self, arguments: list[str], prompts: tuple[str, ...] | None = None) -> None:
        points = expand(arguments, prompts)
        first = points[0].config
        self.arguments, self.name, self.report = arguments, first.folder_name, first.report
        self.pairs, self.metrics = first.timing.pairs, list(first.metrics)
        check_metrics(self.metrics)
        self.unusual_sizes = list(dict.fromkeys(filter(None, map(unusual_size, points))))

        from tsbench.sessions import Sessions

        self.sessions = Sessions(points)
        identities = self.sessions.identities
        listed = [(point.cell(identities[point.config.model.source]), point.method) for point in points]
        self.cells, self.methods = cells_of(listed)
        self.n_combinations, self.n_settings = len(listed), len({cell.key for cell, _ in listed})

    def run(self, console: Console) -> int:
        """Draw what is missing, then score and report everything that is in the folder.

        Returns:
            0, or 1 if a cell of this sweep has failed.
        """
        store = Store(Path("results") / self.name)
        store.check_is_run()
        check_columns([*store.manifest().metrics, *self.metrics])
        done = {cell.key for cell in self.cells if store.is_done(cell.key)}
        self.check_pairs(store, done)
        missing = [cell for cell in self.cells if cell.key not in done]
        if self.n_settings < self.n_combinations:
            console.print(
                f"{self.n_combinations} combinations are {counted(self.n_settings, 'cell')}: what has no effect, or "
                "is the same in other words, does not tell cells apart",
                soft_wrap=True,
            )
        here = self.sessions.environment()
        if missing:
            store.check_environment(here)
            methods = self.suited(missing)
            possible = [cell for cell in missing if impossible(cell, methods[cell.key]) is None]
            if possible:
                self.check_model(possible)
            with store.held():
                store.check_environment(here)  # again: another sweep may have drawn here meanwhile
                if any(store.is_done(cell.key) for cell in missing):
                    raise UserError(
                        f"Another sweep has drawn cells of {store.folder} while this one loaded its model; "
                        "type the same command again for the rest."
                    )
                self._draw_missing(store, missing, possible, methods, here, console)
        else:
            every = "all " if len(self.cells) > 1 else ""
            console.print(f"{store.folder}: {every}{counted(len(self.cells), 'cell')} there already")
            if different := differences(store.manifest().environment, here):
                console.print(f"they were drawn in another environment: {'; '.join(different)}", soft_wrap=True)
            store.add_metrics(self.metrics)
        if not self.report:
            console.print(
                f"cells are in {store.folder}; python -m tsbench report {shlex.quote(self.name)} "
                "builds tables and plots of them"
            )
        else:
            from tsbench.report.build import build_report

            console.print("scoring and drawing tables and plots")
            build_report(store, console)
        mine = [store.cell(cell.key) for cell in self.cells]
        return int(any(kept is None or kept.status == "failed" for kept in mine))

    def check_pairs(self, store: Store, done: Iterable[str]) -> None:
        """Raise `UserError` if cells that are done, by key, have fewer timed pairs than are asked for."""
        timed = [len(kept.pairs) for kept in map(store.cell, done) if isinstance(kept, DrawnCell)]
        if fewer := [pairs for pairs in timed if pairs < self.pairs]:
            raise UserError(
                f"timing.pairs is {self.pairs}, but {counted(len(fewer), 'cell')} of {store.folder} took {min(fewer)}; "
                f"type timing.pairs={min(fewer)} to go on there, or name=NAME for another folder."
            )

    def suited(self, cells: Iterable[Cell]) -> dict[str, Method]:
        """The methods of cells, by key, as they are for the architecture of their models.

        Raises:
            UserError: if a method cannot run on the architecture of its model.
        """
        return {cell.key: self.methods[cell.key].for_architecture(self.sessions.architecture(cell)) for cell in cells}

    def check_model(self, cells: list[Cell]) -> None:
        """Raise `UserError` if the model of the first cell cannot be loaded and no cell needs another one."""
        from tsbench.sessions import NotLoaded

        session = self.sessions.of(cells[0])
        if isinstance(session, NotLoaded) and len({cell.loading for cell in cells}) == 1:
            raise UserError(session.reason)

    def _draw_missing(
        self,
        store: Store,
        missing: list[Cell],
        possible: list[Cell],
        methods: dict[str, Method],
        here: dict[str, Any],
        console: Console,
    ) -> None:
        from tsbench.environment import git_revision

        command = shlex.join(["python", "-m", "tsbench", "sweep", *self.arguments])
        store.open_run(here, git_revision(), command, self.metrics, [cell.key for cell in self.cells])
        planned = {key: images.total for key, images in planned_images(possible, self.pairs, methods).items()}
        images = sum(planned.values())
        done = len(self.cells) - len(missing)
        others = len({kept.key for kept in store.all_cells()} - {cell.key for cell in self.cells})
        console.print(
            f"{store.folder}: {counted(len(missing), 'cell')} to draw, {counted(images, 'image')}"
            + (f"; {counted(done, 'cell')} there already" if done else "")
            + (f"; tables and plots will have {counted(others, 'cell')} of other sweeps too" if others else ""),
            soft_wrap=True,
        )
        for sentence in self.unusual_sizes:
            console.print(sentence, soft_wrap=True)
        costs = {cell.key: self._cost(cell, methods[cell.key]) for cell in possible}
        started, share = time.perf_counter(), 0.0
        titles, workload = workloads(self.cells), ""
        drawn = {cell.reference.key for cell in possible}  # a workload with cells to skip alone needs no model
        with SweepProgress(console, len(missing), images) as progress:
            for cell in missing:
                if cell.reference.key != workload:
                    workload = cell.reference.key
                    console.print(titles[workload], style="bold", soft_wrap=True)
                    if workload in drawn and (cut := self._cut_prompts(cell)):
                        console.print(cut, soft_wrap=True)
                outcome = self._run_cell(cell, methods[cell.key], store, progress, costs)
                name = methods[cell.key].full_name(json.loads(cell.parameters))
                progress.cell_finished(f"{name}: {outcome}", planned.get(cell.key, 0))
                share = self.sessions.pipeline_s / (time.perf_counter() - started)
                store.note_share(share)
        self.sessions.close()  # scoring takes memory too
        console.print(f"{100 * share:.1f} % of the time was spent inside the pipeline")

    def _cut_prompts(self, cell: Cell) -> str | None:
        from tsbench.sessions import NotLoaded

        session = self.sessions.of(cell)
        return None if isinstance(session, NotLoaded) else session.cut_prompts(cell.workload)

    def _run_cell(
        self,
        cell: Cell,
        method: Method,
        store: Store,
        progress: SweepProgress,
        costs: dict[str, tuple[StepCost | None, str | None]],
    ) -> str:
        """Draw and store a cell, or store why not; return the line to print."""
        from tsbench.drawing.measure import release_memory
        from tsbench.sessions import NotLoaded

        if reason := impossible(cell, method):
            store.write(StoredCell(**self._identity(store, cell), status="skipped", reason=reason))
            return f"skipped, {reason}"
        session = self.sessions.of(cell)
        if isinstance(session, NotLoaded):
            reason, trace = session.reason, session.traceback
        else:
            try:
                result = session.draw_cell(cell, method, self.pairs, progress.images_drawn)
            except Exception as error:
                reason, trace = first_line(error), traceback.format_exc()
                if isinstance(error, ModelSpoilt):
                    self.sessions.close()  # the next cell has it loaded anew
            else:
                drawn = self._drawn(store, cell, result, costs[cell.key])
                store.write(drawn, [] if cell.workload.random_weights else result.images)  # of noise nothing is learnt
                disturbed = disturbance(drawn)
                return _outcome(drawn) + (f"; {disturbed}" if disturbed else "")
        store.write(StoredCell(**self._identity(store, cell), status="failed", reason=reason, traceback=trace))
        release_memory()
        return f"FAILED: {reason}"

    def _identity(self, store: Store, cell: Cell) -> dict[str, Any]:
        return store.identity(cell) | {"hardware": self.sessions.hardware(cell)}

    def _drawn(
        self, store: Store, cell: Cell, result: CellResult, cost: tuple[StepCost | None, str | None]
    ) -> DrawnCell:
        given = self.methods[cell.key].parameters()
        return DrawnCell(
            **self._identity(store, cell),
            status="ok",
            schedules=result.schedules,
            promised_schedule=result.method.promised_schedule(cell.workload.steps),
            calibration={name: value for name, value in result.method.parameters().items() if value != given[name]},
            repeat_psnr_db=result.repeat_psnr_db,
            warmups=result.warmups,
            pairs=result.pairs,
            step_errors=result.step_errors,
            cache_bytes=result.cache_bytes,
            cost=cost[0],
            cost_reason=cost[1],
            peak_memory_bytes=result.peak_memory_bytes,
            peak_memory_reason=result.peak_memory_reason,
            model_path=self.sessions.paths[cell.workload.model],
            device=self.sessions.device_of(cell),
            threads=self.sessions.threads,
        )

    def _cost(self, cell: Cell, method: Method) -> tuple[StepCost | None, str | None]:
        """What a step costs, counted; or why it could not be."""
        from tsbench.flops import step_cost

        try:
            return step_cost(self.sessions.architecture(cell), cell, method), None
        except Exception as error:
            return None, f"FLOPs could not be counted: {first_line(error)}"


def workloads(cells: list[Cell]) -> dict[str, str]:
    """The title of every workload of a sweep, by the key of its reference."""
    return titles_of(
        {"reference": cell.reference.key, "backend": cell.backend} | drawn_columns(cell.workload, cell.settings)
        for cell in cells
    )


def _outcome(drawn: DrawnCell) -> str:
    latency = median(pair.method.latency_s for pair in drawn.pairs)
    computed = fmean(map(computed_steps, drawn.schedules))
    text = f"{latency:.4g} s, {computed:g} of {drawn.workload.steps} steps computed"
    if drawn.is_reference:
        return text
    return f"{median(speedups(drawn.pairs)):.2f}x, {text}"
