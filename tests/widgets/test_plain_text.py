"""A name that looks like HTML is shown letter by letter, wherever the dock shows it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QAbstractItemView, QLabel, QMessageBox, QWidget

import napari_hemacells.widgets
from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.store import Project
from napari_hemacells.session import run_classification
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.message_bar import MessageBar
from napari_hemacells.widgets.plain_text import PlainLabel, literal, plain_tip

EVIL = '<a href="http://x.example"><b>RBC</b></a> & co'


@pytest.fixture
def dock(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    dock = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(dock)
    session = dock.session
    session.use_project(Project.create(tmp_path / "<b>folder<b>", EVIL))
    session.show_image(make_image())
    session.set_cells(make_cells(12))
    session.add_class(EVIL)
    evil = session.palette.ids[-1]
    session.active_class = evil
    session.annotate([1], evil)
    session.annotate([2], session.palette.ids[0])
    session.set_embeddings(make_embeddings(session.image, session.cells))
    session.accept(run_classification(session.request()))
    yield dock
    dock.controller.close()


def shown_as_html(text: str) -> bool:
    return bool(Qt.mightBeRichText(text))


def letters(text: str) -> str:
    """What a person reads of a tooltip."""
    if not shown_as_html(text):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


def test_labels_of_the_dock_are_plain_text(dock):
    for step in ("detect", "annotate", "classify", "export"):
        dock.controller.show_step(step)
        for label in dock.findChildren(QLabel):
            if "RBC" in label.text() and label.textFormat() != Qt.TextFormat.PlainText:
                assert "<a href" not in label.text(), label.text()
    dock.controller.canvas.choose(1)
    assert EVIL in dock.pointed_at.text()
    assert dock.pointed_at.textFormat() == Qt.TextFormat.PlainText


def test_tooltips_show_the_letters(dock):
    tips = [widget.toolTip() for widget in dock.findChildren(QWidget)]
    for view in dock.findChildren(QAbstractItemView):
        model = view.model()
        for row in range(model.rowCount()):
            tips += [model.index(row, column).data(Qt.ItemDataRole.ToolTipRole) or ""
                     for column in range(model.columnCount())]  # fmt: skip
    named = [tip for tip in tips if "RBC</b>" in tip or "&lt;b&gt;RBC" in tip]
    assert named
    for tip in named:
        assert EVIL in letters(tip)


def test_a_message_is_plain_text_without_links(qtbot):
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.say(f"Project reopened: {EVIL}", "warning")
    label = bar.findChild(QLabel)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert not label.openExternalLinks()
    assert bar.text == f"Project reopened: {EVIL}"


def test_the_question_before_a_class_is_deleted_shows_the_letters(dock, monkeypatch):
    asked = []

    def question(_parent, _title, text, *_buttons):
        asked.append(text)
        return QMessageBox.StandardButton.Cancel

    monkeypatch.setattr(QMessageBox, "question", question)
    view = dock.annotate.palette_view
    view.table.select_row(view.model.rowCount() - 1)
    view.delete_current()
    assert f"“{EVIL}”" in letters(asked[0])


def test_buttons_show_an_ampersand(dock):
    dock.session.rename_class(dock.session.active_class, "B & <b>T</b>")
    assert dock.annotate.edit_bar.with_class.text().endswith("B && <b>T</b>")


def test_files_that_were_written_are_named_by_their_letters(dock, tmp_path):
    dock.export.show_result(tmp_path, [tmp_path / "<b>x<b>.csv"])
    assert "&lt;b&gt;x" in dock.export.result.text()
    assert "<b>x" not in dock.export.result.text()


def test_helpers():
    assert plain_tip("a\n<b>") == "<qt>a<br>&lt;b&gt;</qt>"
    assert letters(plain_tip(f"{EVIL}\nx")) == f"{EVIL}\nx"
    assert literal("a & b") == "a && b"
    assert np.array_equal(PlainLabel("<b>").text(), "<b>")


def test_every_label_is_plain_or_says_that_it_is_not():
    """``QLabel()`` guesses: labels come from ``plain_text`` instead."""
    folder = Path(napari_hemacells.widgets.__file__).parent
    guessing = [
        f"{file.name}:{node.lineno}"
        for file in folder.rglob("*.py")
        if file.name != "plain_text.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "QLabel"
    ]
    assert guessing == []
