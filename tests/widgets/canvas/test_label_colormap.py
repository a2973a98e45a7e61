"""Cells are coloured as napari does it, and without code that is compiled first."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap, _accelerated_cmap

from made_up import make_cells, make_image
from napari_hemacells.widgets.canvas import multiscale_labels
from napari_hemacells.widgets.canvas.label_colormap import class_colormap
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

RED, BLUE, GREY = (0.9, 0.1, 0.1, 1.0), (0.1, 0.1, 0.9, 1.0), (0.5, 0.5, 0.5, 0.4)
TABLE = {None: GREY, 1: RED, 2: BLUE, 5: RED, 300: BLUE}


@pytest.fixture
def compiled(monkeypatch):
    """The calls of what napari compiles with numba."""
    calls = []
    for name in ("zero_preserving_modulo", "labels_raw_to_texture_direct"):
        monkeypatch.setattr(_accelerated_cmap, name, lambda *_: calls.append(1) or 1 / 0)
    return calls


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16, np.uint8])
@pytest.mark.parametrize("selection", [None, 2])
def test_the_colours_are_those_of_napari(dtype, selection):
    values = np.array([[0, 1, 2], [5, 7, 200]]).astype(dtype)
    ours = class_colormap(TABLE)
    theirs = DirectLabelColormap(color_dict={**TABLE, 0: (0, 0, 0, 0)})
    for one in (ours, theirs):
        one.use_selection, one.selection = selection is not None, selection or 0
    np.testing.assert_allclose(ours.map(values), theirs.map(values), atol=1e-6)
    assert ours.map(values).shape == (2, 3, 4)
    assert tuple(ours.map(2)) == pytest.approx(BLUE)


@pytest.mark.parametrize("many", [False, True])
def test_showing_cells_compiles_nothing(compiled, monkeypatch, many):
    monkeypatch.setattr(multiscale_labels, "MULTISCALE_THRESHOLD", 5 if many else 5000)
    viewer, image, cells = ViewerModel(), make_image(), make_cells(30)
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(image.pixels, name="smear")
    bridge.claim_image(str(layer.unique_id), image.key)
    bridge.show_cells(cells, image.key)
    bridge.outline(1)
    bridge.recolour({None: GREY, **{int(cell): RED for cell in cells.ids}})
    bridge.show_thumbnail()
    shown = bridge.cells_layer
    assert isinstance(shown, Labels)
    assert bridge.is_multiscale is many
    if not many:
        np.testing.assert_array_equal(shown.data, cells.labels)
        assert tuple(shown.get_color(int(cells.ids[0]))) == pytest.approx(RED)
    assert not compiled
    bridge.close()
