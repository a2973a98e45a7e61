"""Vectors that the detector makes of its cells in passing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.detect.learned.cell_vectors import pool_cell_vectors
from napari_hemacells.core.detect.learned.metadata import FIRST_DIM, TAPS

SIDE = 240  # pixels of the made-up picture at scale


def flat_features(values: tuple[float, ...] = (1.0, 2.0, 3.0)) -> tuple[np.ndarray, ...]:
    """Features that are the same everywhere, one value for each tap."""
    strides = (4, 8, 16)
    return tuple(
        np.full((channels, SIDE // stride, SIDE // stride), value, np.float16)
        for channels, stride, value in zip(TAPS.values(), strides, values, strict=True)
    )


def test_a_flat_map_gives_its_value_as_mean_and_no_deviation() -> None:
    """Mean and deviation of each tap, in the order of the taps."""
    vectors = pool_cell_vectors(flat_features(), np.array([[80.0, 90.0, 120.0, 130.0]]))
    ends = np.cumsum(np.repeat(list(TAPS.values()), 2))
    parts = np.split(vectors[0], ends[:-1])
    assert vectors.shape == (1, FIRST_DIM)
    for value, mean, deviation in zip((1.0, 2.0, 3.0), parts[::2], parts[1::2], strict=True):
        assert mean == pytest.approx(value, abs=1e-3)
        assert deviation == pytest.approx(0.0, abs=1e-2)


def test_a_vector_is_of_the_place_of_its_cell() -> None:
    """Rows and columns are not exchanged."""
    features = flat_features()
    features[0][:, 20:40, :15] = 9.0  # rows 80 to 160, columns 0 to 60 at scale
    boxes = np.array([[100.0, 10.0, 140.0, 50.0], [10.0, 100.0, 50.0, 140.0]])
    here, there = pool_cell_vectors(features, boxes)
    assert here[0] == pytest.approx(9.0, abs=1e-2)
    assert there[0] == pytest.approx(1.0, abs=1e-2)


def test_no_cells_have_no_vectors() -> None:
    """The dimension is known all the same."""
    assert pool_cell_vectors(flat_features(), np.zeros((0, 4))).shape == (0, FIRST_DIM)
