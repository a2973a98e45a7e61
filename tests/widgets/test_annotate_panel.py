"""The annotate panel: hints of the first steps, progress, what its buttons ask for."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from napari_hemacells.widgets.annotate_panel import AnnotatePanel


@pytest.fixture
def panel(qtbot, session):
    panel = AnnotatePanel(session)
    qtbot.addWidget(panel)
    with qtbot.waitExposed(panel):
        panel.show()
    return panel


def test_hints_lead_through_the_first_clicks(panel, session, classify):
    assert panel.hint.text() == "Click a cell to give it the class RBC."
    session.active_class = "wbc"
    assert panel.hint.text() == "Click a cell to give it the class WBC."
    session.annotate([1], "wbc")
    assert "two classes" in panel.hint.text()
    assert "RBC or Platelets" in panel.hint.text()
    session.annotate([2], "rbc")
    assert panel.hint.text() == ""
    assert panel.hint.isHidden()


def test_hints_before_there_is_anything_to_click(qtbot, empty_session):
    panel = AnnotatePanel(empty_session)
    qtbot.addWidget(panel)
    assert "image" in panel.hint.text()
    assert panel.progress.isHidden()
    assert not panel.next_button.isEnabled()
    assert not panel.undo_button.isEnabled()


def test_progress_counts_every_cell_once(panel, session, classify):
    assert panel.progress.text() == "0 annotated, 0 predicted, 30 unclassified"
    session.annotate([1, 2], "rbc")
    assert panel.progress.text() == "2 annotated, 0 predicted, 28 unclassified"
    session.annotate([3], "wbc")
    classify()
    assert panel.progress.text() == "3 annotated, 27 predicted, 0 unclassified"
    assert sum(count for count, _, _ in panel.share_bar.parts) == panel.share_bar.total == 30


def test_next_tells_how_many_wait(panel, session):
    session.annotate(range(1, 30), "rbc")
    assert panel.next_button.text().endswith("(1)")
    assert panel.next_button.isEnabled()
    session.annotate([30], "rbc")
    assert not panel.next_button.isEnabled()
    assert panel.next_button.toolTip()


def test_undo_and_redo_follow_the_history(panel, session):
    states = []
    for change in (lambda: session.annotate([1], "rbc"), session.undo, session.redo):
        change()
        states.append((panel.undo_button.isEnabled(), panel.redo_button.isEnabled()))
    assert states == [(True, False), (False, True), (True, False)]


@pytest.mark.parametrize("wish", ["undo", "redo", "next", "previous"])
def test_buttons_ask(qtbot, panel, session, wish):
    session.annotate([1], "rbc")
    session.annotate([2], "rbc")
    session.undo()
    before = session.annotated
    with qtbot.waitSignal(getattr(panel, f"{wish}_requested")):
        getattr(panel, f"{wish}_button").click()
    assert session.annotated == before


def test_refusals_of_the_palette_are_passed_on(qtbot, panel):
    with qtbot.waitSignal(panel.refused) as heard:
        panel.palette_view.model.setData(panel.palette_view.model.index(0, 1), "WBC")
    assert "already a class" in heard.args[0]


def test_it_fits_a_narrow_dock(qtbot, panel):
    panel.resize(340, 600)
    panel.show()
    assert panel.minimumSizeHint().width() <= 340


def test_nothing_is_left_of_a_closed_panel(qtbot, session):
    panel = AnnotatePanel(session)
    watched = ref(panel)
    panel.deleteLater()
    del panel
    qtbot.waitUntil(lambda: gc.collect() >= 0 and watched() is None, timeout=2000)
    session.annotate([1], "rbc")


def test_a_deleted_panel_hears_nothing_more(qtbot, session):
    panel = AnnotatePanel(session)
    with qtbot.waitSignal(panel.destroyed):
        panel.deleteLater()
    session.annotate([1], "rbc")
    session.undo()
