"""Odd class names and many classes: the window keeps its size; a refusal is forgotten."""

from __future__ import annotations

import pytest

from napari_hemacells.widgets.detect.edit_bar import EditBar, EditState
from napari_hemacells.widgets.gallery.embedding_map import EmbeddingMapWidget
from napari_hemacells.widgets.message_bar import MessageBar, Notifier

LONG = "segmented neutrophil " * 20


@pytest.fixture
def cell_map(session, qtbot):
    from napari_hemacells.widgets.background.workers import JobRunner

    jobs = JobRunner()
    widget = EmbeddingMapWidget(session, jobs)
    qtbot.addWidget(widget)
    yield widget
    jobs.close()


def test_a_long_name_does_not_widen_the_bar_and_is_told_whole_in_its_tip(qtbot):
    bar = EditBar()
    qtbot.addWidget(bar)
    bar.show_state(EditState(True, "", 0, False, LONG, "", False))
    assert bar.minimumSizeHint().width() < 420
    assert LONG.strip() in bar.with_class.toolTip()


def test_a_long_name_does_not_widen_the_map(session, cell_map, qtbot):
    session.add_class(LONG)
    cell_map.resize(400, 300)
    cell_map.show()
    qtbot.waitExposed(cell_map)
    assert cell_map.minimumSizeHint().width() < 420
    buttons = [cell_map.classes.itemAt(n).widget() for n in range(cell_map.classes.count())]
    assert max(button.sizeHint().width() for button in buttons) < 300


def test_two_hundred_classes_leave_room_for_the_map(session, cell_map, qtbot):
    for number in range(200):
        session.add_class(f"Type {number}")
    cell_map.resize(400, 300)
    cell_map.show()
    qtbot.waitExposed(cell_map)
    assert cell_map.minimumSizeHint().height() < 300
    assert cell_map.canvas.height() > 100
    assert cell_map.classes.count() == len(session.palette.classes)


@pytest.mark.parametrize(
    "name", ["blast\ncell", "blast\r\n cell", "blast\tcell", " blast   cell "]
)
def test_a_pasted_name_is_one_line(session, name):
    added = session.add_class(name)
    assert session.palette.by_id(added).name == "blast cell"
    session.rename_class(added, f"{name}\nagain")
    assert session.palette.by_id(added).name == "blast cell again"


def test_a_refusal_goes_with_the_next_step_and_another_message_stays(qtbot):
    bar = MessageBar()
    qtbot.addWidget(bar)
    voice = Notifier(bar)
    voice.refuse("There is already a class “rbc”: choose another.")
    assert bar.level == "warning"
    voice.forget_refusal()
    assert (bar.text, bar.level) == ("", "info")
    voice.refuse("There is already a class “rbc”: choose another.")
    voice.say("Written into export.")
    voice.forget_refusal()
    assert bar.text == "Written into export."
