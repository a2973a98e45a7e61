"""Several images, one after the other: a failure of one does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from napari_hemacells.cli.console import Reporter, explain
from napari_hemacells.cli.sources import Source, find_images, name_results
from napari_hemacells.core.errors import HemaCellsError

SOME_FAILED = 3


@dataclass
class Batch:
    """What came of each image: a record of those that worked, an error of those that did not."""

    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[tuple[Source, HemaCellsError]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if all worked, the failures' common code, or 3 where they differ."""
        codes = {error.exit_code for _, error in self.failed}
        if not codes:
            return 0
        return codes.pop() if len(codes) == 1 else SOME_FAILED

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: ``images`` and ``failed``."""
        return {
            "images": self.done,
            "failed": [
                {"image": str(source.path), "error": str(error)} for source, error in self.failed
            ],
        }


def find_sources(given: Sequence[str], reporter: Reporter) -> list[Source]:
    """Return the images with the names of their results, and say which names were changed."""
    sources = name_results(find_images(given))
    for source in sources:
        if source.name != source.path.stem:
            reporter.warn(
                f"Another image is called {source.path.stem} too: "
                f"the results of {source.path} are named {source.name}."
            )
    return sources


def run_batch(
    sources: Sequence[Source],
    work: Callable[[Source], dict[str, Any]],
    reporter: Reporter,
    *,
    debug: bool,
) -> Batch:
    """Return what came of each image; each known failure is printed when it happens."""
    batch = Batch()
    for source in sources:
        try:
            batch.done.append(work(source))
        except HemaCellsError as error:
            batch.failed.append((source, error))
            if debug:
                explain(error, debug=True)
    _list_failures(batch, reporter)
    return batch


def _list_failures(batch: Batch, reporter: Reporter) -> None:
    if batch.failed:
        total = len(batch.failed) + len(batch.done)
        reporter.warn(f"{len(batch.failed)} of {total} images failed:")
    for source, error in batch.failed:
        reporter.warn(f"  {source.path}: {error}")


def end(batch: Batch) -> None:
    """End the command with the batch's exit code, where it is not 0."""
    if batch.exit_code:
        raise typer.Exit(batch.exit_code)


def end_with_unreadable(sentences: Sequence[str], reporter: Reporter) -> None:
    """Name the pictures that could not be read, and end the command with 3 if there are any."""
    if not sentences:
        return
    reporter.warn(f"{len(sentences)} pictures could not be read and were left out:")
    for sentence in sentences:
        reporter.warn(f"  {sentence}")
    raise typer.Exit(SOME_FAILED)
