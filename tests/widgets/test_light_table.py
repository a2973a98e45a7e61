"""The light table: what lies in which bin, and what a drop, a key and an undo do."""

from __future__ import annotations

import json

import pytest
from qtpy.QtCore import QByteArray, QMimeData, QPointF, Qt
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.widgets.gallery.model import MIME_TYPE, cells_mime, cells_of_mime
from napari_hemacells.widgets.light_table import sorting
from napari_hemacells.widgets.light_table.sorting import sort_into_bins
from napari_hemacells.widgets.light_table.widget import LightTableWidget


@pytest.fixture
def table(qtbot, session):
    widget = LightTableWidget(session)
    qtbot.addWidget(widget)
    widget.resize(900, 300)
    widget.show()
    qtbot.waitExposed(widget)
    widget.sort()
    return widget


@pytest.fixture
def classes(session):
    """Ids of the first three classes."""
    return session.palette.ids[:3]


def shown(table, class_id):
    queue = table.bins[class_id].view.queue
    return [queue.cell_at(row) for row in range(queue.rowCount())]


def drop(view, mime) -> bool:
    """Drop on the middle of a bin; return whether it was taken."""
    where = QPointF(view.viewport().rect().center())
    event = QDropEvent(
        where, Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    event.ignore()
    view.dropEvent(event)
    return event.isAccepted()


def test_before_any_class_all_are_unsorted(table, session):
    assert sorted(shown(table, None)) == session.cells.ids.tolist()
    assert all(not shown(table, class_id) for class_id in session.palette.ids)


def test_dropped_pictures_get_the_class_in_one_step(table, session, classes):
    view = table.bins[classes[0]].view
    assert drop(view, cells_mime(session, [3, 6]))
    assert session.annotated == {3: classes[0], 6: classes[0]}
    table.sort()
    assert set(shown(table, classes[0])) == {3, 6}
    session.undo()
    table.sort()
    assert session.annotated == {}
    assert 3 in shown(table, None)


def test_a_drop_on_unsorted_removes_the_class(table, session, classes):
    session.annotate([3], classes[0])
    table.sort()
    assert drop(table.bins[None].view, cells_mime(session, [3, 4]))
    assert session.annotated == {}


def test_cells_of_another_image_are_not_taken(table, session, classes):
    mime = QMimeData()
    text = json.dumps({"image": "another", "cells": [3]})
    mime.setData(MIME_TYPE, QByteArray(text.encode()))
    assert not drop(table.bins[classes[0]].view, mime)
    assert not drop(table.bins[classes[0]].view, QMimeData())
    assert session.annotated == {}
    assert cells_of_mime(session, cells_mime(session, [5])) == [5]


def test_keys_sort_the_chosen_pictures(table, session, classes):
    view = table.bins[None].view
    view.choose_rows([0, 2])
    wanted = view.chosen_cells()
    QTest.keyClick(view, Qt.Key.Key_2)
    assert session.annotated == dict.fromkeys(wanted, classes[1])
    table.sort()
    annotated = table.bins[classes[1]].view
    annotated.choose(0)
    QTest.keyClick(annotated, Qt.Key.Key_0)
    assert len(session.annotated) == 1


def test_everything_else_sorts_itself(table, session, classes, classify):
    for cell, class_id in ((3, classes[0]), (4, classes[1]), (5, classes[2])):
        session.annotate([cell], class_id)
    classify()
    table.sort()
    known = dict(zip(session.cells.ids.tolist(), session.known_classes, strict=True))
    for class_id in classes:
        own = {cell for cell, shown_class in known.items() if shown_class == class_id}
        assert set(shown(table, class_id)) == own
        assert shown(table, class_id)[0] in {3, 4, 5}  # the annotated one first
    unknown = {cell for cell, shown_class in known.items() if shown_class == UNKNOWN}
    assert set(shown(table, UNKNOWN)) == unknown


def test_the_order_of_predicted_pictures_can_be_turned(session, classes, classify):
    session.annotate([3], classes[0])
    session.annotate([4], classes[1])
    classify()
    sure = dict(zip(session.cells.ids.tolist(), session.confidences.tolist(), strict=True))
    for least_certain in (False, True):
        bins = sort_into_bins(session, least_certain=least_certain)
        for class_id in classes[:2]:
            values = [sure[cell] for cell in bins[class_id].cells[bins[class_id].annotated :]]
            assert values == sorted(values, reverse=not least_certain)


def test_a_full_bin_shows_some_and_counts_all(session, classes, monkeypatch):
    monkeypatch.setattr(sorting, "SHOWN", 5)
    monkeypatch.setattr(sorting, "RECENT", 2)
    session.annotate(range(1, 11), classes[0])
    content = sort_into_bins(session)
    assert content[classes[0]].annotated == 10
    assert len(content[classes[0]].cells) == 2
    assert content[None].predicted == 20
    assert len(content[None].cells) == 5


def test_a_class_can_be_added_on_the_table(table, session):
    table.new_class.setText("blast")
    QTest.keyClick(table.new_class, Qt.Key.Key_Return)
    added = session.palette.by_name("blast").id
    table.sort()
    assert added in table.bins
    assert table.new_class.text() == ""


def test_a_key_without_a_class_says_so(table, session, qtbot):
    view = table.bins[None].view
    view.choose(0)
    with qtbot.waitSignal(table.refused) as said:
        QTest.keyClick(view, Qt.Key.Key_9)
    assert "key 9" in said.args[0]


def test_nothing_moves_while_pictures_are_in_the_hand(table, session, classes):
    before = shown(table, None)
    table.bins[None].view.dragging = True
    session.annotate([3], classes[0])
    table.sort()
    assert shown(table, None) == before
    table.bins[None].view.dragging = False
    table.sort()
    assert 3 not in shown(table, None)
