"""Maps → cells, against maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.detect.learned.postprocess import (
    Detections,
    concatenate_detections,
    empty_detections,
    find_peaks,
    non_maximum_suppression,
)


def found(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    return Detections(
        np.array([row[:4] for row in rows], float).reshape(-1, 4),
        np.array([row[4] for row in rows], np.int64),
        np.array([row[5] for row in rows], float),
    )


def test_a_peak_takes_the_box_of_its_kind_and_place() -> None:
    heat = np.zeros((3, 8, 8), np.float32)
    heat[0, 2, 3], heat[0, 2, 4], heat[2, 6, 6] = 0.9, 0.5, 0.4
    boxes = np.arange(3 * 4 * 8 * 8, dtype=np.float32).reshape(3, 4, 8, 8)
    cells = find_peaks(heat, boxes, (0.3, 0.3, 0.3))
    assert cells.kinds.tolist() == [0, 2]
    assert cells.scores == pytest.approx([0.9, 0.4])
    assert cells.boxes[1].tolist() == boxes[2, :, 6, 6].tolist()


def test_each_kind_has_its_own_limit() -> None:
    heat = np.full((3, 4, 4), 0.0, np.float32)
    heat[:, 1, 1] = 0.5
    cells = find_peaks(heat, np.zeros((3, 4, 4, 4), np.float32), (0.4, 0.6, 0.4))
    assert cells.kinds.tolist() == [0, 2]


def test_the_weaker_of_two_that_overlap_goes() -> None:
    kept = non_maximum_suppression(
        found((0, 0, 10, 10, 0, 0.5), (0, 1, 10, 11, 0, 0.9), (0, 30, 10, 40, 0, 0.3)), 0.5, 0.6
    )
    assert kept.scores.tolist() == [0.9, 0.3]


def test_a_platelet_on_a_red_cell_stays_and_a_red_cell_in_a_white_ones_place_goes() -> None:
    kept = non_maximum_suppression(
        found(
            (0, 0, 40, 40, 0, 0.9),
            (15, 15, 25, 25, 2, 0.5),
            (50, 0, 90, 40, 1, 0.9),
            (51, 1, 90, 40, 0, 0.4),
        ),
        0.5,
        0.6,
    )
    assert sorted(zip(kept.kinds.tolist(), kept.scores.tolist(), strict=True)) == [
        (0, 0.9),
        (1, 0.9),
        (2, 0.5),
    ]


def test_suppressing_nothing_is_nothing() -> None:
    assert len(non_maximum_suppression(empty_detections(), 0.5, 0.6)) == 0
    assert len(concatenate_detections([])) == 0


def test_moved_shifts_then_scales() -> None:
    assert found((0, 0, 4, 4, 0, 1)).moved((4, 8), 0.5).boxes[0].tolist() == [8, 16, 16, 24]
