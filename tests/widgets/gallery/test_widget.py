"""The crop gallery: a queue that stands still, labelled by key, tied to the canvas."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from gallery_hands import chosen, click, order_by, queue, shown
from made_up import make_cells
from napari_hemacells.core import crop
from napari_hemacells.core.detect import empty_cells
from napari_hemacells.core.types import CropSpec
from napari_hemacells.widgets.gallery import view
from napari_hemacells.widgets.gallery.model import ANNOTATED_ROLE, COLOUR_ROLE
from napari_hemacells.widgets.gallery.review_queue import ReviewQueue
from napari_hemacells.widgets.gallery.widget import GalleryWidget

Key = Qt.Key


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


# --- nothing to show -----------------------------------------------------------------------------


def test_it_says_why_it_is_empty(qtbot, empty_session):
    upcoming = ReviewQueue(empty_session)
    gallery = shown(qtbot, empty_session, upcoming)
    assert gallery.view.empty_text.startswith("Open an image")
    qtbot.keyClicks(gallery.view, "1r0")
    gallery.select_cell(3)
    assert not gallery.grab().isNull()
    upcoming.close()


def test_no_cells_found(gallery, session):
    session.set_cells(empty_cells(session.image.shape, 6.0))
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
    extract = crop.extract_crops

    def watched(image, cells, spec, ids):
        cut.extend(ids)
        return extract(image, cells, spec, ids)

    monkeypatch.setattr(view.crop, "extract_crops", watched)
    gallery = shown(qtbot, session, upcoming, (420, 200))
    gallery.grab()
    across_and_cut_off = 2 * len(gallery.view.rows_in_sight())
    assert 0 < len(cut) <= across_and_cut_off < 30
    gallery.grab()
    assert len(cut) == len(set(cut))


def test_a_thumbnail_is_the_crop_of_the_cell(qtbot, session):
    pictures = view.Thumbnails(session)
    made = pictures.picture(9, 24)
    expected = crop.extract_crops(session.image, session.cells, CropSpec(size=24), [9])[0]
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
    assert second.data() in {"RBC", "WBC"}  # one annotation each: no percentage yet
    assert not second.data(ANNOTATED_ROLE)
    for cell in (5, 7, 9, 11):
        session.annotate([cell], "rbc" if cell % 3 else "wbc")
    session.annotate([6], "wbc")
    classify()
    name, figure = second.data().split(" ")
    assert name in {"RBC", "WBC"}
    assert figure.endswith("%")
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
