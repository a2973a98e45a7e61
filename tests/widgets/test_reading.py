import numpy as np
import pytest
from napari.layers import Image

from napari_hemacells.core.errors import ImageError
from napari_hemacells.widgets.reading import image_of, pixel_size_um

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (9, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Image(COLOUR, rgb=True), COLOUR),
        (Image(COLOUR[..., 0]), np.repeat(COLOUR[..., :1], 3, axis=-1)),
        (Image(np.moveaxis(COLOUR, -1, 0)), COLOUR),
        (Image([COLOUR, COLOUR[::2, ::2]], rgb=True, multiscale=True), COLOUR),
        (Image(np.stack([COLOUR[..., 0]] * 7)), np.repeat(COLOUR[..., :1], 3, axis=-1)),
    ],
    ids=["rgb", "grey", "channels first", "multiscale", "stack"],
)
def test_every_kind_of_picture_becomes_colour(layer, expected):
    assert np.array_equal(image_of(layer).pixels, expected)


def test_a_stack_gives_the_plane_shown():
    stack = np.stack([np.full((9, 11), value, np.uint8) for value in range(7)])
    assert image_of(Image(stack), (3, 0, 0)).pixels.max() == 3


def test_nan_is_refused():
    with pytest.raises(ImageError):
        image_of(Image(np.full((4, 4), np.nan)))


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
