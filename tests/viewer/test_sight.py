"""Frames of a stack and changed layers in a real viewer, with real mouse and key events."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from made_up import make_embeddings
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.canvas.layer_readers import layer_kind
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory

pytestmark = pytest.mark.viewer

SHAPE = (120, 160)


def field(*places):
    """A field with a purple disc of radius 8 at each place."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = np.full((*SHAPE, 3), (235, 232, 228), np.uint8)
    for row, col in places:
        pixels[(rows - row) ** 2 + (cols - col) ** 2 <= 64] = (120, 60, 150)
    return pixels


A, B = field((30, 30), (30, 120)), field((90, 80))
STACK = np.stack([A, A, A, B])


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    """Projects below the test's folder, a detector of purple, embeddings without a network."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def detect(image, *_settings, **_places):
        from scipy.ndimage import label

        yield Progress(0, 0, "Finding cells")
        return cells_from_labels(label(image.pixels[..., 1] < 150)[0], image.shape)

    def embed(image, cells, *_settings, **_places):
        from napari_hemacells.core.encode import Device

        yield Progress(0, len(cells), "Embedding cells")
        return make_embeddings(image, cells), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "detection_steps", detect)
    monkeypatch.setattr(tasks, "embedding_steps", embed)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def dock(viewer):
    widget = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="HemaCells", area="right")
    yield widget
    widget.controller.close()


def detect(dock, qtbot):
    with qtbot.waitSignal(dock.controller.tasks.detected, timeout=20_000):
        QTest.mouseClick(dock.detect.button, Qt.MouseButton.LeftButton)
    return dock.session.cells


def canvas_of(viewer):
    return viewer.window._qt_viewer.canvas


def is_alive(widget):
    """Whether Qt has not deleted a widget yet."""
    try:
        widget.objectName()
    except RuntimeError:
        return False
    return True


def to_canvas(viewer, row, col):
    """The point of the canvas, in window pixels, that shows a place of the world."""
    canvas, camera = canvas_of(viewer), getattr(viewer, "scene", viewer).camera
    width, height = canvas.native.width(), canvas.native.height()
    middle = np.asarray(camera.center[-2:])
    down, right = (np.array([row, col]) - middle) * camera.zoom
    return QPoint(round(width / 2 + right), round(height / 2 + down))


def point_at(viewer, row, col):
    """Move the pointer to a place of the image, without a button."""
    native, place = canvas_of(viewer).native, QPointF(to_canvas(viewer, row, col))
    none = Qt.MouseButton.NoButton
    moved = QMouseEvent(
        QEvent.Type.MouseMove, place, native.mapToGlobal(place), none, none,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(native, moved)


def click(viewer, row, col, *, keys=Qt.KeyboardModifier.NoModifier, button=None):
    """Move to a place of the image and click it, with real events of the window system."""
    native, place = canvas_of(viewer).native, to_canvas(viewer, row, col)
    native.setFocus()
    point_at(viewer, row, col)
    QTest.mouseClick(native, button or Qt.MouseButton.LeftButton, keys, place)


def press_key(viewer, key, keys=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(canvas_of(viewer).native, key, keys)


def cells_in_sight(dock):
    """Centres of the cells on the canvas, or none where their layer is hidden."""
    layer = dock.controller.bridge.cells_layer
    if layer is None or not layer.visible:
        return []
    ids = np.unique(layer.data)[1:]
    return [tuple(np.argwhere(layer.data == cell).mean(axis=0).round()) for cell in ids]


def test_each_frame_has_its_own_cells_annotations_and_identity(viewer, dock, qtbot):
    viewer.add_image(STACK, name="stack", rgb=True)
    assert len(detect(dock, qtbot)) == 2
    of_a, key_a = cells_in_sight(dock), dock.session.image.key
    dock.controller.show_step("annotate")
    qtbot.waitUntil(lambda: dock.session.embeddings is not None)
    click(viewer, 30, 30)
    assert list(dock.session.annotated) == [dock.session.cells.labels[30, 30]]

    viewer.dims.set_point(0, 3)
    assert not cells_in_sight(dock)  # at once: these cells are not on this frame
    qtbot.waitUntil(lambda: dock.session.image.key != key_a)
    assert dock.session.image.name == "stack frame 3"
    assert dock.session.cells is None
    assert not dock.session.annotated
    assert len(detect(dock, qtbot)) == 1
    assert cells_in_sight(dock) == [(90, 80)]
    dock.controller.show_step("annotate")
    click(viewer, 90, 80)
    assert list(dock.session.annotated) == [1]

    viewer.dims.set_point(0, 1)
    qtbot.waitUntil(lambda: dock.session.image.key == key_a)
    assert cells_in_sight(dock) == of_a
    assert list(dock.session.annotated) == [dock.session.cells.labels[30, 30]]
    assert {ref.image_key for ref in dock.session.class_of_cell()} == {
        key_a, *(image.key for image in dock.session.project.images if image.key != key_a)
    }  # fmt: skip


def test_frames_that_are_not_in_sight_are_found_when_their_project_is_opened(
    viewer, qtbot, tmp_path
):
    layer = viewer.add_image(STACK, name="stack", rgb=True)
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    keys = []
    for frame, place in ((3, (90, 80)), (0, (30, 30))):
        viewer.dims.set_point(0, frame)
        detect(dock, qtbot)
        dock.controller.show_step("annotate")
        qtbot.waitUntil(lambda: dock.session.embeddings is not None, timeout=30_000)
        click(viewer, *place)
        assert len(dock.session.annotated) == 1
        keys.append(dock.session.image.key)
    dock.session.save_as(tmp_path / "project")
    dock.controller.close()
    layer.name = "renamed"
    viewer.dims.set_point(0, 3)

    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="again", area="right")
    controller = dock.controller
    controller.project_controller.open_project(tmp_path / "project")
    assert "without a file" not in dock.messages.text
    # the first of the project is the frame that the dock saw first: it is shown
    assert dock.session.image.key == keys[1]
    assert viewer.dims.current_step[0] == 0
    assert len(cells_in_sight(dock)) == 2
    pictures = [one for one in viewer.layers if layer_kind(one) == "image"]
    assert pictures == [layer]  # frames are not added a second time
    assert set(images_in_memory(dock.session, controller.bridge)) >= set(keys)

    cell = next(ref for ref in dock.session.class_of_cell() if ref.image_key == keys[0])
    controller.finetune_controller.navigator.go_to(cell)
    qtbot.waitUntil(lambda: dock.session.image.key == keys[0], timeout=30_000)
    assert viewer.dims.current_step[0] == 3
    assert cells_in_sight(dock) == [(90, 80)]
    assert list(dock.session.annotated) == [cell.cell]
    controller.close()


def test_detect_takes_the_plane_in_sight_without_waiting_for_the_slider(viewer, dock, qtbot):
    viewer.add_image(STACK, name="stack", rgb=True)
    viewer.dims.set_point(0, 3)
    assert len(detect(dock, qtbot)) == 1
    assert cells_in_sight(dock) == [(90, 80)]


@pytest.mark.parametrize("how", ["other frame", "other data", "in place", "in place, refreshed"])
def test_a_click_never_labels_a_cell_that_is_not_in_sight(viewer, dock, qtbot, how):
    stack = STACK.copy()
    layer = viewer.add_image(stack if how == "other frame" else stack[0], rgb=True)
    detect(dock, qtbot)
    dock.controller.show_step("annotate")
    key = dock.session.image.key
    if how == "other frame":
        viewer.dims.set_point(0, 3)
    elif how == "other data":
        layer.data = B
    else:
        layer.data[:] = B
    if how == "in place, refreshed":
        layer.refresh()
    click(viewer, 30, 30)
    assert not dock.session.class_of_cell()
    qtbot.waitUntil(lambda: dock.session.image.key != key)
    assert np.array_equal(dock.session.image.pixels, B)
    assert not cells_in_sight(dock)
    assert len(detect(dock, qtbot)) == 1


def test_a_key_on_a_changed_picture_labels_nothing(viewer, dock, qtbot):
    layer = viewer.add_image(A.copy(), rgb=True)
    detect(dock, qtbot)
    dock.controller.show_step("annotate")
    point_at(viewer, 30, 30)
    qtbot.waitUntil(lambda: dock.controller.canvas.current == dock.session.cells.labels[30, 30])
    layer.data[:] = B
    press_key(viewer, Qt.Key.Key_1)
    assert not dock.session.class_of_cell()
    assert np.array_equal(dock.session.image.pixels, B)


def test_what_is_painted_later_does_not_reach_the_image_in_use(viewer, dock, qtbot):
    pixels = A.copy()
    viewer.add_image(pixels, rgb=True)
    pixels[:] = 0
    assert np.array_equal(dock.session.image.pixels, A)


def test_points_are_cells_of_their_own_frame(viewer, dock, qtbot):
    planes = np.stack([np.full((*SHAPE, 3), value, np.uint8) for value in (5, 6, 7, 8, 9)])
    viewer.add_image(planes, rgb=True)
    points = viewer.add_points([[0, 20, 20], [0, 40, 40], [3, 60, 60], [4, 80, 80]], size=5)
    viewer.dims.set_point(0, 0)
    bridge, wanted = dock.controller.bridge, {0: [20, 40], 1: [], 3: [60], 4: [80]}
    for frame, rows in wanted.items():
        viewer.dims.set_point(0, frame)
        dock.controller.project_controller.keep_to_sight()
        if rows:
            cells = bridge.read_cells(str(points.unique_id), dock.session.image, 10.0)()
            assert np.round(cells.centres[:, 0]).tolist() == rows
        else:
            assert not dock.controller.voice.attempt(
                lambda: bridge.read_cells(str(points.unique_id), dock.session.image, 10.0)
            )
            assert "no point on the frame in sight" in dock.messages.text


def test_a_closed_dock_ends_and_opens_again(viewer, qtbot):
    def opened():
        return viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")

    layer = viewer.add_image(A, name="smear", rgb=True)
    layer.metadata = {"mine": 1}
    before = len(viewer.mouse_drag_callbacks), len(viewer.mouse_move_callbacks)
    for _ in range(2):
        frame, dock = opened()
        qtbot.waitUntil(lambda dock=dock: dock.session.image is not None)
        assert dock.messages.level == "info"
        key = dock.session.image.key
        if dock.session.cells is None:
            detect(dock, qtbot)
        assert len(dock.session.cells) == 2
        dock.controller.show_step("annotate")
        click(viewer, 30, 120)
        assert len(dock.session.annotated) == 1
        session, gallery = dock.session, dock.gallery
        QTest.mouseClick(frame.title.close_button, Qt.MouseButton.LeftButton)
        assert (session.project, session.history, session.image) == (None, None, None)
        qtbot.waitUntil(lambda gallery=gallery: not is_alive(gallery))
        assert (len(viewer.mouse_drag_callbacks), len(viewer.mouse_move_callbacks)) == before
        qtbot.waitUntil(lambda: [one.name for one in viewer.layers] == ["smear", "Cells"])
        click(viewer, 30, 30)  # nobody listens
    frame, dock = opened()
    qtbot.waitUntil(lambda: dock.session.image is not None)
    assert dock.session.image.key == key
    assert list(dock.session.annotated) == [dock.session.cells.labels[30, 120]]
    dock.controller.close()
