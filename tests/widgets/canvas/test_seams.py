"""Cells that touch are told apart, also where they have one colour."""

from __future__ import annotations

import numpy as np

from napari_hemacells.widgets.canvas.label_colormap import class_colormap, find_seams
from napari_hemacells.widgets.canvas.multiscale_labels import CellPyramid

RED = (1.0, 0.0, 0.0, 0.5)


def touching() -> np.ndarray:
    """Two cells side by side, and one alone."""
    labels = np.zeros((20, 30), np.int32)
    labels[4:14, 2:10], labels[4:14, 10:18], labels[4:14, 22:28] = 1, 2, 3
    return labels


def test_seams_are_where_two_cells_touch():
    seams = find_seams(touching())
    assert set(zip(seams.rows.tolist(), seams.cols.tolist(), strict=True)) == {
        (row, col) for row in range(4, 14) for col in (9, 10)
    }
    assert len(find_seams(touching() * (touching() != 2)).rows) == 0


def drawn(colormap, labels):
    """Which pixels of a label image napari draws in a colour."""
    texture = colormap._data_to_texture(labels)
    glass = colormap._data_to_texture(np.zeros(1, labels.dtype))
    return np.asarray(texture != glass[0])


def test_a_line_is_left_free_between_cells_of_one_colour():
    labels = touching()
    table = {None: (0.0,) * 4, 0: (0.0,) * 4, 1: RED, 2: RED, 3: RED}
    filled = drawn(class_colormap(table).leave_free(find_seams(labels)), labels)
    assert not filled[4:14, 9:11].any()
    assert filled[4:14, 2:9].all()
    assert filled[4:14, 22:28].all()
    np.testing.assert_array_equal(drawn(class_colormap(table), labels), labels > 0)


def test_another_picture_than_that_of_the_seams_is_drawn_whole():
    labels = touching()
    table = {None: (0.0,) * 4, 0: (0.0,) * 4, 1: RED, 2: RED, 3: RED}
    part = labels[4:14, 2:18]
    assert drawn(class_colormap(table).leave_free(find_seams(labels)), part).all()


def test_so_it_is_in_a_large_image():
    labels = touching()
    centres = np.array([[8.5, 5.5], [8.5, 13.5], [8.5, 24.5]])
    pyramid = CellPyramid(labels, np.array([1, 2, 3]), centres, 10.0)
    pyramid.set_shades(np.array([1, 1, 1], np.uint8))
    shown = np.asarray(pyramid.levels[0])
    assert not shown[4:14, 9:11].any()
    assert shown[4:14, 2:9].all()
    assert shown[4:14, 22:28].all()
