"""How far a sweep is, on a terminal and in a log file."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class SweepProgress:
    """A line for every finished cell, and on a terminal a bar that moves with every image."""

    def __init__(self, console: Console, cells: int, images: int) -> None:
        self.console, self.cells, self.images = console, cells, images
        self.done_cells = self.done_images = 0
        self.before = 0  # images of finished cells
        self.started = time.perf_counter()
        self.bar = Progress(
            BarColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=images)

    def __enter__(self) -> SweepProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def images_drawn(self, count: int) -> None:
        self.done_images += count
        self.bar.update(self.task, completed=self.done_images, description=self.pace())

    def cell_finished(self, text: str, planned_images: int) -> None:
        """Print the cell's line; images that a failed cell did not draw are no longer waited for."""
        self.done_cells += 1
        self.images -= planned_images - (self.done_images - self.before)
        self.before = self.done_images
        self.bar.update(self.task, total=self.images)
        width = len(str(self.cells))
        self.console.print(f"[{self.done_cells:{width}}/{self.cells}] {text}  ({self.pace()})", soft_wrap=True)

    def pace(self) -> str:
        elapsed = time.perf_counter() - self.started
        if not self.done_images:
            return "starting"
        left = max(0, self.images - self.done_images) * elapsed / self.done_images  # some are drawn again
        return f"{self.done_images / elapsed:.3g} images/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """3725 -> "1 h 02 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


class Output(Console):
    """Leaves it to the verb to say that its output was closed."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def output() -> Console:
    """Where verbs print: as wide as the terminal, and wide enough for the tables there and in a log file.

    Text is printed as it is: reasons, prompts and paths may have brackets, which would be taken for markup.
    """
    console = Output(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 120
    elif console.width < 80:
        console.width = 80
    return console
