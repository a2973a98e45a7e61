"""Crops: where they are cut, what lies beyond the border, pictures of single cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.crop import estimate_context, extract_crops, from_picture
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import Cells, CropSpec


def make_cells(boxes, shape) -> Cells:
    table = pd.DataFrame(boxes, columns=["min_row", "min_col", "max_row", "max_col"])
    table.insert(0, "label", np.arange(1, len(boxes) + 1) * 3)
    table["row"] = (table["min_row"] + table["max_row"]) / 2
    table["col"] = (table["min_col"] + table["max_col"]) / 2
    return Cells(labels=np.zeros(shape, np.int32), table=table, diameter=8.0)


@pytest.fixture
def image():
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return image_from_array(pixels, "noise")


def test_without_resampling_a_crop_is_a_cut(image):
    crops = extract_crops(image, make_cells([(10, 20, 18, 28)], image.shape), CropSpec(8, 1.0))
    np.testing.assert_array_equal(crops[0], image.pixels[10:18, 20:28])


def test_context_widens_the_longer_side(image):
    crops = extract_crops(image, make_cells([(10, 20, 18, 24)], image.shape), CropSpec(16, 2.0))
    np.testing.assert_array_equal(crops[0], image.pixels[6:22, 14:30])


def test_beyond_the_border_the_image_is_mirrored(image):
    crop = extract_crops(image, make_cells([(0, 0, 4, 4)], image.shape), CropSpec(8, 2.0))[0]
    np.testing.assert_array_equal(crop[2:, 2:], image.pixels[:6, :6])
    np.testing.assert_array_equal(crop[:2, 2:], image.pixels[1::-1, :6])


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (39, 59, 40, 60), (5, 5, 5, 5), (0, 0, 40, 60)])
def test_the_smallest_and_the_largest_cell(image, box):
    assert extract_crops(image, make_cells([box], image.shape), CropSpec(16)).shape == (
        1,
        16,
        16,
        3,
    )


def test_a_one_pixel_image():
    image = image_from_array([[7]], "dot")
    crops = extract_crops(image, make_cells([(0, 0, 1, 1)], (1, 1)), CropSpec(8))
    assert (crops == 7).all()


def test_ids_choose_and_order(image):
    cells = make_cells([(0, 0, 8, 8), (10, 10, 18, 18), (20, 20, 28, 28)], image.shape)
    every = extract_crops(image, cells, CropSpec(8))
    np.testing.assert_array_equal(
        extract_crops(image, cells, CropSpec(8), ids=[9, 3]), every[[2, 0]]
    )
    assert extract_crops(image, cells, CropSpec(8), ids=[]).shape == (0, 8, 8, 3)
    with pytest.raises(CellsError, match="no cell 4"):
        extract_crops(image, cells, CropSpec(8), ids=[4])


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = extract_crops(
        image_from_array(stripes, "s"), make_cells([(0, 0, 64, 64)], (64, 64)), CropSpec(8, 1)
    )
    assert np.abs(crop.astype(int) - 127).max() <= 10


def test_a_picture_is_taken_whole_and_framed(image):
    square = np.ascontiguousarray(image.pixels[:40, :40])
    np.testing.assert_array_equal(from_picture(square, CropSpec(40)), square)
    half = from_picture(square, CropSpec(20), framing=0.5)
    np.testing.assert_array_equal(half, square[10:30, 10:30])
    assert from_picture(image.pixels, CropSpec(32)).shape == (32, 32, 3)


def disc(side: int, diameter: float) -> np.ndarray:
    rows, cols = np.indices((side, side)) - (side - 1) / 2
    picture = np.full((side, side, 3), 235, np.uint8)
    picture[np.hypot(rows, cols) < diameter / 2] = (120, 60, 140)
    return picture


@pytest.mark.parametrize("diameter", [30, 50, 70])
def test_context_of_a_disc(diameter):
    assert estimate_context([disc(100, diameter)]) == pytest.approx(100 / diameter, rel=0.05)


def test_context_of_flat_pictures_is_one():
    assert estimate_context([np.full((9, 9, 3), 5, np.uint8)]) == 1.0
    assert estimate_context([]) == 1.0
