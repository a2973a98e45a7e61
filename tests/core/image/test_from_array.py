"""Conversions with known answers; sentences for bad input."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import content_key, image_from_array, read_image, to_colour

COLOUR = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_colour_stays_as_it_is():
    np.testing.assert_array_equal(to_colour(COLOUR), COLOUR)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (1, 5, 7), (1, 1, 5, 7)])
def test_grey_is_repeated(shape):
    grey = COLOUR[..., 0].reshape(shape)
    np.testing.assert_array_equal(to_colour(grey), COLOUR[..., :1].repeat(3, axis=-1))


def test_channel_first_is_moved():
    np.testing.assert_array_equal(to_colour(np.moveaxis(COLOUR, -1, 0)), COLOUR)


def test_a_three_row_colour_image_is_not_channel_first():
    np.testing.assert_array_equal(to_colour(COLOUR[:3]), COLOUR[:3])


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (65535, np.uint16, 255),
        (257 * 128, np.uint16, 128),
        (4095, np.uint16, 255),
        (1023, np.int32, 255),
        (200, np.uint16, 200),
        (1.0, np.float32, 255),
        (0.5, np.float64, 128),
        (1, np.bool_, 255),
    ],
)
def test_values_scale_by_their_depth(value, dtype, expected):
    assert to_colour(np.full((2, 2), value, dtype=dtype))[0, 0].tolist() == [expected] * 3


def test_other_values_are_stretched_with_one_scale():
    stretched = to_colour(np.array([[[-10.0, 0.0, 30.0]]]))
    assert stretched[0, 0].tolist() == [0, 64, 255]


def test_alpha_is_laid_on_white():
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 3] = 0, 51, 255
    assert to_colour(rgba)[0, :, 0].tolist() == [255, 204, 0]
    grey_alpha = np.array([[[0.0, 0.0], [0.0, 1.0]]])
    assert to_colour(grey_alpha)[0, :, 1].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.array([[np.nan, 1.0]]), "NaN"),
        (np.array([[np.inf, 1.0]]), "infinite"),
        (np.zeros((5, 6, 7), np.uint8), "shape"),
        (np.zeros(5, np.uint8), "shape"),
        (np.array([["a"]]), "not numbers"),
    ],
)
def test_bad_arrays_get_a_sentence(array, word):
    with pytest.raises(ImageError, match=word):
        to_colour(array)


def test_one_pixel_is_an_image():
    assert image_from_array([[7]], "dot").shape == (1, 1)


def test_the_key_follows_the_content():
    image = image_from_array(COLOUR, "a")
    other = COLOUR.copy()
    other[0, 0, 0] ^= 1
    assert image.key == image_from_array(COLOUR.copy(), "b").key
    assert len({image.key, content_key(other), content_key(COLOUR.reshape(7, 5, 3))}) == 3
    assert len(image.key) == 16


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_files_are_read_back(tmp_path, suffix):
    file = tmp_path / f"field{suffix}"
    Image.fromarray(COLOUR).save(file)
    image = read_image(file)
    np.testing.assert_array_equal(image.pixels, COLOUR)
    assert (image.name, image.path, image.pixel_size_um) == ("field", file, None)


def test_palette_and_grey_16_bit_pictures(tmp_path):
    Image.fromarray(COLOUR).convert("P").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").pixels.shape == (5, 7, 3)
    Image.fromarray(np.full((3, 3), 65535, np.uint16)).save(tmp_path / "g.png")
    assert read_image(tmp_path / "g.png").pixels.max() == 255


def test_pixel_size_from_ome_imagej_and_resolution(tmp_path):
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", COLOUR, photometric="rgb", metadata=metadata)
    assert read_image(tmp_path / "a.ome.tif").pixel_size_um == pytest.approx(0.2)
    tifffile.imwrite(
        tmp_path / "b.tif", COLOUR, imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    assert read_image(tmp_path / "b.tif").pixel_size_um == pytest.approx(0.25)
    tifffile.imwrite(tmp_path / "c.tif", COLOUR, resolution=(2e4, 2e4), resolutionunit=3)
    assert read_image(tmp_path / "c.tif").pixel_size_um == pytest.approx(0.5)
    tifffile.imwrite(tmp_path / "d.tif", COLOUR, resolution=(72, 72), resolutionunit=2)
    assert read_image(tmp_path / "d.tif").pixel_size_um is None


@pytest.mark.parametrize("name", ["damaged.png", "damaged.tif", "damaged.jpg"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(ImageError, match="damaged"):
        read_image(tmp_path / name)


def test_a_truncated_jpeg_is_refused(tmp_path):
    file = tmp_path / "half.jpg"
    Image.fromarray(np.tile(COLOUR, (20, 20, 1))).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"half\.jpg"):
        read_image(file)


def test_a_stack_of_pictures_is_refused_with_its_shape(tmp_path):
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((9, 8, 8), np.uint8), photometric="minisblack"
    )
    with pytest.raises(
        ImageError,
        match=r"stack\.tif.*9 planes.*--plane NUMBER \(1 to 9\)",
    ):
        read_image(tmp_path / "stack.tif")


def test_a_missing_file(tmp_path):
    with pytest.raises(ImageError, match="no file"):
        read_image(tmp_path / "none.png")
