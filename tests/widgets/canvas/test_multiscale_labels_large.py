"""Large images in the dock: opened in a thread, cells as codes, found cells appear, resumed."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells import layers as ours
from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
from napari_hemacells.core.detect import pipeline
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
from napari_hemacells.widgets.detect.controller import cells_of, join_parts


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def embed(image, cells, *_settings, **_places):
        from napari_hemacells.core.encode import Device

        yield Progress(0, len(cells), "Embedding cells")
        return make_embeddings(image, cells), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "embedding_steps", embed)


@pytest.fixture
def all_are_large(monkeypatch):
    for module in ("content_hash", "from_array", "tiff"):
        monkeypatch.setattr(
            import_module(f"napari_hemacells.core.image.{module}"), "MAX_IN_MEMORY_PIXELS", 1000
        )
    monkeypatch.setattr("napari_hemacells.core.image.MAX_IN_MEMORY_PIXELS", 1000)
    monkeypatch.setattr("napari_hemacells.core.detect.stitching.MAX_EAGER_PIXELS", 1000)
    monkeypatch.setattr(tasks, "_MIN_RESUMABLE_PIXELS", 1000)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(qtbot, viewer):
    widget = HemaCellsWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.controller.close()


@pytest.fixture
def smear():
    """200 by 300 pixels of glass with 24 red discs on a grid."""
    pixels = np.full((200, 300, 3), 235, np.uint8)
    rows, cols = np.mgrid[:200, :300]
    for row in range(25, 200, 50):
        for col in range(25, 300, 50):
            pixels[np.hypot(rows - row, cols - col) < 13] = 205, 130, 130
    return pixels


def lazily(cells):
    masks = PackedMasks.of_labels(cells.labels, cells.ids.tolist(), cells.boxes)
    return replace(cells, labels=LazyLabels(cells.labels.shape, cells.ids, masks))


def opened(dock, viewer, qtbot, smear):
    levels = [da.from_array(smear, chunks=(64, 64, 3)), smear[::2, ::2]]
    with qtbot.waitSignal(dock.controller.tasks.opened):
        return viewer.add_image(levels, multiscale=True, rgb=True, name="slide")


def classical(dock, **more):
    """Ask for the classical detector, which needs no network."""
    request = dock.detect.request()
    params = request.params.model_copy(update={"method": "classical", "cell_diameter": 26.0})
    return replace(request, params=params, **more)


def test_a_pyramid_is_opened_in_a_thread(dock, viewer, qtbot, smear, all_are_large):
    opened(dock, viewer, qtbot, smear)
    assert dock.session.image.is_lazy
    assert dock.session.image.name == "slide"
    assert dock.detect.button.isEnabled()


def test_cells_of_a_large_image_are_clicked_and_kept(dock, viewer, qtbot, smear, all_are_large):
    opened(dock, viewer, qtbot, smear)
    with qtbot.waitSignal(dock.controller.tasks.device_known, timeout=30_000):
        dock.controller.detect_controller.detect(classical(dock))
    session, bridge = dock.session, dock.controller.bridge
    assert isinstance(session.cells.labels, LazyLabels)
    assert len(session.cells) == 24
    assert bridge.is_multiscale
    layer = bridge.cells_layer
    centre = session.cells.centres[4]
    camera = getattr(viewer, "scene", viewer).camera
    for zoom in (0.05, 3.0):
        camera.zoom = zoom
        assert bridge.cell_at(layer.data_to_world(centre)) == session.cells.ids[4]
    dock.controller.show_step("annotate")
    session.active_class = session.palette.ids[1]
    dock.controller.canvas.click(int(session.cells.ids[4]))
    codes, table = ours.colour_codes(
        session.cells, session.annotated, session.prediction, session.palette
    )
    at = tuple(centre.round().astype(int))
    qtbot.waitUntil(lambda: layer.colormap.color_dict == table)
    assert np.asarray(layer.data[0])[at] == codes[4]


def test_found_cells_appear_and_an_interrupted_detection_goes_on(
    dock, viewer, qtbot, smear, all_are_large, monkeypatch
):
    done, steps = [], pipeline.detect_part_steps
    monkeypatch.setattr(pipeline, "plan_steps", _in_tiles(pipeline.plan_steps))

    def slowly(image, plan, part, *, model=None):
        found = yield from steps(image, plan, part, model=model)
        done.append(part.index)
        while len(done) == 3 and not released:
            yield Progress(0, 1)
        return found

    released = []
    monkeypatch.setattr(pipeline, "detect_part_steps", slowly)
    opened(dock, viewer, qtbot, smear)
    controller = dock.controller
    controller.detect_controller.detect(classical(dock))
    qtbot.waitUntil(lambda: len(done) == 3, timeout=30_000)
    qtbot.waitUntil(lambda: controller.bridge.find("found") is not None, timeout=5000)
    count = controller.detect_controller.preview_layer.count
    assert count > 0
    folder = controller.tasks._resume
    controller.detect_controller.cancel()
    assert f"{count} cells were found so far" in dock.messages.text
    assert f"{count} cells" in dock.messages.offered
    qtbot.waitUntil(lambda: controller.bridge.find("found") is None, timeout=30_000)
    assert list(folder.glob("part-*.npz"))
    released.append(True)
    with qtbot.waitSignal(controller.tasks.detected, timeout=30_000):
        dock.messages.offer_button.click()
    assert 0 < len(dock.session.cells) <= count
    assert len(dock.session.cells) < 24
    assert not dock.messages.offered
    kept = {int(file.stem.removeprefix("part-")) for file in folder.glob("part-*.npz")}
    done.clear()
    with qtbot.waitSignal(controller.tasks.detected, timeout=30_000):
        controller.detect_controller.detect(classical(dock))
    assert len(dock.session.cells) == 24
    assert not kept & set(done)
    qtbot.waitUntil(lambda: controller.bridge.find("found") is None, timeout=30_000)
    assert not folder.exists()


def _in_tiles(plan_steps):
    def tiled(*args, **kwargs):
        return plan_steps(*args, **{**kwargs, "tile": 64})

    return tiled


def test_detection_stays_inside_the_shapes_that_are_chosen(
    dock, viewer, qtbot, smear, all_are_large
):
    layer = opened(dock, viewer, qtbot, smear)
    corners = np.array([[0, 0], [0, 160], [110, 160], [110, 0]], float)
    shapes = viewer.add_shapes([corners], shape_type="polygon", name="readable")
    assert [dock.detect.within.itemText(i) for i in range(dock.detect.within.count())] == [
        "Whole image", "readable",
    ]  # fmt: skip
    assert dock.detect.request().within is None
    dock.detect.within.setCurrentIndex(1)
    assert dock.detect.request().within == str(shapes.unique_id)
    with qtbot.waitSignal(dock.controller.tasks.detected, timeout=30_000):
        dock.controller.detect_controller.detect(classical(dock))
    assert len(dock.session.cells) == 6
    assert (dock.session.cells.centres < [110, 160]).all()
    viewer.layers.remove(shapes)
    assert dock.detect.request().within is None
    assert layer in viewer.layers


def test_lines_enclose_nothing(dock, viewer, qtbot, smear, all_are_large):
    opened(dock, viewer, qtbot, smear)
    shapes = viewer.add_shapes([[[0, 0], [9, 9]]], shape_type="line", name="lines")
    dock.controller.detect_controller.detect(classical(dock, within=str(shapes.unique_id)))
    assert dock.messages.level == "error"
    assert "has no closed shape" in dock.messages.text


def test_many_cells_keep_their_colours_when_they_are_corrected(viewer):
    image, cells = make_image(), lazily(make_cells(30))
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(image.pixels, name="smear")
    bridge.claim_image(str(layer.unique_id), image.key)
    bridge.show_cells(cells, image.key)
    shades = ours.CellColourCodes(
        np.arange(1, 31).astype(np.uint8), {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    )
    bridge.set_shades(shades)
    painted = np.asarray(bridge.cells_layer.data[0])
    np.testing.assert_array_equal(painted, np.asarray(cells.labels))
    bridge.outline(2)
    rims = np.asarray(bridge.cells_layer.data[0])
    assert 0 < (rims > 0).sum() < (painted > 0).sum()
    assert (rims[rims > 0] == painted[rims > 0]).all()
    bridge.show_cells(make_cells(30), image.key)
    assert not bridge.is_multiscale
    assert not bridge.cells_layer.multiscale
    bridge.close()


def test_parts_together_are_cells():
    cells = lazily(make_cells(30))
    from napari_hemacells.core.types import PartCells

    table = cells.table.drop(columns="label")
    half = np.arange(30) < 15
    parts = [
        PartCells(number, table[which], cells.labels.masks.pick(np.flatnonzero(which)))
        for number, which in enumerate((half, ~half))
    ]
    joined = cells_of(join_parts(parts), cells.labels.shape)
    assert joined.ids.tolist() == list(range(1, 31))
    assert (np.asarray(joined.labels) > 0).sum() == (np.asarray(cells.labels) > 0).sum()
