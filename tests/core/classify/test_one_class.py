"""One class alone: no answer against the detector's kind, no percentage."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import make_cells
from napari_hemacells.core.classify import without_contradictions
from napari_hemacells.core.types import Prediction


@pytest.fixture
def cells():
    """Three red cells, a white one, a platelet, and one of which nothing is known."""
    cells = make_cells(6)
    kinds = ["RBC", "RBC", "RBC", "WBC", "Platelets", ""]
    return type(cells)(cells.labels, cells.table.assign(**{"class": kinds}), cells.diameter)


def prediction(cells, *class_ids):
    shares = np.full((len(cells), len(class_ids)), 1 / len(class_ids), np.float32)
    return Prediction(cells.ids, class_ids, shares)


def test_a_neutrophil_is_no_red_cell(cells):
    ids = cells.ids.tolist()
    said = without_contradictions(prediction(cells, "rbc"), cells, "RBC", ids[:1])
    assert said.ids.tolist() == ids[:3]


def test_the_kind_of_what_was_annotated_is_a_kind_of_the_class(cells):
    ids = cells.ids.tolist()
    said = without_contradictions(prediction(cells, "n"), cells, "Neutrophil", [ids[3]])
    assert said.ids.tolist() == [ids[3]]


def test_nothing_is_said_where_no_kind_is_known(cells):
    said = without_contradictions(prediction(cells, "n"), cells, "Neutrophil")
    assert said.ids.tolist() == []


def test_several_classes_are_left_alone(cells):
    both = prediction(cells, "rbc", "wbc")
    assert without_contradictions(both, cells, "RBC") is both


def test_one_class_has_no_confidence(cells):
    assert np.isnan(prediction(cells, "rbc").confidence).all()
    assert (prediction(cells, "rbc", "wbc").confidence == 0.5).all()
