"""Bits a sample: stated by the file, else guessed from nearly all values, once for a run."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.image import guess_run_depths, read_image, to_colour
from napari_hemacells.core.types import BitDepth

COLOUR = np.random.default_rng(8).integers(0, 256, (60, 70, 3), dtype=np.uint8)
COLOUR[0, 0] = 255


def write(folder, name, data, **options):
    tifffile.imwrite(folder / name, data, photometric="rgb", **options)
    return folder / name


def test_one_bright_pixel_decides_nothing(tmp_path):
    deep = COLOUR.astype(np.uint16) * 4
    hot = deep.copy()
    hot[5, 5, 1] = 1030
    plain = read_image(write(tmp_path, "a.tif", deep))
    image = read_image(write(tmp_path, "b.tif", hot))
    np.testing.assert_array_equal(np.delete(image.pixels, 5, 0), np.delete(plain.pixels, 5, 0))
    np.testing.assert_allclose(plain.pixels, COLOUR, atol=1)
    assert image.bit_depth == BitDepth(10, 0, "guessed")
    assert image.notes == ("10 bits, guessed from its values.",)


def test_signed_numbers_stored_as_unsigned(tmp_path):
    deep = COLOUR.astype(np.uint16) * 16 + 32768
    image = read_image(write(tmp_path, "a.tif", deep))
    np.testing.assert_allclose(image.pixels, COLOUR, atol=1)
    assert image.bit_depth == BitDepth(12, 32768, "guessed")


@pytest.mark.parametrize("kind", ["bits", "ome"])
def test_the_file_states_its_bits(tmp_path, kind):
    dark = (COLOUR // 8).astype(np.uint16) * 16
    dark[0, 0] = 0
    if kind == "ome":
        options = {"ome": True, "metadata": {"axes": "YXS", "SignificantBits": 12}}
        file = write(tmp_path, "a.tif", dark, **options)
    else:
        bits = np.unpackbits(dark.astype(">u2")[..., None].view(np.uint8), axis=-1)[..., 4:]
        options = {"shape": dark.shape, "dtype": dark.dtype, "rowsperstrip": len(dark)}
        strip = iter([np.packbits(bits).tobytes()])
        file = write(tmp_path, "a.tif", strip, bitspersample=12, compression="none", **options)
    image = read_image(file)
    assert image.bit_depth == BitDepth(12, 0, "file")
    np.testing.assert_array_equal(image.pixels, np.rint(dark * (255 / 4095)))
    assert not image.notes


def test_values_that_contradict_the_file_are_guessed(tmp_path):
    full = COLOUR.astype(np.uint16) * 257
    options = {"ome": True, "metadata": {"axes": "YXS", "SignificantBits": 12}}
    image = read_image(write(tmp_path, "a.tif", full, **options))
    np.testing.assert_array_equal(image.pixels, COLOUR)


def test_one_depth_for_a_run(tmp_path):
    dark, bright = (COLOUR // 8).astype(np.uint16) * 16, COLOUR.astype(np.uint16) * 16
    files = [write(tmp_path, "dark.tif", dark), write(tmp_path, "bright.tif", bright)]
    Image.fromarray(COLOUR).save(tmp_path / "bytes.png")
    (tmp_path / "hurt.tif").write_bytes(b"II*\0")
    assert read_image(files[0]).bit_depth == BitDepth(10, 0, "guessed")
    depths = guess_run_depths([*files, tmp_path / "bytes.png", tmp_path / "hurt.tif"])
    assert depths == (BitDepth(12, 0, "run"),)
    image = read_image(files[0], run_depths=depths)
    np.testing.assert_allclose(image.pixels, (COLOUR // 8), atol=1)
    assert image.bit_depth == depths[0]
    assert image.notes == ("12 bits, guessed from the values of all images together.",)
    same = read_image(tmp_path / "bytes.png", run_depths=depths)
    np.testing.assert_array_equal(same.pixels, COLOUR)


def test_a_colour_png_of_16_bits_keeps_all_of_them(tmp_path):
    import imagecodecs

    deep = COLOUR.astype(np.uint16) * 16
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels, COLOUR, atol=1)
    assert image.bit_depth == BitDepth(12, 0, "guessed")
    assert guess_run_depths([tmp_path / "a.png"]) == (BitDepth(12, 0, "run"),)


def test_floats_and_signed_values_are_stretched_without_their_outliers():
    values = np.linspace(-10, 30, 10_000).reshape(100, 100)
    hot = values.copy()
    hot[50, 50] = 1e9
    difference = np.delete(to_colour(values), 50, 0).astype(int) - np.delete(to_colour(hot), 50, 0)
    assert np.abs(difference).max() <= 1


def test_bands_change_nothing(monkeypatch):
    deep = np.dstack([COLOUR, COLOUR[..., 0]]).astype(np.uint16) * 257
    whole = to_colour(deep)
    monkeypatch.setattr("napari_hemacells.core.image.colour.BAND_VALUES", 1000)
    np.testing.assert_array_equal(to_colour(deep), whole)
