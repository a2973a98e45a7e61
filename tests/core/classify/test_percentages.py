"""With fewer than three annotations in a class the confidence is no percentage."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.classify import SupportSet, fit, fit_levels
from napari_hemacells.core.classify.calibration import too_few_for_percentages
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

DIM = 12


def support(*counts):
    labels = tuple(name for name, count in zip("abc", counts, strict=False) for _ in range(count))
    centre = {"a": 0.0, "b": 3.0, "c": -3.0}
    rng = np.random.default_rng(0)
    rows = [centre[label] + rng.standard_normal(DIM) for label in labels]
    return SupportSet(np.array(rows, np.float32), labels)


def cells():
    rows = np.random.default_rng(1).standard_normal((20, DIM)).astype(np.float32)
    return Embeddings(np.arange(1, 21), rows, EncoderInfo("fake", "0", DIM), CropSpec(), "key")


@pytest.mark.parametrize(
    ("counts", "few"), [((1, 1), True), ((9, 2), True), ((3, 3), False), ((9, 3, 1), True)]
)
def test_the_class_with_the_fewest_annotations_decides(counts, few):
    found = fit(support(*counts), "abc").predict(cells())
    assert found.too_few is few
    assert too_few_for_percentages(counts) is few
    assert np.isfinite(found.confidence).all()  # tables keep the number


def test_of_two_levels_every_class_counts():
    parents = {"a": "kind", "b": "kind"}
    classes = ("kind", "a", "b", "c")
    few = fit_levels(support(4, 4, 2), classes, parents).predict(cells())
    enough = fit_levels(support(4, 4, 3), classes, parents).predict(cells())
    assert (few.too_few, enough.too_few) == (True, False)


def test_it_stays_with_a_part_of_the_cells():
    found = fit(support(1, 1), "abc").predict(cells())
    assert found.of(found.ids < 5).too_few
