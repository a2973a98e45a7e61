"""The class palette: what it shows, and what mouse and keys do to the session."""

from __future__ import annotations

import gc
from weakref import ref

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QColorDialog, QLineEdit, QMessageBox, QWidget

from napari_hemacells.widgets.palette.model import (
    ACTIVE_ROLE,
    ANNOTATED,
    COLOUR,
    COLOUR_ROLE,
    KEY,
    NAME,
    PREDICTED,
)
from napari_hemacells.widgets.palette.view import PaletteView

Key = Qt.Key


@pytest.fixture
def view(qtbot, session):
    view = PaletteView(session)
    qtbot.addWidget(view)
    view.show()
    return view


@pytest.fixture
def refusals(view):
    heard: list[str] = []
    view.refused.connect(heard.append)
    return heard


def column(view: PaletteView, number: int) -> list[str]:
    model = view.model
    return [model.index(row, number).data() for row in range(model.rowCount())]


def names(session) -> list[str]:
    return [one.name for one in session.palette]


def press(qtbot, view: PaletteView, key: Qt.Key) -> None:
    qtbot.keyClick(view.table, key)


def click(qtbot, view: PaletteView, row: int, number: int) -> None:
    where = view.table.visualRect(view.model.index(row, number)).center()
    qtbot.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def active_rows(view: PaletteView) -> list[bool]:
    return [view.model.index(row, NAME).data(ACTIVE_ROLE) for row in range(view.model.rowCount())]


def test_rows_show_classes_and_live_counts(view, session, classify):
    assert column(view, NAME) == ["RBC", "WBC", "Platelets"]
    assert column(view, KEY) == ["1", "2", "3"]
    session.annotate([1, 4], "rbc")
    session.annotate([2], "wbc")
    assert column(view, ANNOTATED) == ["2", "1", "0"]
    assert column(view, PREDICTED) == ["0", "0", "0"]
    classify()
    expected = session.counts()
    assert column(view, PREDICTED) == [
        str(expected[one][1]) for one in ("rbc", "wbc", "platelets")
    ]
    assert sum(map(int, column(view, PREDICTED))) == 27


def test_a_name_is_edited_in_place(qtbot, view, session):
    view.table.select_row(1)
    press(qtbot, view, Key.Key_F2)
    editor = view.table.findChild(QLineEdit)
    qtbot.keyClicks(editor, "Leuko")
    session.annotate([1], "wbc")  # new counts come in while one types
    qtbot.keyClicks(editor, "cyte")
    qtbot.keyClick(editor, Key.Key_Return)  # Qt commits when it is back in its loop
    qtbot.waitUntil(lambda: names(session) == ["RBC", "Leukocyte", "Platelets"])
    assert session.active_class == "rbc"
    assert column(view, NAME) == names(session)


def test_a_name_that_is_taken_is_refused(view, session, refusals):
    assert not view.model.setData(view.model.index(1, NAME), "rbc")
    assert names(session) == ["RBC", "WBC", "Platelets"]
    assert "already a class" in refusals[0]


def test_add_by_keyboard(qtbot, view, session, refusals):
    press(qtbot, view, Key.Key_Insert)
    assert view.name_edit.isVisible()
    qtbot.keyClicks(view.name_edit, "wbc")
    qtbot.keyClick(view.name_edit, Key.Key_Return)
    assert len(refusals) == 1
    assert view.name_edit.isVisible()
    qtbot.keyClicks(view.name_edit, "Lymphocyte")
    qtbot.keyClick(view.name_edit, Key.Key_Return)
    assert not view.name_edit.isVisible()
    assert names(session)[-1] == "Lymphocyte"
    assert active_rows(view) == [False, False, False, True]
    assert view.table.current_class().name == "Lymphocyte"


def test_escape_adds_nothing(qtbot, view, session):
    view.add_button.click()
    qtbot.keyClicks(view.name_edit, "Lymph")
    qtbot.keyClick(view.name_edit, Key.Key_Escape)
    assert not view.name_edit.isVisible()
    assert len(session.palette) == 3


def test_arrows_move_and_enter_activates(qtbot, view, session):
    press(qtbot, view, Key.Key_Down)
    press(qtbot, view, Key.Key_Down)
    assert session.active_class == "rbc"
    press(qtbot, view, Key.Key_Return)
    assert session.active_class == "platelets"
    assert active_rows(view) == [False, False, True]


def test_a_click_on_a_name_activates(qtbot, view, session):
    click(qtbot, view, 1, NAME)
    assert session.active_class == "wbc"


def test_the_session_decides_what_is_active(view, session):
    session.active_class = "wbc"
    assert active_rows(view) == [False, True, False]
    assert view.table.current_class().id == "wbc"


def test_a_click_on_the_swatch_changes_the_colour(qtbot, view, session, monkeypatch):
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#123456"))
    click(qtbot, view, 2, COLOUR)
    assert session.palette.by_id("platelets").colour == "#123456"
    assert view.model.index(2, COLOUR).data(COLOUR_ROLE) == QColor("#123456")


def test_a_cancelled_colour_changes_nothing(view, session, monkeypatch):
    before = session.palette
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor())
    view.ask_colour()
    assert session.palette is before


def test_the_key_menu_names_the_present_holders(view, session):
    view.table.select_row(0)
    actions = view.key_menu().actions()
    assert [action.isChecked() for action in actions] == [True] + [False] * 9
    assert "WBC" in actions[1].text()
    actions[1].trigger()
    assert session.palette.by_id("rbc").key == 2
    assert column(view, KEY) == ["2", "–", "3"]


def test_a_class_without_annotations_goes_without_a_question(qtbot, view, session, monkeypatch):
    monkeypatch.setattr(QMessageBox, "question", lambda *_: pytest.fail("asked"))
    view.table.select_row(1)
    press(qtbot, view, Key.Key_Delete)
    assert names(session) == ["RBC", "Platelets"]


def test_a_class_with_annotations_goes_after_a_question(qtbot, view, session, monkeypatch):
    session.annotate([1, 2, 3], "wbc")
    asked: list[str] = []
    answers = iter([QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes])

    def question(_parent, _title, text, *_buttons):
        asked.append(text)
        return next(answers)

    monkeypatch.setattr(QMessageBox, "question", question)
    view.table.select_row(1)
    press(qtbot, view, Key.Key_Delete)
    assert len(session.palette) == 3
    press(qtbot, view, Key.Key_Delete)
    assert "3 annotations" in asked[1]
    assert "Undo" in asked[1]
    assert (names(session), session.annotated) == (["RBC", "Platelets"], {})
    session.undo()
    assert column(view, ANNOTATED) == ["0", "3", "0"]


def test_digits_and_letters_are_left_to_the_dock(qtbot, session):
    class Dock(QWidget):
        def __init__(self):
            super().__init__()
            self.heard = ""

        def keyPressEvent(self, event):
            self.heard += event.text()

    dock = Dock()
    qtbot.addWidget(dock)
    view = PaletteView(session, dock)
    qtbot.keyClicks(view.table, "3n")
    assert dock.heard == "3n"
    assert view.table.current_class().id == "rbc"


def test_without_a_project_nothing_can_be_changed(qtbot, empty_session):
    view = PaletteView(empty_session)
    qtbot.addWidget(view)
    assert view.model.rowCount() == 0
    assert not view.add_button.isEnabled()
    assert not view.delete_button.isEnabled()
    assert view.table.current_class() is None


def test_the_row_menu_offers_everything_to_the_keyboard(qtbot, view):
    view.table.menu_requested.emit(QPoint(0, 0))
    menu = QApplication.activePopupWidget()
    texts = [action.text().split("\t")[0] for action in menu.actions() if action.text()]
    assert texts[:6] == [
        "&Rename",
        "&Colour…",
        "&Key",
        "&Within",
        "Add a class &inside…",
        "&Delete",
    ]
    assert [text for text in texts if "table" in text] == texts[6:]
    menu.close()


def test_nothing_is_left_of_a_closed_palette(qtbot, session):
    view = PaletteView(session)
    watched = ref(view), ref(view.model)
    view.deleteLater()
    del view
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(one() for one in watched), timeout=2000)
    session.annotate([1], "rbc")
    session.add_class("Lymphocyte")


def test_a_deleted_palette_hears_nothing_more(qtbot, session):
    view = PaletteView(session)
    with qtbot.waitSignal(view.destroyed):
        view.deleteLater()
    session.annotate([1], "rbc")  # would raise in a slot on the deleted object
    session.add_class("Lymphocyte")
    session.active_class = "wbc"
