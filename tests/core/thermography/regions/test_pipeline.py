"""Body, breasts and hot spots against the truth of rendered thermograms, and of real ones."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.thermography.regions import (
    body_mask,
    find_hot_spots,
    find_regions,
    regions_from_outlines,
)
from napari_hemacells.samples.thermogram import synthetic_thermogram


def overlap(one, other) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.clip(high - low, 0, None).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
    return float(shared / (sum(areas) - shared))


@pytest.fixture(scope="module")
def rendered():
    return synthetic_thermogram(3, hot_spot="left")


@pytest.fixture(scope="module")
def found(rendered):
    return find_regions(rendered.celsius)


def test_body_is_the_body(rendered, found):
    both = found.body & rendered.body
    assert both.sum() / (found.body | rendered.body).sum() > 0.93


def test_both_breasts_are_found_on_their_sides(rendered, found):
    for side in ("right", "left"):
        assert overlap(found.breasts[side].box, np.array(rendered.breasts[side])) > 0.5
    assert found.breasts["right"].box[1] < found.breasts["left"].box[1]


@pytest.mark.parametrize("seed", range(4))
def test_breasts_of_other_women(seed):
    truth = synthetic_thermogram(seed + 20)
    regions = find_regions(truth.celsius)
    overlaps = [
        overlap(regions.breasts[side].box, np.array(truth.breasts[side]))
        for side in ("right", "left")
    ]
    assert np.mean(overlaps) > 0.6


def test_hot_spot_is_on_its_side(rendered, found):
    spot = rendered.hot_spots[0]
    row, col = round(spot.row), round(spot.col)
    assert any(one.mask[row, col] for one in found.breasts["left"].hot_spots)


def test_mirrored_frame_gives_mirrored_boxes(rendered, found):
    turned = find_regions(rendered.celsius[:, ::-1])
    columns = rendered.celsius.shape[1]
    right = found.breasts["right"].box
    expected = [right[0], columns - right[3], right[2], columns - right[1]]
    np.testing.assert_allclose(turned.breasts["left"].box, expected, atol=1.0)


def test_a_warmer_camera_changes_nothing(rendered, found):
    warmer = find_regions(rendered.celsius + np.float32(2))
    for side in ("right", "left"):
        np.testing.assert_allclose(warmer.breasts[side].box, found.breasts[side].box, atol=0.5)


def test_another_frame_size(rendered, found):
    small = find_regions(rendered.celsius[::2, ::2])
    for side in ("right", "left"):
        assert overlap(small.breasts[side].box * 2, found.breasts[side].box) > 0.85


@pytest.mark.parametrize("shape", [(16, 16), (40, 300), (240, 320), (37, 23)])
def test_no_frame_is_refused_for_its_size(shape):
    rng = np.random.default_rng(0)
    frame = rng.normal(30, 2, shape).astype(np.float32)
    regions = find_regions(frame)
    assert set(regions.breasts) == {"right", "left"}
    for breast in regions.breasts.values():
        assert breast.mask.shape == shape
        assert breast.mask.any()


def test_a_frame_without_background_is_all_body():
    assert body_mask(np.full((50, 60), 33.0)).all()


def test_missing_values_do_not_spread(rendered):
    torn = rendered.celsius.copy()
    torn[:4] = np.nan
    regions = find_regions(torn)
    assert np.isfinite(regions.celsius).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros((20, 20, 3)), np.full((20, 20), np.nan)]
)
def test_what_is_no_thermogram_is_refused(wrong):
    with pytest.raises(ImageError):
        find_regions(wrong)


def test_outlines_moved_by_hand_are_taken_as_they_are(rendered, found):
    moved = found.breasts["left"].outline + np.array([5.0, -7.0])
    regions = regions_from_outlines(rendered.celsius, {"left": moved})
    np.testing.assert_array_equal(regions.breasts["left"].outline, moved)
    np.testing.assert_array_equal(
        regions.breasts["left"].mask[10:-10, 10:-10],
        np.roll(found.breasts["left"].mask, (5, -7), axis=(0, 1))[10:-10, 10:-10],
    )
    assert set(regions.breasts) == {"left"}


def test_an_outline_beside_the_frame_is_refused(rendered):
    with pytest.raises(CellsError, match="left breast"):
        regions_from_outlines(rendered.celsius, {"left": [[-9, -9], [-9, -5], [-5, -5]]})


def test_hot_spot_contrast_is_what_was_put_in():
    rows, cols = np.mgrid[:200, :200]
    frame = np.full((200, 200), 31.0, np.float32)
    frame += (3.0 * (np.hypot(rows - 90, cols - 110) < 8)).astype(np.float32)
    (spot,) = find_hot_spots(frame, np.hypot(rows - 100, cols - 100) < 80)
    assert abs(spot.row - 90) <= 8
    assert abs(spot.col - 110) <= 8
    assert spot.peak == 34.0
    assert 2.5 < spot.contrast <= 3.0
    assert spot.area_px == (np.hypot(rows - 90, cols - 110) < 8).sum()


def test_the_fold_below_a_breast_is_no_hot_spot():
    """A region that was drawn too large includes the warm fold, a band that runs out of it."""
    rows, cols = np.mgrid[:200, :200]
    region = np.hypot(rows - 100, cols - 100) < 80
    frame = np.full((200, 200), 31.0, np.float32)
    from_middle = np.hypot(rows - 70, cols - 100)
    fold = (np.abs(from_middle - 70) < 5) & (rows > 95)
    frame[fold] = 34.0
    assert (fold & region).sum() > 500
    assert find_hot_spots(frame, region) == ()
    frame[np.hypot(rows - 70, cols - 120) < 8] = 34.0  # a hot spot beside it is one
    (spot,) = find_hot_spots(frame, region)
    assert abs(spot.row - 70) <= 8
    turned = find_hot_spots(frame[::-1], region[::-1])  # a band in the upper half may be a vessel
    assert len(turned) == 2


def test_a_region_of_one_temperature_has_no_hot_spot():
    frame = np.full((60, 60), 31.0, np.float32)
    assert find_hot_spots(frame, np.ones((60, 60), bool)) == ()
