from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from made_up import make_cells, make_image
from napari_hemacells import layers as ours
from napari_hemacells.core.errors import CellsError
from napari_hemacells.layers import CellColourCodes
from napari_hemacells.widgets.canvas.markers import MARKER
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

IMAGE = make_image()
CELLS = make_cells(30)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def bridge(viewer):
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(IMAGE.pixels, name="smear", scale=(2, 2), translate=(10, 20))
    bridge.claim_image(str(layer.unique_id), IMAGE.key)
    bridge.show_cells(CELLS, IMAGE.key)
    yield bridge
    bridge.close()


def event(viewer, cell, kind="mouse_press", button=1, modifiers=(), pos=(0, 0)):
    """A mouse event on the centre of a cell (0: glass)."""
    row, col = CELLS.centres[cell - 1] if cell else (63, 63)
    layer = next(one for one in viewer.layers if ours.role_of(one.metadata) == "cells")
    return SimpleNamespace(
        type=kind, pos=pos, position=layer.data_to_world((row, col)), button=button,
        modifiers=modifiers,
    )  # fmt: skip


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


def press(viewer, cell, *, drag=0.0, **kwargs):
    """Press on a cell, move so many canvas pixels, release."""
    start = event(viewer, cell, **kwargs)
    mouse_press_callbacks(viewer, start)
    start.type, start.pos = "mouse_move", (drag, 0)
    start.is_dragging = True
    mouse_move_callbacks(viewer, start)
    start.type = "mouse_release"
    mouse_release_callbacks(viewer, start)


def test_cells_lie_exactly_on_their_image(viewer, bridge):
    layer = bridge.cells_layer
    assert tuple(layer.scale) == (2, 2)
    assert tuple(layer.translate) == (10, 20)
    assert viewer.layers.selection.active is layer
    assert not layer.editable


def test_our_layers_are_found_by_metadata_after_a_rename(bridge):
    layer = bridge.cells_layer
    layer.name = "something else"
    assert bridge.cells_layer is layer


def test_new_cells_replace_the_data_not_the_layer(viewer, bridge):
    layer = bridge.cells_layer
    bridge.show_cells(make_cells(5), IMAGE.key)
    assert bridge.cells_layer is layer
    assert layer.data.max() == 5
    assert sum(isinstance(one, Labels) for one in viewer.layers) == 1


def coded(codes, *colours) -> CellColourCodes:
    clear = (0.0, 0.0, 0.0, 0.0)
    table = {None: clear, 0: clear} | dict(enumerate(colours, start=1))
    return CellColourCodes(np.array(codes, np.uint8), table)


def test_colours_are_those_of_the_table(bridge):
    red = (1.0, 0.0, 0.0, 1.0)
    bridge.colour_cells(np.array([3]), coded([1], red))
    assert np.allclose(bridge.cells_layer.get_color(3), red)
    assert bridge.cells_layer.get_color(4)[3] == 0


def test_the_list_of_layers_is_drawn_when_asked_not_at_every_click(bridge):
    drawn = []
    bridge.cells_layer.events.thumbnail.connect(drawn.append)
    bridge.colour_cells(np.array([1]), coded([1], (1.0, 0.0, 0.0, 1.0)))
    assert not drawn
    bridge.show_thumbnail()
    assert len(drawn) == 1


def test_a_table_without_cells_hides_them_all(bridge):
    bridge.colour_cells(np.arange(1, 4), coded([0, 0, 0]))
    assert all(bridge.cells_layer.get_color(cell)[3] == 0 for cell in (1, 2, 30))


@pytest.mark.parametrize(
    ("button", "modifiers", "signal"),
    [(1, (), "clicked"), (1, ("Shift",), "picked"), (2, (), "cleared")],
)
def test_a_click_tells_which_cell_and_how(viewer, bridge, button, modifiers, signal):
    heard = []
    getattr(bridge.pointer.events, signal).connect(heard.append)
    press(viewer, 7, button=button, modifiers=modifiers)
    assert heard == [7]


def test_a_drag_is_not_a_click(viewer, bridge):
    heard = []
    bridge.pointer.events.clicked.connect(heard.append)
    press(viewer, 7, drag=30)
    assert heard == []


def test_clicks_on_another_layer_are_not_ours(viewer, bridge):
    heard = []
    bridge.pointer.events.clicked.connect(heard.append)
    viewer.add_points(np.zeros((1, 2)))
    press(viewer, 7)
    assert heard == []


def test_hover_tells_each_cell_once(viewer, bridge):
    heard = []
    bridge.pointer.events.hovered.connect(heard.append)
    for cell in (4, 4, 5, 0):
        for callback in viewer.mouse_move_callbacks:
            callback(viewer, event(viewer, cell, "mouse_move"))
    assert heard == [4, 5, 0]


def test_after_a_jump_small_movements_do_not_change_the_cell(viewer, bridge):
    heard = []
    bridge.pointer.events.hovered.connect(heard.append)
    bridge.pointer.ignore_small_moves()
    for far in (3, 100):
        for callback in viewer.mouse_move_callbacks:
            callback(viewer, event(viewer, 9, "mouse_move", pos=(far, 0)))
    assert heard == [9]


def test_ring_is_around_the_box_and_keeps_the_cells_active(viewer, bridge):
    bridge.mark((0, 8, 6, 14), "#ff0000")
    ring = bridge.find(MARKER)
    assert ring.data[0].tolist() == [2.5, 10.5]
    assert ring.size[0] > 6
    assert np.allclose(ring.face_color[0][:3], (1, 0, 0))
    assert viewer.layers.selection.active is bridge.cells_layer
    bridge.clear_marker()
    assert not ring.visible


def test_centre_keeps_the_zoom_unless_the_cell_is_too_small(viewer, bridge):
    camera(viewer).zoom = 5
    bridge.centre_on(10, 10, 6)
    assert camera(viewer).center[-2:] == (30, 40)
    assert camera(viewer).zoom == 5
    camera(viewer).zoom = 0.01
    bridge.centre_on(10, 10, 6)
    assert camera(viewer).zoom > 1


def test_removed_layers_are_told_by_role(viewer, bridge):
    heard = []
    bridge.events.removed.connect(heard.append)
    viewer.layers.remove(bridge.cells_layer)
    assert heard == ["cells"]
    bridge.colour_cells(np.array([1]), coded([0]))  # nothing to colour: nothing happens


def test_choices_are_named_as_the_user_named_them(viewer, bridge):
    viewer.add_points(np.ones((2, 2)), name="centres")
    assert [one.title for one in bridge.images()] == ["smear"]
    assert [(one.title, one.kind) for one in bridge.cell_sources()] == [("centres", "points")]
    viewer.layers["centres"].name = "middles"
    assert [one.title for one in bridge.cell_sources()] == ["middles"]


def test_points_become_cells_where_they_lie_on_the_image(viewer, bridge):
    """World (10 + 2·row, 20 + 2·col) is the pixel (row, col)."""
    points = viewer.add_points(np.array([[10 + 2 * 20.0, 20 + 2 * 40.0]]))
    cells = bridge.read_cells(str(points.unique_id), IMAGE, 8.0)()
    assert len(cells) == 1
    assert np.allclose(cells.centres[0], (20, 40), atol=0.6)


def test_rectangles_become_boxes(viewer, bridge):
    corners = np.array([[10, 10], [10, 20], [18, 20], [18, 10]]) * 2.0 + (10, 20) - 1
    shapes = viewer.add_shapes([corners], shape_type="rectangle")
    cells = bridge.read_cells(str(shapes.unique_id), IMAGE, None)()
    assert cells.boxes.tolist() == [[10, 10, 18, 20]]


def test_labels_keep_their_ids(viewer, bridge):
    labels = viewer.add_labels(np.where(CELLS.labels == 5, 77, 0))
    cells = bridge.read_cells(str(labels.unique_id), IMAGE, None)()
    assert cells.ids.tolist() == [77]


@pytest.mark.parametrize(
    "layer", [Points(np.empty((0, 2))), Shapes(), Labels(np.zeros((3, 3), int))]
)
def test_a_layer_without_cells_is_refused_with_a_sentence(viewer, bridge, layer):
    viewer.add_layer(layer)
    with pytest.raises(CellsError, match=r"\."):
        bridge.read_cells(str(layer.unique_id), IMAGE, 8.0)()


def test_closing_leaves_nothing_of_ours_on_the_viewer(viewer):
    callbacks = [*viewer.mouse_drag_callbacks, *viewer.mouse_move_callbacks]
    before = dict(viewer.keymap)
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(IMAGE.pixels)
    bridge.claim_image(str(layer.unique_id), IMAGE.key)
    assert len(layer.keymap) > 9
    bridge.close()
    assert viewer.keymap == before
    assert not layer.keymap
    assert [*viewer.mouse_drag_callbacks, *viewer.mouse_move_callbacks] == callbacks
