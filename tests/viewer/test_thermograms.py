"""Thermograms in a real viewer: dropped, named on the command line, under the pointer."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

from napari_hemacells.widgets.thermography.status_bar import TemperatureReadout, show_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari import Viewer

PLUGIN = "napari-hemacells"
pytestmark = pytest.mark.viewer


def write_frame(file: Path, seed: int = 0) -> np.ndarray:
    celsius = np.round(np.random.default_rng(seed).uniform(24, 36, (48, 64)), 2)
    np.savetxt(file, celsius, fmt="%.2f")
    return celsius.astype(np.float32)


def drop(viewer: Viewer, files: Sequence[Path], *, stack: bool = False) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    event = QDropEvent(
        QPointF(100, 100),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    viewer.window._qt_viewer.dropEvent(event)


def point(position: tuple[float, ...]) -> SimpleNamespace:
    """What napari tells of a mouse that has moved."""
    shown = [len(position) - 2, len(position) - 1]
    return SimpleNamespace(position=position, view_direction=None, dims_displayed=shown)


def overlay_of(viewer: Viewer) -> SimpleNamespace:
    return viewer.canvas.overlays.text


def test_dropped_files_open_in_degrees(
    make_napari_viewer: Callable[[], Viewer], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    files = [tmp_path / f"T000{number}.1.1.S.2013-01-16.00.txt" for number in (1, 2)]
    expected = [write_frame(file, seed) for seed, file in enumerate(files)]
    drop(viewer, files)
    assert [layer.name for layer in viewer.layers] == [file.stem for file in files]
    for layer, celsius in zip(viewer.layers, expected, strict=True):
        np.testing.assert_array_equal(layer.data, celsius)
        assert layer.colormap.name == "inferno"
        assert layer.source.reader_plugin == PLUGIN
    assert [layer.colorbar.visible for layer in viewer.layers] == [False, True]


def test_a_dropped_folder_is_a_stack_once_the_reader_is_chosen(
    make_napari_viewer: Callable[[], Viewer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """napari reads folders itself and asks which reader it shall be."""
    from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog

    viewer = make_napari_viewer()
    folder = tmp_path / "series"
    folder.mkdir()
    expected = [write_frame(folder / f"{number}.txt", number) for number in range(3)]
    monkeypatch.setattr(QtReaderDialog, "get_user_choices", lambda _: ("HemaCells", False))
    drop(viewer, [folder])
    (layer,) = viewer.layers
    assert layer.name == "series"
    np.testing.assert_array_equal(layer.data.compute(), expected)


@pytest.mark.realdata
def test_the_real_exams_open_when_dropped(
    make_napari_viewer: Callable[[], Viewer], shared_data: Path
) -> None:
    viewer = make_napari_viewer()
    files = sorted((shared_data / "dmr_ir" / "txt").glob("*.txt"))
    drop(viewer, files)
    assert len(viewer.layers) == len(files) == 6
    for layer, file in zip(viewer.layers, files, strict=True):
        np.testing.assert_array_equal(layer.data, np.loadtxt(file, dtype=np.float32))


def test_files_on_the_command_line(
    make_napari_viewer: Callable[[], Viewer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``napari FILE FILE``: the program itself, with this viewer in place of a new one."""
    from napari import __main__ as program

    viewer = make_napari_viewer()
    files = [tmp_path / f"{name}.txt" for name in ("first", "second")]
    expected = [write_frame(file, seed) for seed, file in enumerate(files)]
    monkeypatch.setattr(program, "Viewer", lambda *_, **__: viewer)
    monkeypatch.setattr("napari.run", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["napari", *map(str, files)])
    program._run()
    assert [layer.name for layer in viewer.layers] == ["first", "second"]
    for layer, celsius in zip(viewer.layers, expected, strict=True):
        np.testing.assert_array_equal(layer.data, celsius)
    assert viewer.layers["second"].colorbar.visible


def test_the_pointer_shows_degrees_of_the_frame_under_it(
    make_napari_viewer: Callable[[], Viewer], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    files = [tmp_path / f"T000{number}.1.1.S.2013-01-16.00.txt" for number in (1, 2)]
    expected = [write_frame(file, seed) for seed, file in enumerate(files)]
    viewer.open(list(map(str, files)), plugin=PLUGIN, stack=True)
    (layer,) = viewer.layers
    assert layer.data.shape == (2, 48, 64)
    hover = show_temperature(viewer)
    viewer.dims.set_point(0, 1)
    hover._on_move(viewer, point((1.0, 30.0, 40.0)))
    text = overlay_of(viewer)
    assert text.text.startswith(f"{expected[1][30, 40]:.2f} °C · T0002")
    assert text.visible
    hover._on_move(viewer, point((1.0, -30.0, 40.0)))
    assert not text.text
    assert not text.visible


def test_a_moving_mouse_over_the_canvas_writes_degrees(
    make_napari_viewer: Callable[..., Viewer], tmp_path: Path, qtbot: object
) -> None:
    viewer = make_napari_viewer(show=True)
    write_frame(tmp_path / "frame.txt")
    viewer.open(str(tmp_path / "frame.txt"), plugin=PLUGIN)
    canvas = viewer.window._qt_viewer.canvas.native
    middle = canvas.rect().center()
    for step in range(4):
        QTest.mouseMove(canvas, middle + QPoint(step, 0))
        qtbot.wait(20)  # the event loop delivers it
    assert overlay_of(viewer).text.endswith("°C")


def test_somebody_elses_text_and_plain_images_are_left_alone(
    make_napari_viewer: Callable[[], Viewer], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    hover = show_temperature(viewer)
    assert show_temperature(viewer) is hover
    viewer.add_image(np.zeros((48, 64), np.float32))
    hover._on_move(viewer, point((3.0, 4.0)))
    assert not overlay_of(viewer).text
    write_frame(tmp_path / "frame.txt")
    viewer.open(str(tmp_path / "frame.txt"), plugin=PLUGIN)
    overlay_of(viewer).text, overlay_of(viewer).visible = "mine", True
    hover._on_move(viewer, point((3.0, 4.0)))
    assert overlay_of(viewer).text == "mine"


def test_the_bar_follows_the_selected_layer(make_napari_viewer: Callable[[], Viewer]) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, "thermogram")
    viewer.open_sample(PLUGIN, "thermogram")
    viewer.layers.selection.active = viewer.layers[0]
    assert [layer.colorbar.visible for layer in viewer.layers] == [True, False]
    viewer.layers.pop(0)
    assert viewer.layers[0].colorbar.visible


def test_the_viewer_is_not_kept_alive() -> None:
    import gc
    import weakref

    from napari.components import ViewerModel

    viewer = ViewerModel()
    TemperatureReadout(viewer)
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None
