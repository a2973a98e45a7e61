"""Crops around points in several sizes, split by frame or movie, as class folders with a table.

::

    crops.csv             a row for each crop, and for each point without one
    95px/CLASS/NAME.png   the crops of a size
    95px/examples.csv     the same as ``hemacells train`` reads them: path, label, group, split
    set aside/95px/…      crops near whose middle no cell was detected, to look at
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.crop import crop_around_points, nothing_near, points_inside, to_bytes
from napari_hemacells.core.detect.pipeline import detect
from napari_hemacells.core.errors import CellsError, HemaCellsError, StorageError
from napari_hemacells.core.evaluate.splits import in_validation
from napari_hemacells.core.files.fsio import atomic_folder, distinct_names, file_name
from napari_hemacells.core.files.text_tables import write_table
from napari_hemacells.core.image.reading_options import ReadingOptions
from napari_hemacells.core.params import DetectParams, PointCropParams
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.store.point_sources import ImagePoints
    from napari_hemacells.core.types import SmearImage

TABLE, EXAMPLES, ASIDE = "crops.csv", "examples.csv", "set aside"
HEADING = ("crop", "image", "row", "column", "class", "size", "group", "split", "set aside why")
NO_CELL = "no cell detected near the middle"
AT_BORDER = "reaches beyond the border"
OUTSIDE = "outside of the image"
SIZES = (90, 95, 100, 128)
LEAST_SIZE, LARGEST_SIZE = 8, 2048
MAX_SIZES = 20
MUCH_ASIDE = 0.5  # share of crops without a cell from which the detector itself is in doubt


class WrittenCrop(NamedTuple):
    """A row of the table: a crop, or a point without one (then `file` is empty)."""

    file: str
    image: str
    row: float
    column: float
    label: str
    size: int
    group: str
    part: str
    why: str


@dataclass(frozen=True)
class PointCropsReport:
    """What was written.

    Attributes
    ----------
    rows
        As the table has them.
    at_border
        By size, points whose square reaches beyond the image.
    notes
        Sentences that a user must know.
    """

    folder: Path
    rows: tuple[WrittenCrop, ...]
    at_border: Mapping[int, int]
    notes: tuple[str, ...]

    def count(self, size: int, part: str | None = None) -> int:
        """How many crops of a size there are to learn from, in a part of the split."""
        return sum(
            row.size == size and not row.why and part in {None, row.part} for row in self.rows
        )

    def set_aside(self, size: int) -> int:
        """How many crops of a size hold no cell."""
        return sum(row.size == size and row.why == NO_CELL for row in self.rows)

    def rejected(self, size: int) -> int:
        """How many points have no crop of a size because of the border."""
        return sum(row.size == size and row.why == AT_BORDER for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: counts, not rows."""
        sizes = sorted(self.at_border)
        return {
            "folder": str(self.folder),
            "sizes": {
                str(size): {
                    "crops": self.count(size),
                    "at_border": self.at_border[size],
                    "rejected": self.rejected(size),
                    "set_aside": self.set_aside(size),
                    "split": {part: self.count(size, part) for part in PARTS},
                    "classes": dict(
                        sorted(
                            Counter(
                                row.label for row in self.rows if row.size == size and not row.why
                            ).items()
                        )
                    ),
                }
                for size in sizes
            },
            "notes": list(self.notes),
        }


PARTS = ("train", "validation", "test")


def split_groups(
    groups: Iterable[str], *, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> dict[str, str]:
    """Return the part of each group, by a hash of its name: nothing that is added moves it.

    Only where a part that is wanted would stay empty, the group of train with the least hash is
    put there.

    Examples
    --------
    >>> parts = split_groups([f"frame {n}" for n in range(10)])
    >>> sorted(set(parts.values()))
    ['test', 'train', 'validation']
    """
    parts = {
        group: "test"
        if in_validation(group, test, seed)
        else "validation"
        if in_validation(group, test + validation, seed)
        else "train"
        for group in groups
    }
    for wanted, share in (("test", test), ("validation", validation)):
        train = sorted(group for group, part in parts.items() if part == "train")
        if share and wanted not in parts.values() and len(train) > 1:
            nearest = min(train, key=lambda group: _hash(group, seed))
            parts[nearest] = wanted
    return parts


def _hash(group: str, seed: int) -> float:
    """Return a group's place between 0 and 1, as finely as needed to order groups."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if in_validation(group, middle, seed) else (middle, high)
    return low


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes, each once.

    Raises
    ------
    CellsError
        None, too many, or one out of bounds.
    """
    kept = tuple(dict.fromkeys(int(size) for size in sizes))
    if not kept or len(kept) > MAX_SIZES:
        raise CellsError(f"From 1 to {MAX_SIZES} sizes are needed, such as 90 95 100 128.")
    for size in kept:
        if not LEAST_SIZE <= size <= LARGEST_SIZE:
            raise CellsError(f"A crop has from {LEAST_SIZE} to {LARGEST_SIZE} px, not {size}.")
    return kept


def write_point_crops_steps(
    images: Sequence[ImagePoints],
    folder: Path,
    *,
    sizes: Sequence[int] = SIZES,
    params: PointCropParams | None = None,
    notes: Sequence[str] = (),
) -> Generator[Progress, None, PointCropsReport]:
    """Write the crops of all sizes into a new folder, whole or not at all; yield image by image.

    Each point has the same part of the split in every size. An image that cannot be read, or that
    has a point outside of it, is left out with a note.

    Raises
    ------
    CellsError
        Sizes out of bounds, or no crop could be made.
    StorageError
        The folder exists and is not empty, or cannot be written.
    """
    params = params or PointCropParams()
    sizes = check_sizes(sizes)
    _check_empty(folder)
    if params.validation + params.test > 0.95:
        raise CellsError("Validation and test take all frames: leave some to learn from.")
    labels = list(dict.fromkeys(name for image in images for name in image.classes))
    class_folders = dict(zip(labels, distinct_names(list(map(file_name, labels))), strict=True))
    stems = distinct_names([file_name(_stem(image)) for image in images])
    groups = [image.group or image.name for image in images]
    parts = split_groups(groups, validation=params.validation, test=params.test, seed=params.seed)
    paths = [image.source for image in images if isinstance(image.source, Path)]
    reading = ReadingOptions.for_files(paths)
    said = [*notes, *([reading.note] if reading.note else [])]
    rows: list[WrittenCrop] = []
    at_border = dict.fromkeys(sizes, 0)
    with atomic_folder(folder) as temporary:
        for number, (points, stem) in enumerate(zip(images, stems, strict=True)):
            yield Progress(number, len(images), f"Cutting crops of {points.name}")
            try:
                cut = _Cutter(points, reading, params)
            except HemaCellsError as error:
                said.append(f"{points.name} was left out: {error}")
                continue
            if outside := int((~cut.inside).sum()):
                said.append(
                    f"{points.name}: {outside} of its points lie outside of it and have no crop."
                )
            names = _point_names(stem, points.positions)
            group = groups[number]
            for size in sizes:
                made = cut.crops(size)
                at_border[size] += int(made.beyond.sum())
                which = np.flatnonzero(cut.inside)[made.points]
                crop_of = dict(zip(which.tolist(), made.pixels, strict=True))
                for place, label in enumerate(points.classes):
                    file, why = "", AT_BORDER if cut.inside[place] else OUTSIDE
                    if place in crop_of:
                        why = NO_CELL if cut.empty[place] else ""
                        inside = f"{size}px/{class_folders[label]}/{names[place]}.png"
                        file = f"{ASIDE}/{inside}" if why else inside
                        _save(temporary / file, crop_of[place])
                    row, column = points.positions[place].tolist()
                    rows.append(
                        WrittenCrop(
                            file, points.name, row, column, label, size, group, parts[group], why
                        )
                    )
        if not any(row.file for row in rows):
            why = said[-1] if said else "No point is far enough from the border."
            raise CellsError(f"No crop could be made. {why}")
        said += _doubts(rows, sizes, params)
        _write_tables(temporary, rows, sizes)
    return PointCropsReport(folder, tuple(rows), at_border, tuple(said))


class _Cutter:
    """One image, read once, and which of its points have no cell near."""

    def __init__(
        self, points: ImagePoints, reading: ReadingOptions, params: PointCropParams
    ) -> None:
        self._params, self._positions = params, points.positions
        source = points.source
        self._image: SmearImage = reading.read(source) if isinstance(source, Path) else source
        self.inside = points_inside(self._image, self._positions)
        if not self.inside.any():
            rows, cols = self._image.shape
            raise CellsError(
                f"all its points lie outside of its {rows} × {cols} pixels: they belong to "
                "another image."
            )
        self.empty = self._find_empty()

    def crops(self, size: int) -> Any:
        return crop_around_points(
            self._image,
            self._positions[self.inside],
            size,
            border=self._params.border,
            enlarge=self._params.enlarge,
        )

    def _find_empty(self) -> NDArray[np.bool_]:
        params = self._params
        if params.check == "none" or self._image.modality == "temperature":
            return np.zeros(len(self._positions), dtype=bool)
        cells = detect(self._image, DetectParams(method=params.check))
        reach = cells.diameter / 2 if params.reach is None else params.reach
        return nothing_near(self._positions, cells, reach)


def _check_empty(folder: Path) -> None:
    try:
        full = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if full:
        raise StorageError(
            f"{folder} exists and is not empty: choose a new folder. Nothing was changed."
        )


def _stem(points: ImagePoints) -> str:
    return Path(points.name).stem or "image"


def _point_names(stem: str, positions: NDArray[np.float64]) -> list[str]:
    return distinct_names(
        [f"{stem}-r{round(row):05d}-c{round(column):05d}" for row, column in positions.tolist()]
    )


def _save(file: Path, crop: NDArray[Any]) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(to_bytes(crop)).save(picture, format="PNG", compress_level=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture.getvalue())


def _doubts(
    rows: Sequence[WrittenCrop], sizes: Sequence[int], params: PointCropParams
) -> list[str]:
    """Return what a user should look at before learning from the crops."""
    first = [row for row in rows if row.size == sizes[0] and row.file]
    empty = sum(row.why == NO_CELL for row in first)
    said = []
    if first and empty > MUCH_ASIDE * len(first):
        said.append(
            f"No cell was detected near {empty} of {len(first)} points: the detector may not know "
            f"such images. Look at “{ASIDE}”, or take all crops with --check none."
        )
    for label in sorted({row.label for row in first}):
        there = {row.part for row in first if row.label == label and not row.why}
        shares = zip(PARTS, (1.0, params.validation, params.test), strict=True)
        if lacking := [part for part, share in shares if share and part not in there]:
            said.append(
                f"“{label}” has no crop in {', '.join(lacking)}: add frames, or try another seed."
            )
    return said


def _write_tables(folder: Path, rows: Sequence[WrittenCrop], sizes: Sequence[int]) -> None:
    write_table(folder / TABLE, HEADING, rows)
    for size in sizes:
        own = [
            (row.file.partition("/")[2], row.label, row.group, row.part)
            for row in rows
            if row.size == size and not row.why
        ]
        if own:
            write_table(folder / f"{size}px" / EXAMPLES, ("path", "label", "group", "split"), own)
