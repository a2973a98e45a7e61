"""Parts → cells: each once, in reading order, whoever found it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks
from napari_hemacells.core.detect import stitching as joining
from napari_hemacells.core.detect.plan import Plan
from napari_hemacells.core.detect.stitching import stitch
from napari_hemacells.core.detect.tiling import make_tiles
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import CELL_COLUMNS, PLATELET, RBC, PartCells

SHAPE = (100, 200)
PLAN = Plan("learned", 20.0, DetectParams(), SHAPE, tuple(make_tiles(SHAPE, 100, 30)))


def part(index: int, *cells: tuple[str, float, tuple[int, int, int, int]]) -> PartCells:
    rows, masks = [], []
    for kind, score, (top, left, bottom, right) in cells:
        bits = np.ones((bottom - top, right - left), bool)
        masks.append(CellMask((top, left, bottom, right), bits))
        middle = (top + bottom) / 2, (left + right) / 2
        rows.append((kind, score, *middle, top, left, bottom, right, bits.sum()))
    table = pd.DataFrame(rows, columns=list(CELL_COLUMNS[1:]))
    return PartCells(index, table, PackedMasks.of(masks))


def test_ids_follow_the_reading_order_whatever_the_order_of_the_parts():
    parts = [
        part(0, (RBC, 0.9, (40, 10, 60, 30)), (RBC, 0.8, (5, 50, 25, 70))),
        part(1, (RBC, 0.7, (10, 150, 30, 170))),
    ]
    one, other = stitch(PLAN, parts), stitch(PLAN, parts[::-1])
    assert one.table["score"].tolist() == [0.8, 0.7, 0.9]
    assert one.ids.tolist() == [1, 2, 3]
    assert one.table.equals(other.table)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert tuple(one.table.columns) == CELL_COLUMNS
    assert (one.detector, one.diameter) == ("learned", 20.0)


def test_a_cell_on_the_border_that_two_parts_saw_is_counted_once():
    parts = [
        part(0, (RBC, 0.6, (40, 89, 60, 110))),
        part(1, (RBC, 0.7, (40, 90, 60, 111)), (RBC, 0.5, (40, 112, 60, 130))),
    ]
    cells = stitch(PLAN, parts)
    assert cells.table["score"].tolist() == [0.7, 0.5]


def test_two_cells_on_the_border_stay_two_and_share_no_pixel():
    parts = [part(0, (RBC, 0.6, (40, 80, 60, 101))), part(1, (RBC, 0.9, (42, 95, 62, 116)))]
    cells = stitch(PLAN, parts)
    assert len(cells) == 2
    assert (np.asarray(cells.labels)[42:60, 95:101] == 1).all()
    areas = np.bincount(np.asarray(cells.labels).ravel())[1:]
    assert cells.table["area"].tolist() == areas.tolist()


def test_a_platelet_of_another_part_lies_on_the_red_cell():
    parts = [part(0, (RBC, 0.9, (40, 80, 60, 101))), part(1, (PLATELET, 0.4, (45, 98, 53, 106)))]
    cells = stitch(PLAN, parts)
    platelet = cells.ids[(cells.table["class"] == PLATELET).to_numpy()][0]
    assert (np.asarray(cells.labels)[45:53, 98:106] == platelet).all()


def test_a_cell_that_no_pixel_is_left_of_is_dropped():
    parts = [part(0, (RBC, 0.9, (40, 90, 60, 110))), part(1, (PLATELET, 0.4, (39, 89, 61, 111)))]
    assert stitch(PLAN, parts).table["class"].tolist() == [PLATELET]


@pytest.mark.parametrize("parts", [[], [part(0)], [part(1), part(0)]])
def test_no_cells_are_no_error(parts):
    cells = stitch(PLAN, parts)
    assert len(cells) == 0
    assert cells.labels.shape == SHAPE
    assert cells.detector == "learned"


def test_a_large_image_has_lazy_labels_that_show_the_same(monkeypatch):
    parts = [part(0, (RBC, 0.6, (40, 80, 60, 101))), part(1, (RBC, 0.9, (42, 95, 62, 116)))]
    whole = stitch(PLAN, parts)
    monkeypatch.setattr(joining, "MAX_EAGER_PIXELS", 1000)
    lazy = stitch(PLAN, parts)
    assert isinstance(whole.labels, np.ndarray)
    assert isinstance(lazy.labels, LazyLabels)
    np.testing.assert_array_equal(whole.labels, np.asarray(lazy.labels))
    assert lazy.table.equals(whole.table)
    assert isinstance(stitch(PLAN, []).labels, LazyLabels)
