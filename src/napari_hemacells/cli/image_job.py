"""The job that a command does for each image, in this process or on a worker.

A job is small and can be pickled; networks and models are loaded once per process by
:meth:`Job.preload_detector`. Every command writes the same two files of an image's cells.
"""

import hashlib
import json
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from napari_hemacells import __version__
from napari_hemacells.cli.inputs import InputImage
from napari_hemacells.cli.read_cells import read_cells
from napari_hemacells.core.errors import HemaCellsError, ImageError
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import BitDepth, Cells, Progress, SmearImage

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DetectedImage:
    """An image with its cells, and the name of its results."""

    source: InputImage
    image: SmearImage
    cells: Cells

    def describe(self) -> dict[str, Any]:
        """Return what the result says of every image."""
        from napari_hemacells.core.store.joint_table import group_name

        depth = self.image.bit_depth
        return {
            "image": str(self.source.path),
            "name": self.source.name,
            "key": self.image.key,
            "group": group_name(self.image.groups),
            "shape": list(self.image.shape),
            "cells": len(self.cells),
            "diameter": round(self.cells.diameter, 3),
            "source": self.cells.source,
            "detector": self.cells.detector or None,
            "pixel_size_um": self.image.pixel_size_um,
            "bit_depth": depth and depth.to_dict(),
            "notes": list(self.image.notes),
        }

    def write(self, table: "pd.DataFrame", folder: Path) -> None:
        """Write the table and the label image.

        Raises
        ------
        StorageError
            If one of them cannot be written.
        """
        from napari_hemacells.core.store import write_csv, write_labels_tif

        write_csv(folder / self.file("cells.csv"), table)
        write_labels_tif(folder / self.file("labels.tif"), self.cells)

    def file(self, ending: str) -> str:
        """Return the file name of one of the image's results."""
        return f"{self.source.name}.{ending}"

    def files(self, out: Path) -> dict[str, str]:
        """Return the paths of table and label image, under the folder as the user named it."""
        csv, labels = self.file("cells.csv"), self.file("labels.tif")
        return {"csv": str(out / csv), "labels": str(out / labels)}


WORK_FOLDER = ".hemacells"  # in the folder of the results: what is done, and parts underway
LARGE_IMAGE_PIXELS = 8_000_000  # pixels, some seconds of work

Result = TypeVar("Result")
Record: TypeAlias = dict[str, Any]
ResultWriter: TypeAlias = Callable[[DetectedImage], Generator[Progress, None, Record]]


@dataclass(frozen=True)
class ImageFailure:
    """An image without a result, and the reason; ``trace`` is the traceback for ``--debug``."""

    error: HemaCellsError
    trace: str = ""


ImageOutcome: TypeAlias = Record | ImageFailure


@dataclass(frozen=True)
class ImageJob(ABC):
    """What a command does with every image.

    Attributes
    ----------
    working_dir
        The command's working directory: the base of every relative path, also in other processes.
    out
        The folder for the results, as the user named it.
    params
        The parameters of the detection.
    own
        The user's own cells instead; ``None`` to detect.
    resume_parts
        Whether parts of large images that an earlier run has done are taken over.
    run_depths
        One bit depth, of each offset, for all images of the run whose files do not state theirs.
    selection
        The plane of stacks, and the channels.
    """

    working_dir: Path
    out: Path
    params: DetectParams
    own: Path | None
    resume_parts: bool = False
    run_depths: tuple[BitDepth, ...] = ()
    selection: PlaneSelection = WHOLE_PICTURE

    @property
    @abstractmethod
    def title(self) -> str:
        """The title of the job, for messages."""

    @property
    def folder(self) -> Path:
        """The folder for the results, absolute."""
        return self.working_dir / self.out

    @abstractmethod
    def prepare(self) -> ResultWriter:
        """Load what the job needs; return the function that writes an image's results.

        Raises
        ------
        HemaCellsError
            If something that every image needs is missing or refused.
        """

    def prepare_detector(self) -> None:
        """Load the detector, unless the user gives the cells."""
        keep_freed_memory()
        if self.own is None:
            from napari_hemacells.core.detect import preload_detector

            preload_detector(self.params.method, self.params.weights)

    def steps(self, source: InputImage, finish: ResultWriter) -> Generator[Progress, None, Record]:
        """Process an image and write its files; yield the progress, return the outcome.

        Raises
        ------
        HemaCellsError
            If the image or its cells cannot be used, or the files cannot be written.
        """
        return (yield from self.steps_for_image(source, self.read(source), finish))

    def steps_for_image(
        self, source: InputImage, image: SmearImage, finish: ResultWriter
    ) -> Generator[Progress, None, Record]:
        """Process an image that has been read; otherwise as :meth:`steps`."""
        cells = yield from self.find(source, image)
        record = yield from finish(DetectedImage(source, image, cells))
        self.discard_parts(source)
        return record

    def read(self, source: InputImage) -> SmearImage:
        """Return the image; a large one stays on disk.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        from napari_hemacells.core.image import read_image

        return read_image(
            self.working_dir / source.path,
            run_depths=self.run_depths,
            selection=self.selection,
        )

    def find(self, source: InputImage, image: SmearImage) -> Generator[Progress, None, Cells]:
        """Return the user's own cells or the detector's; yield the progress."""
        if self.own is not None:
            return read_cells(self.working_dir / self.own, source.name, image)
        from napari_hemacells.core.detect import detect_steps

        resume = self.parts_folder(source) if is_large(image) else None
        if not self.resume_parts:
            self.discard_parts(source)
        return (yield from detect_steps(image, self.params, resume=resume))

    def parts_folder(self, source: InputImage) -> Path:
        """Return the folder for the finished parts of a large image."""
        return self.folder / WORK_FOLDER / f"{source.name}.parts"

    def discard_parts(self, source: InputImage) -> None:
        """Delete the finished parts of an image."""
        from napari_hemacells.core.detect.checkpoint import remove_checkpoint

        remove_checkpoint(self.parts_folder(source))

    def settings(self) -> dict[str, Any]:
        """As plain JSON, all that the results depend on beside the image."""
        depths = [depth.to_dict() for depth in self.run_depths]
        return {
            **({"bit_depths": depths} if depths else {}),
            **({"selection": self.selection.to_dict()} if self.selection else {}),
            "job": type(self).__name__,
            "version": __version__,
            "params": self.params.model_dump(mode="json"),
            "own": None if self.own is None else str(self.working_dir / self.own),
        }

    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify the settings."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_large(image: SmearImage) -> bool:
    """Whether an image is processed in parts, which are kept and can be shared by workers."""
    return image.shape[0] * image.shape[1] > LARGE_IMAGE_PIXELS


def run_or_fail(work: Callable[[], Result]) -> Result | ImageFailure:
    """Return the result of the work, or why it failed."""
    try:
        return work()
    except HemaCellsError as error:
        return ImageFailure(error, "".join(traceback.format_exception(error)))
    except MemoryError as error:
        return ImageFailure(out_of_memory_error(), "".join(traceback.format_exception(error)))


def out_of_memory_error() -> HemaCellsError:
    """Return the error for an image that needed too much memory."""
    return ImageError(
        "There was not enough memory for this image. Close other programs, or "
        "use fewer processes with --workers."
    )
