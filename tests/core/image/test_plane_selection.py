"""A plane of a stack and its channels, chosen: the pixels of that plane and no other."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_hemacells.api import open_image
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import image_from_array, picture_size, read_image
from napari_hemacells.core.image.plane_selection import PlaneSelection

RNG = np.random.default_rng(6)
STACK = RNG.integers(0, 256, (5, 24, 32), dtype=np.uint8)  # z, rows, columns
COLOUR_STACK = RNG.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)
HYPERSTACK = RNG.integers(0, 256, (3, 5, 24, 32), dtype=np.uint8)  # t, z, rows, columns
CHANNELS = RNG.integers(0, 256, (4, 24, 32), dtype=np.uint8)


def choose(plane=None, channels=None):
    return PlaneSelection.parse(plane, channels)


def as_grey(plane):
    return np.repeat(plane[..., np.newaxis], 3, axis=-1)


@pytest.mark.parametrize("options", [
    {"imagej": True, "metadata": {"axes": "ZYX"}},
    {"ome": True, "metadata": {"axes": "ZYX"}},
    {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "deflate"},
    {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "deflate", "tile": (16, 16)},
    {"photometric": "minisblack"},
    {"photometric": "minisblack", "metadata": None},
    {"photometric": "miniswhite", "compression": "lzw"},
])  # fmt: skip
def test_each_plane_of_a_tiff_is_its_own(tmp_path, options):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, STACK, **options)
    white = options.get("photometric") == "miniswhite"
    keys = set()
    for number, plane in enumerate(STACK, start=1):
        image = read_image(file, selection=choose(str(number)))
        np.testing.assert_array_equal(image.pixels, as_grey(255 - plane if white else plane))
        assert any(f"={number} of 5 is read, counted from 1" in note for note in image.notes)
        keys.add(image.key)
    assert len(keys) == 5
    assert picture_size(file, choose("2")) == (24, 32)
    with pytest.raises(ImageError, match=r"5 planes.*there is no plane 6"):
        read_image(file, selection=choose("6"))


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_plane_along_two_axes(tmp_path, compression):
    file = tmp_path / "a.tif"
    tifffile.imwrite(
        file, HYPERSTACK, ome=True, metadata={"axes": "TZYX"}, compression=compression
    )
    image = read_image(file, selection=choose("z=4,t=2"))
    np.testing.assert_array_equal(image.pixels, as_grey(HYPERSTACK[1, 3]))
    assert image.notes == ("The plane T=2 of 3, Z=4 of 5 is read, counted from 1.",)
    with pytest.raises(ImageError, match=r"T \(3\) and Z \(5\).*--plane t=1,z=1"):
        read_image(file, selection=choose("2"))
    with pytest.raises(ImageError, match=r"depth with 5 planes.*--plane t=1,z=1"):
        read_image(file, selection=choose("t=2"))
    with pytest.raises(ImageError, match="no axis “Q”"):
        read_image(file, selection=choose("t=1,z=1,q=1"))


def test_a_colour_stack_and_pages_in_colour(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, COLOUR_STACK, photometric="rgb", metadata={"axes": "ZYXS"}, ome=True)
    np.testing.assert_array_equal(
        read_image(file, selection=choose("z=3")).pixels, COLOUR_STACK[2]
    )


def test_the_page_of_a_cmyk_file_is_the_one_chosen(tmp_path):
    pages = [Image.fromarray(picture).convert("CMYK") for picture in COLOUR_STACK]
    file = tmp_path / "a.tif"
    pages[0].save(file, save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match="4 planes"):
        read_image(file)
    image = read_image(file, selection=choose("2"))
    np.testing.assert_array_equal(image.pixels, np.asarray(pages[1].convert("RGB")))
    assert "=2 of 4 is read" in image.notes[0]


def test_a_page_of_a_palette_stack(tmp_path):
    file = tmp_path / "a.tif"
    colours = RNG.integers(0, 2**16, (3, 256), dtype=np.uint16)
    with tifffile.TiffWriter(file) as tiff:
        for plane in STACK:
            tiff.write(plane, photometric="palette", colormap=colours, metadata=None)
    image = read_image(file, selection=choose("4"))
    np.testing.assert_array_equal(image.pixels, np.moveaxis(colours[:, STACK[3]] >> 8, 0, -1))


def test_a_frame_of_a_gif_and_of_a_thermal_series(tmp_path):
    frames = [Image.fromarray(plane) for plane in STACK]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image = read_image(tmp_path / "a.gif", selection=choose("5"))
    np.testing.assert_array_equal(image.pixels, as_grey(STACK[4]))
    celsius = np.stack([np.full((20, 30), degrees, np.float32) for degrees in (30, 31.5, 33)])
    np.save(tmp_path / "series.npy", celsius)
    thermogram = read_image(tmp_path / "series.npy", selection=choose("2"))
    assert (thermogram.pixels == 31.5).all()
    assert thermogram.notes == ("The plane T=2 of 3 is read, counted from 1.",)


@pytest.mark.parametrize("version", [2, 3])
def test_a_plane_of_an_ome_zarr_whose_low_level_has_fewer(tmp_path, version):
    folder = tmp_path / "a.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=version)
    low = STACK[::2, ::2, ::2]
    for name, data in (("0", STACK), ("1", low)):
        group.create_array(name, shape=data.shape, chunks=(1, 12, 16), dtype="u1")[:] = data
    scales = [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    about = {
        "axes": [{"name": name, "type": "space"} for name in "zyx"],
        "datasets": [
            {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for n, scale in enumerate(scales)
        ],
    }
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [about]}
    else:
        group.attrs["multiscales"] = [{**about, "version": "0.4"}]
    image = read_image(folder, selection=choose("z=5"))
    np.testing.assert_array_equal(image.pixels, as_grey(STACK[4]))
    with pytest.raises(ImageError, match="--plane"):
        read_image(folder)


def test_one_picture_is_read_whatever_plane_is_asked_for(tmp_path):
    Image.fromarray(COLOUR_STACK[0]).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", selection=choose("z=3"))
    np.testing.assert_array_equal(image.pixels, COLOUR_STACK[0])
    assert image.notes == ()


@pytest.mark.parametrize("kind", ["ome", "imagej", "samples", "array"])
def test_channels_that_are_chosen(tmp_path, kind):
    file = tmp_path / "a.tif"
    if kind == "array":
        read = lambda **how: open_image(np.moveaxis(CHANNELS, 0, -1), **how)  # noqa: E731
    else:
        if kind == "samples":
            tifffile.imwrite(file, np.moveaxis(CHANNELS, 0, -1), photometric="rgb",
                             extrasamples=["unspecified"])  # fmt: skip
        else:
            names = {"Channel": {"Name": ["DAPI", "FITC", "Cy3", "Cy5"]}} if kind == "ome" else {}
            tifffile.imwrite(file, CHANNELS, metadata={"axes": "CYX", **names}, **{kind: True})
        read = lambda **how: open_image(file, **how)  # noqa: E731
    colour = read(channels="4,2,1")
    np.testing.assert_array_equal(colour.pixels, np.moveaxis(CHANNELS[[3, 1, 0]], 0, -1))
    assert "Of 4 channels the channels 4, 2, 1 are used as red, green, blue." in colour.notes
    grey = read(channels="4")
    np.testing.assert_array_equal(grey.pixels, as_grey(CHANNELS[3]))
    with pytest.raises(ImageError, match=r"4 channels, counted from 1: there is no channel 5"):
        read(channels="5")


def test_what_to_do_with_channels_is_said(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, CHANNELS[:2], imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match=r"2 channels.*--channels 1 .*--channels 3,2,1"):
        read_image(file)
    pixels = np.moveaxis(CHANNELS, 0, -1)
    tifffile.imwrite(file, pixels, photometric="rgb", extrasamples=["unspecified"])
    assert "Of the 4 samples of a pixel, 1, 2, 3 are read" in read_image(file).notes[0]
    assert "--channels" in read_image(file).notes[0]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_any_plane_of_any_array(t, z, at_t, at_z):
    array = np.arange(t * z * 2 * 3 * 3, dtype=np.uint8).reshape(t * z, 2, 3, 3)
    index = (at_t * z + at_z) % (t * z)
    image = image_from_array(array, "a", selection=choose(str(index + 1)))
    np.testing.assert_array_equal(image.pixels, array[index])


@pytest.mark.parametrize("text", ["0", "-1", "z", "z=", "1,2", "z=1,z=2", "z=0", "1.5", "x=1;y=2"])
def test_a_plane_that_is_none(text):
    with pytest.raises(ValueError, match="a plane is a number from 1 on"):
        choose(text)


@pytest.mark.parametrize("text", ["0", "1,2", "1,2,3,4", "a", "1,,3", "-1", "²"])
def test_channels_that_are_none(text):
    with pytest.raises(ValueError, match="channels are one number"):
        choose(channels=text)
