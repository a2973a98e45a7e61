"""The synthetic thermogram: its truth is what its picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.samples.thermogram import synthetic_thermogram


def test_same_arguments_same_degrees_other_seed_other_body() -> None:
    first, again = synthetic_thermogram(3), synthetic_thermogram(3)
    np.testing.assert_array_equal(first.celsius, again.celsius)
    assert np.abs(first.celsius - synthetic_thermogram(4).celsius).mean() > 0.1


def test_degrees_look_like_those_of_the_real_exams() -> None:
    """Percentiles of the median real exam in °C."""
    made = np.median(
        [
            np.percentile(synthetic_thermogram(seed).celsius, [0, 1, 50, 75, 99, 100])
            for seed in range(5)
        ],
        axis=0,
    )
    real = [22.1, 22.5, 29.7, 30.8, 33.4, 34.8]
    np.testing.assert_allclose(made, real, atol=1.5, rtol=0)


def test_body_is_warm_and_the_wall_has_room_temperature() -> None:
    exam = synthetic_thermogram(1)
    assert exam.celsius.dtype == np.float32
    assert exam.celsius.shape == exam.body.shape == (480, 640)
    assert np.median(exam.celsius[~exam.body]) == pytest.approx(exam.room, abs=0.5)
    assert np.median(exam.celsius[exam.body]) > exam.room + 6


@pytest.mark.parametrize("size", [(480, 640), (240, 320), (120, 160)])
def test_left_is_the_patients_left_on_the_right_of_the_picture(size: tuple[int, int]) -> None:
    exam = synthetic_thermogram(2, size=size)
    (top, first, bottom, last), (_, other_first, _, other_last) = (
        exam.breasts["right"],
        exam.breasts["left"],
    )
    assert 0 <= first < last <= size[1]
    assert first < other_first
    assert last <= other_last
    for side, box in exam.breasts.items():
        mask = exam.breast_masks[side]
        assert mask[box[0] : box[2], box[1] : box[3]].sum() == mask.sum() > 0
        assert exam.body[mask].all()
        row, col = exam.nipples[side]
        assert mask[round(row), round(col)]
    assert (bottom - top) == pytest.approx(0.37 * size[0], rel=0.3)


def test_a_hot_spot_changes_only_its_place_and_is_where_the_truth_says() -> None:
    plain = synthetic_thermogram(5)
    sick = synthetic_thermogram(5, hot_spot="left")
    (spot,) = sick.hot_spots
    assert plain.hot_spots == ()
    added = sick.celsius - plain.celsius
    hottest = np.unravel_index(added.argmax(), added.shape)
    assert np.hypot(hottest[0] - spot.row, hottest[1] - spot.col) < 3
    assert added.max() == pytest.approx(spot.warmth, abs=0.05)
    assert np.abs(added[~sick.breast_masks["left"]]).max() < 1.0
    assert np.abs(added[sick.breast_masks["right"]]).max() < 0.02


def test_noise_and_veins_are_as_strong_as_told() -> None:
    still = synthetic_thermogram(6, noise=0)
    noisy = synthetic_thermogram(6, noise=0.2)
    assert (noisy.celsius - still.celsius).std() == pytest.approx(0.2, rel=0.05)
    bare = synthetic_thermogram(6, noise=0, veins=0)
    assert 0.3 < (still.celsius - bare.celsius).max() < 1.5
