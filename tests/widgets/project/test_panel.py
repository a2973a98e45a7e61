"""The project panel and its controller, in a dock on a viewer model."""

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from made_up import make_cells
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project, projects_root
from napari_hemacells.core.store.project_images import done_images
from napari_hemacells.core.store.recent import recent_projects
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.dock_view import DockView
from napari_hemacells.widgets.project.controller import suggested_place


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def embed(*_everything, **_places):
        yield from ()
        raise NotImplementedError

    monkeypatch.setattr(DockView, "ask_for_image", lambda *_: None)  # a dialog would wait
    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda *_: None)
    monkeypatch.setattr(tasks, "embedding_steps", embed)


@pytest.fixture
def fields(tmp_path):
    """Two image files."""
    files = []
    for number in range(2):
        pixels = np.full((60, 80, 3), (200, 90 + 100 * number, 150), np.uint8)
        pixels[:10, :10] = number
        files.append(tmp_path / f"field {number}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


@pytest.fixture
def project_folder(tmp_path, fields):
    """A project with both images and cells of the first."""
    project = Project.create(tmp_path / "smears", "Smears of Monday")
    for file in fields:
        project.add_image(read_image(file))
    project.save_cells(project.images[0].key, make_cells(3))
    return project.folder


@pytest.fixture
def dock(qtbot):
    widget = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(widget)
    yield widget
    widget.controller.close()


@pytest.fixture
def panel(dock, project_folder, qtbot):
    """The panel with that project open."""
    dock.controller.project_controller.open_project(project_folder)
    dock.place.panel_requested.emit()
    panel = dock.controller.project_panel.panel
    qtbot.addWidget(panel)
    panel.show()
    return panel


def rows(listed):
    return [listed.item(row).text() for row in range(listed.count())]


def test_it_shows_name_folder_and_images(panel, dock, project_folder, qtbot):
    assert panel.name.text() == "Smears of Monday"
    assert panel.folder.text() == str(project_folder)
    assert rows(panel.images) == [
        "field 0\n3 cells, 0 annotated",
        "field 1\nno cells yet",
    ]
    qtbot.waitUntil(lambda: len(panel.pictured) == 2)
    icon = panel.images.item(1).icon().pixmap(16, 16).toImage().pixelColor(12, 8)
    # Qt brings the picture to the size of the icon, not on all systems by the same rounding.
    assert (icon.red(), icon.green(), icon.blue()) == pytest.approx((200, 190, 150), abs=8)
    assert dock.project is panel


def test_counts_follow_the_annotations(panel, dock, qtbot):
    dock.session.annotate([1, 2], dock.session.palette.ids[0])
    dock.controller.project_panel.update()
    assert rows(panel.images)[0] == "field 0\n3 cells, 2 annotated"


def test_choosing_an_image_opens_it(panel, dock):
    assert dock.session.image.name == "field 0"
    panel.images.itemClicked.emit(panel.images.item(1))
    assert dock.session.image.name == "field 1"
    assert panel.images.currentRow() == 1
    panel.images.itemActivated.emit(panel.images.item(0))
    assert dock.session.image.name == "field 0"
    assert len(dock.session.cells) == 3


def test_an_image_whose_layer_was_removed_is_read_from_its_file(panel, dock):
    panel.images.itemClicked.emit(panel.images.item(1))
    layers = dock.controller.bridge.viewer.layers
    layers.remove(next(layer for layer in layers if layer.name == "field 0"))
    panel.images.itemClicked.emit(panel.images.item(0))
    assert dock.session.image.name == "field 0"
    assert [layer.name for layer in layers].count("field 0") == 1
    assert dock.session.project.images[0].path is not None


def test_a_tick_is_kept(panel, dock):
    panel.images.item(1).setCheckState(Qt.CheckState.Checked)
    project = dock.session.project
    assert done_images(project) == {project.images[1].key}
    assert panel._images_title.text().endswith("(1 of 2 done)")
    panel.images.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert done_images(project) == frozenset()


def test_a_name_is_kept_and_shown_and_an_empty_one_is_not(panel, dock, project_folder):
    panel.name.setText("  Patient 7 ")
    panel.name.editingFinished.emit()
    assert Project.open(project_folder).name == "Patient 7"
    assert dock.place.text == f"Patient 7, saved in {project_folder}"
    assert recent_projects()[0].name == "Patient 7"
    panel.name.setText(" ")
    panel.name.editingFinished.emit()
    assert panel.name.text() == "Patient 7"
    assert Project.open(project_folder).name == "Patient 7"


def test_recent_projects_are_offered_and_a_missing_one_is_grey(panel, dock, tmp_path, fields):
    for name in ("other", "gone"):
        other = Project.create(tmp_path / name, name)
        other.add_image(read_image(fields[0]))
        dock.controller.project_controller.open_project(other.folder)
    (tmp_path / "gone").rename(tmp_path / "moved")
    dock.controller.project_controller.open_project(tmp_path / "other")
    listed = panel.recent
    assert [text.splitlines()[1] for text in rows(listed)] == [
        str(tmp_path / "gone"),
        str(tmp_path / "smears"),
    ]
    assert "not found" in rows(listed)[0]
    assert not listed.item(0).flags() & Qt.ItemFlag.ItemIsEnabled
    dock.place.recent_requested.emit()
    offered = {action.toolTip(): action.isEnabled() for action in dock.place._recent.actions()}
    assert offered == {str(tmp_path / "gone"): False, str(tmp_path / "smears"): True}
    listed.itemClicked.emit(listed.item(1))
    assert dock.session.project.name == "Smears of Monday"
    assert panel.name.text() == "Smears of Monday"


def test_one_that_vanished_meanwhile_is_told_and_taken_off(panel, dock, tmp_path, fields):
    other = Project.create(tmp_path / "other")
    other.add_image(read_image(fields[0]))
    dock.controller.project_controller.open_project(other.folder)
    (tmp_path / "smears").rename(tmp_path / "moved")
    panel.project_chosen.emit(tmp_path / "smears")
    assert dock.messages.level == "warning"
    assert "There is no project" in dock.messages.text
    assert [entry.folder for entry in recent_projects()] == [other.folder]


def test_save_as_suggests_the_folder_and_name_of_the_image(dock, fields, monkeypatch, tmp_path):
    image = read_image(fields[1])
    dock.controller.bridge.show_image(image)
    dock.session.open_image(image)
    assert dock.session.project.folder.is_relative_to(projects_root())
    asked = []

    def ask(_parent, _title, suggested):
        asked.append(suggested)
        return suggested, ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    dock.controller.project_panel.show_panel()
    panel = dock.controller.project_panel.panel
    assert "data folder" in panel.folder.text()
    panel.save_as.click()
    dock.controller.project_panel.update()
    assert asked == [str(tmp_path / "field 1 project")]
    assert dock.session.project.folder == tmp_path / "field 1 project"
    assert "data folder" not in panel.folder.text()
    assert dock.place.suggested == tmp_path / "field 1 project copy"


def test_without_a_file_save_as_suggests_the_home_folder(tmp_path):
    project = Project.create(projects_root() / "x-1", "a/b")
    assert suggested_place(project, None).name == "a_b project"
