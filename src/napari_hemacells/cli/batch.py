"""Several images: a failure of one stops no other, and the order is that of the input.

Which images of a folder of results are done: what ``--skip-done`` goes by.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import typer

from napari_hemacells.cli.console import BatchBar, Reporter, explain, format_counts
from napari_hemacells.cli.image_job import (
    WORK_FOLDER,
    Failed,
    Job,
    Outcome,
    Record,
    attempt,
)
from napari_hemacells.cli.inputs import Source, find_images, name_results
from napari_hemacells.cli.options import ShareOptions
from napari_hemacells.cli.parallel import Sharing, decide, one_thread
from napari_hemacells.cli.read_cells import cells_file
from napari_hemacells.core.errors import CellsError, HemaCellsError, StorageError
from napari_hemacells.core.types.progress import run_to_end

FILES = ("csv", "labels", "overlay")


class DoneImages:
    """A small file for each finished image, written after all of its results.

    An image counts as done where its file speaks of the same settings, the same image on disk,
    and results that are still there.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._folder = job.folder / WORK_FOLDER
        self._settings = job.fingerprint()

    def find(self, source: Source) -> Record | None:
        """Return what came of the image in an earlier run; ``None`` where it must be done."""
        try:
            told = json.loads(self._file(source).read_text(encoding="utf-8"))
            same = told["settings"] == self._settings and told["inputs"] == self._inputs(source)
            record = self._here_and_now(source, told["record"])
            written = [self._job.here / record[key] for key in FILES if key in record]
        except (OSError, ValueError, KeyError, TypeError, CellsError):
            return None
        whole = same and all(path.is_file() for path in written)
        return record if whole else None

    def note(self, source: Source, outcome: Outcome) -> Outcome:
        """Return what came of the image, noted if it is done, or that it could not be noted."""
        from napari_hemacells.core.fsio import write_bytes

        if isinstance(outcome, Failed):
            return outcome
        try:
            inputs = self._inputs(source)
        except (OSError, CellsError):
            return outcome  # taken away meanwhile: the results stand, but not as done again
        note = {"settings": self._settings, "inputs": inputs, "record": outcome}
        try:
            write_bytes(self._file(source), json.dumps(note, ensure_ascii=False).encode())
        except StorageError as error:
            return Failed(error)
        return outcome

    def _here_and_now(self, source: Source, record: Record) -> Record:
        """Return the record with the paths as this run names them."""
        files = {
            key: str(self._job.out / Path(record[key]).name) for key in FILES if key in record
        }
        return {**record, "image": str(source.path), **files}

    def _file(self, source: Source) -> Path:
        return self._folder / f"{source.name}.json"

    def _inputs(self, source: Source) -> list[Any]:
        """Return size and time of the files that the results were made from."""
        files = [self._job.here / source.path]
        if self._job.own is not None:
            files.append(cells_file(self._job.here / self._job.own, source.name))
        return [[about.st_size, about.st_mtime_ns] for about in map(Path.stat, files)]


SOME_FAILED = 3
STOPPED = 130  # what shells give for a program that Ctrl-C ended


@dataclass
class Batch:
    """What came of each image: a record of those that worked, an error of those that did not."""

    done: list[Record] = field(default_factory=list)
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
    job: Job, sources: Sequence[Source], reporter: Reporter, *, share: ShareOptions, debug: bool
) -> Batch:
    """Return what came of each image, in the order of the images.

    Raises
    ------
    HemaCellsError
        If something that every image needs is missing, or the workers cannot be had.
    typer.Exit
        With 130 after Ctrl-C; finished images are whole.
    """
    known = DoneImages(job)
    results = InOrder(sources, reporter, debug=debug)
    if share.skip_done:
        results.start_with({place: known.find(one) for place, one in enumerate(sources)})
    todo = [(place, sources[place]) for place in results.missing]
    sharing = decide(share, [job.here / source.path for _, source in todo])
    try:
        with reporter.batch(_title(job, results, sharing), len(sources)) as bar:
            bar.start_at(len(sources) - len(todo), results.cells)
            with closing(_outcomes(job, todo, sharing, bar)) as outcomes:
                for place, outcome in outcomes:
                    results.put(place, known.note(sources[place], outcome))
                    bar.finish(sources[place].name, results.cells)
    except KeyboardInterrupt:
        _say_stopped(results, reporter)
        raise typer.Exit(STOPPED) from None
    batch = results.batch()
    _list_failures(batch, reporter)
    return batch


class InOrder:
    """Outcomes as they come, told in the order of the images.

    Parameters
    ----------
    sources
        The images of the batch.
    debug
        Whether a failure's origin is shown.
    """

    def __init__(self, sources: Sequence[Source], reporter: Reporter, *, debug: bool) -> None:
        self._sources = sources
        self._reporter = reporter
        self._debug = debug
        self._outcomes: dict[int, Outcome] = {}
        self._old: set[int] = set()
        self._told = 0
        self.cells = 0

    def start_with(self, records: Mapping[int, Record | None]) -> None:
        """Take over what an earlier run has done."""
        found = {place: record for place, record in records.items() if record is not None}
        self._old = set(found)
        for place, record in found.items():
            self.put(place, record)

    @property
    def missing(self) -> list[int]:
        """Places of the images that nothing has come of yet."""
        return [place for place in range(len(self._sources)) if place not in self._outcomes]

    @property
    def done(self) -> int:
        """How many images have their results."""
        return sum(not isinstance(one, Failed) for one in self._outcomes.values())

    def put(self, place: int, outcome: Outcome) -> None:
        """Take what came of an image; tell all that is known up to the first one missing."""
        self._outcomes[place] = outcome
        self.cells += 0 if isinstance(outcome, Failed) else outcome["cells"]
        while self._told in self._outcomes:
            self._tell(self._told, self._outcomes[self._told])
            self._told += 1

    def batch(self) -> Batch:
        """Return all of it in the order of the images."""
        batch = Batch()
        for place, source in enumerate(self._sources):
            outcome = self._outcomes[place]
            if isinstance(outcome, Failed):
                batch.failed.append((source, outcome.error))
            else:
                batch.done.append(outcome)
        return batch

    def _tell(self, place: int, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            if self._debug:
                explain(outcome.error, trace=outcome.trace)
            return
        kinds = outcome["predicted"] if "predicted" in outcome else outcome["by_class"]
        again = ", done before" if place in self._old else ""
        told = f"{outcome['cells']} cells ({format_counts(kinds)}{again})"
        self._reporter.tell(f"{self._sources[place].path}: {told} → {outcome['csv']}")


def _outcomes(
    job: Job, todo: Sequence[tuple[int, Source]], sharing: Sharing, bar: BatchBar
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield place and outcome of each image as it is done, here or on workers."""
    if not todo:
        return
    if sharing.alone:
        yield from _one_by_one(job, todo, bar)
        return
    from napari_hemacells.cli.cluster import on_cluster

    yield from on_cluster(job, todo, sharing, bar)


def _one_by_one(
    job: Job, todo: Sequence[tuple[int, Source]], bar: BatchBar
) -> Generator[tuple[int, Outcome], None, None]:
    finish = job.prepare()
    for place, source in todo:
        with one_thread():
            steps = bar.follow(source.name, job.steps(source, finish))
            outcome = attempt(partial(run_to_end, steps))
        yield place, outcome


def _title(job: Job, results: InOrder, sharing: Sharing) -> str:
    if sharing.alone or not results.missing:
        return job.title
    return f"{job.title} ({sharing.words})"


def _say_stopped(results: InOrder, reporter: Reporter) -> None:
    left = len(results.missing)
    reporter.warn(
        f"Stopped. {results.done} images are done and whole, {left} are not; "
        "the same command with --skip-done goes on."
    )


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
