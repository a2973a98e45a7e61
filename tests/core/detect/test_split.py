"""Splitting and merging outlines, without a network: the images are of temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.detect.split import merge_cells, split_cell
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import image_from_array

SHAPE = (60, 90)
ROWS, COLS = np.mgrid[: SHAPE[0], : SHAPE[1]]
FLAT = image_from_array(np.full(SHAPE, 30.0, np.float32), "warm")
IMAGE = replace(FLAT, modality="temperature")


def disc(row, col, radius=12):
    return np.hypot(ROWS - row, COLS - col) < radius


def cells_of(*masks):
    labels = np.zeros(SHAPE, np.int32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
    return cells_from_labels(labels, SHAPE)


def whole(proposal):
    found = np.zeros(SHAPE, bool)
    found[proposal.mask.window] = proposal.mask.bits
    return found


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_two_discs_in_one_outline_come_apart_at_the_waist():
    left, right = disc(30, 28), disc(30, 48)
    first, second = split_cell(IMAGE, cells_of(left | right), 1)
    halves = sorted((whole(first), whole(second)), key=lambda half: half.nonzero()[1].mean())
    assert iou(halves[0], left) > 0.85
    assert iou(halves[1], right) > 0.85
    assert (halves[0] | halves[1]).sum() == (left | right).sum()


def test_a_round_cell_is_split_too_because_it_was_asked_for():
    first, second = split_cell(IMAGE, cells_of(disc(30, 40)), 1)
    assert first.mask.area == pytest.approx(second.mask.area, rel=0.2)


def test_a_line_cuts_where_it_runs_also_beyond_its_ends():
    first, second = split_cell(IMAGE, cells_of(disc(30, 40)), 1, ((29.5, 38.0), (29.5, 40.0)))
    upper, lower = sorted((first, second), key=lambda half: half.mask.box)
    assert upper.mask.box[2] == 30
    assert lower.mask.box[0] == 30


def test_a_line_beside_the_cell_is_refused():
    with pytest.raises(CellsError, match="does not cross"):
        split_cell(IMAGE, cells_of(disc(30, 40)), 1, ((2.0, 0.0), (2.0, 80.0)))


def test_a_speck_is_not_split():
    speck = np.zeros(SHAPE, bool)
    speck[5, 5:8] = True
    with pytest.raises(CellsError, match="too small"):
        split_cell(IMAGE, cells_of(speck), 1)


def test_merging_gives_all_pixels_and_closes_a_narrow_gap():
    left, right = disc(30, 28), disc(30, 28) & False
    right[20:41, 42:60] = True
    cells = cells_of(left, right)
    one = merge_cells(cells, [1, 2])
    assert (whole(one) & (left | right)).sum() == (left | right).sum()
    assert whole(one)[30, 40:42].all()


def test_merging_takes_nothing_from_a_third_cell():
    left, right, between = disc(30, 28), disc(30, 56), np.zeros(SHAPE, bool)
    between[25:35, 41:43] = True
    one = merge_cells(cells_of(left, right, between), [1, 2])
    assert not (whole(one) & between).any()


def test_one_cell_is_not_merged():
    with pytest.raises(CellsError, match="two cells"):
        merge_cells(cells_of(disc(30, 28)), [1, 1])
