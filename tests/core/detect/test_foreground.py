"""The quick look leaves out empty glass, never pale cells, and finds where to measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage as ndi
from skimage.draw import disk

from napari_hemacells.core.detect.foreground import drop_empty_parts, is_flat, stained_windows
from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.detect.tiling import make_tiles
from napari_hemacells.core.image import image_from_array

GLASS = np.array([232.0, 228.0, 230.0])
SHAPE = (512, 1024)


def slide(cells, contrast: float, diameter: float = 40.0):
    """Return an image with discs paler than the glass by `contrast`, and its overview."""
    pixels = np.broadcast_to(GLASS, (*SHAPE, 3)).copy()
    for centre in cells:
        pixels[disk(centre, diameter / 2, shape=SHAPE)] -= [contrast / 2, contrast, contrast]
    pixels = ndi.gaussian_filter(pixels, (1, 1, 0))
    pixels += np.random.default_rng(0).normal(0, 2, pixels.shape)
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    small = Image.fromarray(pixels).resize((SHAPE[1] // 4, SHAPE[0] // 4), Image.Resampling.BOX)
    return replace(image_from_array(pixels, "slide"), overview=np.asarray(small))


def parts_with_cells(image, diameter=40.0):
    parts = tuple(make_tiles(SHAPE, 256, 32))
    return [part.index for part in drop_empty_parts(image, parts, SHAPE, diameter)]


@pytest.mark.parametrize("contrast", [8, 15, 60])
def test_one_pale_cell_is_enough_to_look_at_a_part(contrast):
    assert parts_with_cells(slide([(150, 350)], contrast)) == [1]


def test_a_cell_in_the_halo_keeps_both_parts():
    assert parts_with_cells(slide([(128, 265)], 40)) == [0, 1]


def test_a_small_platelet_is_seen():
    assert parts_with_cells(slide([(350, 950)], 80, diameter=10)) == [7]


def test_nothing_is_left_out_without_an_overview_or_with_too_coarse_a_one():
    image = slide([], 0)
    assert parts_with_cells(image) == []
    assert len(parts_with_cells(replace(image, overview=None))) == 8
    assert len(parts_with_cells(image, diameter=12.0)) == 8


def test_flat_is_only_what_has_no_pale_cell():
    image = slide([(150, 350)], 10)
    pixels = np.asarray(image.pixels)
    assert is_flat(pixels[300:500, 50:250])
    assert not is_flat(pixels[100:200, 300:400])


@pytest.mark.parametrize("overview", [True, False])
def test_cells_are_measured_where_there_are_cells(overview):
    cells = [(row, col) for row in range(40, 500, 60) for col in range(780, 1000, 60)]
    image = slide(cells, 60)
    image = image if overview else replace(image, overview=None)
    places = stained_windows(image)
    assert 1 <= len(places) <= 5
    assert all(col > 700 for _, col in places)


def test_regions_decide_where_cells_are_measured():
    cells = [(row, col) for row in range(40, 500, 60) for col in range(40, 1000, 60)]
    square = np.array([[0, 0], [0, 600], [512, 600], [512, 0]], float)
    places = stained_windows(slide(cells, 60), Regions((square,)))
    assert places
    assert all(col < 600 for _, col in places)
    tiny = square / 100 + 300
    assert stained_windows(slide(cells, 60), Regions((tiny,))) == [tuple(tiny.mean(axis=0))]


def test_empty_glass_has_no_place_to_measure_at_all():
    flat = np.full((600, 600, 3), 230, np.uint8)
    assert stained_windows(image_from_array(flat, "empty")) == []
