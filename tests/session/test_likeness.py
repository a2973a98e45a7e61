"""Likeness in a session: two cells compared, all ordered, the odd ones, the triage."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import SPEC, make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.types import CellRef
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session import run_classification
from napari_hemacells.session.likeness import (
    compare_cells,
    index_steps,
    learn_likeness,
    order_cells,
    pick_cell,
    request_index,
    request_likeness,
)
from napari_hemacells.session.odd_ones import answer_odd_ones, odd_queue, request_odd_ones
from napari_hemacells.session.triage import request_triage, triage_steps


def annotate(session, kinds=(0, 1), shots=5) -> None:
    """Annotate cells of some of the three clusters: the kind of cell i is i % 3."""
    for kind in kinds:
        cells = [cell for cell in session.cells.ids.tolist() if cell % 3 == kind][:shots]
        session.annotate(cells, session.palette.ids[kind])
    session.accept(run_classification(session.request()))


def add_image(session, seed=5):
    """Open another image whose cells are in the project's cache; return the key of the first."""
    first = session.image.key
    image, cells = make_image(seed, "other"), make_cells(12)
    here = session.embeddings
    cache = EmbeddingCache(session.project.embeddings_folder)
    cache.save(first, here.encoder, SPEC, session.cells.boxes, here.vectors)
    session.show_image(image)
    session.set_cells(cells)
    session.set_embeddings(make_embeddings(image, cells))
    return first


def test_two_cells_are_compared_and_the_words_name_the_kinds(session) -> None:
    annotate(session, kinds=(0, 1, 2))
    likeness = learn_likeness(request_likeness(session))
    like, unlike = (
        compare_cells(likeness, pick_cell(session, 21), pick_cell(session, other))
        for other in (24, 25)
    )
    assert like.verdict.same
    assert not unlike.verdict.same
    assert like.verdict.distance < like.verdict.threshold < unlike.verdict.distance
    assert like.verdict.p_same is None  # three kinds: none can be left out
    assert "Not tested on other kinds" in like.basis
    for cell_class in session.palette.classes[:3]:
        assert cell_class.name in like.basis


def test_before_anything_is_annotated_the_threshold_is_a_first_guess(session) -> None:
    likeness = learn_likeness(request_likeness(session))
    answer = compare_cells(likeness, pick_cell(session, 1), pick_cell(session, 4))
    assert "first guess" in answer.basis
    assert "%" not in answer.verdict.headline


def test_a_picked_cell_says_what_it_is_and_outlives_its_image(session) -> None:
    annotate(session)
    mine, predicted = pick_cell(session, 3), pick_cell(session, 24)
    name = session.palette.classes[0].name
    assert mine.class_name == f"{name} (yours)"
    assert predicted.class_name == f"{name} (predicted)"
    assert mine.title == "Cell 3, smear"
    assert mine.crop.shape == (SPEC.size, SPEC.size, 3)
    add_image(session)
    other = pick_cell(session, 3)
    assert other.ref != mine.ref
    likeness = learn_likeness(request_likeness(session))
    assert compare_cells(likeness, mine, other).verdict.distance < 1
    with pytest.raises(AnnotationError, match="different encoders"):
        compare_cells(likeness, mine, other._replace(encoder="another"))
    with pytest.raises(AnnotationError, match="embedded"):
        pick_cell(session, 999)


def test_cells_of_the_whole_project_are_ordered(session) -> None:
    first = add_image(session)
    request = request_index(session, whole_project=True)
    known = run_to_end(index_steps(request))
    assert known.waiting == 0
    found = order_cells(known, [CellRef(session.image.key, 3)])
    assert len(found.order) == 42
    assert found.refs(0, 1) == [CellRef(session.image.key, 3)]
    nearest = found.refs(0, 14)
    assert {ref.image_key for ref in nearest} == {first, session.image.key}
    assert {ref.cell % 3 for ref in nearest} == {0}
    assert request_index(session, whole_project=True).has_cells_of(request, known)
    session.delete_cells([5])
    assert not request_index(session, whole_project=True).has_cells_of(request, known)


def test_images_that_are_not_embedded_yet_are_counted(session) -> None:
    session.show_image(make_image(9, "waits"))
    session.set_cells(make_cells(6))
    waiting = session.image.key
    session.show_image(make_image())
    session.set_embeddings(make_embeddings(session.image, session.cells))
    known = run_to_end(index_steps(request_index(session, whole_project=True)))
    assert known.waiting == 1
    assert waiting not in known.cells.images
    with pytest.raises(AnnotationError, match="embedded"):
        order_cells(known, [CellRef(waiting, 1)])


def test_the_odd_ones_are_those_of_the_kind_that_nobody_annotated(session) -> None:
    annotate(session)
    before = dict(session.annotated)
    answer = answer_odd_ones(request_odd_ones(session))
    session.set_odd_ones(answer)
    queue, called = odd_queue(session, answer)
    assert called
    assert set(queue) == {cell for cell in session.cells.ids.tolist() if cell % 3 == 2}
    codes = session.colour_codes("odd")
    odd = np.isin(session.cells.ids, queue)
    assert len(set(codes.codes[odd])) == 1
    assert not set(codes.codes[odd]) & set(codes.codes[~odd])
    assert session.annotated == before
    session.annotate([queue[0]], session.palette.ids[2])
    assert queue[0] not in odd_queue(session, answer)[0]


def test_with_few_annotations_the_farthest_are_shown_and_not_called_odd(session) -> None:
    assert request_odd_ones(session) is None
    annotate(session, shots=1)
    queue, called = odd_queue(session, answer_odd_ones(request_odd_ones(session)))
    assert not called
    assert 0 < len(queue) <= 20
    assert not set(queue) & set(session.annotated)


def test_the_triage_of_a_project_lists_the_odd_cells_of_all_images(session, tmp_path) -> None:
    first = add_image(session)
    for kind in (0, 1):
        cells = [cell for cell in session.cells.ids.tolist() if cell % 3 == kind]
        session.annotate(cells, session.palette.ids[kind])
    session.accept(run_classification(session.request()))
    before = dict(session.history.state.labels)
    assert first != session.image.key
    page, table = run_to_end(triage_steps(request_triage(session), tmp_path))
    rows = read_table(table).records()
    assert {row["image"] for row in rows} == {"other"}
    assert {int(row["cell"]) % 3 for row in rows} == {2}
    text = page.read_text()
    assert "no diagnosis" in text
    assert "smear" in text  # its pixels are in no file: it is left out, with the reason
    assert dict(session.history.state.labels) == before
