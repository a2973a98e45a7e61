"""What a command does with each image: the same in this process and on a worker's.

A job is small and can be pickled; what it needs to work (networks, a model) is loaded by
:meth:`Job.preload_detector`, once a process.

The cells of one image, and the two files that every command writes of them.
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
        depth = self.image.bit_depth
        return {
            "image": str(self.source.path),
            "name": self.source.name,
            "key": self.image.key,
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
        """Return the name of one of the image's results."""
        return f"{self.source.name}.{ending}"

    def files(self, out: Path) -> dict[str, str]:
        """Return where table and label image are, under the folder as the user named it."""
        csv, labels = self.file("cells.csv"), self.file("labels.tif")
        return {"csv": str(out / csv), "labels": str(out / labels)}


WORK_FOLDER = ".hemacells"  # in the folder of the results: what is done, and parts underway
LARGE_IMAGE_PIXELS = 8_000_000  # pixels, some seconds of work

Result = TypeVar("Result")
Record: TypeAlias = dict[str, Any]
ResultWriter: TypeAlias = Callable[[DetectedImage], Generator[Progress, None, Record]]


@dataclass(frozen=True)
class ImageFailure:
    """An image that gave no result, and why; ``trace`` says where, for ``--debug``."""

    error: HemaCellsError
    trace: str = ""


ImageOutcome: TypeAlias = Record | ImageFailure


@dataclass(frozen=True)
class ImageJob(ABC):
    """What is done with every image.

    Attributes
    ----------
    here
        The command's working directory: what every relative path starts from, also in a process
        that was started elsewhere.
    out
        The folder of the results, as the user named it.
    params
        How cells are found.
    own
        The user's own cells instead; ``None`` to detect.
    go_on
        Whether parts of large images that an earlier run has done are taken over.
    run_depths
        One bit depth, of each offset, for all images of the run whose files do not state theirs.
    """

    working_dir: Path
    out: Path
    params: DetectParams
    own: Path | None
    resume_parts: bool = False
    run_depths: tuple[BitDepth, ...] = ()

    @property
    @abstractmethod
    def title(self) -> str:
        """What the job does, in words."""

    @property
    def folder(self) -> Path:
        """The folder of the results, absolute."""
        return self.working_dir / self.out

    @abstractmethod
    def prepare(self) -> ResultWriter:
        """Load what the job needs; return what makes an image's results from its cells.

        Raises
        ------
        HemaCellsError
            If something that every image needs is missing or refused.
        """

    def prepare_detector(self) -> None:
        """Load the detector, unless the user brings the cells."""
        keep_freed_memory()
        if self.own is None:
            from napari_hemacells.core.detect import preload_detector

            preload_detector(self.params.method, self.params.weights)

    def steps(self, source: InputImage, finish: ResultWriter) -> Generator[Progress, None, Record]:
        """Return what came of an image, its files written; yield the progress.

        Raises
        ------
        HemaCellsError
            If the image or its cells cannot be used, or the files not be written.
        """
        return (yield from self.steps_for_image(source, self.read(source), finish))

    def steps_for_image(
        self, source: InputImage, image: SmearImage, finish: ResultWriter
    ) -> Generator[Progress, None, Record]:
        """Return what came of an image that has been read; as :meth:`steps` otherwise."""
        cells = yield from self.find(source, image)
        record = yield from finish(DetectedImage(source, image, cells))
        self.discard_parts(source)
        return record

    def read(self, source: InputImage) -> SmearImage:
        """Return the image; a large one stays on the disk.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        from napari_hemacells.core.image import read_image

        return read_image(self.working_dir / source.path, run_depths=self.run_depths)

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
        """Return where the parts of a large image are kept until all of it is done."""
        return self.folder / WORK_FOLDER / f"{source.name}.parts"

    def discard_parts(self, source: InputImage) -> None:
        """Remove the parts of an image."""
        from napari_hemacells.core.detect.checkpoint import remove_checkpoint

        remove_checkpoint(self.parts_folder(source))

    def settings(self) -> dict[str, Any]:
        """As plain JSON, all that the results depend on beside the image."""
        depths = [depth.to_dict() for depth in self.run_depths]
        return {
            **({"bit_depths": depths} if depths else {}),
            "job": type(self).__name__,
            "version": __version__,
            "params": self.params.model_dump(mode="json"),
            "own": None if self.own is None else str(self.working_dir / self.own),
        }

    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ whenever the settings do."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_large(image: SmearImage) -> bool:
    """Whether an image is done by parts that are kept, and that several workers may share."""
    return image.shape[0] * image.shape[1] > LARGE_IMAGE_PIXELS


def run_or_fail(work: Callable[[], Result]) -> Result | ImageFailure:
    """Return what the work returns, or why it failed."""
    try:
        return work()
    except HemaCellsError as error:
        return ImageFailure(error, "".join(traceback.format_exception(error)))
    except MemoryError as error:
        return ImageFailure(out_of_memory_error(), "".join(traceback.format_exception(error)))


def out_of_memory_error() -> HemaCellsError:
    """Return the error of an image for which the memory was too small."""
    return ImageError(
        "The memory was not enough for this image. Close other programs, or share the memory "
        "among fewer processes with --workers."
    )
