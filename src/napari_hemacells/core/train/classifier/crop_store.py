"""Decoded crops: in memory up to a bound, the rest read when they are needed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.errors import ImageError, TrainingError
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.reading_options import DEFAULT_READING, ReadingOptions
from napari_hemacells.core.pictures import picture_pixels
from napari_hemacells.core.train.classifier.dataset import Example, Examples, digest
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.types import CropSpec, LearnedFrom

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import TemperatureScaling

MEGABYTE = 2**20
PORTION = 64  # files read between two reports
MIXED = "thermograms and colour pictures are not learned together."
SAMPLE = 100  # pictures that tell how large a cell is in them


class CropGeometry(NamedTuple):
    """How a picture becomes a crop.

    Attributes
    ----------
    spec
        Side of the crop, and the margin around the cell by which detected cells are cut alike.
    framing
        Side of the square taken from a picture, divided by the picture's longer side.
    reading
        How the pictures are read.
    learned_from
        What a network learns from, where it is known.
    """

    spec: CropSpec
    framing: float
    reading: ReadingOptions = DEFAULT_READING
    learned_from: LearnedFrom | None = None

    def with_thermal_display(self, degrees: TemperatureScaling, palette: str) -> CropGeometry:
        """The same, with thermograms shown so."""
        return self._replace(spec=replace(self.spec, degrees=degrees, palette=palette))


def estimate_crop_geometry(
    examples: Examples,
    size: int,
    context: float | None,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> CropGeometry:
    """Return the frame: whole pictures, or their middle with that margin around a typical cell."""
    step = -(-len(examples) // SAMPLE)
    reading = ReadingOptions.for_files([example.path for example in examples.items], selection)
    opened = (_pixels(example.path, reading) for example in examples.items[::step])
    sample = [pixels for pixels in opened if not isinstance(pixels, str)]
    typical = estimate_context(sample)
    side = int(np.median([max(pixels.shape[:2]) for pixels in sample])) if sample else None
    degrees = bool(sample) and sample[0].ndim == 2
    learned_from = LearnedFrom(
        "pictures",
        context=None if degrees else round(typical, 3),
        side=side,
        modality="temperature" if degrees else "colour",
    )
    if context is None:
        return CropGeometry(CropSpec(size, round(typical, 3)), 1.0, reading, learned_from)
    framing = min(1.0, context / typical)
    return CropGeometry(CropSpec(size, context), framing, reading, learned_from)


class CropStore:
    """``(n, size, size, 3)`` crops of picture files: uint8, of thermograms float32 to 255.

    Parameters
    ----------
    paths
        The files.
    cached
        The first crops, decoded; those of the other files are read anew each time.
    frame
        How a picture becomes a crop.
    """

    def __init__(self, paths: Sequence[Path], cached: NDArray[Any], frame: CropGeometry) -> None:
        self._paths, self._cached, self.frame = tuple(paths), cached, frame

    @property
    def size(self) -> int:
        """Side of the crops."""
        return self.frame.spec.size

    @property
    def is_thermal(self) -> bool:
        """Whether the crops show degrees."""
        return self._cached.dtype.kind == "f"

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """``(m, size, size, 3)`` crops at these places."""
        inside = places < len(self._cached)
        if inside.all():
            return self._cached[places]
        crops = np.empty((len(places), self.size, self.size, 3), self._cached.dtype)
        crops[inside] = self._cached[places[inside]]
        with ThreadPoolExecutor(max_workers=_workers()) as pool:
            read = pool.map(self._read, places[~inside].tolist())
            for index, crop in zip(np.flatnonzero(~inside), read, strict=True):
                crops[index] = crop
        return crops

    def batches(self, places: NDArray[np.int64], size: int) -> Iterator[NDArray[Any]]:
        """Yield the crops at these places, so many at a time."""
        for start in range(0, len(places), size):
            yield self[places[start : start + size]]

    def _read(self, index: int) -> NDArray[Any]:
        decoded = _open(self._paths[index], self.frame)
        if isinstance(decoded, str):
            raise TrainingError(f"A picture could be read before and cannot any more: {decoded}")
        return decoded.crop


class DecodedCrop(NamedTuple):
    """A decoded picture and the identity of its file."""

    crop: NDArray[Any]
    digest: str


@dataclass(frozen=True)
class LoadedExamples:
    """The examples that can be read.

    Attributes
    ----------
    digests
        Identity of each file's content.
    unreadable
        Sentences about the files that were left out.
    """

    examples: Examples
    crops: CropStore
    digests: tuple[str, ...]
    unreadable: tuple[str, ...]


def load_examples_steps(
    examples: Examples, frame: CropGeometry, memory_mb: int
) -> Generator[TrainingReport, None, LoadedExamples]:
    """Return the examples decoded; yield while they are read. Unreadable files are left out.

    Raises
    ------
    TrainingError
        Not one picture can be read.
    """
    size = frame.spec.size
    kind = _crop_dtype(examples, frame.reading)
    room = max(1, memory_mb * MEGABYTE // (size * size * 3 * kind.itemsize))
    cached = np.empty((min(room, len(examples)), size, size, 3), kind)
    kept: list[Example] = []
    digests: list[str] = []
    unreadable: list[str] = []
    items = examples.items
    with ThreadPoolExecutor(max_workers=_workers()) as pool:
        for start in range(0, len(items), PORTION):
            portion = items[start : start + PORTION]
            opened = pool.map(_open, (example.path for example in portion), [frame] * len(portion))
            for item, decoded in zip(portion, opened, strict=True):
                if isinstance(decoded, str):
                    unreadable.append(f"{item.name}: {decoded}")
                    continue
                if decoded.crop.dtype != kind:
                    unreadable.append(f"{item.name}: {MIXED}")
                    continue
                if len(kept) < len(cached):
                    cached[len(kept)] = decoded.crop
                kept.append(item)
                digests.append(decoded.digest)
            yield TrainingReport(start + len(portion), len(items), "Reading pictures")
    if not kept:
        why = f" {unreadable[0]}" if unreadable else ""
        raise TrainingError(f"No picture in {examples.source} can be read.{why}")
    readable = replace(examples, items=tuple(kept))
    store = CropStore([example.path for example in kept], cached[: len(kept)], frame)
    return LoadedExamples(readable, store, tuple(digests), tuple(unreadable))


def _crop_dtype(examples: Examples, reading: ReadingOptions) -> np.dtype[Any]:
    """What the crops are made of: bytes of colours, or floats of degrees, as the first one is."""
    opened = (_pixels(example.path, reading) for example in examples.items)
    first = next((pixels for pixels in opened if not isinstance(pixels, str)), None)
    degrees = first is not None and first.ndim == 2
    return np.dtype(np.float32 if degrees else np.uint8)


def _open(path: Path, frame: CropGeometry) -> DecodedCrop | str:
    """Return the crop, or why there is none."""
    pixels = _pixels(path, frame.reading)
    if isinstance(pixels, str):
        return pixels
    crop = from_picture(pixels, frame.spec, framing=frame.framing)
    return DecodedCrop(crop, digest(path.read_bytes()))


def _pixels(path: Path, reading: ReadingOptions) -> NDArray[Any] | str:
    """Return the picture, colours or degrees, or why there is none."""
    try:
        return picture_pixels(path, reading.depths, reading.selection)
    except (ImageError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever a decoder says: this file only
        return f"{path.name} cannot be read as a picture ({error})."


def _workers() -> int:
    return min(8, os.cpu_count() or 1)
