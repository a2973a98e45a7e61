"""The order of the crops: it stands still until somebody asks, or has labelled all in sight."""

from __future__ import annotations

import pytest

from gallery_hands import chosen, order_by, queue, show_only, shown, sorted_out
from made_up import make_cells, make_embeddings
from napari_hemacells.widgets.gallery.model import ANNOTATED, UNCLASSIFIED
from napari_hemacells.widgets.gallery.widget import GalleryWidget


def test_the_queue_stands_still_until_refreshed(qtbot, gallery, session, classify):
    before = queue(gallery)
    assert not gallery.bar.refresh.isEnabled()
    session.annotate([before[0]], "rbc")
    session.annotate([before[1]], "wbc")
    classify()
    assert queue(gallery) == before
    assert gallery.bar.refresh.isEnabled()
    qtbot.keyClicks(gallery.view, "r")
    sorted_out(qtbot, gallery)
    assert queue(gallery) == session.queue("active")
    assert set(before[:2]).isdisjoint(queue(gallery))
    assert not gallery.bar.refresh.isEnabled()


def test_a_label_repaints_its_own_crop_a_prediction_all(gallery, session, classify):
    repainted = []
    gallery.model.appearance_changed.connect(repainted.append)
    session.annotate([4, 7], "rbc")
    session.annotate([9], "wbc")
    assert repainted == [(4, 7), (9,)]
    classify()
    assert repainted[-1] == ()


def test_a_whole_page_of_labels_brings_a_fresh_queue(qtbot, session, upcoming):
    gallery = shown(qtbot, session, upcoming, (420, 200))
    before = queue(gallery)
    page = list(gallery.view.rows_in_sight())
    assert 1 < len(page) < 30
    gallery.view.choose(0)
    qtbot.keyClicks(gallery.view, "1" * len(page))
    assert set(session.annotated) == {before[row] for row in page}
    assert queue(gallery) == session.queue("active")
    assert chosen(gallery) == queue(gallery)[:1]


def test_while_the_cells_are_sorted_nothing_moves(qtbot, gallery, session, classify, slowly):
    before = queue(gallery)
    for cell, class_id in ((1, "rbc"), (2, "wbc")):
        session.annotate([cell], class_id)
    classify()
    gallery.view.choose(4)
    qtbot.keyClicks(gallery.view, "r")
    assert gallery.is_sorting
    assert queue(gallery) == before
    assert gallery.bar.count.text() == "Sorting …"
    qtbot.keyClicks(gallery.view, "1")
    assert session.annotated[before[4]] == "rbc"
    kept = chosen(gallery)
    slowly.set()
    sorted_out(qtbot, gallery)
    assert chosen(gallery) == kept
    assert set(session.annotated).isdisjoint(queue(gallery))
    assert gallery.bar.count.text() == "27 of 30 cells"


def test_first_embeddings_move_nothing_under_a_hand_that_has_begun(
    qtbot, gallery, session, slowly
):
    before = queue(gallery)
    session.set_embeddings(make_embeddings(session.image, session.cells))
    gallery.view.choose(0)
    qtbot.keyClicks(gallery.view, "1")
    slowly.set()
    sorted_out(qtbot, gallery)
    assert queue(gallery) == before
    assert gallery.bar.refresh.isEnabled()
    assert gallery.bar.count.text() == "30 cells"


def test_a_project_opened_again_is_sorted_by_what_its_labels_teach(
    qtbot, session, upcoming, classify
):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    session.show_image(session.image)
    session.set_cells(make_cells(30))
    gallery = shown(qtbot, session, upcoming)
    in_place = queue(gallery)
    classify()
    sorted_out(qtbot, gallery)
    assert queue(gallery) == session.queue("active") != in_place
    assert not gallery.bar.refresh.isEnabled()


def test_proposed_cells_stay_as_they_are_when_there_is_news(gallery, session, classify):
    gallery.propose([9, 4, 17])
    gallery.view.choose(1)
    session.set_embeddings(make_embeddings(session.image, session.cells))
    assert queue(gallery) == [9, 4, 17]
    assert chosen(gallery) == [4]


def test_an_order_chosen_instead_of_one_that_is_still_sought(
    qtbot, gallery, session, classify, slowly, upcoming
):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    order_by(gallery, "uncertain")
    order_by(gallery, "slide")
    assert queue(gallery) == session.queue("slide")
    slowly.set()
    qtbot.waitUntil(lambda: not upcoming.jobs.busy)
    assert queue(gallery) == session.queue("slide")


@pytest.mark.parametrize("order", ["active", "uncertain", "unknown", "sure", "class", "slide"])
@pytest.mark.parametrize("backwards", [False, True])
def test_orders_both_ways(qtbot, gallery, session, classify, order, backwards):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    gallery.bar.direction.setChecked(backwards)
    order_by(gallery, order)
    gallery.refresh()
    sorted_out(qtbot, gallery)
    assert queue(gallery) == session.queue(order, descending=backwards)


def test_only_cells_of_a_class_are_shown(gallery, session, classify):
    order_by(gallery, "slide")
    show_only(gallery, UNCLASSIFIED)
    assert len(queue(gallery)) == 30
    for cell, class_id in ((1, "rbc"), (2, "wbc"), (3, "platelets")):
        session.annotate([cell], class_id)
    classify()
    show_only(gallery, "rbc")
    assert queue(gallery) == list(range(1, 31, 3))
    assert gallery.bar.count.text() == "10 of 30 cells"
    show_only(gallery, ANNOTATED)
    assert queue(gallery) == [1, 2, 3]
    show_only(gallery, UNCLASSIFIED)
    assert queue(gallery) == []
    assert "Not classified" in gallery.view.empty_text


def test_a_deleted_class_is_no_filter(gallery, session):
    show_only(gallery, "wbc")
    assert queue(gallery) == []
    session.delete_class("wbc")
    assert gallery.bar.filter.currentText() == "All"
    assert len(queue(gallery)) == 30


def test_other_cells_make_another_queue(gallery, session):
    session.set_cells(make_cells(5))
    assert sorted(queue(gallery)) == [1, 2, 3, 4, 5]


def test_first_embeddings_put_different_cells_first(qtbot, gallery, session):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    sorted_out(qtbot, gallery)
    assert queue(gallery) == session.queue("active")
    assert {cell % 3 for cell in queue(gallery)[:3]} == {0, 1, 2}


def test_a_prediction_before_the_first_click_sorts_the_queue(qtbot, gallery, session, classify):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    found = session.live.latest
    session.annotate([1, 2], None)  # as with a loaded model: classes, but no clicks
    session.live.latest = found
    session.events.prediction.emit()
    sorted_out(qtbot, gallery)
    assert queue(gallery) == session.queue("active")
    assert not gallery.bar.refresh.isEnabled()


def test_no_queue_is_made_for_a_hidden_gallery(qtbot, session, monkeypatch, upcoming):
    asked = []
    ask = upcoming.ask
    monkeypatch.setattr(upcoming, "ask", lambda *a, **k: asked.append(1) or ask(*a, **k))
    gallery = GalleryWidget(session, upcoming)
    qtbot.addWidget(gallery)
    session.set_cells(make_cells(20))
    assert asked == []
    gallery.show()
    assert len(queue(gallery)) == 20
