"""Many cells drawn where they are looked at: masks near, dots far away, codes for colours."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks
from napari_hemacells.widgets.canvas.multiscale_labels import MIN_MASK_PIXELS, CellPyramid

SIDE, DIAMETER = 3000, 40


@pytest.fixture
def levels():
    grid = np.arange(60, SIDE - 60, 100)
    centres = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    bits = np.hypot(*(np.mgrid[-20:21, -20:21])) <= 20
    masks = [CellMask((r - 20, c - 20, r + 21, c + 21), bits) for r, c in centres.tolist()]
    ids = np.arange(3, 3 + len(centres))
    labels = LazyLabels((SIDE, SIDE), ids, PackedMasks.of(masks))
    return CellPyramid(labels, ids, centres.astype(float), DIAMETER)


def test_levels_halve_until_they_are_small(levels):
    assert [level.shape[0] for level in levels.levels] == [3000, 1500, 750, 375]
    assert [level.step for level in levels.levels] == [1, 2, 4, 8]


def test_near_levels_are_the_masks(levels):
    levels.set_shades(np.full(len(levels.ids), 7, np.uint8))
    whole = np.asarray(levels.labels)
    for level in levels.levels:
        if DIAMETER / level.step >= MIN_MASK_PIXELS:
            painted = np.asarray(level)
            np.testing.assert_array_equal(painted, (whole[:: level.step, :: level.step] > 0) * 7)
            np.testing.assert_array_equal(level[100:612, 37:400], painted[100:612, 37:400])


def test_far_levels_have_a_dot_in_each_centre(levels):
    codes = np.arange(len(levels.ids)) % 200 + 1
    levels.set_shades(codes.astype(np.uint8))
    far = levels.levels[-1]
    assert far.step * MIN_MASK_PIXELS > DIAMETER
    painted = np.asarray(far)
    for code, row, col in zip(codes, levels._rows, levels._cols, strict=True):
        assert painted[round(row / 8), round(col / 8)] == code
    np.testing.assert_array_equal(far[200:300, 250:300], painted[200:300, 250:300])
    assert 0.01 < (painted > 0).mean() < 0.2


def test_new_shades_paint_no_mask_again(levels):
    levels.set_shades(np.ones(len(levels.ids), np.uint8))
    first = np.asarray(levels.levels[0][:600, :600])
    before = levels.levels[0]._block.cache_info().misses
    levels.set_shades(np.full(len(levels.ids), 9, np.uint8))
    np.testing.assert_array_equal(levels.levels[0][:600, :600], first * 9)
    assert levels.levels[0]._block.cache_info().misses == before


def test_a_cell_is_found_by_its_mask_or_its_dot(levels):
    assert levels.cell_at(60, 75, 0) == 3
    assert levels.cell_at(60, 85, 0) == 0
    assert levels.cell_at(60, 85, 30) == 3
    assert levels.cell_at(60, 118, 60) == 4
    assert levels.cell_at(-5, -5, 0) == 0
    assert levels.cell_at(-40, 60, 30) == 0


def test_napari_takes_them_for_labels(levels):
    layer = Labels(list(levels.levels), multiscale=True)
    assert layer.multiscale
    assert tuple(layer.data[0].shape) == (SIDE, SIDE)


def test_no_cells_are_a_picture_too():
    empty = CellPyramid(
        np.zeros((700, 900), np.int32), np.zeros(0, np.int64), np.zeros((0, 2)), 40
    )
    empty.set_shades(np.zeros(0, np.uint8))
    assert not np.asarray(empty.levels[-1]).any()
    assert empty.cell_at(5, 5, 100) == 0


@pytest.mark.parametrize("step", [1, 8])
def test_ids_far_apart_cost_nothing(step):
    """The colours are kept by the cells' order, not by ids that a file may choose."""
    high = 2**31 - 1
    labels = np.zeros((600, 600), np.int32)
    labels[10:60, 10:60], labels[300:350, 300:350] = 7, high
    centres = np.array([[34.5, 34.5], [324.5, 324.5]])
    pyramid = CellPyramid(labels, np.array([7, high]), centres, 50.0)
    pyramid.set_shades(np.array([3, 200]))
    assert pyramid.codes.nbytes < 100
    level = next(level for level in pyramid.levels if level.step >= min(step, 2))
    place = 320 // level.step
    assert level[34 // level.step, 34 // level.step] == 3
    assert level[place, place] == 200
    assert level[0, 0] == 0
    assert pyramid.cell_at(320, 320, 0) == high
