"""A label image as masks reads exactly like the array that they are painted on."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.label_image import CellMask, LazyLabels, PackedMasks

SHAPE = (37, 53)


@st.composite
def masks(draw) -> list[CellMask]:
    """Masks of any form anywhere, also at the border; they may overlap."""
    found = []
    for _ in range(draw(st.integers(0, 7))):
        top, left = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
        bottom = draw(st.integers(top + 1, min(SHAPE[0], top + 15)))
        right = draw(st.integers(left + 1, min(SHAPE[1], left + 15)))
        seed = draw(st.integers(0, 99))
        bits = np.random.default_rng(seed).random((bottom - top, right - left)) < 0.6
        found.append(CellMask((top, left, bottom, right), bits))
    return found


def painted(found: list[CellMask]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for place, mask in enumerate(found):
        labels[mask.window][mask.bits] = 10 * place + 3
    return labels


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


@settings(max_examples=50, deadline=None)
@given(masks())
def test_masks_come_back_from_json(found):
    for mask in found:
        back = CellMask.from_dict(json.loads(json.dumps(mask.to_dict())))
        assert back.box == mask.box
        np.testing.assert_array_equal(back.bits, mask.bits)


@pytest.mark.parametrize(
    "change",
    [
        {"box": [0, 0, 0, 4]},
        {"box": [0, 0, 40, 40]},
        {"bits": "AAAA"},
        {"bits": "not base 64!"},
    ],
)
def test_damaged_masks_are_refused(change):
    stored = CellMask((0, 0, 4, 4), np.eye(4, dtype=bool)).to_dict()
    with pytest.raises(ValueError, match=r".+"):
        CellMask.from_dict({**stored, **change})


def test_bits_that_do_not_fit_the_box_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        CellMask((0, 0, 3, 4), np.ones((4, 3), bool))


@settings(max_examples=60, deadline=None)
@given(masks())
def test_what_one_mask_loses_to_another_is_what_both_share(found):
    for one in found:
        for other in found:
            left = one.without(other)
            shared = painted([one]).astype(bool) & painted([other]).astype(bool)
            assert one.touches(other) == shared.any()
            assert left.area == one.area - shared.sum()
            np.testing.assert_array_equal(
                painted([left]) > 0, (painted([one]) > 0) & ~(painted([other]) > 0)
            )
