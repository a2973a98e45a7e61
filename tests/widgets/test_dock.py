"""The dock as a whole on a viewer model: no display, a made-up encoder."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.store import Project, save_bundle
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.canvas.cell_layer_controller import format_cell_status
from napari_hemacells.widgets.canvas.markers import MARKER


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    """Projects below the test's folder; embeddings without a network."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def embed(image, cells, *_settings, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        return make_embeddings(image, cells), tasks_device

    tasks_device = tasks_device_of("cpu", "No GPU is used: this is a test.")
    monkeypatch.setattr(tasks, "embedding_steps", embed)


def tasks_device_of(name, reason):
    from napari_hemacells.core.encode import Device

    return Device(name, reason)


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
def at_work(dock, viewer, qtbot):
    """The dock with 30 cells, embedded, at the step Annotate."""
    viewer.add_image(make_image().pixels, name="smear")
    with qtbot.waitSignal(dock.controller.tasks.device_known):
        dock.session.set_cells(make_cells(30))
    dock.controller.show_step("annotate")
    return dock


def label(dock, qtbot, cell, class_id):
    """Click a cell with a class, and wait for the answer."""
    dock.session.active_class = class_id
    with qtbot.waitCallback() as answered:
        dock.session.events.prediction.connect(answered, unique=False)
        dock.controller.canvas.click(cell)
    dock.session.events.prediction.disconnect(answered)


def shown(dock, cell):
    return dock.controller.bridge.cells_layer.get_color(cell)


def test_an_image_that_arrives_is_taken(dock, viewer):
    assert "Open a smear" in dock.detect.button.toolTip()
    viewer.add_image(make_image().pixels, name="smear")
    assert dock.session.image.name == "smear"
    assert dock.detect.button.isEnabled()
    assert dock.place.text == "Project smear, saved automatically"


def test_an_image_with_nan_is_told_not_taken(dock, viewer):
    viewer.add_image(np.full((4, 4), np.nan))
    assert dock.session.image is None
    assert dock.messages.level == "error"
    assert not dock.detect.button.isEnabled()


def test_later_steps_wait_for_cells_and_say_so(dock, viewer):
    viewer.add_image(make_image().pixels)
    for step in ("annotate", "classify", "export"):
        assert not dock.header.button(step).isEnabled()
        assert "detect them first" in dock.header.button(step).toolTip()


@pytest.mark.slow
def test_detect_finds_nothing_on_a_blank_image_and_says_what_to_do(dock, viewer, qtbot):
    viewer.add_image(np.full((120, 120, 3), 240, np.uint8))
    with qtbot.waitSignal(dock.controller.tasks.detected, timeout=30_000):
        dock.detect.button.click()
    assert len(dock.session.cells) == 0
    assert "one colour everywhere. Choose another image" in dock.messages.text
    assert dock.header.button("export").isEnabled()


def test_one_click_classifies_every_cell(at_work, qtbot):
    rbc = at_work.session.palette.ids[0]
    label(at_work, qtbot, 3, rbc)
    assert at_work.session.annotated == {3: rbc}
    assert at_work.session.counts()[rbc] == (1, 29)


def test_the_clicked_cell_does_not_wait_for_a_slow_answer(at_work, qtbot, monkeypatch):
    canvas = at_work.controller.canvas
    monkeypatch.setattr(canvas, "_reclassify", lambda: True)  # an answer that never comes
    wbc = at_work.session.palette.ids[1]
    at_work.session.active_class = wbc
    canvas.click(3)
    qtbot.waitUntil(lambda: at_work.controller.bridge.find(MARKER) is not None)
    ring = at_work.controller.bridge.find(MARKER)
    assert at_work.session.prediction is None
    colour = at_work.session.palette.by_id(wbc).colour
    wanted = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    assert np.allclose(ring.face_color[0][:3], wanted, atol=0.01)


def test_three_classes_colour_their_likes(at_work, qtbot):
    for cell, class_id in zip((1, 2, 3), at_work.session.palette.ids, strict=True):
        label(at_work, qtbot, cell, class_id)
    assert np.allclose(shown(at_work, 4)[:3], shown(at_work, 1)[:3])
    assert not np.allclose(shown(at_work, 4)[:3], shown(at_work, 5)[:3])


def test_a_correction_stays_whatever_the_model_says(at_work, qtbot):
    first, second, _ = at_work.session.palette.ids
    for cell in (1, 4, 7):
        label(at_work, qtbot, cell, first)
    label(at_work, qtbot, 2, second)
    label(at_work, qtbot, 10, second)  # looks like the first class
    assert np.allclose(shown(at_work, 10)[:3], shown(at_work, 2)[:3])


def test_keys_label_the_current_cell(at_work):
    canvas, session = at_work.controller.canvas, at_work.session
    canvas.choose(5)
    at_work.controller.bridge.events.key.emit("class 2")
    assert session.annotated == {5: session.palette.ids[1]}
    canvas.act("remove")
    assert session.annotated == {}
    canvas.act("undo")
    assert session.annotated == {5: session.palette.ids[1]}
    canvas.act("redo")
    assert session.annotated == {}


def test_a_key_without_a_class_is_told(at_work):
    at_work.controller.canvas.act("class 9")
    assert "No class has the key 9" in at_work.messages.text


def test_keys_work_in_the_dock_too(at_work):
    at_work.controller.canvas.choose(5)
    press = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_1, Qt.KeyboardModifier.NoModifier)
    at_work.keyPressEvent(press)
    assert set(at_work.session.annotated) == {5}


def test_clicks_label_only_where_the_palette_is_in_sight(at_work):
    at_work.controller.show_step("detect")
    at_work.controller.canvas.click(5)
    assert at_work.session.annotated == {}
    assert at_work.controller.canvas.current == 5


def test_next_goes_to_a_cell_and_previous_back(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    canvas = at_work.controller.canvas
    canvas.act("next")
    first = canvas.current
    assert first not in {0, 1}
    canvas.act("next")
    assert canvas.current not in {1, first}
    canvas.act("previous")
    assert canvas.current == first


def test_display_flips_through_its_modes(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    modes = []
    for _ in range(4):
        at_work.controller.canvas.act("display")
        modes.append(at_work.controller.canvas.mode)
    assert modes == ["confidence", "odd", "image", "class"]
    at_work.controller.canvas.show_mode("image")
    assert shown(at_work, 1)[3] == 0
    assert at_work.classify.modes["image"].isChecked()


def test_features_follow_when_the_clicking_pauses(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    layer = at_work.controller.bridge.cells_layer
    qtbot.waitUntil(lambda: list(layer.features.get("class", ())) == ["RBC"] * 30)
    assert layer.features["annotated"].tolist()[:2] == ["RBC", None]


def test_words_for_the_cell_under_the_pointer(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    words = partial(format_cell_status, at_work.session)
    assert words(1) == "Cell 1: RBC (yours)"
    assert words(2) == "Cell 2: RBC"  # with one class alone a confidence says nothing
    assert words(0) == ""


def test_many_clicks_share_an_answer_and_the_newest_wins(at_work, qtbot):
    first, second, _ = at_work.session.palette.ids
    for cell in range(1, 11):
        at_work.session.active_class = (first, second)[cell % 2]
        at_work.controller.canvas.click(cell)
    jobs = at_work.controller.tasks.jobs
    qtbot.waitUntil(lambda: not jobs.running("classify"))
    assert at_work.session.live.latest.generation == at_work.session.request().generation
    assert len(at_work.session.annotated) == 10


def test_taking_the_last_click_back_clears_the_classes(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    at_work.controller.canvas.act("undo")
    assert at_work.session.prediction is None
    assert at_work.session.annotated == {}


def test_removing_the_cells_layer_keeps_the_annotations(at_work, viewer, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    viewer.layers.remove(at_work.controller.bridge.cells_layer)
    assert "annotations are kept" in at_work.messages.text
    assert set(at_work.session.annotated) == {1}
    at_work.controller.canvas.act("display")
    assert at_work.controller.bridge.cells_layer is not None


def test_removing_the_image_while_cells_are_embedded(dock, viewer, qtbot):
    layer = viewer.add_image(make_image().pixels, name="smear")
    dock.session.set_cells(make_cells(30))
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock.controller.tasks.jobs.busy)
    assert dock.session.embeddings is not None
    assert dock.detect.chosen_image is None


def test_an_image_seen_before_is_welcomed_back(at_work, qtbot):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    at_work.controller.close()
    again = ViewerModel()
    again.add_image(make_image().pixels, name="smear")
    widget = HemaCellsWidget(again)
    qtbot.addWidget(widget)
    assert widget.messages.text == "Project reopened: 1 annotated cell."
    assert widget.step == "annotate"
    assert len(widget.session.cells) == 30
    qtbot.waitUntil(lambda: widget.session.prediction is not None)
    widget.controller.close()


def shown_images(viewer):
    return [
        layer.name for layer in viewer.layers if layer._type_string == "image" and layer.visible
    ]


def three_fields(viewer):
    rng = np.random.default_rng(0)
    for name in ("one", "two", "three"):
        viewer.add_image(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8), name=name)


def is_about(dock, name):
    return dock.session.image.name == dock.detect.image.currentText() == name


def test_of_three_dropped_fields_the_dock_takes_the_one_that_is_seen(dock, viewer, qtbot):
    three_fields(viewer)
    qtbot.waitUntil(lambda: is_about(dock, "three"))
    assert shown_images(viewer) == ["three"]
    assert dock.image_name.text() == "Image: three"


def test_choosing_an_image_shows_it_and_hides_the_others(dock, viewer, qtbot):
    three_fields(viewer)
    qtbot.waitUntil(lambda: is_about(dock, "three"))
    for name in ("one", "two", "three"):
        dock.detect.image.setCurrentText(name)
        assert is_about(dock, name)
        assert shown_images(viewer) == [name]
        assert dock.image_name.text() == f"Image: {name}"


def test_the_dock_follows_the_active_image_layer_with_its_cells(dock, viewer, qtbot):
    three_fields(viewer)
    qtbot.waitUntil(lambda: is_about(dock, "three"))
    dock.session.set_cells(make_cells(30))
    for name in ("one", "three"):
        viewer.layers.selection.active = viewer.layers[name]
        qtbot.waitUntil(lambda name=name: is_about(dock, name))
        assert shown_images(viewer) == [name]
        assert ("Cells" in viewer.layers) == (name == "three")
    assert viewer.layers[-1].name == "Cells"


def test_of_another_image_nothing_of_the_one_before_is_told(at_work, viewer, qtbot):
    dock = at_work
    dock.controller.canvas.choose(7)
    assert dock.pointed_at.text().startswith("Cell 7")
    assert "30 cells" in dock.detect.result.text()
    viewer.layers["smear"].data = make_image(seed=1).pixels
    qtbot.waitUntil(lambda: dock.session.cells is None)
    assert (dock.pointed_at.text(), dock.detect.result.text()) == ("", "")
    assert dock.detect.edit_bar.isHidden()


def test_the_bar_names_a_project_that_was_saved_automatically(at_work):
    assert at_work.place.text == "Project smear, saved automatically"
    assert str(at_work.session.project.folder) in at_work.place._label.toolTip()


def test_removing_the_cells_does_not_choose_another_image(dock, viewer, qtbot):
    three_fields(viewer)
    qtbot.waitUntil(lambda: is_about(dock, "three"))
    dock.detect.image.setCurrentText("one")
    dock.session.set_cells(make_cells(30))
    viewer.layers.remove("Cells")
    qtbot.wait(50)
    assert is_about(dock, "one")
    assert shown_images(viewer) == ["one"]


def test_a_new_layer_does_not_hide_the_cells(at_work, viewer, qtbot):
    viewer.add_image(np.full((128, 128), np.nan), name="no picture")
    viewer.layers.selection.active = viewer.layers["smear"]
    qtbot.wait(50)
    names = [layer.name for layer in viewer.layers]
    assert names.index("Cells") > names.index("no picture")
    assert at_work.session.image.name == "smear"
    assert viewer.layers["Cells"].visible


@pytest.mark.parametrize("count", [1, 2, 3])
def test_opening_a_project_forgets_no_file(dock, viewer, tmp_path, count):
    import PIL.Image

    from napari_hemacells.core.image import read_image

    project, rng = Project.create(tmp_path / "several"), np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 255, (40, 50 + number, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        project.add_image(read_image(tmp_path / f"{number}.png"))
    before = project.images
    for _ in range(2):
        dock.controller.project_controller.open_project(project.folder)
        assert Project.open(project.folder).images == before
        assert dock.messages.level == "info"
        assert dock.session.image.key == before[0].key
        assert len(viewer.layers) == count
        dock.session.close()
        viewer.layers.clear()


def test_a_folder_that_is_no_project_is_told(dock, tmp_path):
    dock.controller.project_controller.open_project(tmp_path / "nothing")
    assert dock.messages.level == "error"


def test_a_model_goes_from_one_image_to_the_next(at_work, viewer, qtbot, tmp_path):
    for cell, class_id in zip((1, 2, 3), at_work.session.palette.ids, strict=True):
        label(at_work, qtbot, cell, class_id)
    at_work.ask_where_to_save = lambda _name: tmp_path / "three"
    at_work.classify.save_requested.emit()
    assert "Model saved" in at_work.messages.text
    at_work.session.use_project(Project.create(tmp_path / "fresh"))
    viewer.add_image(make_image(seed=5).pixels, name="next")
    with qtbot.waitSignal(at_work.controller.tasks.device_known):
        at_work.session.set_cells(make_cells(30))
    at_work.controller.classify_controller.load_bundle(tmp_path / "three")
    qtbot.waitUntil(lambda: at_work.session.prediction is not None)
    assert [mine for mine, _ in at_work.session.counts().values()] == [0, 0, 0]
    assert at_work.session.live.model.bundle.name == "three"


@pytest.mark.parametrize("other", [True, False])
def test_a_loaded_model_gets_the_numbers_that_it_needs_at_once(
    at_work, qtbot, tmp_path, monkeypatch, other
):
    first, second, _ = at_work.session.palette.ids
    for cell in (1, 2):
        label(at_work, qtbot, cell, first)
        label(at_work, qtbot, cell + 2, second)
    save_bundle(tmp_path / "model", at_work.session.make_bundle("white cells"))
    asked = []
    tasks = at_work.controller.tasks
    monkeypatch.setattr(tasks, "embed", lambda: asked.append("embed"))
    monkeypatch.setattr(tasks, "classify", lambda *_: asked.append("classify"))
    if other:  # the cells are seen with another encoder than the model's
        at_work.session.live.embeddings = at_work.session.live._raw = None
    at_work.controller.classify_controller.load_bundle(tmp_path / "model")
    assert asked[-1] == ("embed" if other else "classify")
    assert "“white cells” classifies this image" in at_work.controller.view.messages.text


@pytest.mark.parametrize(
    "what", ["csv", "joint", "report", "overlay", "labels", "crops", "coco", "bundle"]
)
def test_each_export_is_written(at_work, qtbot, tmp_path, what):
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    at_work.controller.show_step("export")
    for name, box in at_work.export.boxes.items():
        box.setChecked(name == what)
    at_work.export.folder.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(at_work.controller.tasks.exported, timeout=20_000) as written:
        at_work.export.button.click()
    paths = written.args[0].written
    assert len(paths) == (2 if what == "joint" else 1)
    for path in paths:
        assert path.exists()
        assert path.name in at_work.export.result.text()


def test_a_closed_dock_is_gone_and_hears_nothing(qtbot, viewer):
    viewer.add_image(make_image().pixels, name="smear")
    widget = HemaCellsWidget(viewer)
    session = widget.session
    session.set_cells(make_cells(30))
    gone = weakref.ref(widget)
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    assert session.project is None
    del widget
    gc.collect()
    assert gone() is None
    viewer.add_image(make_image(seed=3).pixels)
    assert session.image is None


def test_what_became_of_the_journal_is_said_after_the_greeting(dock, tmp_path):
    project = Project.create(tmp_path / "project")
    project.open_history("ann").close()
    with project.journal_path.open("ab") as file:
        file.write(b"torn")
    dock.controller.project_controller.open_project(project.folder)
    assert dock.messages.level == "warning"
    assert "was torn" in dock.messages.text


def test_an_image_opened_again_continues_in_the_project_that_was_saved_as(
    at_work, viewer, qtbot, tmp_path
):
    """Not in the copy that was left behind in the user's data folder, with fewer annotations."""
    label(at_work, qtbot, 1, at_work.session.palette.ids[0])
    at_work.place.save_as_requested.emit(tmp_path / "mine")
    assert at_work.step == "annotate"
    label(at_work, qtbot, 2, at_work.session.palette.ids[0])
    at_work.controller.close()
    again = HemaCellsWidget(viewer)
    qtbot.addWidget(again)
    try:
        assert again.session.project.folder == tmp_path / "mine"
        assert set(again.session.annotated) == {1, 2}
        assert "2 annotated cells" in again.messages.text
    finally:
        again.controller.close()


def test_what_was_decided_about_an_image_is_told(dock, viewer):
    grey = make_image().pixels[..., 0]
    viewer.add_image(np.stack([grey] * 4), name="stack")
    assert "4 planes" in dock.messages.text
    assert "Merge to RGB" in dock.messages.text
    assert "4 planes" in dock.image_name.toolTip()
    assert "Press Detect cells" in dock.messages.text


def test_channels_as_the_last_axis_of_a_stack_are_told(dock, viewer):
    pixels = np.dstack([make_image().pixels, make_image().pixels[..., 0]])
    viewer.add_image(pixels, name="four", rgb=False)
    assert dock.session.image is None
    assert "4 channels as its last axis" in dock.messages.text
    assert dock.messages.level in {"warning", "error"}


def test_of_a_colour_image_nothing_is_told(dock, viewer):
    viewer.add_image(make_image().pixels, name="smear")
    assert dock.messages.text == "Press Detect cells, or use the cells of a layer."
    assert dock.image_name.toolTip() == "smear"


def test_an_encoder_of_others_is_used_once_the_user_says_so(at_work, qtbot, monkeypatch, tmp_path):
    """A received model names a file of this computer: it is not read before the button."""
    from napari_hemacells.core import encode, encoder_names
    from napari_hemacells.core.encode import Device, allowed, weights_store

    monkeypatch.setattr(weights_store, "weights_folder", lambda: tmp_path / "encoders")
    monkeypatch.setattr(allowed, "_CHOSEN", set())
    name = f"{encoder_names.FILE}:{tmp_path / 'net.safetensors'}"

    def embed(image, cells, *_settings, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        encode.check_allowed(name)
        return make_embeddings(image, cells), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "embedding_steps", embed)
    with qtbot.waitSignal(at_work.controller.tasks.jobs.refused, timeout=30_000):
        at_work.controller.tasks.embed()
    bar = at_work.messages
    assert "net.safetensors of this computer would be read" in bar.text
    assert bar.level == "warning"
    assert bar.offered == "&Use this encoder"
    with qtbot.waitSignal(at_work.controller.tasks.device_known, timeout=30_000):
        bar.offer_button.click()
    encode.check_allowed(name)
    assert not bar.offered


def test_an_image_that_is_there_again_is_no_longer_said_to_be_removed(at_work, viewer, qtbot):
    image = viewer.layers["smear"]
    viewer.layers.remove(image)
    assert "The image was removed" in at_work.messages.text
    viewer.add_image(image.data, name="smear")
    key = str(viewer.layers["smear"].unique_id)
    at_work.controller.project_controller.choose_image(key)
    assert "removed" not in at_work.messages.text


def test_a_dock_opened_again_says_that_its_cells_are_still_there(at_work, viewer, qtbot):
    count = len(at_work.session.cells)
    at_work.controller.close()
    again = HemaCellsWidget(viewer)
    qtbot.addWidget(again)
    try:
        assert again.messages.text.startswith(f"Project reopened: {count} cells, none")
    finally:
        again.controller.close()


def test_class_folders_are_trained_on_without_an_image(dock, qtbot, monkeypatch, tmp_path):
    for kind in ("lymphocyte", "monocyte"):
        for number in range(4):
            file = tmp_path / "PBC" / kind / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((24, 24, 3), 20 * number + len(kind), np.uint8)
            Image.fromarray(pixels).save(file)
    monkeypatch.setattr(
        "qtpy.QtWidgets.QFileDialog.getExistingDirectory", lambda *_args: str(tmp_path / "PBC")
    )
    view = dock.controller.view
    preparation = dock.controller.finetune_controller.run.preparation
    monkeypatch.setattr(preparation.forecast, "ask", lambda *_args: None)  # no timing of networks
    with qtbot.waitSignal(preparation.folders.changed):
        view.folder_training.click()
    assert view.step == "classify"
    assert "8 pictures of the class folders in “PBC”" in view.finetune.lessons.text()
    assert view.finetune.start.isEnabled()
    view.finetune.back.click()
    assert view.step == "detect"  # without cells there is nothing to classify
    monkeypatch.setattr(preparation.folders, "ask", lambda: pytest.fail("was asked again"))
    view.folder_training.click()
    assert "“PBC”" in view.finetune.lessons.text()
