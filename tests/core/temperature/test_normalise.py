"""°C → what a network sees."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.temperature import celsius_to_rgb, scale_celsius
from napari_hemacells.samples import synthetic_thermogram

EXAM = synthetic_thermogram(2, size=(120, 160))


def test_a_fixed_scale_is_the_same_for_everybody() -> None:
    values = scale_celsius(EXAM.celsius)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, EXAM.celsius / 40, rtol=1e-6)
    assert scale_celsius(np.array([[-3.0, 44.0]])).tolist() == [[0.0, 1.0]]


def test_the_range_of_a_frame_becomes_black_and_white() -> None:
    values = scale_celsius(EXAM.celsius, "range")
    assert (values.min(), values.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(scale_celsius(np.full((9, 9), 30.0), "range"), 0)


def test_the_torsos_scale_does_not_know_room_and_usual_temperature() -> None:
    values = scale_celsius(EXAM.celsius, "torso")
    warmer = np.where(EXAM.body, EXAM.celsius + 1.5, EXAM.celsius)
    skin = EXAM.body & (values > 0) & (values < 1)
    np.testing.assert_allclose(scale_celsius(warmer, "torso")[skin], values[skin], atol=0.03)
    told = scale_celsius(EXAM.celsius, "torso", body=EXAM.body)
    assert np.percentile(told[EXAM.body], 1) == pytest.approx(0, abs=0.01)
    assert np.percentile(told[EXAM.body], 99.5) == pytest.approx(1, abs=0.01)
    assert told[~EXAM.body].max() < 0.9


@pytest.mark.parametrize("palette", ["grey", "inferno", "viridis"])
def test_pictures_are_floats_that_keep_every_step_of_temperature(palette: str) -> None:
    rising = np.linspace(20, 36, 4096).reshape(64, 64)
    pixels = celsius_to_rgb(rising, palette=palette)
    assert (pixels.shape, pixels.dtype) == ((64, 64, 3), np.float32)
    assert 0 <= pixels.min() < pixels.max() <= 255
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 4096  # 8 bits would leave 103


def test_an_unknown_colormap_is_named() -> None:
    with pytest.raises(ValueError, match="no colormap “rainbowish”"):
        celsius_to_rgb(EXAM.celsius, palette="rainbowish")
