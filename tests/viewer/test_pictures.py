"""A folder of cell pictures in a real viewer: opened, labelled by key and by drag, reopened."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QDrag, QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from made_up import INFO
from made_up_pictures import KINDS, write_pictures
from napari_hemacells.core.types import CropSpec, Embeddings, Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

pytestmark = pytest.mark.viewer

WAIT = 60_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of 60 pictures of three kinds, which a file dialog gives."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "analyser"
    write_pictures(folder, 20)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(folder))
    return folder


@pytest.fixture
def by_colour(monkeypatch):
    """A stand-in for the network: the mean colour of a picture, in as many numbers as it has."""
    from napari_hemacells.core.encode import Device

    def embed(image, cells, *_settings, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        crops = image.sheet.crops(cells.ids.tolist(), CropSpec())
        means = crops.reshape(len(crops), -1, 3).mean(axis=1) / 255
        vectors = np.tile(means, (1, INFO.dim))[:, : INFO.dim].astype(np.float32)
        return Embeddings(cells.ids, vectors, INFO, CropSpec(), image.key), Device(
            "cpu", "A test."
        )

    monkeypatch.setattr(tasks, "embedding_steps", embed)


@pytest.fixture
def open_dock(make_napari_viewer_proxy, qtbot):
    """Docks in viewers of their own, closed in the end."""
    docks = []

    def open_it():
        viewer = make_napari_viewer_proxy(show=True)
        _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
        assert isinstance(dock, HemaCellsWidget)
        docks.append(dock)
        return dock

    yield open_it
    for dock in docks:
        dock.controller.close()


def open_folder(dock, qtbot):
    dock.detect.folder_button.click()
    qtbot.waitUntil(lambda: dock.session.embeddings is not None, timeout=WAIT)


def test_a_folder_is_labelled_and_found_again(open_dock, qtbot, monkeypatch, folder, by_colour):
    dock = open_dock()
    open_folder(dock, qtbot)
    session, names = dock.session, dock.session.cells.table["file"].tolist()
    assert len(session.cells) == 60
    assert not dock.detect.button.isVisible()
    assert "60 pictures" in dock.pictures.text.text()
    label_by_keys(dock, qtbot, names)
    drag_into_a_bin(dock, qtbot, monkeypatch, names)
    known, place = dict(session.annotated), session.project.folder
    assert len(known) == 3
    dock.controller.close()

    again = open_dock()
    open_folder(again, qtbot)
    assert again.session.annotated == known
    assert again.session.project.folder == place


def label_by_keys(dock, qtbot, names):
    """Arrows and keys in the gallery, as a hand does it; one step is taken back."""
    session, view = dock.session, dock.gallery.view
    dock.controller.show_step("annotate")
    qtbot.waitUntil(lambda: dock.gallery.model.rowCount() == 60, timeout=WAIT)
    keys = {}
    for cell_class, kind in zip(session.palette.classes[:3], KINDS, strict=True):
        session.rename_class(cell_class.id, kind)
        keys[kind] = cell_class
    view.setFocus()
    view.choose(0)
    QTest.keyClick(view, Qt.Key.Key_Right)
    row = view.currentIndex().row()
    assert row == 1
    first = dock.gallery.model.cell_at(row)
    kind = names[first - 1].split("_")[0]
    QTest.keyClick(view, str(keys[kind].key))
    assert session.annotated == {first: keys[kind].id}
    second = dock.gallery.model.cell_at(view.currentIndex().row())
    assert second != first
    QTest.keyClick(view, "9" if session.palette.by_key(9) else str(keys[kind].key))
    assert len(session.annotated) == 2
    QTest.keyClick(dock, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.annotated == {first: keys[kind].id}
    other = next(name for name in KINDS if name != kind)
    cell = names.index(f"{other}_007.png") + 1
    dock.gallery.select_cell(cell)
    QTest.keyClick(view, str(keys[other].key))
    assert session.annotated[cell] == keys[other].id
    qtbot.waitUntil(lambda: session.prediction is not None, timeout=WAIT)


def drag_into_a_bin(dock, qtbot, monkeypatch, names):
    """A picture is pressed, moved and let go over the bin of another class."""
    session = dock.session
    dock.controller.show_light_table()
    table = dock.light_table
    qtbot.waitUntil(lambda: bool(table.bins) and table.isVisible(), timeout=WAIT)
    missing = next(kind for kind in KINDS if kind not in {
        session.palette.by_id(class_id).name for class_id in session.annotated.values()
    })  # fmt: skip
    table.sort()
    target = table.bins[session.palette.by_name(missing).id].view
    source = next(
        class_bin.view for class_id, class_bin in table.bins.items()
        if any(missing in names[cell - 1] for cell in cells_of(class_bin))
    )  # fmt: skip
    row = next(
        row for row in range(source.queue.rowCount())
        if missing in names[source.queue.cell_at(row) - 1]
    )  # fmt: skip
    dragged = source.queue.cell_at(row)

    def deliver(drag, *_actions):
        """What the window system does: the drag enters the bin and is let go there."""
        where, copy = target.viewport().rect().center(), Qt.DropAction.CopyAction
        held, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(where, copy, drag.mimeData(), held, none)
        QApplication.sendEvent(target.viewport(), enter)
        assert enter.isAccepted()
        QApplication.sendEvent(
            target.viewport(), QDropEvent(QPointF(where), copy, drag.mimeData(), held, none)
        )
        return copy

    monkeypatch.setattr(QDrag, "exec", deliver)
    source.choose(row)
    at = source.visualRect(source.queue.index(row)).center()
    QTest.mousePress(source.viewport(), Qt.MouseButton.LeftButton, pos=at)
    for step in (4, 12, 24):
        QTest.mouseMove(source.viewport(), at + QPoint(step, step))
        qtbot.wait(20)
    QTest.mouseRelease(source.viewport(), Qt.MouseButton.LeftButton, pos=at + QPoint(24, 24))
    assert session.annotated[dragged] == session.palette.by_name(missing).id


def cells_of(class_bin):
    queue = class_bin.view.queue
    return [queue.cell_at(row) for row in range(queue.rowCount())]
