"""Large images: only what is sliced is read, and it is the same however it was opened."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import zarr

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image import LazyPixels, image_from_array, read_image
from napari_hemacells.core.image.colour import ValueScale
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.samples.pyramid import write_pyramid


class Recorder:
    """An array in chunks that notes which parts of it were read."""

    def __init__(self, array, chunks):
        self.array, self.chunks = array, chunks
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.read = []

    def __getitem__(self, key):
        part = self.array[key]
        self.read.append(part.shape[:2])
        return part


def lazy(array, chunks=(16, 16, 3)):
    source = Recorder(array, chunks)
    return LazyPixels(source, Layout.of_shape(array.shape), ValueScale()), source


def write(folder, how, picture):
    if how == "ome-zarr":
        write_pyramid(folder / "a.ome.zarr", (90, 130), 512, [(0, 0, picture)], pixel_size_um=0.2)
        return folder / "a.ome.zarr"
    if how == "zarr":
        zarr.create_array(store=folder / "a.zarr", data=picture, chunks=(32, 32, 3))
        return folder / "a.zarr"
    options = {
        "tiled": {"tile": (32, 32), "compression": "deflate"},
        "bigtiff": {"tile": (32, 32), "bigtiff": True},
        "strips": {"rowsperstrip": 5, "compression": "lzw"},
        "one strip": {"compression": "deflate"},
        "raw": {},
        "planes": {"planarconfig": "separate", "tile": (32, 32)},
    }[how]
    data = np.moveaxis(picture, -1, 0) if how == "planes" else picture
    tifffile.imwrite(folder / "a.tif", data, photometric="rgb", **options)
    return folder / "a.tif"


HOW = ["tiled", "bigtiff", "strips", "one strip", "raw", "planes", "zarr", "ome-zarr"]


@pytest.mark.parametrize("how", HOW)
def test_every_file_gives_the_same_pixels_and_the_same_key(tmp_path, small_is_tiny, picture, how):
    image = read_image(write(tmp_path, how, picture))
    assert (image.name, image.shape) == ("a", (90, 130))
    assert image.is_lazy == (how != "one strip")
    np.testing.assert_array_equal(np.asarray(image.pixels), picture)
    np.testing.assert_array_equal(image.pixels[17:61, 40:99], picture[17:61, 40:99])
    assert image.key == image_from_array(picture, "layer").key


def test_a_dask_array_is_not_computed_whole(small_is_tiny, picture):
    import dask.array as da

    image = image_from_array(da.from_array(picture, chunks=((50, 40), (70, 60), (3,))), "d")
    assert image.is_lazy
    np.testing.assert_array_equal(image.pixels[45:60, 60:80], picture[45:60, 60:80])
    assert image.key == image_from_array(picture, "layer").key


def test_a_pyramid_keeps_its_levels_and_gives_an_overview(small_is_tiny, picture):
    levels = [picture[:, :, 0], picture[::2, ::2, 0], picture[::4, ::4, 0]]
    image = image_from_array(levels[0], "p", levels=levels)
    assert [one.shape for one in image.pixels.levels] == [(90, 130, 3), (45, 65, 3), (23, 33, 3)]
    np.testing.assert_array_equal(np.asarray(image.overview)[..., 1], levels[1])


def test_only_the_chunks_of_a_slice_are_read_and_each_once():
    array = np.arange(640 * 640 * 3, dtype=np.uint32).astype(np.uint8).reshape(640, 640, 3)
    pixels, source = lazy(array, chunks=(128, 128, 3))
    np.testing.assert_array_equal(pixels[130:140, 250:260], array[130:140, 250:260])
    assert source.read == [(128, 128)] * 2
    np.testing.assert_array_equal(pixels[200:260, 200:250], array[200:260, 200:250])
    assert len(source.read) == 3


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr("napari_hemacells.core.image.lazy.CACHE_BYTES", 8 * 3 * 128 * 128)
    array = np.zeros((1280, 1280, 3), np.uint8)
    pixels, source = lazy(array, chunks=(128, 128, 3))
    assert pixels[:, :].shape == array.shape
    assert source.read == [(128, 1280)] * 10  # bands, past the cache
    for row in range(0, 1280, 128):
        for col in range(0, 1280, 128):
            pixels[row : row + 5, col : col + 5]
    assert pixels._decoded.cache_info().currsize == 8


@pytest.mark.parametrize(
    "key",
    [
        np.s_[3],
        np.s_[3, 5],
        np.s_[-1, :, 2],
        np.s_[::7, 3:90:4],
        np.s_[..., 0],
        np.s_[10:10, :],
        np.s_[5:500, 100:],
        np.s_[:, -20:-3, :2],
    ],
)
def test_slices_mean_what_they_mean_to_numpy(picture, key):
    pixels, _ = lazy(picture)
    np.testing.assert_array_equal(pixels[key], picture[key])


@pytest.mark.parametrize("key", [np.s_[::-1], np.s_[0, 0, 0, 0], np.s_[90]])
def test_other_keys_are_refused(picture, key):
    with pytest.raises(IndexError):
        lazy(picture)[0][key]


def test_one_value_scale_for_all_parts(tmp_path, small_is_tiny):
    deep = np.random.default_rng(0).integers(0, 900, (90, 130), dtype=np.uint16)
    deep[40:, 60:] //= 10
    tifffile.imwrite(tmp_path / "deep.tif", deep, tile=(32, 32))
    image = read_image(tmp_path / "deep.tif")
    whole = np.rint(deep * (255 / 1023)).astype(np.uint8)
    np.testing.assert_array_equal(image.pixels[50:, 70:][..., 0], whole[50:, 70:])
    np.testing.assert_array_equal(np.asarray(image.pixels)[..., 2], whole)


@pytest.mark.parametrize("how", ["tiled", "raw", "ome-zarr"])
def test_a_copy_opens_the_file_anew(tmp_path, small_is_tiny, picture, how):
    image = read_image(write(tmp_path, how, picture))
    sent = pickle.dumps(image)
    assert len(sent) < 5000
    copy = pickle.loads(sent)  # noqa: S301  # what was dumped a line before
    np.testing.assert_array_equal(copy.pixels[:40, :40], picture[:40, :40])
    assert copy.key == image.key


def test_threads_may_share_it(tmp_path, small_is_tiny, picture):
    pixels = read_image(write(tmp_path, "tiled", picture)).pixels
    parts = [np.s_[row : row + 20, col : col + 20] for row in range(70) for col in range(0, 90, 9)]
    with ThreadPoolExecutor(4) as pool:
        for part, got in zip(parts, pool.map(pixels.__getitem__, parts), strict=True):
            np.testing.assert_array_equal(got, picture[part])


def test_a_damaged_tile_is_told_with_its_place(tmp_path, small_is_tiny, picture):
    file = tmp_path / "hurt.tif"
    tifffile.imwrite(file, picture, tile=(64, 64), compression="deflate", photometric="rgb")
    with tifffile.TiffFile(file) as tiff:
        start, count = tiff.pages[0].dataoffsets[4], tiff.pages[0].databytecounts[4]
    content = bytearray(file.read_bytes())
    content[start : start + count] = bytes(count)
    file.write_bytes(content)
    with pytest.raises(ImageError, match="cannot be read"):
        np.asarray(read_image(file).pixels)


def test_a_grid_of_windows_decides_the_key_of_a_large_image(small_is_tiny, picture):
    changed = picture.copy()
    changed[4, 6] ^= 255  # the middle of the first window
    assert image_from_array(changed, "a").key != image_from_array(picture, "a").key
    assert image_from_array(picture[:, :-1], "a").key != image_from_array(picture, "a").key
