"""What nobody sees is not computed at a click, is right when it is shown, and is computed once."""

from __future__ import annotations

from collections import Counter

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QStackedWidget, QWidget

from made_up import make_embeddings
from napari_hemacells import layers
from napari_hemacells.session import session as session_module
from napari_hemacells.widgets.annotate_panel import AnnotatePanel
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.gallery.embedding_map import EmbeddingMapWidget
from napari_hemacells.widgets.subscriptions import SeenUpdates, is_seen


@pytest.fixture
def pages(qtbot, session) -> QStackedWidget:
    """The panel on the second page; the first one is in front."""
    pages = QStackedWidget()
    pages.addWidget(QLabel("another step"))
    pages.addWidget(AnnotatePanel(session))
    qtbot.addWidget(pages)
    with qtbot.waitExposed(pages):
        pages.show()
    return pages


@pytest.fixture
def counted(session, monkeypatch) -> Counter[str]:
    """How often each table that is derived from the session was made."""
    made: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        make = getattr(owner, name)

        def counting(*given: object, **named: object) -> object:
            made[name] += 1
            return make(*given, **named)

        monkeypatch.setattr(owner, name, counting)

    for name in ("known_classes", "confidences", "colour_codes"):
        count(layers, name)
    count(session, "_count")
    count(session_module, "rank_cells")
    count(session.history.state, "annotations_of_image")
    return made


def test_a_hidden_panel_computes_nothing_at_a_click_and_is_right_when_shown(
    pages, session, classify, counted
):
    panel = pages.widget(1)
    before = panel.progress.text()
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    assert counted["_count"] == 0
    assert panel.progress.text() == before
    pages.setCurrentIndex(1)
    assert panel.progress.text() == "This image: 2 annotated, 28 predicted, 0 unclassified"
    session.annotate([3], "wbc")
    assert panel.progress.text() == "This image: 3 annotated, 27 predicted, 0 unclassified"


def test_counts_of_the_palette_are_made_for_eyes_only(pages, session, counted):
    model = pages.widget(1).palette_view.model
    session.annotate([1, 2], "rbc")
    assert counted["_count"] == 0
    texts = [model.index(0, column).data() for column in range(model.columnCount())]
    assert "2" in texts
    assert counted["_count"] == 1


def test_tables_are_made_once_for_each_change_however_many_ask(session, classify, counted):
    def ask() -> None:
        for _ in range(3):
            session.counts()
            session.queue("sure")
            session.colour_codes("class")
            assert session.known_classes is session.known_classes
            assert session.confidences is session.confidences
            assert session.annotated is session.annotated

    changes = [session.change]
    for cell, class_id in ((1, "rbc"), (2, "wbc")):
        session.annotate([cell], class_id)
        counted.clear()
        ask()
        assert set(counted.values()) == {1}
        assert session.annotated[cell] == class_id
        changes.append(session.change)
    classify()
    counted.clear()
    ask()
    assert counted["_count"] == counted["known_classes"] == counted["colour_codes"] == 1
    assert counted["rank_cells"] == counted["confidences"] == 1
    changes.append(session.change)
    assert changes == sorted(set(changes))


def test_no_table_outlives_what_it_was_made_of(session, classify):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    tables = [session.annotated, session.counts(), session.known_classes]
    assert session.undo()
    assert session.annotated == {1: "rbc"}
    assert session.counts()["wbc"][0] == 0
    assert session.redo()
    assert [session.annotated, session.counts(), session.known_classes] == tables
    session.clear_prediction()
    assert session.known_classes[2] is None
    session.recolour_class("rbc", "#123456")
    assert layers.rgba("#123456", 0.95) in session.colour_codes("class").table.values()
    session.delete_cells([1])
    assert session.annotated == {2: "wbc"}
    assert len(session.known_classes) == len(session.cells)


@pytest.fixture
def tabs(qtbot, session):
    """The map of the cells in a dock behind another one."""
    session.set_embeddings(make_embeddings(session.image, session.cells))
    window, jobs = QMainWindow(), JobRunner()
    cell_map = EmbeddingMapWidget(session, jobs)
    docks = []
    for name, inner in (("front", QLabel("front")), ("map", cell_map)):
        dock = QDockWidget(name)
        dock.setWidget(inner)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        docks.append(dock)
    window.tabifyDockWidget(docks[0], docks[1])
    docks[0].raise_()
    qtbot.addWidget(window)
    window.resize(600, 600)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.waitUntil(lambda: not is_seen(cell_map))
    yield docks, cell_map
    jobs.close()


def test_a_dock_behind_another_is_not_drawn_until_its_tab_is_in_front(
    qtbot, tabs, session, monkeypatch
):
    docks, cell_map = tabs
    drawn: list[int] = []
    colour = cell_map.canvas.colour

    def note(colours, annotated) -> None:
        drawn.append(int(annotated.sum()))
        colour(colours, annotated)

    monkeypatch.setattr(cell_map.canvas, "colour", note)
    assert cell_map.isVisible()  # which is why that is not asked
    session.annotate([1, 2], "rbc")
    qtbot.wait(400)
    assert drawn == []
    docks[1].raise_()
    qtbot.waitUntil(lambda: bool(drawn))
    assert drawn[-1] == 2


class Slow(QWidget):
    """Counts its updates."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.seen = SeenUpdates(self, self.refresh)

    def refresh(self) -> None:
        self.updates += 1


def test_many_changes_of_what_is_hidden_are_one_update(qtbot):
    widget = Slow()
    qtbot.addWidget(widget)
    for _ in range(5):
        widget.seen.ask()
    assert widget.updates == 0
    with qtbot.waitExposed(widget):
        widget.show()
    assert widget.updates == 1
    widget.seen.ask()
    assert widget.updates == 2
