"""The crop gallery: a queue that stands still, labelled by key, tied to the canvas."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from made_up import make_cells, make_embeddings
from napari_hemacells.core import crop
from napari_hemacells.core.detect import no_cells
from napari_hemacells.core.types import CropSpec
from napari_hemacells.widgets import thumbnails
from napari_hemacells.widgets.gallery import GalleryWidget
from napari_hemacells.widgets.gallery_model import (
    ANNOTATED,
    ANNOTATED_ROLE,
    COLOUR_ROLE,
    UNCLASSIFIED,
)
from napari_hemacells.widgets.upcoming import Upcoming

Key = Qt.Key


@pytest.fixture
def gallery(qtbot, session, upcoming):
    return shown(qtbot, session, upcoming)


def shown(qtbot, session, upcoming, size=(700, 260)) -> GalleryWidget:
    gallery = GalleryWidget(session, upcoming)
    qtbot.addWidget(gallery)
    gallery.resize(*size)
    gallery.show()
    sorted_out(qtbot, gallery)
    qtbot.wait(1)  # Qt lays out the list when it is back in its loop
    return gallery


def sorted_out(qtbot, gallery: GalleryWidget) -> None:
    """Wait until the queue that was asked for is there."""
    qtbot.waitUntil(lambda: not gallery.sorting)


def queue(gallery: GalleryWidget) -> list[int]:
    return [gallery.model.cell_at(row) for row in range(gallery.model.rowCount())]


def chosen(gallery: GalleryWidget) -> list[int]:
    return [gallery.model.cell_at(row) for row in gallery.view.chosen()]


def click(qtbot, gallery, row, modifier=Qt.KeyboardModifier.NoModifier):
    where = gallery.view.visualRect(gallery.model.index(row)).center()
    qtbot.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, modifier, where)


def order_by(gallery: GalleryWidget, order: str) -> None:
    gallery.bar.order.setCurrentIndex(gallery.bar.order.findData(order))


def show_only(gallery: GalleryWidget, only: str) -> None:
    gallery.bar.filter.setCurrentIndex(gallery.bar.filter.findData(only))


# --- labelling -----------------------------------------------------------------------------------


def test_a_key_labels_and_moves_on(qtbot, gallery, session):
    before = queue(gallery)
    gallery.view.choose(0)
    qtbot.keyClicks(gallery.view, "213")
    assert session.annotated == {before[0]: "wbc", before[1]: "rbc", before[2]: "platelets"}
    assert chosen(gallery) == [before[3]]
    assert queue(gallery) == before


def test_several_crops_are_one_step(qtbot, gallery, session):
    for row, modifier in ((1, "NoModifier"), (3, "ShiftModifier"), (5, "ControlModifier")):
        click(qtbot, gallery, row, getattr(Qt.KeyboardModifier, modifier))
    cells = [queue(gallery)[row] for row in (1, 2, 3, 5)]
    qtbot.keyClicks(gallery.view, "2")
    assert session.annotated == dict.fromkeys(cells, "wbc")
    assert chosen(gallery) == [queue(gallery)[6]]
    session.undo()
    assert session.annotated == {}


def test_zero_takes_the_class_back_and_stays(qtbot, gallery, session):
    gallery.view.choose(2)
    session.annotate([queue(gallery)[2]], "rbc")
    qtbot.keyClicks(gallery.view, "0")
    assert session.annotated == {}
    assert chosen(gallery) == [queue(gallery)[2]]


def test_moving_on_skips_what_has_the_users_word(qtbot, gallery, session):
    session.annotate([queue(gallery)[1]], "wbc")
    gallery.view.choose(0)
    qtbot.keyClicks(gallery.view, "1")
    assert chosen(gallery) == [queue(gallery)[2]]


def test_a_key_without_a_class_is_refused(qtbot, gallery, session):
    gallery.view.choose(0)
    with qtbot.waitSignal(gallery.refused) as heard:
        qtbot.keyClicks(gallery.view, "7")
    assert "key 7" in heard.args[0]
    assert session.annotated == {}


def test_a_refused_label_is_told(qtbot, gallery, session, monkeypatch):
    session.events.cells.block()
    session.set_cells(make_cells(3))  # the gallery still shows cells that are gone
    gallery.view.choose_rows([row for row, cell in enumerate(queue(gallery)) if cell == 30])
    with qtbot.waitSignal(gallery.refused) as heard:
        qtbot.keyClicks(gallery.view, "1")
    assert "cell 30" in heard.args[0]


# --- the queue -----------------------------------------------------------------------------------


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
    assert gallery.sorting
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
    assert gallery.bar.filter.currentText() == "All cells"
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


# --- nothing to show -----------------------------------------------------------------------------


def test_it_says_why_it_is_empty(qtbot, empty_session):
    upcoming = Upcoming(empty_session)
    gallery = shown(qtbot, empty_session, upcoming)
    assert gallery.view.empty_text.startswith("Open an image")
    qtbot.keyClicks(gallery.view, "1r0")
    gallery.select_cell(3)
    assert not gallery.grab().isNull()
    upcoming.close()


def test_no_cells_found(gallery, session):
    session.set_cells(no_cells(session.image.shape, 6.0))
    assert queue(gallery) == []
    assert "no cells" in gallery.view.empty_text


# --- the canvas ----------------------------------------------------------------------------------


def test_a_click_goes_to_the_cell(qtbot, gallery):
    with qtbot.waitSignal(gallery.cell_activated) as heard:
        click(qtbot, gallery, 4)
    assert heard.args == [queue(gallery)[4]]


def test_extending_the_choice_leaves_the_canvas_alone(qtbot, gallery):
    click(qtbot, gallery, 0)
    with qtbot.assertNotEmitted(gallery.cell_activated):
        click(qtbot, gallery, 2, Qt.KeyboardModifier.ShiftModifier)
    assert len(chosen(gallery)) == 3


def test_following_the_canvas_echoes_nothing(qtbot, gallery):
    with qtbot.assertNotEmitted(gallery.cell_activated):
        gallery.select_cell(17)
        assert chosen(gallery) == [17]
        gallery.select_cell(99)
    assert chosen(gallery) == []


# --- pictures ------------------------------------------------------------------------------------


def test_only_crops_in_sight_are_cut(qtbot, session, monkeypatch, upcoming):
    cut: list[int] = []
    extract = crop.extract

    def watched(image, cells, spec, ids):
        cut.extend(ids)
        return extract(image, cells, spec, ids)

    monkeypatch.setattr(thumbnails.crop, "extract", watched)
    gallery = shown(qtbot, session, upcoming, (420, 200))
    gallery.grab()
    across_and_cut_off = 2 * len(gallery.view.rows_in_sight())
    assert 0 < len(cut) <= across_and_cut_off < 30
    gallery.grab()
    assert len(cut) == len(set(cut))


def test_a_thumbnail_is_the_crop_of_the_cell(qtbot, session):
    pictures = thumbnails.Thumbnails(session)
    made = pictures.picture(9, 24)
    expected = crop.extract(session.image, session.cells, CropSpec(size=24), [9])[0]
    shown_pixels = [
        made.pixelColor(col, row).getRgb()[:3] for row in range(24) for col in range(24)
    ]
    np.testing.assert_array_equal(np.reshape(shown_pixels, (24, 24, 3)), expected)
    assert pictures.picture(99, 24).isNull()


def test_items_say_class_confidence_and_whose_word(gallery, session, classify):
    order_by(gallery, "slide")
    first, second = gallery.model.index(0), gallery.model.index(1)
    assert (first.data(), first.data(COLOUR_ROLE)) == ("", None)
    session.annotate([1], "rbc")
    session.annotate([3], "wbc")
    classify()
    assert (first.data(), first.data(ANNOTATED_ROLE)) == ("RBC", True)
    name, figure = second.data().split(" ")
    assert name in {"RBC", "WBC"}
    assert figure.endswith("%")
    assert not second.data(ANNOTATED_ROLE)
    session.recolour_class("rbc", "#102030")
    assert first.data(COLOUR_ROLE) == QColor("#102030")


def test_the_slider_sets_the_size(gallery):
    before = gallery.view.gridSize().width()
    gallery.bar.size_slider.setValue(gallery.bar.size_slider.value() + 20)
    assert gallery.view.gridSize().width() == before + 20


# --- nothing left --------------------------------------------------------------------------------


def test_nothing_is_left_of_a_closed_gallery(qtbot, session, upcoming):
    gallery = GalleryWidget(session, upcoming)
    watched = ref(gallery), ref(gallery.model)
    gallery.deleteLater()
    del gallery
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(one() for one in watched), timeout=2000)
    session.annotate([1], "rbc")


def test_a_deleted_gallery_hears_nothing_more(qtbot, session, classify, upcoming):
    gallery = GalleryWidget(session, upcoming)
    with qtbot.waitSignal(gallery.destroyed):
        gallery.deleteLater()
    session.annotate([1], "rbc")
    classify()
    session.set_cells(make_cells(5))
    session.add_class("Lymphocyte")
