"""The region table: NumPy's digits on the raw temperatures, and textures that mean something."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.thermography.regions import find_regions, regions_from_outlines
from napari_hemacells.core.thermography.regions.crops import Framing, mirrored_crops
from napari_hemacells.core.thermography.regions.measure import (
    measure_regions,
    texture_features,
    write_table,
)
from napari_hemacells.samples.thermogram import synthetic_thermogram


@pytest.fixture(scope="module")
def regions():
    return find_regions(synthetic_thermogram(5, hot_spot="right").celsius)


def test_exported_temperatures_are_numpys_to_the_last_digit(regions, tmp_path):
    raw = regions.celsius
    file = write_table(measure_regions(regions), tmp_path / "table.csv")
    read = pd.read_csv(file, encoding="utf-8-sig", float_precision="round_trip")
    read = read.set_index("region")
    for side in ("right", "left"):
        values = raw[regions.breasts[side].mask].astype(np.float64)
        row = read.loc[f"{side} breast"]
        assert row["area (px)"] == values.size
        assert row["min (°C)"] == values.min()
        assert row["mean (°C)"] == values.mean()
        assert row["max (°C)"] == values.max()
        assert row["std (°C)"] == values.std()
        for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99):
            assert row[f"p{percent} (°C)"] == np.percentile(values, percent)


def test_difference_is_left_minus_right(regions):
    table = measure_regions(regions).set_index("region")
    left, right = table.loc["left breast"], table.loc["right breast"]
    apart = table.loc["left minus right"]
    assert apart["mean (°C)"] == left["mean (°C)"] - right["mean (°C)"]
    assert (
        apart["glcm_contrast (°C²)"] == left["glcm_contrast (°C²)"] - right["glcm_contrast (°C²)"]
    )


def test_the_hot_breast_has_more_hot_area(regions):
    table = measure_regions(regions).set_index("region")
    apart = table.loc["left minus right"]
    assert apart["hot_spot_area (px)"] < 0


def test_one_breast_has_no_difference():
    frame = synthetic_thermogram(6).celsius
    only = find_regions(frame).breasts["left"].outline
    table = measure_regions(regions_from_outlines(frame, {"left": only}))
    assert table["region"].tolist() == ["body", "left breast"]


def test_crops_face_one_way():
    cols = np.arange(300) + np.zeros((200, 1))
    frame = (30 + np.abs(cols - 149.5) / 50).astype(np.float32)
    box = [[50, 20], [50, 120], [150, 120], [150, 20]]
    twin = [[row, 299 - col] for row, col in box]
    both = regions_from_outlines(frame, {"right": box, "left": twin})
    for framing in (Framing(), Framing(1.2, 0.1, 0.05)):
        crops = mirrored_crops(both, 64, framing)
        np.testing.assert_allclose(crops["right"], crops["left"], atol=1e-4)
        assert crops["left"][32, 0] < crops["left"][32, -1]


def test_a_crop_moved_outwards_is_warmer_where_the_sides_are():
    cols = np.arange(300) + np.zeros((200, 1))
    frame = (30 + np.abs(cols - 149.5) / 50).astype(np.float32)
    box = [[50, 40], [50, 100], [110, 100], [110, 40]]
    only = regions_from_outlines(frame, {"right": box})
    outer = mirrored_crops(only, 32, Framing(out=0.2))["right"]
    assert outer.mean() - mirrored_crops(only, 32)["right"].mean() == pytest.approx(0.24, abs=0.01)


def test_a_smooth_region_has_less_contrast_than_a_rough_one():
    rng = np.random.default_rng(0)
    mask = np.ones((80, 80), bool)
    smooth = np.full((80, 80), 31, np.float32)
    rough = smooth + rng.normal(0, 1, smooth.shape).astype(np.float32)
    assert texture_features(smooth, mask)["glcm_contrast"] == 0
    assert 1.5 < texture_features(rough, mask)["glcm_contrast"] < 2.5  # twice the variance, in °C²


def test_texture_does_not_see_what_lies_outside():
    rng = np.random.default_rng(1)
    frame = rng.normal(31, 0.5, (90, 90)).astype(np.float32)
    mask = np.zeros((90, 90), bool)
    mask[20:70, 20:70] = True
    other = np.where(mask, frame, 12).astype(np.float32)
    first, second = texture_features(frame, mask), texture_features(other, mask)
    glcm = [name for name in first if name.startswith("glcm")]
    assert {name: first[name] for name in glcm} == {name: second[name] for name in glcm}


def test_a_table_that_cannot_be_written_says_so(regions, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="was not saved"):
        write_table(measure_regions(regions), tmp_path / "file" / "table.csv")
