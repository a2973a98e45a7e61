"""Calibration, unknown cells and slide shift as the dock shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.classify import Calibration
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.session.domain_shift import measure_shift
from napari_hemacells.widgets.classify.calibration import ReliabilityDialog, calibration_line
from napari_hemacells.widgets.classify.panel import ClassifyPanel
from napari_hemacells.widgets.gallery.widget import GalleryWidget


@pytest.fixture
def panel(session, qtbot):
    panel = ClassifyPanel(session)
    qtbot.addWidget(panel)
    panel.nearest_toggled.connect(lambda on: session.show_nearest(nearest=on))
    panel.restandardise_toggled.connect(lambda on: session.restandardise(moved=on))
    panel.show()
    return panel


@pytest.fixture
def with_unknown(session, classify):
    """Cells 4 to 9 are called unknown; the user has spoken about cells 1 to 4."""
    for cell, class_id in ((1, "rbc"), (2, "wbc"), (3, "platelets"), (4, "rbc")):
        session.annotate([cell], class_id)
    classify()
    found = session.live.latest
    verdict = np.isin(found.prediction.ids, range(4, 10))
    changed = replace(found.prediction, unknown=verdict.astype(np.float32), is_unknown=verdict)
    session.live.latest = replace(found, prediction=changed)
    session.events.prediction.emit()
    return session


def first_column(table):
    return [table.item(row, 0).text() for row in range(table.rowCount())]


def total(table, name):
    return table.item(first_column(table).index(name), 3).text()


def test_unknown_cells_are_counted_apart(panel, with_unknown):
    assert total(panel.table, "unknown") == "5"
    assert total(panel.table, "Total") == "30"
    assert "5 unknown, not assigned to a class" in panel.confidence.text()
    assert with_unknown.counts()[UNKNOWN] == (0, 5)


def test_the_switch_shows_them_in_their_nearest_class(panel, with_unknown):
    panel.trust.nearest.setChecked(True)
    assert "unknown" not in first_column(panel.table)
    assert [total(panel.table, name) for name in ("RBC", "WBC", "Platelets")] == ["10"] * 3
    panel.trust.nearest.setChecked(False)
    assert total(panel.table, "unknown") == "5"


def test_the_switch_holds_for_the_next_answer(panel, session, classify):
    panel.trust.nearest.setChecked(True)
    session.annotate([1], "rbc")
    classify()
    assert session.prediction.nearest


def test_unknown_cells_have_a_filter_and_a_name_in_the_gallery(qtbot, with_unknown, upcoming):
    gallery = GalleryWidget(with_unknown, upcoming)
    qtbot.addWidget(gallery)
    gallery.show()
    gallery.bar.filter.setCurrentIndex(gallery.bar.filter.findData(UNKNOWN))
    qtbot.waitUntil(lambda: not gallery.is_sorting)
    model = gallery.model
    cells = [model.cell_at(row) for row in range(model.rowCount())]
    assert sorted(cells) == [5, 6, 7, 8, 9]
    assert model.data(model.index(0)) == "unknown"


def test_before_any_label_the_gallery_says_what_comes_first(qtbot, session, upcoming):
    gallery = GalleryWidget(session, upcoming)
    qtbot.addWidget(gallery)
    gallery.show()
    session.set_embeddings(make_embeddings(session.image, session.cells))
    assert gallery.hint.isVisible()
    assert gallery.bar.order.currentText() == "Most different"
    session.annotate([1], "rbc")
    assert not gallery.hint.isVisible()
    assert gallery.bar.order.currentText() == "Most useful next"


def test_proposed_cells_are_shown_alone_the_first_chosen(qtbot, session, upcoming):
    gallery = GalleryWidget(session, upcoming)
    qtbot.addWidget(gallery)
    gallery.show()
    gallery.propose([9, 4, 17])
    model = gallery.model
    assert [model.cell_at(row) for row in range(model.rowCount())] == [9, 4, 17]
    assert gallery.view.chosen() == [0]
    for digit in (1, 2, 3):
        gallery.press(digit)
    assert session.annotated == {9: "rbc", 4: "wbc", 17: "platelets"}
    gallery.bar.filter.setCurrentIndex(0)
    assert model.rowCount() > 3


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (Calibration(n=9), "too few annotations to say. Annotate at least 6 more"),
        (Calibration(n=14), "at least 1 more cell,"),
        (Calibration("temperature", 20, 0.04, "", ((0.9, 0.86, 20),)), "off by 4 points"),
    ],
)
def test_the_calibration_is_said_or_what_is_missing(calibration, words):
    assert words in calibration_line(calibration)[0]


def test_few_clicks_have_no_diagram_and_enough_have_one(panel, session, classify, qtbot):
    for cell in range(1, 7):
        session.annotate([cell], session.palette.ids[cell % 3])
    classify()
    assert "too few annotations to say" in panel.trust.line.text()
    assert not panel.trust.plot.isEnabled()
    for cell in range(7, 19):
        session.annotate([cell], session.palette.ids[cell % 3])
    classify()
    assert "out of fold on 18 annotations" in panel.trust.line.text()
    panel.trust.plot.click()
    dialog = panel.trust.findChild(ReliabilityDialog)
    line = dialog.figure.axes[0].lines[1]
    curve = session.live.latest.head.calibration.curve
    assert line.get_xydata().tolist() == [[one[0], one[1]] for one in curve]
    assert sum(one[2] for one in curve) == 18


@pytest.fixture
def other_stain(session, classify):
    """Clicks in one image, then another whose embeddings are all moved and stretched."""
    for cell in range(1, 7):
        session.annotate([cell], session.palette.ids[cell % 3])
    classify()
    session.show_image(make_image(5, "another stain"))
    session.set_cells(make_cells(30))
    like = make_embeddings(session.image, session.cells, seed=2)
    session.set_embeddings(replace(like, vectors=1.5 * like.vectors + 6))
    session.accept_shift(measure_shift(session.live.shift_request()))
    return session


def test_another_stain_is_warned_of_and_can_be_taken_away(panel, other_stain):
    assert panel.shift.isVisible()
    assert "looks unlike" in panel.shift.text.text()
    raw = other_stain.embeddings.vectors
    panel.shift.restandardise_button.click()
    assert other_stain.restandardised
    assert not np.allclose(other_stain.embeddings.vectors, raw)
    assert "re-standardised" in panel.shift.text.text()
    assert other_stain.measured.after.score < other_stain.measured.shift.level
    panel.shift.restandardise_button.click()
    assert other_stain.embeddings.vectors is raw
    assert "looks unlike" in panel.shift.text.text()


def test_a_restandardised_slide_stays_so_when_its_cells_are_embedded_again(other_stain):
    raw = other_stain.live._raw
    other_stain.restandardise(moved=True)
    moved = other_stain.embeddings.vectors
    other_stain.set_embeddings(replace(raw, vectors=raw.vectors.copy()))
    np.testing.assert_allclose(other_stain.embeddings.vectors, moved)


def test_the_prediction_says_that_it_was_restandardised(other_stain, classify):
    classify()
    assert not other_stain.prediction.restandardised
    other_stain.restandardise(moved=True)
    classify()
    assert other_stain.prediction.restandardised


def test_an_alike_image_is_not_warned_of(panel, session, classify):
    session.annotate([1, 4], "rbc")
    session.annotate([2, 5], "wbc")
    classify()
    session.show_image(make_image(5, "the next field"))
    session.set_cells(make_cells(30))
    session.set_embeddings(make_embeddings(session.image, session.cells, seed=2))
    session.accept_shift(measure_shift(session.live.shift_request()))
    assert session.measured is not None
    assert not panel.shift.isVisible()


def test_the_first_image_is_held_against_nothing(session, classify):
    session.annotate([1], "rbc")
    classify()
    assert session.live.shift_request() is None
