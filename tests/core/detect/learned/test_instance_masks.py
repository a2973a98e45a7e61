"""Labels from boxes and foreground."""

from __future__ import annotations

import numpy as np

from napari_hemacells.core.detect.learned.instance_masks import ForegroundMap, paint_labels
from napari_hemacells.core.detect.learned.postprocess import Detections

CANVAS = (slice(0, 80), slice(0, 120))
EVERYWHERE = ForegroundMap(np.full((20, 30), 255, np.uint8), (4.0, 4.0))


def cells(*boxes: tuple[float, float, float, float], kinds: tuple[int, ...]) -> Detections:
    return Detections(np.array(boxes, float), np.array(kinds, np.int64), np.ones(len(boxes)))


def test_two_overlapping_cells_are_split_half_way() -> None:
    labels = paint_labels(
        cells((20, 20, 60, 60), (20, 50, 60, 90), kinds=(0, 0)), EVERYWHERE, CANVAS
    )
    assert set(np.unique(labels)) == {0, 1, 2}
    assert labels[40, 40] == 1
    assert labels[40, 70] == 2
    assert labels[40, 54] == 1
    assert labels[40, 56] == 2


def test_a_platelet_lies_on_top_of_the_red_cell() -> None:
    found = cells((35, 45, 45, 55), (10, 20, 70, 80), kinds=(2, 0))
    labels = paint_labels(found, EVERYWHERE, CANVAS)
    assert labels[40, 50] == 1
    assert (labels == 1).sum() > 70
    assert labels[40, 30] == 2


def test_glass_in_the_box_is_not_the_cell_but_a_pale_middle_is() -> None:
    nothing_stained = ForegroundMap(np.zeros((20, 30), np.uint8), (4.0, 4.0))
    labels = paint_labels(cells((20, 20, 60, 60), kinds=(0,)), nothing_stained, CANVAS)
    assert labels[40, 40] == 1
    assert labels[40, 22] == 0


def test_a_cell_has_one_piece() -> None:
    foreground = np.zeros((20, 30), np.uint8)
    foreground[6:14, 6:11] = 255
    foreground[5:15, 14:16] = 255  # a neighbour that was not found, beyond a gap of glass
    labels = paint_labels(
        cells((20, 20, 60, 62), kinds=(0,)), ForegroundMap(foreground, (4.0, 4.0)), CANVAS
    )
    assert labels[40, 30] == 1
    assert labels[40, 60] == 0


def test_boxes_beyond_the_border_are_cut() -> None:
    labels = paint_labels(
        cells((-20, -20, 20, 20), (200, 200, 240, 240), kinds=(0, 0)), EVERYWHERE, CANVAS
    )
    assert labels[0, 0] == 1
    assert (labels == 2).sum() == 0
