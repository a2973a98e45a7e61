"""Annotated fields: TXL-PBC's complete boxes, Chula centres, PBC platelets.

No field is used for training and testing. TXL-PBC's val fields, and the training fields of slides
that val shows too, are not learned from; of the others, some are kept for choosing the limits
(development). BCCD and Chula are divided in blocks of consecutive file numbers, because
neighbouring numbers show the same slide.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.evaluate.detection_datasets import read_points, read_voc
from napari_hemacells.core.evaluate.held_out import is_held_out_chula
from napari_hemacells.core.image import read_image
from napari_hemacells.core.train.detector.dataset import (
    TrainingField,
    as_grey,
    ellipse_mask,
    field_of_boxes,
    segment_stained,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BCCD_BLOCK, BCCD_DEV_EVERY, BCCD_DEV_PLACE = 5, 8, 3
TXL_DEV_EVERY = 10
TXL_DIAMETERS = {"bccd": 105.0, "raabin": 140.0, "pbc": 82.0}  # px, where few red cells are whole
PBC_DIAMETER = 59.0  # px of a red cell at 256 px: the detector's own boxes on 42 pictures
PBC_EVERY = 3  # of PBC's platelet pictures; the others stay unseen
UNLABELLED_WEIGHT = 0.5  # of a "no red cell here" where colour says that there may be one


def bccd_split(data: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the names of BCCD's training fields, development fields (of train) and val."""
    names = (data / "bccd/train.txt").read_text().split()
    held = [i // BCCD_BLOCK % BCCD_DEV_EVERY == BCCD_DEV_PLACE for i in range(len(names))]
    train = [name for name, dev in zip(names, held, strict=True) if not dev]
    dev = [name for name, dev in zip(names, held, strict=True) if dev]
    return train, dev, (data / "bccd/val.txt").read_text().split()


def chula_split(data: Path) -> tuple[list[int], list[int]]:
    """Return the file numbers of Chula's training and held-out blocks."""
    numbers = sorted(int(file.stem) for file in (data / "chula_rbc12/labels").glob("*.txt"))
    test = [n for n in numbers if is_held_out_chula(n)]
    return [n for n in numbers if not is_held_out_chula(n)], test


class TxlRow(NamedTuple):
    """A field of TXL-PBC: file name, laboratory and, for Raabin, the slide."""

    image: str
    source: str
    slide: str


def txl_split(data: Path) -> tuple[list[TxlRow], list[TxlRow], list[TxlRow]]:
    """Return TXL-PBC's training fields, development fields (of its train list) and val.

    Training fields of Raabin whose slide val shows too are left out.
    """
    with (data / "txl_pbc/fields.csv").open(newline="", encoding="utf-8") as stream:
        rows = [(row["split"], TxlRow(row["image"], row["source"], row["slide"]))
                for row in csv.DictReader(stream)]  # fmt: skip
    val = [row for split, row in rows if split == "val"]
    shown = {row.slide for row in val} - {""}
    own = [row for split, row in rows if split == "train" and row.slide not in shown]
    bccd_dev = {f"{name}.jpg" for name in bccd_split(data)[1]}
    dev = [row for row in own if _is_dev(row, bccd_dev)]
    return [row for row in own if row not in dev], dev, val


def _is_dev(row: TxlRow, bccd_dev: set[str]) -> bool:
    if row.source == "bccd":
        return row.image in bccd_dev
    return crc32((row.slide or row.image).encode()) % TXL_DEV_EVERY == 0


def txl_files(data: Path, row: TxlRow) -> tuple[Path, Path]:
    """Return the picture and the annotation of a field."""
    folder = data / "txl_pbc"
    return folder / "images" / row.image, folder / f"annotations/{Path(row.image).stem}.xml"


def txl_field(data: Path, row: TxlRow) -> TrainingField:
    """Return a field in which every cell is boxed."""
    picture, annotation = txl_files(data, row)
    truth = read_voc(annotation, least_side=4.0)
    return field_of_boxes(read_image(picture), truth, TXL_DIAMETERS[row.source])


def read_pixels(file: Path) -> NDArray[np.uint8]:
    """Return ``(rows, cols, 3)`` uint8."""
    return np.asarray(Image.open(file).convert("RGB"))


def annotated_boxes(file: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return boxes ``(n, 4)`` (rows first) and kinds of a VOC file, without empty boxes."""
    truth = read_voc(file, least_side=4.0)
    truth = truth.pick(np.isin(truth.classes, KINDS))
    kinds = [KINDS.index(str(name)) for name in truth.classes]
    return truth.boxes.astype(np.float32), np.array(kinds, np.int64)


def bccd_field(data: Path, name: str) -> TrainingField:
    """Return a BCCD field; red stain without a box counts only in part as background."""
    pixels = read_pixels(data / "bccd/images" / f"{name}.jpg")
    boxes, kinds = annotated_boxes(data / "bccd/annotations" / f"{name}.xml")
    solid, _ = segment_stained(pixels)
    solid |= ellipse_mask(boxes, solid.shape)
    inside = np.zeros(solid.shape, bool)
    for top, left, bottom, right in boxes.astype(int):
        inside[top:bottom, left:right] = True
    trust = np.full((*solid.shape, len(KINDS)), 255, np.uint8)
    trust[solid & ~inside, 0] = int(255 * UNLABELLED_WEIGHT)
    red = boxes[kinds == 0]
    sides = (red[:, 2:] - red[:, :2]).max(axis=1) if len(red) else np.array([103.0])
    sized = np.ones(len(boxes), bool)
    return TrainingField(
        f"bccd/{name}", pixels, boxes, kinds, sized, as_grey(solid), trust, float(np.median(sides))
    )


def chula_field(data: Path, number: int) -> TrainingField | None:
    """Return a Chula field with boxes by seeded watershed; None if it has no point.

    Only some of the red cells are annotated, so red stain without a point is not background, and
    nothing is known of blue-stained cells.
    """
    points, _ = read_points(data / f"chula_rbc12/labels/{number}.txt")
    if len(points) == 0:
        return None
    pixels = read_pixels(data / f"chula_rbc12/images/{number}.jpg")
    solid, blue = segment_stained(pixels)
    boxes, sized, regions, diameter = _boxes_of_points(points, solid)
    red_blue = np.median(blue[regions > 0]) if (regions > 0).any() else 0.0
    odd = ndi.binary_dilation(
        solid & (regions == 0) | solid & (blue > red_blue + 0.1), iterations=3
    )
    trust = np.full((*solid.shape, len(KINDS)), 255, np.uint8)
    trust[odd, 1:] = 0
    trust[_far_from(points, solid, 0.6 * diameter), 0] = 0
    kinds = np.zeros(len(points), np.int64)
    return TrainingField(
        f"chula/{number}", pixels, boxes, kinds, sized, as_grey(solid), trust, diameter
    )


def _boxes_of_points(
    points: NDArray[np.float64], solid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32], float]:
    """Return boxes, whether each is reliable, the regions, and the median diameter."""
    from skimage.measure import regionprops
    from skimage.segmentation import watershed

    seeds = np.zeros(solid.shape, np.int32)
    place = np.clip(np.rint(points).astype(int), 0, np.array(solid.shape) - 1)
    seeds[tuple(place.T)] = np.arange(1, len(points) + 1)
    depth = ndi.gaussian_filter(ndi.distance_transform_edt(solid), 1.5)
    regions = watershed(-depth, seeds, mask=solid | (seeds > 0))
    found = {region.label: region for region in regionprops(regions)}
    areas = np.array([found[i + 1].area for i in range(len(points))])
    diameter = float(2 * np.sqrt(np.median(areas) / np.pi))
    boxes = np.array([found[i + 1].bbox for i in range(len(points))], np.float32)
    sized = np.array(
        [_believable(found[i + 1], point, diameter) for i, point in enumerate(points)], bool
    )
    discs = np.concatenate([points - diameter / 2, points + diameter / 2], axis=1)
    boxes[~sized] = discs[~sized]
    return boxes, sized, regions.astype(np.int32), diameter


def _believable(region: object, point: NDArray[np.float64], diameter: float) -> bool:
    """Whether a watershed region is one whole cell around its point."""
    top, left, bottom, right = region.bbox  # type: ignore[attr-defined]
    sides = np.array([bottom - top, right - left])
    off = np.abs(point - [(top + bottom) / 2, (left + right) / 2]).max()
    fits = bool((sides > 0.5 * diameter).all() and (sides < 1.7 * diameter).all())
    return fits and off < 0.22 * diameter and region.solidity > 0.88  # type: ignore[attr-defined]


def platelet_fields(data: Path) -> Iterator[TrainingField]:
    """Yield PBC's platelet images in which colour gives the box of the central platelet.

    The red cells around it are not annotated, so their stain is not background.
    """
    for file in sorted((data / "pbc/platelet").glob("*.jpg"))[::PBC_EVERY]:
        pixels = read_pixels(file)
        solid, blue = segment_stained(pixels)
        limit = (np.median(blue[solid]) + np.percentile(blue[_middle(blue.shape, 8)], 75)) / 2
        violet = solid & (blue > limit)
        box = _box_in_the_middle(violet)
        if box is None:
            continue
        trust = np.full((*solid.shape, len(KINDS)), 255, np.uint8)
        trust[ndi.binary_dilation(solid, iterations=3), 0] = 0
        top, left, bottom, right = box.astype(int)
        other = violet.copy()
        other[top:bottom, left:right] = False
        trust[ndi.binary_dilation(other, iterations=3), 2] = 0
        yield TrainingField(
            f"pbc/{file.stem}", pixels, box[None], np.array([2]), np.ones(1, bool), as_grey(solid),
            trust, PBC_DIAMETER,
        )  # fmt: skip


def _middle(shape: tuple[int, ...], reach: int) -> tuple[slice, ...]:
    return tuple(slice(side // 2 - reach, side // 2 + reach) for side in shape)


def _box_in_the_middle(violet: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Return the box of the central component, None if it is not a platelet."""
    pieces, count = ndi.label(ndi.binary_opening(violet, iterations=2))
    votes = np.bincount(pieces[_middle(violet.shape, 12)].ravel(), minlength=count + 1)[1:]
    if not votes.any():
        return None
    rows, cols = ndi.find_objects(pieces)[int(votes.argmax())]
    box = np.array([rows.start - 1, cols.start - 1, rows.stop + 1, cols.stop + 1], np.float32)
    sides, middle = box[2:] - box[:2], (box[:2] + box[2:]) / 2
    fits = (sides > 0.12 * PBC_DIAMETER).all() and (sides < 0.9 * PBC_DIAMETER).all()
    centred = np.abs(middle - np.array(violet.shape) / 2).max() < 0.25 * PBC_DIAMETER
    return box.astype(np.float32) if fits and centred else None


def _far_from(
    points: NDArray[np.float64], solid: NDArray[np.bool_], distance: float
) -> NDArray[np.bool_]:
    """Return the stained pixels, and a rim of glass, that are far from every point."""
    empty = np.ones(solid.shape, bool)
    place = np.clip(np.rint(points).astype(int), 0, np.array(solid.shape) - 1)
    empty[tuple(place.T)] = False
    far = ndi.distance_transform_edt(empty) > distance
    return np.asarray(ndi.binary_dilation(solid & far, iterations=3) & far)
