from __future__ import annotations

import numpy as np
from PIL import Image

from napari_hemacells.core.store.overlay import class_overlay, write_overlay


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


def test_rims_have_the_class_colour_and_glass_stays(image, cells, palette):
    overlay = class_overlay(image, cells, {2: "rbc", 9: "wbc"}, palette)
    assert overlay.shape == (40, 60, 3)
    assert tuple(overlay[5, 5]) == rgb(palette.by_id("rbc").colour)
    assert tuple(overlay[30, 40]) == rgb(palette.by_id("wbc").colour)
    assert tuple(overlay[5, 30]) == (140, 140, 140)  # a cell without a class
    np.testing.assert_array_equal(overlay[0], image.pixels[0])


def test_the_tint_lets_the_cell_be_seen(image, cells, palette):
    overlay = class_overlay(image, cells, {2: "rbc"}, palette, fill=0.5)
    colour = np.array(rgb(palette.by_id("rbc").colour))
    np.testing.assert_allclose(overlay[10, 10], (colour + image.pixels[10, 10]) / 2, atol=1)
    np.testing.assert_array_equal(overlay[10, 35], image.pixels[10, 35])


def test_a_legend_is_a_strip_below(image, cells, palette):
    overlay = class_overlay(image, cells, {2: "rbc"}, palette, legend=True)
    assert overlay.shape[0] > 40
    assert overlay.shape[1] == 60
    assert (overlay[40:] == rgb(palette.by_id("wbc").colour)).all(axis=2).any()


def test_zero_cells_leave_the_image(tmp_path, image, no_cells, palette):
    overlay = class_overlay(image, no_cells, {}, palette)
    np.testing.assert_array_equal(overlay, image.pixels)
    write_overlay(tmp_path / "overlay.png", overlay)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "overlay.png")), overlay)
