"""A fine-tuned model beside the clicks: taken over, compared, dropped; annotations untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import INFO, make_cells, make_embeddings, make_image
from napari_hemacells.core.errors import BundleMismatchError
from napari_hemacells.core.train.classifier.model_store import TrainedCell
from napari_hemacells.core.types import UNKNOWN, CellRef, Prediction
from napari_hemacells.session import run_classification
from napari_hemacells.session.model_comparison import (
    changes_between,
    held_out_correct,
    held_out_request,
)

OWN = replace(INFO, name="finetuned.tiny", sha256="f" * 64)


def annotate(session, cells=range(1, 13)):
    for column, class_id in enumerate(session.palette.ids[:3]):
        session.annotate([cell for cell in cells if cell % 3 == column], class_id)


@pytest.fixture
def finetuned(session):
    """The session's own classifier as if its encoder had been trained: with the cells it saw."""
    annotate(session)
    assert session.accept(run_classification(session.request()))
    tensors = {"trunk.weight": np.ones(3, np.float32)}
    bundle = replace(session.make_bundle("tiny"), encoder=OWN, encoder_tensors=tensors)
    return bundle, dict(session.class_of_cell())


def own_vectors(session):
    return replace(make_embeddings(session.image, session.cells), encoder=OWN)


def test_taken_over_it_classifies_with_its_own_head_and_annotations_stay(session, finetuned):
    bundle, learned = finetuned
    before = session.class_of_cell()
    session.adopt_model(bundle, learned)
    assert session.embeddings is None
    session.set_embeddings(own_vectors(session))
    request = session.request()
    assert request.support is None
    assert np.array_equal(request.head.weights, bundle.head.weights)
    assert session.class_of_cell() == before


def test_click_on_a_cell_it_has_not_seen_teaches_beside_it(session, finetuned):
    bundle, learned = finetuned
    session.adopt_model(bundle, learned)
    session.set_embeddings(own_vectors(session))
    session.annotate([20], session.palette.ids[2])
    assert len(session.request().support.labels) == len(bundle.labels) + 1


def test_corrected_cell_teaches_too(session, finetuned):
    bundle, learned = finetuned
    session.adopt_model(bundle, learned)
    session.set_embeddings(own_vectors(session))
    session.annotate([1], session.palette.ids[2])
    assert len(session.request().support.labels) == len(bundle.labels) + 1


def test_former_classifier_comes_back(session, finetuned):
    bundle, learned = finetuned
    clicks = session.prediction.probabilities
    session.adopt_model(bundle, learned)
    session.drop_model()
    assert session.live.model is None
    assert session.prediction is None
    session.set_embeddings(make_embeddings(session.image, session.cells))
    assert session.accept(run_classification(session.request()))
    assert np.allclose(session.prediction.probabilities, clicks)


def test_class_deleted_meanwhile_is_a_reason_to_refuse(session, finetuned):
    bundle, learned = finetuned
    gone = session.palette.classes[1]
    session.delete_class(gone.id)
    with pytest.raises(BundleMismatchError, match=gone.name):
        session.adopt_model(bundle, learned)
    assert session.live.model is None


def test_class_renamed_meanwhile_keeps_its_new_name(session, finetuned):
    bundle, learned = finetuned
    session.rename_class(session.palette.ids[0], "erythrocyte")
    session.adopt_model(bundle, learned)
    assert session.palette.classes[0].name == "erythrocyte"


def told(rows, unknown=()) -> Prediction:
    """Cells 1, 2 …: (column, confidence) of two classes."""
    shares = [[sure, 1 - sure] if column == 0 else [1 - sure, sure] for column, sure in rows]
    ids = np.arange(1, len(rows) + 1)
    return Prediction(
        ids, ("a", "b"), np.array(shares, np.float32), is_unknown=np.isin(ids, list(unknown))
    )


def test_changed_cells_are_those_with_another_class_the_surest_first():
    before = told([(0, 0.9), (0, 0.9), (1, 0.9), (0, 0.9), (0, 0.8)], unknown=[5])
    after = told([(1, 0.7), (0, 0.9), (0, 0.8), (1, 0.99), (0, 0.9)])
    found = changes_between(before, after, annotated={4})
    assert [(one.cell, one.before, one.after) for one in found] == [
        (5, UNKNOWN, "a"), (3, "b", "a"), (1, "a", "b"),
    ]  # fmt: skip
    assert changes_between(None, after, set()) == ()


@pytest.fixture
def taught(session):
    """Cells 1 to 9 taught, 10 to 12 checked."""
    annotate(session)
    names = {one.id: one.name for one in session.palette}
    return {
        ref: TrainedCell(names[said], "train" if ref.cell < 10 else "validation")
        for ref, said in session.class_of_cell().items()
    }


def test_classifier_in_use_is_asked_about_cells_it_was_not_taught(session, taught):
    asked = held_out_request(session, taught)
    assert {ref.cell for ref in asked.cells} == {10, 11, 12}
    assert len(asked.request.support.labels) == 9
    assert held_out_correct(asked) == dict.fromkeys(asked.cells, True)


def test_wrong_answers_of_the_classifier_in_use_count_as_such(session, taught):
    key = session.image.key
    session.annotate([10], session.palette.ids[0])  # it is like cells of the second class
    taught[CellRef(key, 10)] = TrainedCell(session.palette.classes[0].name, "validation")
    found = held_out_correct(held_out_request(session, taught))
    assert found == {CellRef(key, 10): False, CellRef(key, 11): True, CellRef(key, 12): True}


def test_cell_whose_class_changed_meanwhile_is_not_asked_about(session, taught):
    session.annotate([10], session.palette.ids[0])
    assert {ref.cell for ref in held_out_request(session, taught).cells} == {11, 12}


def test_cells_of_other_images_are_asked_about_where_their_vectors_are_known(session, taught):
    first = session.image.key
    image = make_image(seed=5, name="second")
    session.show_image(image)
    session.set_cells(make_cells())
    session.set_embeddings(make_embeddings(image, session.cells))
    assert {ref.image_key for ref in held_out_request(session, taught).cells} == {first}


def test_nothing_is_asked_before_there_are_vectors(session, taught):
    session.live.forget_cells()
    assert held_out_request(session, taught) is None


def test_cells_of_another_image_teach_once_their_vectors_are_cached(session, tmp_path):
    from napari_hemacells.core.encode import EmbeddingCache

    other = make_image(seed=8, name="other")
    first = session.image
    session.show_image(other)
    session.set_cells(make_cells())
    annotate(session)
    session.show_image(first)
    here = make_embeddings(first, session.cells)
    session.set_embeddings(here)
    assert len(session.live.images()[other.key]) == 0
    cells = session.project.load_cells(other.key)
    vectors = make_embeddings(other, cells)
    cache = EmbeddingCache(session.project.embeddings_folder)
    cache.save(other.key, here.encoder, here.spec, cells.boxes, vectors.vectors)
    session.recall()
    assert len(session.live.images()[other.key]) == 0  # was asked for before
    session.recall(again=True)
    assert len(session.live.images()[other.key]) == 12
