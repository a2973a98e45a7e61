"""Masks of single cells: what they share, and how they are stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

from made_up_masks import masks, painted
from napari_hemacells.core.cell_masks import (
    BoxMasks,
    CellMask,
    LazyLabels,
    PackedMasks,
    look_up,
)


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


def test_values_are_looked_up_by_id_however_high_it_is():
    labels = np.array([[0, 7, 3], [9, 7, 2**31 - 1]], np.int32)
    for high in (9, 2**31 - 1):
        ids, values = np.array([high, 3, 7]), np.array([50, 20, 30])
        expected = [[0, 30, 20], [50 if high == 9 else 0, 30, 0 if high == 9 else 50]]
        assert look_up(labels, ids, values).tolist() == expected
    assert not look_up(labels, ids[:0], values[:0]).any()


def test_masks_that_fill_their_boxes_read_like_packed_ones():
    boxes = np.array([[0, 0, 3, 4], [5, 2, 9, 9]], np.int32)
    whole = BoxMasks(boxes)
    packed = PackedMasks.of(list(whole))
    np.testing.assert_array_equal(whole.bits, packed.bits)
    for position in range(2):
        np.testing.assert_array_equal(whole.bits_of(position), packed.bits_of(position))
    picked = whole.pick(np.array([1]))
    np.testing.assert_array_equal(picked.boxes, boxes[1:])
    labels = [LazyLabels((10, 10), [3, 8], masks) for masks in (whole, packed)]
    np.testing.assert_array_equal(np.asarray(labels[0]), np.asarray(labels[1]))
    assert labels[0].nbytes < labels[1].nbytes
