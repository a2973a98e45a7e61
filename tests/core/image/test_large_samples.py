"""Large files, read where they are sliced: their samples mean what those of small ones do."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.image.stored_values import StoredValues
from napari_hemacells.core.types import BitDepth

GREY = np.random.default_rng(4).integers(0, 256, (90, 130), dtype=np.uint8)


def both(folder, data, **options):
    """The image of a file in tiles, and of one whose values lie one after another."""
    for name, more in (("t.tif", {"tile": (32, 32), "compression": "deflate"}), ("r.tif", {})):
        tifffile.imwrite(folder / name, data, **options, **more)
        yield read_image(folder / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2"])
def test_white_is_zero(tmp_path, small_is_tiny, dtype):
    scale = 1 if dtype == np.uint8 else 257
    data = (GREY * np.uint16(scale)).astype(dtype)
    byteorder = ">" if dtype == ">u2" else "<"
    for image in both(tmp_path, data, photometric="miniswhite", byteorder=byteorder):
        assert image.is_lazy
        np.testing.assert_array_equal(np.asarray(image.pixels)[..., 1], 255 - GREY)


def test_extra_samples(tmp_path, small_is_tiny):
    colour = np.dstack([GREY, GREY // 2, GREY // 3])
    clear = np.dstack([colour, np.zeros_like(GREY)])
    for kind in ("unspecified", "unassalpha"):
        for image in both(tmp_path, clear, photometric="rgb", extrasamples=[kind]):
            np.testing.assert_array_equal(np.asarray(image.pixels), colour)
            assert len(image.notes) == 1
    alpha = np.dstack([colour // 2, np.full_like(GREY, 128)])
    expected = np.rint(colour // 2 + 255 * (1 - 128 / 255))
    for image in both(tmp_path, alpha, photometric="rgb", extrasamples=["assocalpha"]):
        np.testing.assert_array_equal(np.asarray(image.pixels), expected)


def test_a_thumbnail_in_front_and_the_bits(tmp_path, small_is_tiny):
    data = GREY.astype(np.uint16) * 16 + 32768
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(data[::8, ::8], subfiletype=1, metadata=None, photometric="minisblack")
        tiff.write(data, tile=(32, 32), metadata=None, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    assert image.shape == (90, 130)
    assert image.bit_depth == BitDepth(12, 32768, "guessed")
    np.testing.assert_allclose(np.asarray(image.pixels)[..., 0], GREY, atol=1)


def test_a_file_cut_short_while_it_is_open_is_a_sentence(tmp_path, small_is_tiny):
    colour = np.dstack([GREY] * 3)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    os.truncate(tmp_path / "a.tif", 10_000)
    np.testing.assert_array_equal(image.pixels[:10], colour[:10])
    with pytest.raises(ImageError, match=r"Rows 60 to 90.*the file ends before"):
        image.pixels[60:90]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_values_are_those_of_an_array(tmp_path_factory, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "<u2", ">u2", "<f4"])))
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    file = tmp_path_factory.getbasetemp() / "values"
    file.write_bytes(b"head" + array.tobytes())
    key = tuple(
        data.draw(
            st.one_of(
                st.integers(0, length - 1),
                st.tuples(st.integers(0, length), st.integers(0, length)).map(
                    lambda ends: slice(*ends)
                ),
                st.just(slice(None)),
            )
        )
        for length in shape
    )
    np.testing.assert_array_equal(StoredValues(file, 4, shape, dtype)[key], array[key])
