"""Polygons that detection is restricted to."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.errors import CellsError

TRIANGLE = np.array([[10.0, 10.0], [10.0, 50.0], [50.0, 10.0]])
SQUARE = np.array([[80.0, 80.0], [80.0, 90.0], [90.0, 90.0], [90.0, 80.0]])


def test_a_point_counts_in_any_of_the_polygons():
    points = np.array([[20.0, 20.0], [45.0, 45.0], [85.0, 85.0], [5.0, 5.0]])
    assert Regions((TRIANGLE, SQUARE)).contains(points).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("low", "high", "touches"),
    [
        ((0, 0), (100, 100), True),  # the polygon lies inside
        ((15, 15), (18, 18), True),  # the rectangle lies inside
        ((0, 0), (12, 12), True),  # a corner
        ((40, 40), (60, 60), False),  # within the bounding box, beyond the slanted side
        ((60, 0), (70, 100), False),
    ],
)
def test_which_rectangles_it_touches(low, high, touches):
    assert Regions((TRIANGLE,)).touch(low, high) is touches


@pytest.mark.parametrize("polygons", [(), (np.zeros((2, 2)),), (np.zeros((4, 3)),)])
def test_what_is_no_region_is_refused_with_what_to_do(polygons):
    with pytest.raises(CellsError, match=r"[Dd]raw"):
        Regions(polygons)
