"""Where classifier and detector disagree, and the order of the rare kinds."""

from __future__ import annotations

import numpy as np

from napari_hemacells.core.classify import review_queue
from napari_hemacells.core.classify.contradictions import contradictions, rare_cells
from napari_hemacells.core.types import RBC, WBC, CropSpec, Embeddings, EncoderInfo, Prediction

NAMES = {"r": "Red cells", "w": "WBC", "x": "odd"}


def said(columns: np.ndarray, unknown: np.ndarray | None = None) -> Prediction:
    probabilities = np.full((len(columns), 3), 0.05, np.float32)
    probabilities[np.arange(len(columns)), columns] = 0.9
    ids = np.arange(1, len(columns) + 1)
    return Prediction(ids, ("r", "w", "x"), probabilities, is_unknown=unknown)


def test_many_red_cells_called_white_are_told_with_their_number() -> None:
    kinds = np.array([RBC] * 1000 + [WBC] * 10)
    columns = np.array([1] * 400 + [2] * 200 + [0] * 400 + [1] * 10)
    (found,) = contradictions(said(columns), kinds, NAMES, annotated=[1, 2])
    assert (found.kind, found.class_id, len(found.cells)) == (RBC, "w", 398)
    assert found.sentence("WBC") == ("398 cells that the detector took for red cells are now WBC.")


def test_a_few_cells_and_unknown_ones_are_no_contradiction() -> None:
    kinds = np.array([RBC] * 1000 + [WBC] * 10)
    few = np.array([1] * 40 + [0] * 970)
    assert contradictions(said(few), kinds, NAMES) == []
    many = np.array([1] * 400 + [0] * 610)
    assert contradictions(said(many, np.ones(1010, bool)), kinds, NAMES) == []


def test_rare_cells_are_those_of_the_detector_and_of_the_classifier() -> None:
    kinds = np.array([RBC] * 100 + [WBC] * 3 + [""] * 2)
    columns = np.array([1, 1] + [0] * 103)
    assert np.flatnonzero(rare_cells(None, kinds)).tolist() == [100, 101, 102]
    assert np.flatnonzero(rare_cells(said(columns), None)).tolist() == [0, 1]


def test_the_queue_of_rare_kinds_begins_with_them() -> None:
    rng = np.random.default_rng(0)
    kinds = np.array([RBC] * 300 + [WBC] * 6)
    prediction = said(np.array([1] + [0] * 305))
    vectors = rng.normal(size=(306, 8)).astype(np.float32)
    cells = Embeddings(
        prediction.ids, vectors, EncoderInfo("made up", "", 8), CropSpec(), "k", kinds=kinds
    )
    queue = review_queue(prediction.ids, prediction, cells, "rare", annotated={302})
    assert set(queue[:6]) == {1, 301, 303, 304, 305, 306}
    assert sorted(queue) == sorted(set(range(1, 307)) - {302})
    # without a word of the detector every cell is still there
    plain = review_queue(prediction.ids, None, None, "rare", annotated=set())
    assert sorted(plain) == list(range(1, 307))
