"""The first cells are shown without code that numba would have to compile first.

The window stood still for that: 13 s on a busy computer.
"""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import _accelerated_cmap

from made_up import make_cells, make_image
from napari_hemacells.layers import CellColourCodes
from napari_hemacells.widgets.canvas import multiscale_labels
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

CLEAR, RED = (0.0, 0.0, 0.0, 0.0), (0.9, 0.1, 0.1, 1.0)


@pytest.fixture
def compiled(monkeypatch):
    """The calls of what napari compiles with numba."""
    calls = []
    for name in ("zero_preserving_modulo", "labels_raw_to_texture_direct"):
        monkeypatch.setattr(_accelerated_cmap, name, lambda *_: calls.append(1) or 1 / 0)
    return calls


@pytest.mark.parametrize("many", [False, True])
def test_showing_cells_compiles_nothing(compiled, monkeypatch, many):
    monkeypatch.setattr(multiscale_labels, "MULTISCALE_THRESHOLD", 5 if many else 5000)
    viewer, image, cells = ViewerModel(), make_image(), make_cells(30)
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(image.pixels, name="smear")
    bridge.claim_image(str(layer.unique_id), image.key)
    bridge.show_cells(cells, image.key)
    bridge.outline(1)
    shades = CellColourCodes(np.ones(len(cells), np.uint8), {None: CLEAR, 0: CLEAR, 1: RED})
    if many:
        bridge.set_shades(shades)
    else:
        bridge.colour_cells(cells.ids, shades)
    bridge.show_thumbnail()
    shown = bridge.cells_layer
    assert isinstance(shown, Labels)
    assert bridge.is_multiscale is many
    if not many:
        np.testing.assert_array_equal(shown.data, cells.labels)
        assert tuple(shown.get_color(int(cells.ids[0]))) == pytest.approx(RED)
    assert not compiled
    bridge.close()


def test_cells_that_are_found_part_by_part_take_one_colormap(monkeypatch):
    """A new one for each part, and its shaders, held the window for a tenth of a second each."""
    viewer, image = ViewerModel(), make_image()
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(image.pixels, name="smear")
    bridge.claim_image(str(layer.unique_id), image.key)
    made, make = [], multiscale_labels.class_colormap
    monkeypatch.setattr(
        multiscale_labels, "class_colormap", lambda table: made.append(table) or make(table)
    )
    told, drawn = [], []
    for count in (3, 7, 12, 30):
        cells = make_cells(count)
        shades = CellColourCodes(np.ones(count, np.uint8), {None: CLEAR, 0: CLEAR, 1: RED})
        bridge.show_partial_cells(cells, image.key, shades, 0)
        found = bridge.find("found")
        painted = np.asarray(found.data[0])
        np.testing.assert_array_equal(painted > 0, np.asarray(cells.labels) > 0)
        if count == 3:
            found.events.data.connect(lambda _event: told.append(1))
            found.events.set_data.connect(lambda _event: drawn.append(1))
    assert len(made) == 2  # an empty one, and that of the detector's kinds
    assert not told
    assert len(drawn) == 3
    bridge.close()
