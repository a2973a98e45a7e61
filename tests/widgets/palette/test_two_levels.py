"""Classes within others in the palette: shown below, set by the menu or by dragging."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, QMimeData, QPointF, Qt
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from napari_hemacells.widgets.palette.model import ANNOTATED, NAME, PREDICTED, WITHIN_ROLE
from napari_hemacells.widgets.palette.view import INDENT, PaletteView


@pytest.fixture
def view(qtbot, session):
    view = PaletteView(session)
    qtbot.addWidget(view)
    view.show()
    return view


@pytest.fixture
def family(session):
    """White cells of two classes; the ids of these."""
    ids = [session.add_class(name, parent="wbc") for name in ("healthy", "abnormal")]
    session.active_class = "rbc"
    return ids


def column(view, number):
    return [view.model.index(row, number).data() for row in range(view.model.rowCount())]


def drop(view, moved, onto):
    """Let go of a dragged row over another one; below all of them for -1."""
    view.table.select_row(moved)
    table = view.table
    place = table.visualRect(view.model.index(onto, NAME)).center() if onto >= 0 else None
    y = 10_000.0 if place is None else float(place.y())

    class Dropped(QDropEvent):
        def source(self):
            return table

    event = Dropped(
        QPointF(40.0, y), Qt.DropAction.CopyAction, QMimeData(), Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier, QEvent.Type.Drop,
    )  # fmt: skip
    table.dropEvent(event)


def test_classes_within_another_stand_below_it_with_their_own_names(view, session, family):
    assert column(view, NAME) == ["RBC", "WBC", "healthy", "abnormal", "Platelets"]
    within = [view.model.index(row, NAME).data(WITHIN_ROLE) for row in range(5)]
    assert within == [False, False, True, True, False]
    session.add_class("abnormal", parent="platelets")
    assert column(view, NAME)[-1] == "abnormal"
    assert session.palette.by_id(family[1]).name == "WBC ▸ abnormal"


def test_a_kind_counts_what_is_within_it(view, session, family, classify):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    session.annotate([5], family[0])
    session.annotate([8], family[1])
    assert column(view, ANNOTATED) == ["1", "3", "1", "1", "0"]
    classify()
    predicted = [int(text) for text in column(view, PREDICTED)]
    assert predicted[1] >= predicted[2] + predicted[3]
    assert predicted[0] + predicted[1] + predicted[4] == 26


def test_the_menu_puts_a_class_within_another_and_back(view, session):
    view.table.select_row(2)
    menu = view.within_menu()
    assert [action.text() for action in menu.actions()] == ["No other class", "RBC", "WBC"]
    assert menu.actions()[0].isChecked()
    menu.actions()[2].trigger()
    assert session.palette.by_id("platelets").parent == "wbc"
    view.table.select_row(view.model.row_of("platelets"))
    view.within_menu().actions()[0].trigger()
    assert session.palette.by_id("platelets").parent is None
    session.undo()
    assert session.palette.by_id("platelets").parent == "wbc"


def test_a_class_with_others_within_it_stays_above(view, family):
    view.table.select_row(1)
    enabled = [action.isEnabled() for action in view.within_menu().actions()]
    assert enabled == [True, False, False]


def test_a_row_dragged_onto_another_is_within_it(view, session, family):
    drop(view, moved=4, onto=0)
    assert session.palette.by_id("platelets").parent == "rbc"
    drop(view, moved=view.model.row_of("platelets"), onto=view.model.row_of(family[1]))
    assert session.palette.by_id("platelets").parent == "wbc"  # beside the one it was dropped on
    drop(view, moved=view.model.row_of("platelets"), onto=-1)
    assert session.palette.by_id("platelets").parent is None
    drop(view, moved=0, onto=0)
    assert session.palette.by_id("rbc").parent is None


def test_what_cannot_be_within_is_refused_in_a_sentence(view, session, family):
    heard = []
    view.refused.connect(heard.append)
    before = session.palette
    drop(view, moved=1, onto=0)
    assert session.palette == before
    assert "two levels" in heard[0]


def test_a_class_is_added_inside_the_current_one(qtbot, view, session):
    view.table.select_row(1)
    view.table.menu_requested.emit(view.mapToGlobal(view.rect().topLeft()))
    menu = QApplication.activePopupWidget()
    next(action for action in menu.actions() if "inside" in action.text()).trigger()
    menu.close()
    assert "within WBC" in view.name_edit.placeholderText()
    qtbot.keyClicks(view.name_edit, "abnormal")
    qtbot.keyClick(view.name_edit, Qt.Key.Key_Return)
    assert session.palette.by_name("abnormal").parent == "wbc"
    view.add_button.click()
    assert "new class" in view.name_edit.placeholderText()


def test_the_editor_of_a_name_stands_where_the_name_is(qtbot, view, session, family):
    view.table.select_row(2)
    view.table.rename_current()
    editor = view.table.findChild(QLineEdit)
    left = view.table.visualRect(view.model.index(2, NAME)).left()
    assert editor.geometry().left() == left + INDENT
    qtbot.keyClicks(editor, "resting")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.palette.by_id(family[0]).name == "resting", timeout=30_000)


def test_classes_are_saved_as_a_table_and_read_again(view, session, family, monkeypatch, tmp_path):
    file = str(tmp_path / "classes.csv")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (file, ""))
    view.ask_where_to_save()
    before = session.palette
    session.set_class_parent(family[0], None)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (file, ""))
    view.ask_table()
    assert session.palette.parents == before.parents
    heard = []
    view.refused.connect(heard.append)
    (tmp_path / "classes.csv").write_text("a,b\n1,2\n")
    view.ask_table()
    assert "needs the column class" in heard[0]
