"""The classical detector: finds what is there at any magnification, nothing on empty glass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.draw import disk
from skimage.transform import rescale

from napari_hemacells.core.detect import estimate_diameter
from napari_hemacells.core.detect.pipeline import detect_classical as detect
from napari_hemacells.core.detect.pipeline import detect_classical_steps as detect_steps
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import CELL_COLUMNS, PLATELET, RBC, WBC

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GLASS, RED, VIOLET, LILAC = (235, 232, 230), (205, 150, 150), (95, 60, 150), (190, 180, 225)
RED_CENTRES = [(40, 40), (40, 120), (45, 200), (120, 45), (200, 60), (205, 140), (130, 210)]


def draw_smear(diameter: float = 40.0) -> NDArray[np.uint8]:
    """Seven red cells, one white cell with cytoplasm, two platelets, on glass with noise."""
    picture = np.empty((250, 250, 3))
    picture[:] = GLASS
    for centre in RED_CENTRES:
        picture[disk(centre, diameter / 2)] = RED
        picture[disk(centre, diameter / 6)] = np.add(RED, 25)
    picture[disk((125, 125), diameter * 0.75)] = LILAC
    picture[disk((120, 122), diameter * 0.5)] = VIOLET
    for centre in ((80, 80), (175, 190)):
        picture[disk(centre, diameter / 8)] = VIOLET
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def counts(table) -> dict[str, int]:
    return {kind: int((table["class"] == kind).sum()) for kind in (RBC, WBC, PLATELET)}


def test_every_kind_is_found_where_it_is():
    cells = detect(image_from_array(draw_smear(), "drawn"))
    assert counts(cells.table) == {RBC: 7, WBC: 1, PLATELET: 2}
    red = cells.table[cells.table["class"] == RBC]
    away = np.linalg.norm(
        red[["row", "col"]].to_numpy()[:, None] - np.array(RED_CENTRES)[None], axis=2
    )
    assert away.min(axis=0).max() < 4
    white = cells.table[cells.table["class"] == WBC].iloc[0]
    assert white["max_row"] - white["min_row"] > 44  # the cytoplasm belongs to the cell


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_magnification_does_not_matter(factor):
    picture = np.rint(rescale(draw_smear(), factor, channel_axis=2, preserve_range=True))
    image = image_from_array(picture.astype(np.uint8), "scaled")
    assert estimate_diameter(image) == pytest.approx(40 * factor, rel=0.25)
    assert counts(detect(image).table) == {RBC: 7, WBC: 1, PLATELET: 2}


def test_the_table_and_the_labels_say_the_same():
    cells = detect(image_from_array(draw_smear(), "drawn"))
    assert tuple(cells.table.columns) == CELL_COLUMNS
    assert set(np.unique(cells.labels)) - {0} == set(cells.ids.tolist())
    for cell, box in zip(cells.ids, cells.boxes, strict=True):
        rows, cols = np.nonzero(cells.labels == cell)
        assert box[0] <= rows.min()
        assert rows.max() < box[2]
        assert box[1] <= cols.min()
        assert cols.max() < box[3]
    assert cells.table["score"].between(0, 1).all()


def test_overlapping_red_cells_are_two():
    picture = np.empty((120, 160, 3))
    picture[:] = GLASS
    for centre in ((60, 60), (60, 90)):
        rows, cols = disk(centre, 20)
        picture[rows, cols] = picture[rows, cols] * np.divide(RED, GLASS)
    cells = detect(
        image_from_array(picture.astype(np.uint8), "two"), DetectParams(cell_diameter=40)
    )
    assert counts(cells.table)[RBC] == 2
    assert cells.table["col"].tolist() == pytest.approx([60, 90], abs=4)


def test_a_black_pointer_hides_no_pale_red_cell():
    pale = np.rint(draw_smear() * 0.35 + np.array(GLASS) * 0.65)
    pale[:, 236:246] = 15
    found = detect(image_from_array(pale.astype(np.uint8), "pointer")).table
    red = found[(found["class"] == RBC) & (found["col"] < 225)]
    away = np.linalg.norm(
        red[["row", "col"]].to_numpy()[:, None] - np.array(RED_CENTRES)[None], axis=2
    )
    assert away.min(axis=0).max() < 4


def test_a_magenta_nucleus_is_a_nucleus():
    picture = draw_smear()
    nucleus = disk((120, 122), 20)
    picture[nucleus] = (150, 75, 158)  # red and blue absorbed alike, as in some laboratories
    picture[disk((125, 125), 30)] = np.minimum(picture[disk((125, 125), 30)], (200, 190, 220))
    assert counts(detect(image_from_array(picture, "magenta")).table)[WBC] == 1


def test_more_sensitivity_never_finds_less():
    image = image_from_array(draw_smear(), "drawn")
    found = [len(detect(image, DetectParams(sensitivity=level))) for level in (0.0, 0.5, 1.0)]
    assert found == sorted(found)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((1, 300, 3), 200, np.uint8),
        np.full((64, 64, 3), 128, np.uint8),
        np.zeros((64, 64, 3), np.uint8),
    ],
    ids=["one pixel", "one row", "grey", "black"],
)
def test_an_image_without_cells_gives_zero_cells(pixels):
    cells = detect(image_from_array(pixels, "empty"))
    assert len(cells) == 0
    assert tuple(cells.table.columns) == CELL_COLUMNS
    assert cells.labels.shape == pixels.shape[:2]


def test_a_given_diameter_on_a_tiny_image_does_not_crash():
    image = image_from_array(np.full((3, 3, 3), 90, np.uint8), "tiny")
    assert len(detect(image, DetectParams(cell_diameter=40))) == 0


def test_an_unstained_picture_has_no_white_cells_and_platelets():
    grey = draw_smear().mean(axis=2).astype(np.uint8)
    assert set(detect(image_from_array(grey, "grey")).table["class"]) <= {RBC}


def test_micrometres_need_a_pixel_size():
    image = image_from_array(draw_smear(), "drawn")
    with pytest.raises(CellsError, match="pixel size"):
        detect(image, DetectParams(cell_diameter_um=7.5))
    sized = detect(image, DetectParams(cell_diameter_um=7.5, pixel_size_um=7.5 / 40))
    assert sized.diameter == pytest.approx(40)


def test_the_work_can_be_stopped_between_phases():
    steps = detect_steps(image_from_array(draw_smear(), "drawn"))
    messages = [next(steps).message for _ in range(5)]
    assert len(set(messages)) == 5
    steps.close()


@pytest.mark.realdata
def test_bccd_train_fields_stay_above_the_bar(shared_data: Path):
    names = (shared_data / "bccd/train.txt").read_text().split()[::25]
    hits = dict.fromkeys((RBC, WBC), 0)
    there = dict.fromkeys((RBC, WBC), 0)
    for name in names:
        cells = detect(read_image(shared_data / f"bccd/images/{name}.jpg"))
        for kind, box in annotated_boxes(shared_data / f"bccd/annotations/{name}.xml"):
            if kind in there:
                found = cells.boxes[(cells.table["class"] == kind).to_numpy()]
                there[kind] += 1
                hits[kind] += bool((overlap(found, box) >= 0.5).any())
    assert there[RBC] > 80
    assert hits[RBC] / there[RBC] > 0.65
    assert hits[WBC] / there[WBC] > 0.85


def annotated_boxes(path: Path):
    for one in ET.parse(path).iterfind(".//object"):  # noqa: S314 - our own files
        edges = [int(one.findtext(f"bndbox/{name}")) for name in ("ymin", "xmin", "ymax", "xmax")]
        if edges[2] > edges[0] and edges[3] > edges[1]:
            yield one.findtext("name"), np.array(edges)


def overlap(boxes, box):
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return both / (areas - both)
