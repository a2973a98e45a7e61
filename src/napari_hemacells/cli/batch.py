"""Run a command on several images, and note which of them are done.

An image that fails does not stop the others; results come in the order of the input. The notes
in the results folder are what ``--skip-done`` reads.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from napari_hemacells.cli.console import BatchBar, Reporter, format_counts, print_error
from napari_hemacells.cli.image_job import (
    WORK_FOLDER,
    ImageFailure,
    ImageJob,
    ImageOutcome,
    Record,
    run_or_fail,
)
from napari_hemacells.cli.inputs import InputImage, find_images, name_results, shorten
from napari_hemacells.cli.options import ShareOptions
from napari_hemacells.cli.parallel import WorkerPlan, plan_workers, single_threaded
from napari_hemacells.cli.read_cells import cells_file
from napari_hemacells.core.errors import CellsError, HemaCellsError, StorageError
from napari_hemacells.core.files.fsio import read_bytes, sweep, write_bytes
from napari_hemacells.core.image.files import image_name, is_image
from napari_hemacells.core.image.formats import passed_over_sentence
from napari_hemacells.core.types.progress import run_to_end

RESULT_KEYS = ("csv", "labels", "overlay", "triage")
MAX_NOTE_BYTES = 2**20


class CompletedImages:
    """A small file for each finished image, written after all of its results.

    An image counts as done if its file names the same settings and the same image on disk, and
    the results still exist.
    """

    def __init__(self, job: ImageJob) -> None:
        self._job = job
        self._folder = job.folder / WORK_FOLDER
        sweep(job.folder, [WORK_FOLDER])  # of runs that were killed
        self._settings = job.fingerprint()

    def find(self, source: InputImage) -> Record | None:
        """Return the outcome of the image in an earlier run; ``None`` if it must be processed."""
        try:
            stored = json.loads(read_bytes(self._file(source), MAX_NOTE_BYTES))
            same = stored["settings"] == self._settings and stored["inputs"] == self._inputs(
                source
            )
            record = self._with_current_paths(source, stored["record"])
            written = [self._job.working_dir / record[key] for key in RESULT_KEYS if key in record]
        except (OSError, ValueError, KeyError, TypeError, CellsError, StorageError):
            return None
        whole = same and all(path.is_file() for path in written)
        return record if whole else None

    def note(self, source: InputImage, outcome: ImageOutcome) -> ImageOutcome:
        """Return what came of the image, noted if it is done, or that it could not be noted."""
        if isinstance(outcome, ImageFailure):
            return outcome
        try:
            inputs = self._inputs(source)
        except (OSError, CellsError):
            return outcome  # taken away meanwhile: the results stand, but not as done again
        note = {"settings": self._settings, "inputs": inputs, "record": outcome}
        try:
            write_bytes(self._file(source), json.dumps(note, ensure_ascii=False).encode())
        except StorageError as error:
            return ImageFailure(error)
        return outcome

    def _with_current_paths(self, source: InputImage, record: Record) -> Record:
        """Return the record with the paths as this run names them."""
        files = {
            key: str(self._job.out / Path(record[key]).name)
            for key in RESULT_KEYS
            if key in record
        }
        return {**record, "image": str(source.path), **files}

    def _file(self, source: InputImage) -> Path:
        return self._folder / f"{source.name}.json"

    def _inputs(self, source: InputImage) -> list[Any]:
        """Return size and modification time of the files that the results were made from."""
        files = [self._job.working_dir / source.path]
        if self._job.own is not None:
            files.append(cells_file(self._job.working_dir / self._job.own, source.name))
        return [[about.st_size, about.st_mtime_ns] for about in map(Path.stat, files)]


EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130  # what shells give for a program that Ctrl-C ended


@dataclass
class Batch:
    """Outcomes of a batch: records of the images that worked, errors of those that did not."""

    done: list[Record] = field(default_factory=list)
    failed: list[tuple[InputImage, HemaCellsError]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if all worked, the common code of the failures, or 3 if they differ."""
        codes = {error.exit_code for _, error in self.failed}
        if not codes:
            return 0
        return codes.pop() if len(codes) == 1 else EXIT_SOME_FAILED

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: ``images`` and ``failed``."""
        return {
            "images": self.done,
            "failed": [
                {"image": str(source.path), "error": str(error)} for source, error in self.failed
            ],
        }


def find_sources(given: Sequence[str], reporter: Reporter) -> list[InputImage]:
    """Return the images with the names of their results, and print which names were changed."""
    sources = name_results(find_images(given))
    for source in sources:
        stem = image_name(source.path)
        if shorten(stem) != stem:
            reporter.warn(f"A very long name was cut: its results are named {source.name}.")
        elif source.name != stem:
            reporter.warn(
                f"Another image is also called {stem}: the results of "
                f"{source.path} are named {source.name}."
            )
    given_folders = {Path(text) for text in given}
    for folder in sorted({source.path.parent for source in sources} & given_folders):
        files = (path for path in folder.iterdir() if not is_image(path))
        if sentence := passed_over_sentence(folder, (file.suffix.lower() for file in files)):
            reporter.warn(sentence)
    return sources


def run_batch(
    job: ImageJob,
    sources: Sequence[InputImage],
    reporter: Reporter,
    *,
    share: ShareOptions,
    debug: bool,
) -> Batch:
    """Return the outcome of each image, in the order of the images.

    Raises
    ------
    HemaCellsError
        If something that every image needs is missing, or no workers are available.
    typer.Exit
        With code 130 after Ctrl-C; finished images are complete.
    """
    job = with_run_depths(job, sources)
    known = CompletedImages(job)
    results = OrderedResults(sources, reporter, debug=debug)
    if share.skip_done:
        results.add_finished({index: known.find(source) for index, source in enumerate(sources)})
    todo = [(index, sources[index]) for index in results.missing]
    sharing = plan_workers(
        share, [job.working_dir / source.path for _, source in todo], job.selection
    )
    try:
        with reporter.batch(_title(job, results, sharing), len(sources)) as bar:
            bar.start_at(len(sources) - len(todo), results.cells)
            with closing(_outcomes(job, todo, sharing, bar)) as outcomes:
                for index, outcome in outcomes:
                    results.put(index, known.note(sources[index], outcome))
                    bar.finish(sources[index].name, results.cells)
    except KeyboardInterrupt:
        _warn_interrupted(results, reporter)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    batch = results.batch()
    _list_notes(batch, reporter)
    _list_failures(batch, reporter)
    return batch


def with_run_depths(job: ImageJob, sources: Sequence[InputImage]) -> ImageJob:
    """Return the job with one bit depth for all images whose files do not state theirs."""
    from napari_hemacells.core.image import guess_run_depths

    files = [job.working_dir / source.path for source in sources]
    depths = guess_run_depths(files, job.selection)
    return replace(job, run_depths=depths) if depths else job


class OrderedResults:
    """Outcomes as they arrive, reported in the order of the images.

    Parameters
    ----------
    sources
        The images of the batch.
    debug
        Whether to print where a failure comes from.
    """

    def __init__(self, sources: Sequence[InputImage], reporter: Reporter, *, debug: bool) -> None:
        self._sources = sources
        self._reporter = reporter
        self._debug = debug
        self._outcomes: dict[int, ImageOutcome] = {}
        self._finished_before: set[int] = set()
        self._told = 0
        self.cells = 0

    def add_finished(self, records: Mapping[int, Record | None]) -> None:
        """Take over the results of an earlier run."""
        finished = {index: record for index, record in records.items() if record is not None}
        self._finished_before = set(finished)
        for index, record in finished.items():
            self.put(index, record)

    @property
    def missing(self) -> list[int]:
        """Indices of the images without an outcome yet."""
        return [index for index in range(len(self._sources)) if index not in self._outcomes]

    @property
    def done(self) -> int:
        """Number of images that have their results."""
        return sum(not isinstance(outcome, ImageFailure) for outcome in self._outcomes.values())

    def put(self, index: int, outcome: ImageOutcome) -> None:
        """Store the outcome of an image; report all outcomes up to the first one missing."""
        self._outcomes[index] = outcome
        self.cells += 0 if isinstance(outcome, ImageFailure) else outcome["cells"]
        while self._told in self._outcomes:
            self._tell(self._told, self._outcomes[self._told])
            self._told += 1

    def batch(self) -> Batch:
        """Return all outcomes in the order of the images."""
        batch = Batch()
        for index, source in enumerate(self._sources):
            outcome = self._outcomes[index]
            if isinstance(outcome, ImageFailure):
                batch.failed.append((source, outcome.error))
            else:
                batch.done.append(outcome)
        return batch

    def _tell(self, index: int, outcome: ImageOutcome) -> None:
        if isinstance(outcome, ImageFailure):
            if self._debug:
                print_error(outcome.error, trace=outcome.trace)
            return
        kinds = outcome["predicted"] if "predicted" in outcome else outcome["by_class"]
        again = ", done before" if index in self._finished_before else ""
        summary = f"{outcome['cells']} cells ({format_counts(kinds)}{again})"
        self._reporter.tell(f"{self._sources[index].path}: {summary} → {outcome['csv']}")


def _outcomes(
    job: ImageJob, todo: Sequence[tuple[int, InputImage]], sharing: WorkerPlan, bar: BatchBar
) -> Generator[tuple[int, ImageOutcome], None, None]:
    """Yield index and outcome of each image as it finishes, in this process or on workers."""
    if not todo:
        return
    if sharing.is_serial:
        yield from _run_serially(job, todo, bar)
        return
    from napari_hemacells.cli.cluster import run_on_cluster

    yield from run_on_cluster(job, todo, sharing, bar)


def _run_serially(
    job: ImageJob, todo: Sequence[tuple[int, InputImage]], bar: BatchBar
) -> Generator[tuple[int, ImageOutcome], None, None]:
    finish = job.prepare()
    for index, source in todo:
        with single_threaded():
            steps = bar.track(source.name, job.steps(source, finish))
            outcome = run_or_fail(partial(run_to_end, steps))
        yield index, outcome


def _title(job: ImageJob, results: OrderedResults, sharing: WorkerPlan) -> str:
    if sharing.is_serial or not results.missing:
        return job.title
    return f"{job.title} ({sharing.words})"


def _warn_interrupted(results: OrderedResults, reporter: Reporter) -> None:
    left = len(results.missing)
    reporter.warn(
        f"Stopped. {results.done} images are complete, {left} are not done. Run "
        "the same command with --skip-done to continue."
    )


def _list_notes(batch: Batch, reporter: Reporter) -> None:
    """Say each sentence about the images once, with the images that it is about."""
    about: dict[str, list[str]] = {}
    for record in batch.done:
        for note in record.get("notes", []):
            about.setdefault(note, []).append(str(record["image"]))
    for note, images in about.items():
        more = f" and {len(images) - 1} more" if len(images) > 1 else ""
        reporter.tell(f"{images[0]}{more}: {note}")


def _list_failures(batch: Batch, reporter: Reporter) -> None:
    if batch.failed:
        total = len(batch.failed) + len(batch.done)
        reporter.warn(f"{len(batch.failed)} of {total} images failed:")
    for source, error in batch.failed:
        reporter.warn(f"  {source.path}: {error}")


def exit_with_status(batch: Batch) -> None:
    """End the command with the exit code of the batch, unless it is 0."""
    if batch.exit_code:
        raise typer.Exit(batch.exit_code)


def exit_if_unreadable(sentences: Sequence[str], reporter: Reporter) -> None:
    """Print which images could not be read, and end the command with 3 if there are any."""
    if not sentences:
        return
    reporter.warn(f"{len(sentences)} images could not be read and were left out:")
    for sentence in sentences:
        reporter.warn(f"  {sentence}")
    raise typer.Exit(EXIT_SOME_FAILED)
