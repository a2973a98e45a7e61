"""Cells that the user brings, and cells that survive another detection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.detect import (
    cells_from_boxes,
    cells_from_labels,
    cells_from_points,
    cells_from_polygons,
    empty_cells,
    keep_annotated,
)
from napari_hemacells.core.detect.sources import whole_frame
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.types import CELL_COLUMNS, Cells

SHAPE = (40, 60)


def test_labels_keep_the_users_ids_and_are_measured():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:6, 10:20] = 7
    labels[30:34, 40:44] = 3
    cells = cells_from_labels(labels, SHAPE)
    assert cells.ids.tolist() == [3, 7]
    assert cells.boxes.tolist() == [[30, 40, 34, 44], [2, 10, 6, 20]]
    assert cells.centres[1].tolist() == [3.5, 14.5]
    assert cells.table["area"].tolist() == [16, 40]
    assert cells.source == "labels"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((3, 3), int), "3 × 3, the image 40 × 60"),
        (np.zeros(SHAPE), "integers"),
        (np.full(SHAPE, -1), "negative"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_the_reason(labels, reason):
    with pytest.raises(CellsError, match=reason):
        cells_from_labels(labels, SHAPE)


def test_a_high_id_costs_nothing_and_stays():
    import tracemalloc

    labels = np.zeros(SHAPE, np.uint32)
    labels[5:10, 5:15], labels[20:26, 30:34] = 100_000_000, 7
    tracemalloc.start()
    cells = cells_from_labels(labels, SHAPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert cells.ids.tolist() == [7, 100_000_000]
    assert cells.boxes.tolist() == [[20, 30, 26, 34], [5, 5, 10, 15]]
    assert cells.table["area"].tolist() == [24, 50]
    assert np.array_equal(cells.labels, labels)
    everywhere = cells_from_labels(np.full(SHAPE, 2**31 - 1), SHAPE)
    assert everywhere.ids.tolist() == [2**31 - 1]
    assert everywhere.mask_of(2**31 - 1).bits.all()


def test_points_become_discs_that_share_pixels_by_distance():
    cells = cells_from_points([[20, 20], [20, 27], [90, 90]], SHAPE, diameter=10)
    assert len(cells) == 2
    assert cells.labels[20, 23] == 1
    assert cells.labels[20, 24] == 2
    assert (cells.labels == 1).sum() == (cells.labels == 2).sum()
    assert cells.boxes.tolist() == [[15, 15, 26, 26], [15, 22, 26, 33]]


def test_a_point_in_the_corner_is_a_cell():
    cells = cells_from_points([[0, 0]], SHAPE, diameter=1)
    assert cells.labels[0, 0] == 1
    assert cells.boxes.tolist() == [[0, 0, 1, 1]]


def test_boxes_stay_whole_in_the_table_and_keep_their_classes():
    cells = cells_from_boxes([[5, 5, 15, 25], [10, 10, 20, 30]], SHAPE, classes=["RBC", "WBC"])
    assert cells.boxes.tolist() == [[5, 5, 15, 25], [10, 10, 20, 30]]
    assert cells.table["class"].tolist() == ["RBC", "WBC"]
    assert set(np.unique(cells.labels)) == {0, 1, 2}
    assert cells.diameter == 15


def test_boxes_are_cut_at_the_border_and_left_out_beyond_it():
    cells = cells_from_boxes([[-5, -5, 5, 5], [100, 0, 110, 10]], SHAPE, classes=["a", "b"])
    assert cells.boxes.tolist() == [[0, 0, 5, 5]]
    assert cells.table["class"].tolist() == ["a"]


def test_a_box_without_area_is_named():
    with pytest.raises(CellsError, match="Box 2 has no area"):
        cells_from_boxes([[0, 0, 5, 5], [3, 3, 3, 9]], SHAPE)


def test_outlines_become_cells():
    cells = cells_from_polygons([[[2, 2], [2, 12], [12, 12], [12, 2]]], SHAPE)
    assert cells.table["area"].item() == pytest.approx(100, abs=21)
    with pytest.raises(CellsError, match="three corners"):
        cells_from_polygons([[[1, 1], [2, 2]]], SHAPE)


@pytest.mark.parametrize(
    "cells",
    [
        empty_cells(SHAPE, 10.0),
        cells_from_labels(np.zeros(SHAPE, int), SHAPE),
        cells_from_points([], SHAPE, 10),
        cells_from_boxes([], SHAPE),
        cells_from_polygons([], SHAPE),
    ],
)
def test_no_cells_have_every_column_and_dtype(cells):
    full = cells_from_points([[5, 5]], SHAPE, 5)
    assert len(cells) == 0
    assert tuple(cells.table.columns) == CELL_COLUMNS
    assert cells.table.dtypes.equals(full.table.dtypes)
    assert cells.boxes.shape == (0, 4)
    assert cells.labels.shape == SHAPE


def square(label: int, row: int, col: int, side: int = 6) -> tuple[int, int, int, int]:
    return label, row, col, side


def cells_of(*squares: tuple[int, int, int, int]) -> Cells:
    labels = np.zeros(SHAPE, np.int32)
    for label, row, col, side in squares:
        labels[row : row + side, col : col + side] = label
    return cells_from_labels(labels, SHAPE)


def test_an_annotated_cell_survives_and_is_not_found_twice():
    old = cells_of(square(1, 0, 0), square(2, 20, 20))
    new = cells_of(square(1, 21, 21), square(2, 30, 40))
    joined = keep_annotated(old, [2], new)
    assert joined.ids.tolist() == [2, 3]
    np.testing.assert_array_equal(joined.labels == 2, old.labels == 2)
    assert joined.boxes[1].tolist() == [30, 40, 36, 46]


def test_a_neighbour_that_touches_an_annotated_cell_is_kept():
    old = cells_of(square(5, 20, 20))
    joined = keep_annotated(old, [5], cells_of(square(1, 20, 24)))
    assert joined.ids.tolist() == [5, 6]
    assert (joined.labels == 5).sum() == 36


def test_without_annotations_ids_are_still_never_used_again():
    joined = keep_annotated(cells_of(square(4, 0, 0)), [], cells_of(square(1, 20, 20)))
    assert joined.ids.tolist() == [5]


def test_nothing_new_leaves_the_annotated_cells():
    old = cells_of(square(1, 0, 0), square(2, 20, 20))
    joined = keep_annotated(old, [1], empty_cells(SHAPE, 6.0))
    assert joined.ids.tolist() == [1]


places = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=8, unique=True)


@settings(max_examples=40, deadline=None)
@given(before=places, after=places, data=st.data())
def test_joining_never_loses_or_mixes_cells(before, after, data):
    old = cells_of(*(square(n, *place) for n, place in enumerate(before, 1)))
    new = cells_of(*(square(n, *place) for n, place in enumerate(after, 1)))
    ids = data.draw(st.lists(st.sampled_from(old.ids.tolist()), unique=True)) if len(old) else []
    joined = keep_annotated(old, ids, new)
    assert set(ids) <= set(joined.ids.tolist())
    assert len(set(joined.ids.tolist())) == len(joined)
    assert (np.diff(joined.ids) > 0).all()
    assert set(np.unique(joined.labels)) <= {0, *joined.ids.tolist()}
    fresh = set(joined.ids.tolist()) - set(ids)
    assert not fresh & set(old.ids.tolist())
    for cell in ids:
        np.testing.assert_array_equal(joined.labels == cell, old.labels == cell)


def test_cells_in_an_annotated_whole_picture_are_found_and_lie_above_it():
    whole = whole_frame((40, 60))
    inner = cells_from_boxes([(2, 2, 12, 12), (20, 30, 34, 44)], (40, 60))
    both = keep_annotated(whole, [1], inner)
    assert both.ids.tolist() == [1, 2, 3]
    assert both.labels[7, 7] == 2
    assert both.labels[39, 59] == 1
    again = keep_annotated(both, [1], whole)
    assert again.ids.tolist() == [1]
