from __future__ import annotations

import numpy as np
from PIL import Image

from napari_hemacells.core.detect import cells_from_boxes
from napari_hemacells.core.store.overlay import class_overlay, outline_width, write_overlay
from napari_hemacells.core.temperature.normalise import celsius_to_picture
from napari_hemacells.core.types import SmearImage


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


def thermogram():
    celsius = np.full((480, 640), 22.0, np.float32)
    celsius[100:400, 100:540] = np.linspace(28, 35, 440, dtype=np.float32)
    return SmearImage(celsius, "f" * 16, "exam", modality="temperature")


def breasts():
    boxes = np.array([[150, 120, 350, 300], [150, 340, 350, 520]])
    return cells_from_boxes(boxes, (480, 640), diameter=200.0)


def test_a_thermogram_is_drawn_in_its_colours_with_thin_outlines(palette):
    image, regions = thermogram(), breasts()
    overlay = class_overlay(image, regions, {1: "rbc"}, palette, legend=True)
    assert overlay.shape[1:] == (640, 3)
    assert overlay.dtype == np.uint8
    shown = celsius_to_picture(image.pixels)
    np.testing.assert_array_equal(overlay[0], shown[0])
    assert shown[250, 100].sum() < shown[250, 539].sum()  # the warmer, the brighter
    assert outline_width(image, regions) == 2
    colour = rgb(palette.by_id("rbc").colour)
    in_outline = (overlay[250, 110:310] == colour).all(axis=1)
    assert in_outline.sum() == 4  # two pixels on each side


def test_pixels_without_a_temperature_are_drawn_as_the_coldest():
    celsius = thermogram().pixels.copy()
    celsius[:4] = np.nan
    np.testing.assert_array_equal(celsius_to_picture(celsius), celsius_to_picture(
        np.where(np.isnan(celsius), np.float32(22), celsius)))  # fmt: skip
    assert celsius_to_picture(np.full((3, 4), np.nan)).shape == (3, 4, 3)


def test_zero_cells_leave_the_image(tmp_path, image, no_cells, palette):
    overlay = class_overlay(image, no_cells, {}, palette)
    np.testing.assert_array_equal(overlay, image.pixels)
    write_overlay(tmp_path / "overlay.png", overlay)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "overlay.png")), overlay)
