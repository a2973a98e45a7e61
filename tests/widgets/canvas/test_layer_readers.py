from importlib import import_module

import numpy as np
import pytest
from napari.layers import Image

from napari_hemacells.core.errors import ImageError
from napari_hemacells.widgets.canvas.layer_readers import (
    image_layer_kwargs,
    image_size,
    is_small_in_memory,
    pixel_size_um,
    read_layer_image,
)
from napari_hemacells.widgets.canvas.sight import index_of_name, plane_name

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (9, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Image(COLOUR, rgb=True), COLOUR),
        (Image(COLOUR[..., 0]), np.repeat(COLOUR[..., :1], 3, axis=-1)),
        (Image(np.moveaxis(COLOUR, -1, 0), axis_labels=("c", "y", "x")), COLOUR),
        (Image(np.moveaxis(COLOUR, -1, 0)), np.repeat(COLOUR[..., :1], 3, axis=-1)),
        (Image([COLOUR, COLOUR[::2, ::2]], rgb=True, multiscale=True), COLOUR),
        (Image(np.stack([COLOUR[..., 0]] * 7)), np.repeat(COLOUR[..., :1], 3, axis=-1)),
    ],
    ids=["rgb", "grey", "channels first", "three planes", "multiscale", "stack"],
)
def test_every_kind_of_picture_becomes_colour(layer, expected):
    assert np.array_equal(read_layer_image(layer).pixels, expected)


def test_a_stack_gives_the_plane_shown():
    stack = np.stack([np.full((9, 11), value, np.uint8) for value in range(7)])
    assert read_layer_image(Image(stack), (3, 0, 0)).pixels.max() == 3


@pytest.mark.parametrize("planes", [2, 3, 4, 5])
def test_few_grey_planes_are_no_colours(planes):
    stack = np.stack([np.full((9, 11), 10 * value, np.uint8) for value in range(planes)])
    assert (read_layer_image(Image(stack), (1, 0, 0)).pixels == 10).all()


def test_nan_is_refused():
    with pytest.raises(ImageError):
        read_layer_image(Image(np.full((4, 4), np.nan)))


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((0.1, 0.1), "um", 0.1),
        ((100, 100), "nm", 0.1),
        ((2, 2), None, None),
        ((0.1, 0.3), "um", None),
    ],
)
def test_pixel_size_is_read_where_it_is_a_length(scale, units, expected):
    layer = Image(COLOUR, rgb=True, scale=scale, units=units)
    found = pixel_size_um(layer)
    assert found is None if expected is None else found == pytest.approx(expected)


class Unread:
    """An array that must not be read whole."""

    def __init__(self, array, chunks):
        self.array, self.chunks = array, chunks
        self.shape, self.dtype, self.ndim, self.size = (
            array.shape, array.dtype, array.ndim, array.size
        )  # fmt: skip
        self.most = 0

    def __array__(self, dtype=None, copy=None):
        return self[...]

    def __getitem__(self, key):
        part = self.array[key]
        self.most = max(self.most, part.size)
        return part


def test_a_large_pyramid_is_opened_without_reading_it(monkeypatch):
    for module in ("content_hash", "from_array"):
        monkeypatch.setattr(
            import_module(f"napari_hemacells.core.image.{module}"), "MAX_IN_MEMORY_PIXELS", 1000
        )
    large = RNG.integers(0, 255, (3000, 4000, 3), dtype=np.uint8)
    levels = [Unread(large, (256, 256, 3)), Unread(large[::4, ::4], (256, 256, 3))]
    layer = Image(levels, rgb=True, multiscale=True)
    levels[0].most = 0
    image = read_layer_image(layer)
    assert image.is_lazy
    assert image.overview.shape == (750, 1000, 3)
    assert levels[0].most <= 256 * 256 * 3
    np.testing.assert_array_equal(image.pixels[700:800, 900:950], large[700:800, 900:950])
    assert image.key == read_layer_image(Image(large, rgb=True)).key


def test_a_plane_of_a_dask_stack_is_lazy(monkeypatch):
    import dask.array as da

    for module in ("content_hash", "from_array"):
        monkeypatch.setattr(
            import_module(f"napari_hemacells.core.image.{module}"), "MAX_IN_MEMORY_PIXELS", 1000
        )
    stack = np.stack([np.full((90, 110), value, np.uint8) for value in range(7)])
    image = read_layer_image(Image(da.from_array(stack, chunks=(1, 50, 50))), (4, 0, 0))
    assert image.is_lazy
    assert (image.pixels[3:9, 5:8] == 4).all()


@pytest.mark.parametrize(
    "layer",
    [
        Image(COLOUR, rgb=True),
        Image(COLOUR[..., 0]),
        Image(np.moveaxis(COLOUR, -1, 0), axis_labels=("c", "y", "x")),
        Image(np.moveaxis(COLOUR, -1, 0)),
        Image([COLOUR, COLOUR[::2, ::2]], rgb=True, multiscale=True),
        Image(np.stack([COLOUR[..., 0]] * 7)),
    ],
)
def test_the_size_is_known_before_it_is_read(layer):
    assert image_size(layer) == read_layer_image(layer).shape
    assert is_small_in_memory(layer)


def test_a_large_image_shown_again_is_the_same_file(tmp_path, monkeypatch):
    import tifffile

    from napari_hemacells.core.image import read_image

    for module in ("content_hash", "from_array", "tiff"):
        monkeypatch.setattr(
            import_module(f"napari_hemacells.core.image.{module}"), "MAX_IN_MEMORY_PIXELS", 1000
        )
    tifffile.imwrite(tmp_path / "a.tif", np.tile(COLOUR, (9, 9, 1)), tile=(32, 32))
    image = read_image(tmp_path / "a.tif")
    layer = Image(**image_layer_kwargs(image))
    again = read_layer_image(layer)
    assert (again.key, again.path) == (image.key, tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("shape", "name", "index"),
    [
        ((5, 9, 11), "other frame 3", (3,)),
        ((5, 1, 9, 11), "stack frame 4", (4, 0)),
        ((5, 6, 9, 11), "stack frame 4-5", (4, 5)),
        ((5, 9, 11), "stack frame 5", None),
        ((5, 6, 9, 11), "stack frame 4", None),
        ((9, 11), "stack frame 0", None),
        ((5, 9, 11), "stack", None),
        ((5, 9, 11), "frame 99999999999999999999", None),
    ],
)
def test_the_plane_of_a_name_is_found_whatever_the_layer_is_called(shape, name, index):
    layer = Image(np.zeros(shape, np.uint8), name="stack")
    assert index_of_name(layer, name) == index
    if index is not None:
        assert plane_name(layer, index).split("frame")[1] == name.split("frame")[1]
