"""What a command tells: words and progress on standard error, results on standard output.

Counts of what was found, as numbers and in words.

A training on the command line: a moving bar on a terminal, a line a look in a log.
"""

import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from napari_hemacells.core.errors import HemaCellsError, StorageError
from napari_hemacells.core.fsio import write_bytes
from napari_hemacells.core.train.progress import TrainingReport, format_duration
from napari_hemacells.core.types import Progress as Step

Result = TypeVar("Result")


def print_error(error: HemaCellsError, *, debug: bool = False, trace: str = "") -> None:
    """Print an error's sentence on standard error; before it its causes, or a trace of them."""
    if debug:
        traceback.print_exception(error)
    sys.stderr.write(trace)
    Console(stderr=True, soft_wrap=True).print(f"[red]Error:[/red] {escape(str(error))}")


class Reporter:
    """What one run says, and where.

    Parameters
    ----------
    quiet
        No progress and no words; errors and results are still printed.
    json_to
        Where the machine-readable result goes: a file, ``-`` for standard output, ``None`` for
        nowhere.
    """

    def __init__(self, *, quiet: bool, json_to: str | None) -> None:
        self.quiet = quiet
        self.json_to = json_to
        self.words = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self.errors = Console(stderr=True, soft_wrap=True, highlight=False)
        self.results = Console(quiet=quiet or json_to == "-", soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line about what happens, on standard error."""
        self.words.print(escape(text))

    def warn(self, text: str) -> None:
        """Print a line that even a quiet run needs."""
        self.errors.print(f"[yellow]{escape(text)}[/yellow]")

    def tell(self, result: str | Table) -> None:
        """Print a result for people: standard output, unless that carries JSON."""
        self.results.print(escape(result) if isinstance(result, str) else result)

    def finish(self, payload: dict[str, Any]) -> None:
        """Write the machine-readable result where ``--json`` says.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        if self.json_to is None:
            return
        text = json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False)
        if self.json_to == "-":
            sys.stdout.write(text + "\n")
        else:
            write_text(Path(self.json_to), text + "\n")

    def run(self, steps: Generator[Step, None, Result], title: str) -> Result:
        """Return what a core generator returns, showing its progress meanwhile."""
        with self.progress(title) as advance:
            while True:
                try:
                    advance(next(steps))
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # the generator's own type

    @contextmanager
    def batch(self, title: str, total: int) -> Iterator["BatchBar"]:
        """Give the one bar of a batch; in a log, where no bar can move, the title is printed."""
        moves = self.words.is_terminal and not self.quiet
        if not moves:
            self.say(title)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        both = sys.stdout.isatty()  # where only words go to a terminal, results stay in their file
        with Progress(
            *columns, console=self.words, disable=not moves, transient=True, redirect_stdout=both
        ) as bar:
            task = bar.add_task(escape(title), total=total)

            def draw(done: float, text: str) -> None:
                bar.update(task, completed=done, description=escape(f"{title}: {text}"))

            yield BatchBar(total, draw)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[Step], None]]:
        """Give a function that moves the bar named ``title`` to a step's place.

        In a log, where no bar can move, the title alone is printed.
        """
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        moves = self.words.is_terminal and not self.quiet
        if not moves:
            self.say(title)
        with Progress(*columns, console=self.words, disable=not moves, transient=True) as bar:
            task = bar.add_task(escape(title), total=None)

            def advance(step: Step) -> None:
                text = f"{title}: {step.message}" if step.message else title
                bar.update(task, completed=step.done, total=step.total, description=escape(text))

            yield advance


class BatchBar:
    """How far a batch of images is, in images and cells.

    Parameters
    ----------
    total
        Images in the batch.
    draw
        Shows a number of images, with parts of those underway, and the words beside it.
    """

    def __init__(self, total: int, draw: Callable[[float, str], None]) -> None:
        self.total = total
        self._draw = draw
        self._done = self._cells = 0
        self._underway: dict[str, tuple[float, int]] = {}

    def move(self, name: str, share: float, cells: int = 0, message: str = "") -> None:
        """Show that a share of an image, 0 to 1, is done, with so many cells in it so far."""
        self._underway[name] = (share, cells)
        self._show(message)

    def start_at(self, done: int, cells: int) -> None:
        """Show that so many images, with so many cells, were done before."""
        self._done, self._cells = done, cells
        self._show()

    def finish(self, name: str, cells: int) -> None:
        """Show that an image is done or failed, and so many cells are in all finished ones."""
        self._underway.pop(name, None)
        self._done += 1
        self._cells = cells
        self._show()

    def track(
        self, name: str, steps: Generator[Step, None, Result]
    ) -> Generator[Step, None, Result]:
        """Return what an image's steps return, showing where they are."""
        cells = 0
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # the generator's own type
            cells += 0 if step.found is None else len(step.found)
            self.move(name, step.done / max(step.total, 1), cells, step.message)
            yield step

    def _show(self, message: str = "") -> None:
        cells = self._cells + sum(number for _, number in self._underway.values())
        text = f"{self._done} of {self.total} images, {cells:,} cells"
        if self.total == 1:
            text = message or text
        self._draw(self._done + sum(share for share, _ in self._underway.values()), text)


def write_text(path: Path, text: str) -> None:
    """Write a text file, its folder included, whole or not at all.

    Raises
    ------
    StorageError
        If the folder or the file cannot be written.
    """
    if path.is_file() or not path.exists():
        write_bytes(path, text.encode())
        return
    try:  # a terminal or a pipe
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def output_folder(path: Path) -> Path:
    """Return the folder, made where it was missing.

    Raises
    ------
    StorageError
        If there cannot be a folder of that name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {path} cannot be made: {error.strerror}. Choose another with --out."
        ) from error
    return path


def count_values(values: Iterable[object]) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    return dict(Counter(map(str, values)).most_common())


def format_counts(counts: dict[str, int]) -> str:
    """Return the counts as ``RBC 120, WBC 3``; ``none`` where there are none."""
    return ", ".join(f"{name or 'without class'} {n}" for name, n in counts.items()) or "none"


def run_training(
    steps: Generator[TrainingReport, None, Result], reporter: Reporter, title: str
) -> Result:
    """Return what the training returns; held-out figures are printed as they come."""
    with reporter.progress(title) as advance:
        last = None
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # the generator's own type
            advance(Step(report.done, report.total, _format_rate(report)))
            if report.metrics and report is not last:
                reporter.say(format_report(report))
            last = report


def format_report(report: TrainingReport) -> str:
    """Return one line: step, loss, held-out figures, speed, time to go.

    Examples
    --------
    >>> line(TrainingReport(50, 150, losses={"total": 1.25}, metrics={"F1 all": 0.9}))
    'step 50/150 · loss 1.250 · F1 all 0.900'
    """
    parts = [f"step {report.step}/{report.steps}"]
    if "total" in report.losses:
        parts.append(f"loss {report.losses['total']:.3f}")
    parts += [f"{name} {value:.3f}" for name, value in report.metrics.items()]
    if report.images_per_second:
        parts.append(f"{report.images_per_second:.1f} images/s")
    if report.eta_s is not None:
        parts.append(f"{format_duration(report.eta_s)} to go")
    return " · ".join(parts)


def _format_rate(report: TrainingReport) -> str:
    """Return what stands beside the bar."""
    if report.phase != "train" or report.eta_s is None:
        return report.message
    return f"{report.images_per_second:.1f} images/s, {format_duration(report.eta_s)} to go"
