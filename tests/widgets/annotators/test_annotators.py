"""The section *Several annotators* in the dock: sources, method, distance, taking over."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from made_up import make_image
from napari_hemacells.core.store import Project
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

WAIT = 60_000
TABLE = """image,annotator,row,column,class
smear,Ana,10,10,alive
smear,Ben,12,10,alive
smear,Eva,11,12,dead
smear,Ana,40,40,dead
smear,Ben,41,40,dead
smear,Eva,40,42,dead
smear,Eva,60,10,alive
other,Ana,5,5,alive
"""


@pytest.fixture
def dock(qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda _self: None)
    dock = HemaCellsWidget(ViewerModel())
    qtbot.addWidget(dock)
    image = make_image()
    dock.session.use_project(Project.create(tmp_path / "project"))
    dock.controller.bridge.show_image(image)
    dock.session.show_image(image)
    yield dock
    dock.controller.close()


@pytest.fixture
def points_file(tmp_path):
    file = tmp_path / "points.csv"
    file.write_text(TABLE)
    return file


def changed(dock, qtbot, change):
    """Make a change, and wait for the consensus that follows from it."""
    controller = dock.controller.annotators
    before = controller.consensus
    change()
    qtbot.waitUntil(
        lambda: controller.consensus is not None and controller.consensus is not before,
        timeout=WAIT,
    )
    return controller.consensus


def layer(dock, role):
    return dock.controller.bridge.find(role)


def test_a_file_shows_points_consensus_and_doubts(dock, qtbot, points_file):
    panel, controller = dock.annotators, dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    assert panel.annotators.count() == 3
    assert panel.image.currentText() == "smear"  # known by the image's name
    assert len(layer(dock, "annotators").data) == 7
    consensus = layer(dock, "consensus")
    assert len(consensus.data) == 2
    assert {"class", "state", "votes", "agreement", "spread_px"} <= set(consensus.features)
    assert len(layer(dock, "disagreements").data) == 2
    assert panel.result.text() == "2 cells: alive 1, dead 1; 1 rejected; 2 to look at"
    assert "alpha" in panel.agreement.text()
    assert not dock.controller.bridge.cell_sources()  # ours are no source of cells


def test_the_distance_moves_the_consensus(dock, qtbot, points_file):
    panel, controller = dock.annotators, dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    assert panel.is_learnt
    changed(dock, qtbot, lambda: panel.slider.setValue(2))
    assert not panel.is_learnt
    assert panel.distance.text() == "2 px"
    assert len(layer(dock, "consensus").data) < 2 + 1
    changed(dock, qtbot, lambda: panel.slider.setValue(20))
    assert len(layer(dock, "consensus").data) == 2
    consensus = changed(
        dock, qtbot, lambda: panel.method.setCurrentIndex(panel.method.findData("radius"))
    )
    assert consensus.set_aside == ("smear",)
    assert "Set aside" in panel.result.text()
    assert not panel.take_button.isEnabled()


def test_an_annotator_is_left_out(dock, qtbot, points_file):
    from qtpy.QtCore import Qt

    panel, controller = dock.annotators, dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    eva = panel.annotators.item(2)
    changed(dock, qtbot, lambda: eva.setCheckState(Qt.CheckState.Unchecked))
    assert len(layer(dock, "annotators").data) == 4
    assert len(layer(dock, "disagreements").data) == 0


def test_cells_are_taken_over_and_doubts_visited(dock, qtbot, points_file):
    panel, controller = dock.annotators, dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    panel.take_button.click()
    session = dock.session
    assert len(session.cells) == 2
    assert len(session.annotated) == 2
    assert "2 new cells" in dock.messages.text
    panel.next_button.click()
    assert "1 of 2" in dock.messages.text
    texts = set()
    for _ in range(2):
        texts.add(dock.messages.text)
        panel.next_button.click()
    assert any("3 of 3 marked it, 2 alive, 1 dead; kept. Press 1 for" in text for text in texts)
    assert any("1 of 3 marked it, 1 alive; rejected. Take the cells over" in t for t in texts)
    session.undo()
    assert not len(session.cells)


def test_points_layers_are_annotators(dock, qtbot):
    controller, viewer = dock.controller.annotators, dock.controller.bridge.viewer
    for name in ("Ana", "Ben"):
        viewer.add_points(
            np.array([[10.0, 10], [40, 40]]), name=name, features={"class": ["RBC", "WBC"]}
        )
    controller._offer_layers()
    actions = dock.annotators.layers_menu.actions()
    assert [action.text() for action in actions] == ["Ben", "Ana"]
    for action in actions:
        action.setChecked(True)
    consensus = changed(
        dock, qtbot, lambda: controller.read_layers(dock.annotators.ticked_layers())
    )
    assert consensus.points.annotators == ("Ana", "Ben")
    assert sorted(consensus.cells["class"]) == ["RBC", "WBC"]
    assert dock.annotators.result.text().startswith("2 cells")


def test_projects_are_read(dock, qtbot, tmp_path):
    from napari_hemacells.core import annotate
    from napari_hemacells.core.types import CellRef

    image = dock.session.image
    for who in ("ana", "ben"):
        project = Project.create(tmp_path / who)
        project.add_image(image)
        history = project.open_history(who, None)
        target = (CellRef(image.key, 1), 10.0, 10.0)
        history.do(annotate.SetLabels((target,), history.state.palette.ids[0], who))
        history.close()
    controller = dock.controller.annotators
    alone = changed(dock, qtbot, lambda: controller.read_projects([tmp_path / "ana"]))
    assert alone.points.annotators == ("ana",)
    consensus = changed(dock, qtbot, lambda: controller.read_projects([tmp_path / "ben"]))
    assert consensus.points.annotators == ("ana", "ben")
    assert consensus.cells["votes"].tolist() == [2]


def test_a_wrong_file_is_told_and_changes_nothing(dock, qtbot, points_file, tmp_path):
    controller = dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("alive_array,task\n__import__('os'),a\n")
    controller.read_files([wrong])
    qtbot.waitUntil(lambda: "no list of points" in dock.messages.text, timeout=WAIT)
    assert len(controller.points) == 8


def test_points_are_removed(dock, qtbot, points_file):
    controller = dock.controller.annotators
    changed(dock, qtbot, lambda: controller.read_files([points_file]))
    dock.annotators.clear_button.click()
    assert controller.points is None
    qtbot.waitUntil(lambda: layer(dock, "consensus") is None, timeout=WAIT)
    assert not dock.annotators.take_button.isVisibleTo(dock)


def test_points_of_another_image_ask_for_it(dock, qtbot, tmp_path):
    file = tmp_path / "points.csv"
    file.write_text("image,annotator,row,column\na,Ana,1,1\nb,Ben,2,2\n")
    panel, controller = dock.annotators, dock.controller.annotators
    controller.read_files([file])
    qtbot.waitUntil(lambda: "Choose the image" in panel.result.text(), timeout=WAIT)
    changed(dock, qtbot, lambda: panel.image.setCurrentIndex(0))
    assert len(layer(dock, "annotators").data) == 1
