"""Compare, More like this and Odd ones in a real viewer, by real mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import gallery_hands as hands
from made_up import make_embeddings
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.encode import Device, EmbeddingCache
from napari_hemacells.core.image import read_image
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.project_images import select_image

pytestmark = pytest.mark.viewer

SHIFT, NONE = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
PATIENCE = 60_000


def labelled(count: int) -> np.ndarray:
    """Discs in rows of eight; the kind of a made-up cell is its id modulo three."""
    labels = np.zeros((240, 320), np.int32)
    rows, cols = np.mgrid[:240, :320]
    for cell in range(count):
        row, col = 20 + 40 * (cell // 8), 20 + 40 * (cell % 8)
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= 144] = cell + 1
    return labels


def place(cell: int) -> tuple[int, int]:
    return 20 + 40 * ((cell - 1) // 8), 20 + 40 * ((cell - 1) % 8)


def field(folder, name: str, count: int, seed: int):
    labels = labelled(count)
    noise = np.random.default_rng(seed).integers(0, 20, (*labels.shape, 3))
    pixels = np.where(labels[..., None] > 0, 120, 220) + noise
    tifffile.imwrite(folder / name, pixels.astype(np.uint8), photometric="rgb")
    return read_image(folder / name), labels


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def embed(image, cells, *_settings, folder=None, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        made = make_embeddings(image, cells)
        EmbeddingCache(folder).save(image.key, made.encoder, made.spec, cells.boxes, made.vectors)
        return made, Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "embedding_steps", embed)
    viewer = make_napari_viewer_proxy(show=True)
    widget = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="HemaCells", area="right")
    session = widget.session
    for number, count in enumerate((12, 30)):
        image, labels = field(tmp_path, f"field {number}.tif", count, seed=number)
        select_image(session, widget.controller.bridge, image)
        session.set_cells(cells_from_labels(labels, labels.shape))
        qtbot.waitUntil(
            lambda key=image.key: (
                session.embeddings is not None and session.embeddings.image_key == key
            ),
            timeout=PATIENCE,
        )
    widget.controller.show_step("annotate")
    viewer.reset_view()
    viewer.layers.selection.active = widget.controller.bridge.cells_layer
    qtbot.wait(300)
    yield widget
    widget.controller.close()


class Mouse:
    """The mouse and keys on the canvas of the dock's viewer."""

    def __init__(self, dock):
        self._viewer = dock.controller.bridge.viewer
        self.native = self._viewer.window._qt_viewer.canvas.native

    def at(self, cell: int) -> QPoint:
        camera = getattr(self._viewer, "scene", self._viewer).camera
        down, right = (np.array(place(cell)) - np.asarray(camera.center[-2:])) * camera.zoom
        return QPoint(
            round(self.native.width() / 2 + right), round(self.native.height() / 2 + down)
        )

    def point(self, cell: int) -> None:
        where = QPointF(self.at(cell))
        QApplication.sendEvent(
            self.native,
            QMouseEvent(
                QEvent.Type.MouseMove, where, self.native.mapToGlobal(where),
                Qt.MouseButton.NoButton, Qt.MouseButton.NoButton, NONE,
            ),
        )  # fmt: skip
        QTest.qWait(30)

    def click(self, cell: int, keys=NONE) -> None:
        self.native.setFocus()
        self.point(cell)
        QTest.mouseClick(self.native, Qt.MouseButton.LeftButton, keys, self.at(cell))

    def press(self, key, keys=NONE) -> None:
        QTest.keyClick(self.native, key, keys)


def annotate_two_kinds(dock, qtbot) -> None:
    session = dock.session
    for kind in (0, 1):
        cells = [cell for cell in session.cells.ids.tolist() if cell % 3 == kind][:5]
        session.annotate(cells, session.palette.ids[kind])
    qtbot.waitUntil(
        lambda: session.prediction is not None and len(session.prediction.class_ids) == 2,
        timeout=PATIENCE,
    )


def test_two_cells_are_picked_and_compared(dock, qtbot):
    annotate_two_kinds(dock, qtbot)
    mouse, panel = Mouse(dock), dock.compare
    before = dict(dock.session.annotated)
    mouse.point(21)
    mouse.press(Qt.Key.Key_C)
    assert "other" in panel.verdict.text()
    mouse.point(24)
    mouse.press(Qt.Key.Key_C)
    qtbot.waitUntil(lambda: "same kind" in panel.verdict.text(), timeout=PATIENCE)
    assert "sure" not in panel.verdict.text()  # two kinds are too few to calibrate by
    mouse.click(24, SHIFT)
    mouse.click(25, SHIFT)
    mouse.press(Qt.Key.Key_C)
    qtbot.waitUntil(lambda: "different kinds" in panel.verdict.text(), timeout=PATIENCE)
    assert "annotated cells of 2 kinds" in panel.basis.text()
    assert panel.isVisible()
    panel.clear.click()
    assert dock.controller.likeness.picked == ()
    assert dict(dock.session.annotated) == before


def test_all_cells_are_ordered_by_likeness_here_and_in_the_project(dock, qtbot):
    mouse, gallery = Mouse(dock), dock.gallery
    mouse.point(21)
    mouse.press(Qt.Key.Key_L)
    qtbot.waitUntil(lambda: hands.queue(gallery)[:1] == [21], timeout=PATIENCE)
    shown = hands.queue(gallery)
    assert sorted(shown) == dock.session.cells.ids.tolist()
    assert {cell % 3 for cell in shown[:10]} == {0}
    mouse.point(22)
    mouse.press(Qt.Key.Key_L, SHIFT)
    qtbot.waitUntil(lambda: gallery.shows_project, timeout=PATIENCE)
    found = gallery.project_view.cells.found
    assert len(found.order) == 42
    assert "42 cells of 2 images" in gallery.bar.count.text()
    refs = gallery.project_view.refs_in_sight()
    read = gallery.project_view._crops.picture
    qtbot.waitUntil(lambda: all(read(ref) is not None for ref in refs), timeout=PATIENCE)
    elsewhere = next(
        row for row, ref in enumerate(found.refs(0, 20))
        if ref.image_key != dock.session.image.key
    )  # fmt: skip
    ref = found.refs(elsewhere, elsewhere + 1)[0]
    view = gallery.project_view
    view.scrollTo(view.cells.index(elsewhere))
    where = view.visualRect(view.cells.index(elsewhere)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, NONE, where)
    qtbot.waitUntil(
        lambda: (
            dock.session.image.key == ref.image_key and dock.controller.canvas.current == ref.cell
        ),
        timeout=PATIENCE,
    )
    gallery.bar.back.click()
    assert not gallery.shows_project


def test_odd_cells_have_a_colour_and_are_gone_through_by_keys(dock, qtbot):
    annotate_two_kinds(dock, qtbot)
    mouse, gallery, session = Mouse(dock), dock.gallery, dock.session
    canvas = dock.controller.canvas
    before = dict(session.annotated)
    mouse.press(Qt.Key.Key_O)
    qtbot.waitUntil(lambda: session.odd_ones is not None, timeout=PATIENCE)
    odd = {cell for cell in session.cells.ids.tolist() if cell % 3 == 2}
    assert set(hands.queue(gallery)) <= odd
    assert len(hands.queue(gallery)) > 5
    assert canvas.mode == "odd"
    assert dock.classify.modes["odd"].isChecked()
    layer = dock.controller.bridge.cells_layer
    colours = {cell: tuple(layer.get_color(cell)) for cell in (2, 5, 3, 4)}
    assert colours[2] == colours[5] != colours[3] == colours[4]
    first = canvas.current
    assert first == hands.queue(gallery)[0]
    mouse.press(Qt.Key.Key_O)
    assert canvas.current == hands.queue(gallery)[1]
    mouse.press(Qt.Key.Key_O, SHIFT)
    assert canvas.current == first
    assert dict(session.annotated) == before  # looking changes nothing
    gallery.view.setFocus()
    gallery.select_cell(first)
    QTest.keyClick(gallery.view, Qt.Key.Key_3)
    assert session.annotated[first] == session.palette.by_key(3).id
    QTest.keyClick(gallery.view, Qt.Key.Key_O)
    assert canvas.current != first
    mouse.press(Qt.Key.Key_V)
    assert canvas.mode != "odd"
