"""Going to cells of images that are open, shown by another layer, or only on the disk."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from napari.components import ViewerModel
from PIL import Image

from made_up import make_cells, make_image
from napari_hemacells.core.image import read_image
from napari_hemacells.core.types import CellRef
from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
from napari_hemacells.widgets.navigation import Navigator


@pytest.fixture
def bridge(session):
    bridge = ViewerBridge(ViewerModel())
    bridge.show_image(session.image)
    yield bridge
    bridge.close()


@pytest.fixture
def canvas():
    return MagicMock(spec=CellLayerController)


@pytest.fixture
def going(session, bridge, canvas):
    going = Navigator(session, bridge, canvas)
    yield going
    going.close()


@pytest.fixture
def other(session, tmp_path):
    """Another image of the project, with a file and cells, which is not open."""
    first = session.image
    file = tmp_path / "other.png"
    Image.fromarray(make_image(seed=9).pixels).save(file)
    image = read_image(file)
    session.show_image(image)
    session.set_cells(make_cells(30))
    session.show_image(first)
    return image


def test_cell_of_the_open_image_is_gone_to_at_once(going, session, canvas):
    going.go_to(CellRef(session.image.key, 4))
    canvas.go_to.assert_called_once_with(4)


def test_image_of_a_file_is_opened_first(going, session, canvas, bridge, other, qtbot):
    with qtbot.waitSignal(going.image_opened, timeout=10_000):
        going.go_to(CellRef(other.key, 5))
    canvas.go_to.assert_called_once_with(5)
    assert session.image.key == other.key
    assert len(bridge.images()) == 2


def test_image_that_a_layer_shows_is_not_added_again(going, session, canvas, bridge, other, qtbot):
    bridge.viewer.add_image(other.pixels, name="other")
    going.go_to(CellRef(other.key, 5))
    qtbot.waitUntil(lambda: canvas.go_to.called, timeout=10_000)
    assert len(bridge.images()) == 2


def test_missing_image_is_told(going, session, canvas, other, qtbot, tmp_path):
    (tmp_path / "other.png").unlink()
    with qtbot.waitSignal(going.warning_emitted, timeout=10_000) as told:
        going.go_to(CellRef(other.key, 5))
    assert "point to where it is" in told.args[0]
    assert not canvas.go_to.called


def test_review_proposes_the_cells_here_and_counts_the_others(going, session, canvas, other):
    key, told = session.image.key, []
    going.proposed.connect(lambda cells, elsewhere: told.append((cells, elsewhere)))
    going.review([CellRef(other.key, 1), CellRef(key, 3), CellRef(key, 2)])
    assert told == [([3, 2], 1)]
    canvas.go_to.assert_called_once_with(3)


def test_cell_that_is_gone_is_told(going, session, canvas, qtbot):
    with qtbot.waitSignal(going.warning_emitted) as told:
        going.go_to(CellRef(session.image.key, 999))
    assert "does not exist any more" in told.args[0]
