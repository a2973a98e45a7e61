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
from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.layers import CellColourCodes
from napari_hemacells.widgets.canvas.markers import MARKER
from napari_hemacells.widgets.canvas.sight import plane_affine
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
    assert not len(ring.data)


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


def cells_of(viewer, layer, size=(100, 120), **image):
    """The cells that a layer marks on an image of this size, whose layer has these transforms."""
    smear = viewer.add_image(np.zeros((*size, 3), np.uint8), **image)
    bridge = ViewerBridge(viewer)
    shown = bridge.read_image(str(smear.unique_id))
    bridge.claim_image(str(smear.unique_id), shown.key)
    viewer.add_layer(layer)
    try:
        return bridge.read_cells(str(layer.unique_id), shown, 8.0)()
    finally:
        bridge.close()


def block(rows, cols, shape=(100, 120)):
    """Labels with one cell of these rows and columns."""
    labels = np.zeros(shape, int)
    labels[slice(*rows), slice(*cols)] = 7
    return labels


TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("transform", "box"),
    [
        ({"translate": (30, 40)}, [40, 50, 50, 70]),
        ({"scale": (2, 2)}, [20, 20, 39, 59]),
        ({"rotate": TURN, "translate": (60, 0)}, [31, 10, 51, 20]),
        ({"shear": [1.0]}, [10, 20, 20, 49]),
        ({"affine": np.array([[1, 0, 5], [0, 1, 6], [0, 0, 1.0]])}, [15, 16, 25, 36]),
    ],
    ids=["translate", "scale", "rotate", "shear", "affine"],
)
def test_labels_lie_where_their_own_transform_puts_them(viewer, transform, box):
    cells = cells_of(viewer, Labels(block((10, 20), (10, 30)), **transform))
    assert cells.ids.tolist() == [7]
    if "shear" in transform:
        found = np.argwhere(cells.labels == 7)
        world = np.asarray(Labels(block((10, 20), (10, 30)), **transform).data_to_world((15, 20)))
        assert np.allclose(found.mean(axis=0), world, atol=1.5)
        assert len(found) == pytest.approx(200, abs=12)
    else:
        assert np.allclose(cells.boxes[0], box, atol=1)


def test_labels_follow_the_transform_of_the_image_too(viewer):
    labels = Labels(block((10, 20), (10, 30)), translate=(30, 40))
    cells = cells_of(viewer, labels, scale=(2, 2), translate=(10, 20))
    assert np.allclose(cells.boxes[0], [15, 15, 20, 25], atol=1)


def test_labels_without_a_transform_are_on_the_pixels_of_a_scaled_image(viewer):
    cells = cells_of(viewer, Labels(block((10, 20), (10, 30))), scale=(0.1, 0.1), units="um")
    assert cells.boxes.tolist() == [[10, 10, 20, 30]]


def test_of_labels_with_several_frames_the_one_in_sight_is_taken(viewer):
    frames = np.stack([block((10, 20), (10, 30)), block((50, 60), (10, 30))])
    viewer.add_labels(frames, name="others")
    viewer.dims.set_point(0, 1)
    cells = cells_of(viewer, Labels(frames))
    assert cells.boxes.tolist() == [[50, 10, 60, 30]]


@pytest.mark.parametrize(
    "layer",
    [
        Labels(block((10, 20), (10, 30)), translate=(3000, 40)),
        Points(np.array([[3, 5, 5]])),
        Shapes([np.array([[3, 5, 5], [3, 5, 15], [3, 15, 15]])], shape_type="polygon"),
        Shapes([[[5, 5], [9, 9]]], shape_type="line"),
        Shapes([[[5, 5], [9, 9], [5, 20]]], shape_type="path"),
    ],
    ids=["beside the image", "points elsewhere", "shapes elsewhere", "line", "path"],
)
def test_what_marks_nothing_in_sight_is_refused_with_a_sentence(viewer, layer):
    viewer.add_points([[0, 1, 1], [3, 1, 1]])
    viewer.dims.set_point(0, 0)
    with pytest.raises(CellsError, match=r"\.$"):
        cells_of(viewer, layer)


def test_an_image_turned_out_of_its_planes_is_refused(viewer):
    turned = np.eye(4)
    turned[:2, :2] = TURN
    turned[0, 2] = 0.5
    stack = viewer.add_image(np.zeros((4, 9, 9)), affine=turned)
    with pytest.raises(ImageError, match="sheared out of its planes"):
        plane_affine(stack)


def corners(middle, height, width, degrees):
    """The corners of a rectangle turned about its middle."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * (height / 2, width / 2)
    return half @ turn.T + middle


@pytest.mark.parametrize("degrees", [0, 45, 90, 200])
@pytest.mark.parametrize(("kind", "area"), [("rectangle", 400), ("ellipse", 314)])
def test_shapes_have_their_own_area_however_they_are_turned(viewer, kind, area, degrees):
    shape = Shapes([corners((50, 60), 10, 40, degrees)], shape_type=kind)
    assert cells_of(viewer, shape).table["area"].item() == pytest.approx(area, rel=0.07)


def test_each_kind_of_shape_is_a_cell_beside_others_and_open_ones_are_none(viewer):
    layer = Shapes(
        [
            corners((20, 30), 20, 40, 0),
            corners((70, 30), 20, 20, 0),
            np.array([[5, 80], [5, 100], [25, 100]]),
            np.array([[60, 80], [60, 100]]),
        ],
        shape_type=["ellipse", "polygon", "path", "line"],
    )
    cells = cells_of(viewer, layer)
    assert cells.table["area"].tolist() == pytest.approx([628, 400], rel=0.03)


def test_shapes_and_points_follow_scale_turn_and_shear(viewer):
    layer = Shapes(
        [corners((10, 10), 4, 8, 0)], shape_type="rectangle", scale=(2, 3), translate=(10, 20)
    )
    cells = cells_of(viewer, layer)
    assert cells.table["area"].item() == pytest.approx(4 * 2 * 8 * 3)
    assert np.allclose(cells.centres[0], (30, 50), atol=0.6)
    points = Points([[10.0, 20.0]], rotate=TURN, translate=(60, 0))
    assert np.allclose(cells_of(viewer, points).centres[0], (40, 10), atol=0.6)


def test_cells_lie_on_an_image_of_a_turned_stack(viewer):
    turned = np.eye(4)
    turned[1:3, 1:3], turned[1:3, 3] = TURN, (0, 200)
    stack = viewer.add_image(np.zeros((4, *CELLS.labels.shape)), affine=turned)
    bridge = ViewerBridge(viewer)
    bridge.claim_image(str(stack.unique_id), "key")
    bridge.show_cells(CELLS, "key")
    here = stack.data_to_world((0, 7, 9))[-2:]
    assert np.allclose(bridge.place_at(here), (7, 9))
    bridge.close()


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
