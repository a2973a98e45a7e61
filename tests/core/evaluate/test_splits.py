"""Splits keep patients and slides whole and are the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.evaluate import group_key, in_validation
from napari_hemacells.core.types import Groups, SmearImage


def image(key="k", **groups):
    return SmearImage(np.zeros((1, 1, 3), np.uint8), key, "name", groups=Groups(**groups))


def test_a_patient_is_one_group_over_slides_and_images():
    assert group_key(image("a", patient="1", slide="x")) == group_key(image("b", patient="1"))
    assert group_key(image("a", slide="x")) == group_key(image("b", slide="x"))
    assert group_key(image("a")) != group_key(image("b"))


def test_the_same_number_in_another_laboratory_is_another_patient():
    assert group_key(image(patient="1", laboratory="A")) != group_key(image(patient="1"))


def test_the_part_for_validation_is_about_the_fraction():
    held = [in_validation(f"patient//{number}", 0.3) for number in range(5000)]
    assert np.mean(held) == pytest.approx(0.3, abs=0.03)
    assert not any(in_validation(f"{number}", 0.0) for number in range(100))
    assert all(in_validation(f"{number}", 1.0) for number in range(100))


def test_the_answer_never_changes():
    assert [number for number in range(20) if in_validation(f"image/{number}")] == [
        1,
        2,
        7,
        9,
        14,
        16,
    ]
