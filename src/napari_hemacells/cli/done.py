"""Which images of a folder of results are done: what ``--skip-done`` goes by."""

import json
from pathlib import Path
from typing import Any

from napari_hemacells.cli.job import WORK_FOLDER, Failed, Job, Outcome, Record
from napari_hemacells.cli.own_cells import cells_file
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.errors import CellsError, StorageError

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
        from napari_hemacells.core.store.atomic import write_bytes

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
