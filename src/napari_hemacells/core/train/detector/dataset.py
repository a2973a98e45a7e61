"""Corrected cells, or annotated boxes, of an image → a field to learn from; fields on disk.

A corrected field is taken as complete: where no cell is, there is none.

Annotated fields: what a detector learns from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.errors import CellsError, TrainingError
from napari_hemacells.core.evaluate.detection_datasets import canonical_class
from napari_hemacells.core.evaluate.splits import group_key
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import open_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.evaluate.detection_metrics import Boxes
    from napari_hemacells.core.types import Cells, SmearImage

Box = tuple[int, int, int, int]  # half-open (min_row, min_col, max_row, max_col)


@dataclass(frozen=True, eq=False)
class TrainingField:
    """One annotated picture.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8.
    boxes
        ``(n, 4)`` float32, half-open (min_row, min_col, max_row, max_col).
    kinds
        ``(n,)`` index into :data:`KINDS`.
    sized
        ``(n,)`` bool: the box is an annotation, or good enough to learn a size from.
    foreground
        ``(rows, cols)`` uint8: 255 stained, 0 glass; from colour, holes filled.
    trust
        ``(rows, cols, kinds)`` uint8: 255 where "no such cell here" is certain, 0 unknown.
    diameter
        Typical red cell, pixels.
    key, group
        The image's identity, and what a split must keep together with it.
    """

    name: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    sized: NDArray[np.bool_]
    foreground: NDArray[np.uint8]
    trust: NDArray[np.uint8]
    diameter: float
    key: str = ""
    group: str = ""

    def part(self, box: Box) -> TrainingField:
        """Return a part of it; cells that its border cuts reach beyond it."""
        top, left, bottom, right = box
        area = (slice(top, bottom), slice(left, right))
        inside = (self.boxes[:, :2] < (bottom, right)) & (self.boxes[:, 2:] > (top, left))
        there = inside.all(axis=1)
        return replace(
            self,
            pixels=self.pixels[area],
            boxes=self.boxes[there] - np.array([top, left, top, left], np.float32),
            kinds=self.kinds[there],
            sized=self.sized[there],
            foreground=self.foreground[area],
            trust=self.trust[area],
        )


def segment_stained(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return what is not glass (holes filled) and how blue-violet each pixel is."""
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_objects

    stain = read_stain(pixels)
    density = ndi.gaussian_filter(stain.density, 1.0)
    limit = threshold_otsu(np.clip(density, 0, np.percentile(density, 90)))
    solid = ndi.binary_fill_holes(density > max(0.6 * limit, 0.02))
    blue = ndi.gaussian_filter(stain.basophilia, 1.0)
    return remove_small_objects(solid, max_size=30), blue


def ellipse_mask(boxes: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the inner part of the ellipses in the boxes: pale cells are foreground too."""
    inside = np.zeros(shape, bool)
    for box in boxes:
        top, left, bottom, right = box.astype(int)
        y = (np.arange(top, bottom) + 0.5 - (box[0] + box[2]) / 2) / (box[2] - box[0])
        x = (np.arange(left, right) + 0.5 - (box[1] + box[3]) / 2) / (box[3] - box[1])
        part = inside[top:bottom, left:right]
        part |= (y[:, None] ** 2 + x[None] ** 2 < 0.4**2)[: part.shape[0], : part.shape[1]]
    return inside


def as_grey(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 255 where the mask is true, else 0."""
    return mask.astype(np.uint8) * 255


UNKNOWN = -1  # a cell of no kind that the detector knows: says nothing about what is there
MAX_FIELD_PIXELS = 60_000_000  # pixels of a field that is learned from as a whole
RED_CELLS_FOR_DIAMETER = 5
LEAST_SIDE = 2.0  # pixels


def field_of_cells(
    image: SmearImage, cells: Cells, classes: Mapping[int, str] | None = None
) -> TrainingField:
    """Return the field of an image whose cells a person has corrected, all of them.

    Parameters
    ----------
    classes
        What a person called some of the cells, by cell id: goes before the detector's kind where
        it names one (``"RBC"``, ``"erythrocyte"``, ``"platelet"``).

    Raises
    ------
    CellsError
        No cells, or an image too large to be corrected completely.
    """
    class_names = classes or {}
    kinds = [
        _kind_index(class_names.get(int(cell), ""), str(kind))
        for cell, kind in zip(cells.ids, cells.table["class"], strict=True)
    ]
    _check_trainable(image, len(cells))
    foreground = np.asarray(cells.labels) > 0
    boxes = cells.boxes.astype(np.float32)
    return _build_field(image, boxes, np.array(kinds, np.int64), foreground, cells.diameter)


def field_of_boxes(image: SmearImage, truth: Boxes, diameter: float) -> TrainingField:
    """Return the field of an image with annotated boxes; colour says what is stained.

    Parameters
    ----------
    diameter
        Of a typical red cell, where too few are annotated to say.

    Raises
    ------
    CellsError
        No boxes, or an image too large.
    """
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    truth = truth.pick(np.asarray((sides >= LEAST_SIDE).all(axis=1)))
    kinds = [_kind_index(str(name)) for name in truth.classes]
    _check_trainable(image, len(truth))
    boxes = truth.boxes.astype(np.float32)
    solid, _ = segment_stained(np.asarray(image.pixels))
    foreground = solid | ellipse_mask(boxes, solid.shape)
    return _build_field(image, boxes, np.array(kinds, np.int64), foreground, diameter)


def _check_trainable(image: SmearImage, count: int) -> None:
    if image.modality != "colour":
        raise CellsError(f"{image.name} holds temperatures; this detector is for stained smears.")
    if count == 0:
        raise CellsError(f"{image.name} has no cells to learn from.")
    if image.shape[0] * image.shape[1] > MAX_FIELD_PIXELS:
        raise CellsError(
            f"{image.name} is too large to be learned from as a whole: save a corrected part of "
            "it as an image of its own."
        )


def _kind_index(*names: str) -> int:
    """Return the kind that the first name stands for, where one does."""
    known = [kind for name in names if (kind := canonical_class(name)) in KINDS]
    return KINDS.index(known[0]) if known else UNKNOWN


def _build_field(
    image: SmearImage,
    boxes: NDArray[np.float32],
    kinds: NDArray[np.int64],
    foreground: NDArray[np.bool_],
    diameter: float,
) -> TrainingField:
    """Return the field; where a cell of unknown kind lies, absence teaches nothing."""
    trust = np.full((*image.shape, len(KINDS)), 255, np.uint8)
    for top, left, bottom, right in boxes[kinds == UNKNOWN].astype(int):
        trust[max(top, 0) : bottom, max(left, 0) : right] = 0
    red = boxes[kinds == 0]
    if len(red) >= RED_CELLS_FOR_DIAMETER:
        diameter = float(np.median((red[:, 2:] - red[:, :2]).max(axis=1)))
    return TrainingField(
        image.name,
        np.asarray(image.pixels, dtype=np.uint8),
        boxes,
        kinds,
        np.ones(len(boxes), bool),
        as_grey(foreground),
        trust,
        diameter,
        image.key,
        group_key(image),
    )


MAX_FIELD_BYTES = 800_000_000
ARRAYS = ("pixels", "boxes", "kinds", "sized", "foreground", "trust")
TEXT_NAMES = ("name", "key", "group")


def save_fields(folder: Path, fields: Iterable[TrainingField]) -> None:
    """Write each field into a file of the folder, in this order; raises :class:`StorageError`."""
    for number, field in enumerate(fields):
        arrays: dict[str, Any] = {name: getattr(field, name) for name in (*ARRAYS, *TEXT_NAMES)}
        with atomic_path(folder / f"{number:05d}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, diameter=field.diameter, **arrays)


def _check_field(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError where arrays from a file are not those of a field."""
    pixels, boxes, kinds = (arrays[name] for name in ("pixels", "boxes", "kinds"))
    area, cells = pixels.shape[:2], len(boxes)
    fits = (
        (pixels.ndim, pixels.shape[-1:]) == (3, (3,))
        and pixels.dtype == np.uint8
        and boxes.shape == (cells, 4)
        and bool(np.isfinite(boxes).all())
        and kinds.shape == arrays["sized"].shape == (cells,)
        and kinds.dtype.kind == "i"
        and set(kinds.tolist()) <= {UNKNOWN, *range(len(KINDS))}
        and arrays["foreground"].shape == area
        and arrays["trust"].shape == (*area, len(KINDS))
    )
    if not fits:
        raise ValueError("its arrays do not fit one another")


def load_fields(folder: Path) -> list[TrainingField]:
    """Return the fields of a folder in the order they were written.

    Raises
    ------
    TrainingError
        A file is damaged.
    """
    fields = []
    for path in sorted(folder.glob("*.npz")):
        try:
            with open_stream(path) as stream:
                stored = load_arrays(stream, MAX_FIELD_BYTES)
            arrays: dict[str, Any] = {name: stored[name] for name in ARRAYS}
            _check_field(arrays)
            arrays |= {name: str(stored[name]) for name in TEXT_NAMES}
            fields.append(TrainingField(**arrays, diameter=float(stored["diameter"])))
        except Exception as error:
            raise TrainingError(
                f"The stored field {path} is damaged: start the training anew."
            ) from error
    return fields
