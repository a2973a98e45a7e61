"""Answers before every cell is embedded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import make_embeddings
from napari_hemacells.core.encode import EmbeddingCache, GrowingEmbeddings
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo, Prediction
from napari_hemacells.session import answer_request
from napari_hemacells.session.early_answers import embedding_order, overlaid, steady

QUICK = EncoderInfo("detector", "0" * 64, 2)


def quick_vectors(image, cells) -> Embeddings:
    """Two numbers a cell that tell the detector's kinds apart."""
    _kinds, rows = np.unique(cells.table["class"].to_numpy(str), return_inverse=True)
    vectors = np.eye(2, dtype=np.float32)[rows % 2] + 0.01 * cells.ids[:, None]
    return Embeddings(cells.ids, vectors.astype(np.float32), QUICK, make_embeddings(
        image, cells).spec, image.key)  # fmt: skip


@pytest.fixture
def early(new_session, image, cells):
    """A session whose cells have the detector's vectors, and none of the encoder's yet."""
    session = new_session()
    session.show_image(image)
    session.set_cells(cells)
    whole = make_embeddings(image, cells)
    growing = GrowingEmbeddings()
    growing.first = quick_vectors(image, cells)
    known = np.zeros(len(cells), np.bool_)
    empty = replace(whole, vectors=np.zeros_like(whole.vectors))
    growing.begin(empty, known)
    session.live.growing = growing
    return session, growing, whole


def ends(session) -> list[int]:
    """A cell of each of two classes."""
    return [int(session.cells.ids[0]), int(session.cells.ids[-1])]


def annotate_two(session) -> None:
    for cell, class_id in zip(ends(session), session.palette.ids, strict=False):
        session.annotate([cell], class_id)


def test_a_click_is_answered_by_the_detectors_vectors(early):
    session, _, _ = early
    annotate_two(session)
    request = session.request()
    assert request is not None
    assert request.embeddings.encoder.name == "detector"
    assert session.accept(answer_request(request))
    assert session.prediction.ids.tolist() == session.cells.ids.tolist()
    assert session.embeddings is None


def test_without_any_vectors_there_is_nothing_to_ask(early):
    session, growing, _ = early
    growing.first = None
    annotate_two(session)
    assert session.request() is None


def test_the_encoder_answers_once_it_has_seen_a_cell_of_each_class(early):
    session, growing, whole = early
    annotate_two(session)
    half = np.arange(0, len(whole), 2)
    growing.add(half, whole.vectors[half])
    first_only = session.request()
    assert first_only.quick is None or first_only.quick.embeddings is growing.first
    growing.add(np.arange(len(whole)), whole.vectors)
    request = session.request()
    assert request.embeddings.encoder == whole.encoder
    assert request.quick is not None
    assert session.accept(answer_request(request))
    assert session.prediction.ids.tolist() == session.cells.ids.tolist()


def test_when_all_are_embedded_the_answer_is_that_of_the_encoder_alone(early):
    session, _, whole = early
    annotate_two(session)
    session.accept(answer_request(session.request()))
    late = session.request()
    assert session.set_embeddings(whole)
    assert session.live.growing is None
    request = session.request()
    assert request.quick is None
    assert request.embeddings is session.embeddings
    assert not session.accept(answer_request(late))  # that was about fewer vectors


def prediction(ids, rows, classes=("a", "b")) -> Prediction:
    return Prediction(np.array(ids), classes, np.array(rows, np.float32), "made up")


def test_a_cell_has_the_answer_of_its_best_vector():
    quick = prediction([1, 2, 3], [[1, 0], [1, 0], [0, 1]])
    fine = prediction([2], [[0.1, 0.9]])
    joined = overlaid(quick, fine)
    assert joined.ids.tolist() == [1, 2, 3]
    np.testing.assert_allclose(joined.probabilities, [[1, 0], [0.1, 0.9], [0, 1]])


def test_a_class_that_only_the_encoder_knows_keeps_its_column():
    quick = prediction([1, 2], [[1, 0], [0, 1]], ("a", "c"))
    fine = prediction([2], [[0, 1, 0]], ("a", "b", "c"))
    assert overlaid(quick, fine).probabilities.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_cells_do_not_jump_between_classes_that_are_as_likely():
    before = prediction([1, 2, 3], [[0.52, 0.48], [0.6, 0.4], [0.9, 0.1]])
    now = prediction([1, 2, 3], [[0.48, 0.52], [0.1, 0.9], [0.8, 0.2]])
    shown = steady(before, now)
    assert shown.predicted_column.tolist() == [0, 1, 0]
    np.testing.assert_allclose(shown.probabilities[1:], now.probabilities[1:])


def test_annotated_cells_come_first_then_those_in_sight_then_rare_and_uncertain(cells):
    ids = cells.ids.tolist()
    order = embedding_order(cells, {ids[4]: "a"}, np.array(ids[2:4]), None)
    assert order[:3] == [ids[4], ids[2], ids[3]]
    assert len(order) == len(set(order))


def test_first_vectors_are_found_again_by_the_boxes(tmp_path, image, cells):
    first = quick_vectors(image, cells)
    from napari_hemacells.core.detect.learned.metadata import FIRST_DIM, first_vectors_info

    vectors = np.tile(first.vectors, (1, FIRST_DIM // 2))
    info = first_vectors_info()
    made = replace(first, vectors=vectors, encoder=info, spec=CropSpec())
    cache = EmbeddingCache(tmp_path)
    cache.save_first(image.key, replace(cells, first_vectors=made))
    again = EmbeddingCache(tmp_path).load_first(image.key, cells)
    assert again.ids.tolist() == cells.ids.tolist()
    np.testing.assert_array_equal(again.vectors, vectors)
    changed = cells.table.copy()
    changed.loc[0, "max_row"] += 1
    fewer = EmbeddingCache(tmp_path).load_first(image.key, replace(cells, table=changed))
    assert fewer.ids.tolist() == cells.ids.tolist()[1:]
    assert EmbeddingCache(tmp_path).load_first("another", cells) is None
