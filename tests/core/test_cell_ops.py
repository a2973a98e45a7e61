"""Cells taken out and put in: the same on a label image in memory and on masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_up import make_cells
from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks
from napari_hemacells.core.cell_ops import relabel_cells, replace_cells
from napari_hemacells.core.errors import CellsError

SIDE = 64


def lazily(cells):
    masks = PackedMasks.of_labels(np.asarray(cells.labels), cells.ids.tolist(), cells.boxes)
    return replace(cells, labels=LazyLabels(cells.labels.shape, cells.ids, masks))


def square(row: int, col: int, side: int = 9) -> CellMask:
    return CellMask((row, col, row + side, col + side), np.ones((side, side), bool))


def row_of(mask: CellMask) -> dict[str, object]:
    top, left, bottom, right = mask.box
    return {
        "class": "WBC", "score": 0.5, "row": (top + bottom) / 2, "col": (left + right) / 2,
        "min_row": top, "min_col": left, "max_row": bottom, "max_col": right, "area": mask.area,
    }  # fmt: skip


@st.composite
def changes(draw):
    removed = draw(st.sets(st.integers(1, 40), max_size=6))
    corners = st.tuples(st.integers(0, SIDE - 9), st.integers(0, SIDE - 9))
    added = [square(*corner) for corner in draw(st.lists(corners, max_size=5))]
    return removed, [(100 + place, row_of(mask), mask) for place, mask in enumerate(added)]


@settings(max_examples=60, deadline=None)
@given(changes())
def test_masks_and_label_image_change_alike(change):
    cells = make_cells(30)
    before = np.array(cells.labels)
    whole, masks = replace_cells(cells, *change), replace_cells(lazily(cells), *change)
    np.testing.assert_array_equal(whole.labels, np.asarray(masks.labels))
    assert whole.table.equals(masks.table)
    for cell in whole.ids.tolist():
        expected = whole.labels == cell
        for cut in (whole.mask_of(cell), masks.mask_of(cell)):
            assert expected[cut.window][cut.bits].all()
            assert cut.area == expected.sum()
    np.testing.assert_array_equal(cells.labels, before)


def test_removed_cells_are_gone_and_added_ones_lie_on_top():
    mask = square(0, 0)
    cells = replace_cells(make_cells(30), [2], [(50, row_of(mask), mask)])
    assert 2 not in cells.ids
    assert cells.ids.tolist() == sorted(cells.ids.tolist())
    assert (np.asarray(cells.labels)[:9, :9] == 50).all()
    assert cells.table.dtypes.equals(make_cells(30).table.dtypes)
    assert cells.table.iloc[0]["area"] == 36  # the row of the cell below stays as it was


def test_the_only_cell_can_be_added():
    empty = replace_cells(make_cells(1), [1], [])
    assert len(empty) == 0
    mask = square(5, 5)
    cells = replace_cells(empty, [], [(7, row_of(mask), mask)])
    assert cells.ids.tolist() == [7]
    assert cells.table["label"].dtype == np.int64


@pytest.mark.parametrize("number", [3, 50])
def test_an_id_can_be_there_once_only(number):
    mask = square(5, 5)
    twice = [(number, row_of(mask), mask), (50, row_of(mask), mask)]
    with pytest.raises(CellsError, match="same id"):
        replace_cells(make_cells(30), [], twice)


def test_a_mask_beyond_the_image_is_refused():
    mask = square(SIDE - 4, 0)
    with pytest.raises(CellsError, match="beyond"):
        replace_cells(make_cells(30), [], [(50, row_of(mask), mask)])


def test_some_cells_under_new_ids():
    cells = make_cells(30)
    for one in (relabel_cells(cells, {4: 11, 9: 2}), relabel_cells(lazily(cells), {4: 11, 9: 2})):
        assert one.ids.tolist() == [2, 11]
        labels = np.asarray(one.labels)
        np.testing.assert_array_equal(labels == 11, cells.labels == 4)
        np.testing.assert_array_equal(labels == 2, cells.labels == 9)
        assert set(np.unique(labels)) == {0, 2, 11}
