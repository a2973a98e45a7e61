"""The training of the breasts' cascade, on rendered thermograms."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.thermography.regions import body_mask, find_boxes
from napari_hemacells.core.thermography.regions.body import find_torso
from napari_hemacells.core.thermography.regions.breasts import corners, load_cascade
from napari_hemacells.core.thermography.regions.pose_regression import initial_boxes
from napari_hemacells.samples.thermogram import synthetic_thermogram
from thermogram_boxes import Exam, best_overlaps, overlaps
from train_breasts import framings, lessons_of, sized, train


def exam(seed):
    truth = synthetic_thermogram(seed, size=(120, 160))
    both = np.array([truth.breasts["right"], truth.breasts["left"]], float)
    return Exam(str(seed), truth.celsius, both)


def test_a_cascade_learns_what_breasts_look_like():
    cascade = train(lessons_of([exam(n) for n in range(10)]), seed=0)
    learned, guessed = [], []
    for seed in range(50, 56):
        new = exam(seed)
        body = body_mask(new.celsius)
        learned += list(best_overlaps(find_boxes(new.celsius, body, cascade), new.boxes))
        guess = corners(initial_boxes(find_torso(body), cascade.start), new.celsius.shape)
        guessed += list(best_overlaps(guess, new.boxes))
    assert np.mean(learned) > 0.7
    assert np.mean(learned) > np.mean(guessed)


def test_a_framing_keeps_frame_and_boxes_together():
    one = exam(0)
    marked = np.zeros_like(one.celsius)
    row, col = one.boxes[0, :2].astype(int) + 10
    marked[row, col] = 1
    for celsius, moved in framings(marked, sized(one.boxes)):
        corner = moved[0, :2] - moved[0, 2:] / 2 + 10
        assert celsius[int(corner[0]), int(corner[1])] == 1


def test_overlap_is_one_to_one():
    square = np.array([[0.0, 0, 10, 10]])
    apart = np.array([[0.0, 0, 10, 10], [100, 100, 110, 110]])
    np.testing.assert_allclose(best_overlaps(np.repeat(square, 2, 0), apart), [1, 0])
    np.testing.assert_allclose(overlaps(square, square + np.array([0, 5, 0, 5])), [[1 / 3]])


def test_damaged_weights_are_told(tmp_path):
    (tmp_path / "breasts.safetensors").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="reinstall"):
        load_cascade(tmp_path / "breasts.safetensors")
