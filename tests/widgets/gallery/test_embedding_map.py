"""The map of the cells: a line around points chooses, a key or a button gives a class."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor

from made_up import make_embeddings
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.gallery import embedding_map
from napari_hemacells.widgets.gallery.embedding_map import EmbeddingMapWidget


@pytest.fixture
def cell_map(session, qtbot):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    jobs = JobRunner()
    widget = EmbeddingMapWidget(session, jobs)
    qtbot.addWidget(widget)
    widget.resize(600, 400)
    widget.show()
    qtbot.waitExposed(widget)
    widget.canvas.draw()
    yield widget
    jobs.close()


def rows_like(cell_map, cell: int) -> np.ndarray:
    """Rows of the cells that look like this one: every third."""
    return np.flatnonzero(cell_map._ids % 3 == cell % 3)


def on_canvas(cell_map, row: int) -> QPoint:
    x, y = cell_map.canvas.axes.transData.transform(cell_map.canvas.places[row])
    ratio = cell_map.canvas.devicePixelRatioF()
    return QPoint(round(x / ratio), round(cell_map.canvas.height() - y / ratio))


def draw_around(cell_map, rows: np.ndarray, qtbot) -> None:
    places = cell_map.canvas.places[rows]
    low, high = places.min(axis=0) - 0.5, places.max(axis=0) + 0.5
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    line = cell_map.canvas.axes.transData.transform([*corners, corners[0]])
    width, height = cell_map.canvas.width(), cell_map.canvas.height()
    line = np.clip(line, 2, (width - 3, height - 3))
    points = [QPoint(round(x), round(height - 1 - y)) for x, y in line]
    qtbot.mousePress(cell_map.canvas, Qt.MouseButton.LeftButton, pos=points[0])
    for point in points[1:]:
        qtbot.mouseMove(cell_map.canvas, point)
    qtbot.mouseRelease(cell_map.canvas, Qt.MouseButton.LeftButton, pos=points[-1])


def test_cells_that_look_alike_lie_together(cell_map):
    places, groups = cell_map.canvas.places, cell_map._ids % 3
    centres = np.array([places[groups == one].mean(axis=0) for one in range(3)])
    nearest = ((places[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    assert nearest.tolist() == groups.tolist()


def test_a_line_around_cells_and_a_key_give_a_class_in_one_step(cell_map, session, qtbot):
    rows = rows_like(cell_map, 1)
    draw_around(cell_map, rows, qtbot)
    assert set(cell_map._ids[rows]) <= set(cell_map.chosen) < set(cell_map._ids)
    qtbot.keyClick(cell_map.canvas, Qt.Key.Key_2)
    assert session.annotated == dict.fromkeys(cell_map.chosen.tolist(), "wbc")
    session.undo()
    assert session.annotated == {}


def test_a_click_on_a_class_gives_it(cell_map, session, qtbot):
    cell_map.canvas.chosen.emit(np.array([0, 4]))
    button = cell_map.classes.itemAt(2).widget()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert session.annotated == {1: "platelets", 5: "platelets"}


def test_without_a_choice_a_key_says_what_to_do(cell_map, session, qtbot):
    with qtbot.waitSignal(cell_map.refused) as told:
        qtbot.keyClick(cell_map.canvas, Qt.Key.Key_1)
    assert "line around cells" in told.args[0]
    assert session.annotated == {}


def test_a_click_goes_to_the_cell_and_the_pointer_shows_its_crop(cell_map, qtbot):
    place = on_canvas(cell_map, 7)
    row = cell_map.canvas.nearest(
        *cell_map.canvas.axes.transData.transform(cell_map.canvas.places[7])
    )
    qtbot.mouseMove(cell_map.canvas, place)
    qtbot.waitUntil(cell_map.canvas._picture.isVisible)
    with qtbot.waitSignal(cell_map.cell_activated) as told:
        qtbot.mouseClick(cell_map.canvas, Qt.MouseButton.LeftButton, pos=place)
    assert told.args == [int(cell_map._ids[row])]


def test_the_points_have_the_colours_of_their_classes(cell_map, session, classify):
    for cell, class_id in ((1, "rbc"), (2, "wbc"), (3, "platelets")):
        session.annotate([cell], class_id)
    classify()
    cell_map.recolour()
    colours = cell_map.canvas._points.get_facecolors()
    groups = [{tuple(one) for one in colours[rows_like(cell_map, cell)]} for cell in (1, 2, 3)]
    assert [len(group) for group in groups] == [1, 1, 1]
    assert len(set.union(*groups)) == 3


def test_the_wheel_zooms_about_the_pointer_and_all_comes_back(cell_map):
    canvas = cell_map.canvas
    whole = canvas.axes.get_xlim()
    x, y = canvas.axes.transData.transform(canvas.places[3])
    event = type("Wheel", (), {"step": 1, "xdata": canvas.places[3][0],
                               "ydata": canvas.places[3][1]})  # fmt: skip
    canvas._wheel(event)
    assert np.ptp(canvas.axes.get_xlim()) < np.ptp(whole)
    assert np.allclose(canvas.axes.transData.transform(canvas.places[3]), (x, y), atol=0.5)
    cell_map.whole.click()
    assert np.allclose(canvas.axes.get_xlim(), whole)


def test_other_cells_make_another_map(cell_map, session, qtbot):
    session.set_cells(session.cells)
    qtbot.waitUntil(lambda: len(cell_map.canvas.places) == 0)
    session.set_embeddings(make_embeddings(session.image, session.cells))
    qtbot.waitUntil(lambda: len(cell_map.canvas.places) == 30)


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#262930"])
def test_a_class_in_the_colour_of_the_background_is_seen(cell_map, session, name, colour):
    session.recolour_class("rbc", colour)
    session.annotate(cell_map._ids[:5].tolist(), "rbc")
    theme.follow_viewer(name)
    try:
        cell_map.restyle()
        shown = QColor.fromRgbF(*map(float, cell_map.canvas._points.get_facecolors()[0][:3]))
        assert theme.contrast(shown, theme.colour("background")) >= theme.VISIBLE - 0.05
    finally:
        theme.follow_viewer("")


def test_very_many_cells_are_projected_in_a_thread(cell_map, qtbot, monkeypatch):
    """The window is free meanwhile; the map is the same."""
    before = cell_map.canvas.places.copy()
    monkeypatch.setattr(embedding_map, "_AT_ONCE", 10)
    cell_map.canvas.show_places(np.zeros((0, 2), np.float32))
    with qtbot.waitSignal(cell_map.jobs.returned, timeout=30_000):
        cell_map.place()
    np.testing.assert_allclose(np.abs(cell_map.canvas.places), np.abs(before), rtol=1e-4)
