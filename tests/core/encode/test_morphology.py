"""What is measured on cells, and how it stands beside an embedding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.encode import EmbeddingCache, embed_steps, without_features
from napari_hemacells.core.encode.morphology import (
    COLOUR_FEATURES,
    TEMPERATURE_FEATURES,
    append_features,
    feature_scaling_of,
    measure_cells,
    measure_pictures,
)
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec, SmearImage
from napari_hemacells.core.types.progress import run_to_end

SPEC = CropSpec(16)
NUCLEATED = 1


def cells_at(corners, sides, shape):
    corners, sides = np.array(corners), np.array(sides)[:, np.newaxis]
    table = pd.DataFrame(np.hstack([corners, corners + sides]), columns=BOX_COLUMNS)
    table.insert(0, "label", np.arange(len(table)) + 1)
    table["row"], table["col"] = (corners + sides / 2).T
    return Cells(np.zeros(shape, np.int32), table, 20.0)


@pytest.fixture
def smear():
    """Three red discs of 20, 20 and 40 px; the second has a violet nucleus."""
    pixels = np.full((60, 120, 3), 255, np.uint8)
    cells = cells_at([(5, 5), (5, 35), (10, 70)], [20, 20, 40], pixels.shape[:2])
    rows, cols = np.indices(pixels.shape[:2])
    for top, left, bottom, right in cells.boxes:
        radius = np.hypot(rows + 0.5 - (top + bottom) / 2, cols + 0.5 - (left + right) / 2)
        pixels[radius <= (bottom - top) / 2] = (220, 120, 120)
    _, left, _, right = cells.boxes[NUCLEATED]
    pixels[np.hypot(rows + 0.5 - 15, cols + 0.5 - (left + right) / 2) <= 5] = (60, 20, 110)
    return image_from_array(pixels, "three"), cells


def test_size_nucleus_and_colour_are_what_was_drawn(smear):
    found = measure_cells(*smear)
    assert found.names == COLOUR_FEATURES
    size, nucleus, *colour = found.numbers.T
    np.testing.assert_allclose(size, np.log([1, 1, 2]), atol=1e-6)
    assert nucleus[NUCLEATED] == pytest.approx(0.25, abs=0.03)
    assert nucleus[0] == nucleus[2] == 0
    absorbance = -np.log10((np.array([220, 120, 120]) + 1) / 256)
    np.testing.assert_allclose(np.array(colour)[:, 0], absorbance, atol=1e-5)


def test_a_picture_of_one_cell_gives_what_the_cell_in_its_field_gives(smear):
    image, cells = smear
    pictures = [image.pixels[max(top - 5, 0) : bottom + 5, max(left - 5, 0) : right + 5]
                for top, left, bottom, right in cells.boxes]  # fmt: skip
    in_field, alone = measure_cells(image, cells), measure_pictures(pictures, len(pictures))
    np.testing.assert_allclose(alone.numbers, in_field.numbers, atol=0.12)


def test_of_a_thermogram_the_warmth_is_measured():
    celsius = np.full((40, 80), 30.0, np.float32)
    celsius[:, 40:] = 34.0
    cells = cells_at([(5, 5), (5, 50)], [20, 20], celsius.shape)
    found = measure_cells(SmearImage(celsius, "0" * 16, "warm", modality="temperature"), cells)
    assert found.names == TEMPERATURE_FEATURES
    np.testing.assert_allclose(found.numbers[:, 1:], [[30, 30, 0], [34, 34, 0]], atol=1e-5)


def test_measured_vectors_are_marked_and_the_plain_ones_stay_in_the_cache(
    image, cells, encoder, tmp_path
):
    cache = EmbeddingCache(tmp_path)
    plain = run_to_end(embed_steps(image, cells, SPEC, encoder, cache))
    steps = embed_steps(image, cells, SPEC, encoder, cache, measured=True)
    both = run_to_end(steps)
    assert encoder.encoded == len(cells)
    assert feature_scaling_of(both.encoder)["names"] == list(COLOUR_FEATURES)
    assert both.encoder.dim == both.vectors.shape[1] > encoder.info.dim
    assert without_features(both.encoder) == plain.encoder == encoder.info
    np.testing.assert_array_equal(both.vectors[:, : encoder.info.dim], plain.vectors)
    kept, known = cache.load(image.key, both.encoder, SPEC, cells.boxes)
    assert known.all()
    np.testing.assert_array_equal(kept, both.vectors)


def test_a_model_decides_whether_and_how_features_are_written(image, cells, encoder):
    plain = run_to_end(embed_steps(image, cells, SPEC, encoder))
    model = append_features(plain, measure_cells(image, cells)).encoder
    model.preprocessing["features"]["spread"] = 64.0  # as another slide gave it
    followed = run_to_end(embed_steps(image, cells, SPEC, encoder, like=model))
    assert followed.encoder == model
    assert np.abs(followed.vectors[:, encoder.info.dim :]).max() > 32
    unmeasured = run_to_end(embed_steps(image, cells, SPEC, encoder, like=encoder.info))
    np.testing.assert_array_equal(unmeasured.vectors, plain.vectors)


def test_no_cells_are_described_too(image):
    none = cells_at(np.zeros((0, 2), int), np.zeros(0, int), image.shape)
    assert measure_cells(image, none).numbers.shape == (0, len(COLOUR_FEATURES))
