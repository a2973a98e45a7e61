"""A label image as masks reads exactly like the array that they are painted on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_up_masks import SHAPE, masks, painted
from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks


def lazy(found: list[CellMask]) -> LazyLabels:
    return LazyLabels(SHAPE, 10 * np.arange(len(found)) + 3, PackedMasks.of(found))


SLICES = st.slices(60)
INDEX = st.one_of(SLICES, st.integers(-30, 30))


@settings(max_examples=150, deadline=None)
@given(masks(), INDEX, INDEX)
def test_any_slice_is_that_of_the_painted_array(found, rows, cols):
    expected = painted(found)[rows, cols]
    seen = lazy(found)[rows, cols]
    np.testing.assert_array_equal(seen, expected)
    assert seen.dtype == np.int32
    assert np.shape(seen) == np.shape(expected)


@settings(max_examples=30, deadline=None)
@given(masks())
def test_as_an_array_and_after_pickling_it_is_the_same(found):
    np.testing.assert_array_equal(np.asarray(lazy(found)), painted(found))
    copy = pickle.loads(pickle.dumps(lazy(found)))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy[:, ::2], painted(found)[:, ::2])


def test_it_describes_itself_as_an_array():
    labels = lazy([CellMask((0, 0, 2, 2), np.ones((2, 2), bool))])
    assert (labels.shape, labels.ndim, labels.size) == (SHAPE, 2, 37 * 53)
    assert labels.dtype == np.int32
    assert len(labels) == 37
    assert labels.nbytes < 100


def test_points_are_read_one_by_one():
    found = [CellMask((3, 4, 9, 9), np.ones((6, 5), bool))]
    rows, cols = np.array([[3, 8], [9, 0]]), np.array([[4, 8], [4, 0]])
    np.testing.assert_array_equal(lazy(found)[rows, cols], painted(found)[rows, cols])


@pytest.mark.parametrize("index", [(37, 0), (0, -54), (0, 0, 0), ("a", 0), (None, 0)])
def test_what_is_no_place_is_an_index_error(index):
    with pytest.raises(IndexError):
        lazy([])[index]


def test_a_cell_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        lazy([]).mask_of(3)
