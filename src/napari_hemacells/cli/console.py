"""What a command tells: words and progress on standard error, results on standard output."""

import json
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
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
)
from rich.table import Table

from napari_hemacells.core.errors import HemaCellsError, StorageError
from napari_hemacells.core.types import Progress as Step

Result = TypeVar("Result")


def explain(error: HemaCellsError, *, debug: bool) -> None:
    """Print an error's sentence on standard error; with ``debug`` its causes before it."""
    if debug:
        traceback.print_exception(error)
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


def write_text(path: Path, text: str) -> None:
    """Write a text file, its folder included.

    Raises
    ------
    StorageError
        If the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
