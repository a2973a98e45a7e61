"""The control *Encoder*, and what it does in the dock."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox
from safetensors.numpy import save_file

from made_up import INFO, make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import Device, catalog
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.store import Project
from napari_hemacells.core.types import Progress
from napari_hemacells.session import Session, run_classification
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.classify import encoder_picker
from napari_hemacells.widgets.classify.encoder_picker import EncoderDialog
from napari_hemacells.widgets.classify.panel import ClassifyPanel

OTHER = replace(INFO, name="other", sha256="1" * 64)
GONE = "timm:resnet18"


@pytest.fixture(autouse=True)
def shelf(monkeypatch, tmp_path):
    """A shelf of encoders below the test's folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "encoders"
    folder.mkdir()
    monkeypatch.setattr(
        "napari_hemacells.core.encode.weights_store.weights_folder", lambda: folder
    )
    return folder


def adapted(folder, date="2026-11-21T10:00:00Z"):
    """An adapted encoder's file, as far as its header."""
    about = {
        "base": "bundled", "base_sha256": "0" * 64, "images": ["a"], "crops": 1234,
        "date": date, "training": {},
    }  # fmt: skip
    file = folder / f"{date[:10]}.safetensors"
    header = {"format": "napari-hemacells adapted encoder", "version": "1"}
    save_file({"w": np.zeros(1)}, file, {**header, "about": json.dumps(about)})
    return file


@pytest.fixture
def panel(session, qtbot):
    panel = ClassifyPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def titles(panel):
    combo = panel.encoder.combo
    return [combo.itemText(place) for place in range(combo.count()) if combo.itemText(place)]


def pick(panel, title):
    """Choose an entry as a user would."""
    combo = panel.encoder.combo
    combo.setCurrentIndex(combo.findText(title))
    combo.activated.emit(combo.currentIndex())


def test_the_list_is_in_words_with_adapted_ones_the_newest_first(panel, shelf):
    adapted(shelf, "2026-11-20T10:00:00Z")
    newest = adapted(shelf)
    (shelf / "DinoBloom-S.pth").write_bytes(b"")
    save_file({"w": np.zeros(1)}, shelf / "resnet18.safetensors")  # weights, not adapted
    panel.show_settings()
    assert titles(panel) == [
        "Bundled, blood (default)",
        "Bundled, two turns: faster",
        "Blood 2, five sets",
        "ImageNet",
        "Adapted to 1,234 cells of yours, 2026-11-21",
        "Adapted to 1,234 cells of yours, 2026-11-20",
        "DinoBloom-S",
        "Other…",
    ]
    combo = panel.encoder.combo
    assert combo.itemData(4) == f"adapted:{newest}"
    for place in range(7):
        assert combo.itemData(place, Qt.ItemDataRole.ToolTipRole)
    assert "PBC, Chula, BCCD" in combo.toolTip()


def test_choosing_asks_and_showing_does_not(panel, session, qtbot):
    with qtbot.waitSignal(panel.encoder.encoder_chosen) as asked:
        pick(panel, "ImageNet")
    assert asked.args == ["imagenet"]
    with qtbot.assertNotEmitted(panel.encoder.encoder_chosen):
        session.set_encoder(GONE)
        pick(panel, GONE)  # the one in use
    assert panel.encoder.combo.currentText() == GONE


def test_other_asks_for_a_name(panel, qtbot, monkeypatch):
    monkeypatch.setattr(encoder_picker, "ask_for_encoder", lambda _parent: GONE)
    with qtbot.waitSignal(panel.encoder.encoder_chosen) as asked:
        pick(panel, "Other…")
    assert asked.args == [GONE]
    monkeypatch.setattr(encoder_picker, "ask_for_encoder", lambda _parent: "")
    with qtbot.assertNotEmitted(panel.encoder.encoder_chosen):
        pick(panel, "Other…")
    assert panel.encoder.combo.currentText() == "Bundled, blood (default)"


def test_a_model_brings_its_own_and_the_control_says_so(panel, session, classify):
    for cell in range(1, 7):
        session.annotate([cell], session.palette.ids[cell % 3])
    classify()
    session.load_model(session.make_bundle("mine"))
    combo = panel.encoder.combo
    assert not combo.isEnabled()
    assert combo.currentText() == f"The model's own: {INFO.name}"
    assert "“mine”" in combo.toolTip()
    session.drop_model()
    assert combo.isEnabled()
    assert combo.currentText() == "Bundled, blood (default)"


def test_the_form_shows_what_the_project_was_left_with(panel, session, qtbot, tmp_path):
    session.set_params(ClassifyParams(head="knn", measured=True))
    folder = session.project.folder
    session.use_project(Project.create(tmp_path / "next"))
    assert panel.form.values()["head"] == "auto"
    with qtbot.assertNotEmitted(panel.params_changed):
        session.use_project(Project.open(folder))
    assert panel.form.values() == {"head": "knn", "unlabelled": True, "measured": True}


def test_a_name_is_checked_while_it_is_typed(qtbot, shelf, tmp_path):
    dialog = EncoderDialog()
    qtbot.addWidget(dialog)
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert not ok.isEnabled()
    dialog.name.setText("bundel")
    assert dialog.reason.text() == "There is no encoder “bundel”; did you mean bundled?"
    assert not ok.isEnabled()
    dialog.name.setText(" timm:resnet18 ")
    assert ok.isEnabled()
    assert dialog.encoder == GONE
    dialog.use_file(tmp_path / "own.pth")
    assert not ok.isEnabled()  # of which network?
    dialog.name.setText(dialog.encoder + "resnet18")
    assert ok.isEnabled()
    dialog.use_file(adapted(shelf))
    assert dialog.encoder == f"adapted:{shelf / '2026-11-21.safetensors'}"


# --- in the dock -------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """Embeddings without networks; which encoder was asked for which cells."""
    asked: list[tuple[str, str, int]] = []

    def load(params):
        yield Progress(0, 0, "Loading the network")
        if params.encoder == GONE:
            raise EncoderError("The weights of resnet18 are not on this computer.")
        return catalog.portable_name(params.encoder)

    def embed(image, cells, _spec, params, **_places):
        asked.append((params.encoder, image.name, len(cells)))
        yield Progress(0, len(cells), "Embedding cells")
        info = INFO if params.encoder == "bundled" else OTHER
        return replace(make_embeddings(image, cells), encoder=info), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "load_encoder_steps", load)
    monkeypatch.setattr(tasks, "embedding_steps", embed)
    return asked


@pytest.fixture
def dock(qtbot, made):
    viewer = ViewerModel()
    widget = HemaCellsWidget(viewer, session=Session("anna"))
    qtbot.addWidget(widget)
    viewer.add_image(make_image().pixels, name="smear")
    with qtbot.waitSignal(widget.controller.tasks.device_known):
        widget.session.set_cells(make_cells(30))
    widget.show()
    widget.controller.show_step("classify")
    yield widget
    widget.controller.close()


def classified(dock, qtbot):
    """Two clicks a class, and their answer."""
    session = dock.session
    for cell in range(1, 7):
        session.annotate([cell], session.palette.ids[cell % 3])
    dock.controller.tasks.classify()
    qtbot.waitUntil(lambda: session.prediction is not None)


def test_another_encoder_embeds_anew_and_classifies_again(dock, qtbot, made):
    classified(dock, qtbot)
    before = dock.session.annotated
    pick(dock.classify, "ImageNet")
    qtbot.waitUntil(lambda: made[-1][0] == "imagenet")
    qtbot.waitUntil(lambda: dock.session.embeddings is not None)
    assert dock.session.embeddings.encoder == OTHER
    qtbot.waitUntil(lambda: dock.session.prediction is not None)
    assert dock.session.annotated == before
    assert dock.session.project.content.encoder_name == "imagenet"
    assert dock.classify.device.text().startswith("Network: other on cpu")
    assert "ImageNet" in dock.messages.text


def test_weights_that_are_not_here_leave_all_as_it_was(dock, qtbot, made, monkeypatch):
    classified(dock, qtbot)
    prediction, embeddings = dock.session.prediction, dock.session.embeddings
    monkeypatch.setattr(encoder_picker, "ask_for_encoder", lambda _parent: GONE)
    with qtbot.waitSignal(dock.controller.tasks.refused):
        pick(dock.classify, "Other…")
    assert dock.messages.level == "warning"
    assert "not on this computer. The encoder in use has not changed." in dock.messages.text
    assert dock.session.prediction is prediction
    assert dock.session.embeddings is embeddings
    assert dock.session.project.content.encoder_name == "bundled"
    assert dock.classify.encoder.combo.currentText() == "Bundled, blood (default)"
    assert {one[0] for one in made} == {"bundled"}


def test_cancel_leaves_the_encoder_in_use(dock, qtbot, made):
    tasks_, combo = dock.controller.tasks, dock.classify.encoder.combo
    pick(dock.classify, "ImageNet")
    assert tasks_.jobs.running("encoder")
    dock.messages.cancel_requested.emit()
    assert not tasks_.jobs.running("encoder")
    assert combo.currentText() == "Bundled, blood (default)"
    assert dock.session.live.encoder == "bundled"
    assert dock.session.embeddings is not None


def test_annotated_cells_of_other_images_go_on_teaching(dock, qtbot, made):
    classified(dock, qtbot)
    dock.session.open_image(make_image(8, "second"))
    with qtbot.waitSignal(dock.controller.tasks.device_known):
        dock.session.set_cells(make_cells(20))
    assert len(dock.session.support().labels) == 6
    with qtbot.waitSignal(dock.controller.tasks.others_embedded):
        pick(dock.classify, "ImageNet")
    assert ("imagenet", "second", 20) in made
    assert ("imagenet", "smear", 6) in made  # the annotated ones alone


def test_numbers_relative_to_all_cells_are_measured_on_all_of_them(dock, qtbot, made):
    classified(dock, qtbot)
    dock.session.open_image(make_image(8, "second"))
    with qtbot.waitSignal(dock.controller.tasks.device_known):
        dock.session.set_cells(make_cells(20))
    with qtbot.waitSignal(dock.controller.tasks.others_embedded):
        dock.classify.form.set_values({"measured": True})
    assert made[-1] == ("bundled", "smear", 30)


def test_another_project_is_looked_at_as_it_was_left(dock, qtbot, made, tmp_path):
    project = Project.create(tmp_path / "left")
    project.update(encoder_name="imagenet")
    dock.session.use_project(project)
    assert dock.classify.encoder.combo.currentText() == "ImageNet"
    dock.session.show_image(make_image(3, "third"))
    with qtbot.waitSignal(dock.controller.tasks.device_known):
        dock.session.set_cells(make_cells(10))
    assert made[-1] == ("imagenet", "third", 10)


@pytest.mark.slow
def test_a_model_whose_encoder_is_not_found_is_refused(session, classify):
    from napari_hemacells.core.errors import BundleMismatchError
    from napari_hemacells.core.params import EncodeParams
    from napari_hemacells.widgets.background import tasks as task_steps

    for cell in range(1, 7):
        session.annotate([cell], session.palette.ids[cell % 3])
    if session.embeddings is None:
        session.set_embeddings(make_embeddings(session.image, session.cells))
    session.accept(run_classification(session.request()))
    model = session.make_bundle("mine")
    with pytest.raises(BundleMismatchError, match="made with the encoder fake"):
        task_steps._encoder_for(model, EncodeParams(device="cpu"))
