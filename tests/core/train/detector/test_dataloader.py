"""Crops of annotated fields: what of cells at the edge is learned."""

from __future__ import annotations

import numpy as np

from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS, STRIDE
from napari_hemacells.core.train.detector.dataloader import SIDE, sample_corner, target_maps
from napari_hemacells.core.train.detector.dataset import (
    UNKNOWN,
    TrainingField,
    load_fields,
    save_fields,
)

RED = KINDS.index("RBC")


def targets(*boxes: tuple[float, float, float, float]):
    trust = np.ones((SIDE, SIDE, len(KINDS)), np.float32)
    count = len(boxes)
    heat, _, weight = target_maps(
        np.array(boxes, np.float32), np.full(count, RED), np.ones(count, bool), trust
    )
    return heat[RED], weight[RED], trust[..., RED]


def test_a_cell_of_which_the_crop_shows_little_is_neither_there_nor_absent():
    heat, weight, trust = targets((60, -30, 100, 10))  # a quarter of it
    assert heat.max() == 0
    assert weight.sum() == 0
    assert (trust[60:100, :10] == 0).all()
    assert trust.sum() == SIDE**2 - 40 * 10


def test_a_cell_of_which_the_crop_shows_most_is_learned_with_what_is_seen_of_it():
    heat, weight, trust = targets((60, -10, 100, 30))
    row, col = np.unravel_index(heat.argmax(), heat.shape)
    assert (row, col) == (80 // STRIDE, 15 // STRIDE)
    assert weight.sum() == 1
    assert trust.min() == 1


def test_a_strip_that_annotators_boxed_at_the_edge_of_the_image_is_learned():
    """Its box ends where the image does: the crop shows all of it."""
    heat, _, trust = targets((60, 0, 100, 10))
    assert heat.max() == 1
    assert trust.min() == 1


def test_many_crops_end_where_the_image_does():
    """What annotators box at the edge of an image can only be learned there."""
    pixels = np.zeros((400, 400, 3), np.uint8)
    field = TrainingField(
        "field", pixels, np.array([[100.0, 100, 140, 140]], np.float32), np.array([RED]),
        np.ones(1, bool), np.zeros((400, 400), np.uint8),
        np.full((400, 400, len(KINDS)), 255, np.uint8), CANONICAL_DIAMETER,
    )  # fmt: skip
    random = np.random.default_rng(0)
    corners = np.array([sample_corner(field, np.ones(2, np.float32), random) for _ in range(300)])
    room = 400 - SIDE
    assert corners.min() == 0
    assert corners.max() == room
    at_edge = ((corners == 0) | (corners == room)).any(axis=1)
    assert 0.4 < at_edge.mean() < 0.9


def test_a_cell_of_a_kind_that_the_detector_does_not_know_teaches_nothing():
    trust = np.ones((SIDE, SIDE, len(KINDS)), np.float32)
    heat, _, weight = target_maps(
        np.array([[60.0, 60, 100, 100]], np.float32), np.array([UNKNOWN]), np.ones(1, bool), trust
    )
    assert heat.max() == 0
    assert weight.sum() == 0


def test_a_field_with_such_a_cell_is_read_back(tmp_path):
    field = TrainingField(
        "field", np.zeros((50, 50, 3), np.uint8),
        np.array([[0.0, 0, 9, 9], [20, 20, 30, 30]], np.float32),
        np.array([RED, UNKNOWN]), np.ones(2, bool), np.zeros((50, 50), np.uint8),
        np.full((50, 50, len(KINDS)), 255, np.uint8), 20.0,
    )  # fmt: skip
    save_fields(tmp_path, [field])
    assert load_fields(tmp_path)[0].kinds.tolist() == [RED, UNKNOWN]
