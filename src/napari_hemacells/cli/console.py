"""What commands print: messages and progress on standard error, results on standard output.

A training is shown as a progress bar on a terminal, and as one line per report in a log.
"""

import json
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.control import Control
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table

from napari_hemacells.core.errors import HemaCellsError, StorageError
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.train.progress import TrainingReport, format_duration
from napari_hemacells.core.types import Progress as Step

if TYPE_CHECKING:
    from napari_hemacells.core.store import Project

Result = TypeVar("Result")


_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text in which no character steers a terminal; such stand there as escapes.

    Line ends and tabs stay. Names of files and classes of others may hold anything.

    Examples
    --------
    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNPRINTABLE.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class _Printable:
    """A renderable whose own text is :func:`printable`; colours and cursor are rich's own."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inner, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


class _PrintableHook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [
            renderable if isinstance(renderable, Control) else _Printable(renderable)
            for renderable in renderables
        ]


def make_console(**options: Any) -> Console:
    """Return a console to which no name can send a terminal's escape codes."""
    console = Console(soft_wrap=True, **options)
    console.push_render_hook(_PrintableHook())
    return console


def print_error(error: HemaCellsError, *, debug: bool = False, trace: str = "") -> None:
    """Print an error on standard error, preceded by its causes or by a traceback."""
    if debug:
        trace = "".join(traceback.format_exception(error)) + trace
    sys.stderr.write(printable(trace))
    make_console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}")


class Reporter:
    """What a run prints, and where.

    Parameters
    ----------
    quiet
        Print no progress and no messages; errors and results are still printed.
    json_to
        Where the machine-readable result goes: a file, ``-`` for standard output, or ``None``.
    """

    def __init__(self, *, quiet: bool, json_to: str | None) -> None:
        self.quiet = quiet
        self.json_to = json_to
        self.words = make_console(stderr=True, quiet=quiet, highlight=False)
        self.errors = make_console(stderr=True, highlight=False)
        self.results = make_console(quiet=quiet or json_to == "-", highlight=False)

    def say(self, text: str) -> None:
        """Print a message on standard error."""
        self.words.print(escape(text))

    def warn(self, text: str) -> None:
        """Print a message that is shown even with ``--quiet``."""
        self.errors.print(f"[yellow]{escape(text)}[/yellow]")

    @contextmanager
    def notices_of(self, project: "Project | None") -> Iterator[None]:
        """Print what a project has to say when the block ends, also where it fails."""
        try:
            yield
        finally:
            for notice in [] if project is None else project.notices:
                self.warn(notice)

    def tell(self, result: str | Table) -> None:
        """Print a readable result on standard output, unless that is used for JSON."""
        self.results.print(escape(result) if isinstance(result, str) else result)

    def finish(self, payload: dict[str, Any]) -> None:
        """Write the machine-readable result to the place that ``--json`` names.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        if self.json_to is None:
            return
        text = json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False)
        text = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        if self.json_to == "-":
            sys.stdout.write(text + "\n")
        else:
            write_text(Path(self.json_to), text + "\n")

    def run(self, steps: Generator[Step, None, Result], title: str) -> Result:
        """Run a core generator, show its progress and return its result."""
        with self.progress(title) as advance:
            while True:
                try:
                    advance(next(steps))
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]  # the generator's own type

    @contextmanager
    def batch(self, title: str, total: int) -> Iterator["BatchBar"]:
        """Give the progress bar of a batch; in a log, only the title is printed."""
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
                bar.update(task, completed=done, description=escape(printable(f"{title}: {text}")))

            yield BatchBar(total, draw)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[Step], None]]:
        """Give a function that moves the bar named ``title`` to the position of a step.

        In a log, only the title is printed.
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
                text = printable(f"{title}: {step.message}" if step.message else title)
                bar.update(task, completed=step.done, total=step.total, description=escape(text))

            yield advance


class BatchBar:
    """Progress of a batch of images, in images and cells.

    Parameters
    ----------
    total
        Images in the batch.
    draw
        Shows the number of finished images, with fractions for those underway, and a text.
    """

    def __init__(self, total: int, draw: Callable[[float, str], None]) -> None:
        self.total = total
        self._draw = draw
        self._done = self._cells = 0
        self._underway: dict[str, tuple[float, int]] = {}

    def move(self, name: str, share: float, cells: int = 0, message: str = "") -> None:
        """Show that a share of an image, 0 to 1, is done, with the cells found in it so far."""
        self._underway[name] = (share, cells)
        self._show(message)

    def start_at(self, done: int, cells: int) -> None:
        """Show how many images and cells were done before."""
        self._done, self._cells = done, cells
        self._show()

    def finish(self, name: str, cells: int) -> None:
        """Show that an image is done or failed, and the number of cells in all finished images."""
        self._underway.pop(name, None)
        self._done += 1
        self._cells = cells
        self._show()

    def track(
        self, name: str, steps: Generator[Step, None, Result]
    ) -> Generator[Step, None, Result]:
        """Run the steps of an image, show their progress and return their result."""
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
    """Return the folder, created if it is missing.

    Raises
    ------
    StorageError
        If the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {path} cannot be created: {error.strerror}. Choose another with --out."
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
    """Run a training and return its result; held-out figures are printed as they arrive."""
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
    """Return one line: step, loss, held-out figures, speed, remaining time.

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
    """Return the text beside the bar."""
    if report.phase != "train" or report.eta_s is None:
        return report.message
    return f"{report.images_per_second:.1f} images/s, {format_duration(report.eta_s)} to go"
