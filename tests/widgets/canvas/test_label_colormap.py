"""Colours of thousands of labels at once, as napari would find them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap

from napari_hemacells.layers import CellColourCodes
from napari_hemacells.widgets.canvas.label_colormap import class_colormap, coded_colormap

CLEAR, RED, BLUE = (0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 0.5)
IDS = np.array([2, 3, 7, 200])
SHADES = CellColourCodes(
    np.array([1, 2, 0, 2], np.uint8), {None: CLEAR, 0: CLEAR, 1: RED, 2: BLUE}
)
LABELS = np.random.default_rng(0).choice([0, 1, 2, 3, 7, 8, 200, 201, 5000], (150, 70))


def expected_colours() -> np.ndarray:
    known = {2: RED, 3: BLUE, 200: BLUE}
    return np.array([[known.get(label, CLEAR) for label in row] for row in LABELS.tolist()])


def coded_by_table():
    return class_colormap({None: CLEAR, 0: CLEAR, 2: RED, 3: BLUE, 7: CLEAR, 200: BLUE})


@pytest.mark.parametrize("make", [lambda: coded_colormap(IDS, SHADES), coded_by_table])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_labels_have_the_colours_of_their_codes(make, dtype):
    labels = np.minimum(LABELS, np.iinfo(dtype).max).astype(dtype)
    mapped = make().map(labels)
    if dtype != np.uint8:  # in which 255 stands for what does not fit
        np.testing.assert_array_equal(mapped, expected_colours().astype(np.float32))
    assert mapped.dtype == np.float32


@pytest.mark.parametrize("make", [lambda: coded_colormap(IDS, SHADES), coded_by_table])
def test_the_texture_and_its_table_give_the_colours(make):
    colormap = make()
    texture = colormap._data_to_texture(LABELS.astype(np.int32))
    table = colormap._values_mapping_to_minimum_values_set()[1]
    drawn = np.array([table[code] for code in texture.ravel().tolist()]).reshape(150, 70, 4)
    np.testing.assert_allclose(drawn, expected_colours())
    assert texture.dtype == np.uint8
    assert colormap._num_unique_colors + 2 <= 255


def test_what_is_known_beforehand_is_what_napari_finds():
    colormap = coded_colormap(IDS, SHADES)
    plain = DirectLabelColormap(color_dict=dict(colormap.color_dict))
    labels = LABELS.astype(np.int32)
    np.testing.assert_allclose(colormap.map(labels), plain.map(labels))
    colormap._clear_cache()
    np.testing.assert_allclose(colormap.map(labels), plain.map(labels))


def test_one_label_alone_and_a_selected_one():
    colormap = coded_colormap(IDS, SHADES)
    np.testing.assert_allclose(colormap.map(3), BLUE)
    np.testing.assert_allclose(colormap.map(np.int32(3)), BLUE)
    np.testing.assert_allclose(colormap.map(4), CLEAR)
    colormap.use_selection, colormap.selection = True, 2
    only = np.where((LABELS == 2)[..., np.newaxis], RED, CLEAR)
    np.testing.assert_allclose(colormap.map(LABELS.astype(np.int32)), only)


def test_huge_labels_and_very_many_colours_are_left_to_napari():
    huge = coded_colormap(
        np.array([2**40]), CellColourCodes(np.array([1], np.uint8), SHADES.table)
    )
    np.testing.assert_allclose(huge.map(np.array([2**40, 3])), [RED, CLEAR])
    codes = np.arange(1, 401, dtype=np.uint16)
    colours = {code: (code / 400, 0.0, 0.0, 1.0) for code in codes.tolist()}
    many = coded_colormap(
        np.arange(1, 401), CellColourCodes(codes, {None: CLEAR, 0: CLEAR} | colours)
    )
    np.testing.assert_allclose(many.map(np.array([[400, 1]]))[0, :, 0], [1.0, 1 / 400], rtol=1e-6)


def test_bytes_have_the_colours_that_napari_would_compile_a_loop_for():
    colormap = class_colormap({None: (0, 0, 0, 0), 1: (1, 0, 0, 0.5), 7: (0, 0.5, 1, 1)})
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(
        colormap._map_without_cache(values),
        DirectLabelColormap._map_without_cache(colormap, values),
    )
