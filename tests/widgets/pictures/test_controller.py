"""A folder of pictures in the dock: opened, its classes, what comes and goes, and trouble."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtWidgets import QApplication

from made_up import INFO
from made_up_pictures import KINDS, write_pictures
from napari_hemacells.core.pictures import PictureChanges
from napari_hemacells.core.types import CropSpec, Embeddings, Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.pictures.controller import format_changes, join_changes

WAIT = 30_000


@pytest.fixture(autouse=True)
def by_colour(monkeypatch, tmp_path):
    """A stand-in for the network, and an own folder for projects."""
    from napari_hemacells.core.encode import Device

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def embed(image, cells, *_settings, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        crops = image.sheet.crops(cells.ids.tolist(), CropSpec())
        readable = ~np.isin(cells.ids, list(image.sheet.pictures.unreadable))
        means = crops[readable].reshape(readable.sum(), -1, 3).mean(axis=1) / 255
        vectors = np.tile(means, (1, INFO.dim))[:, : INFO.dim].astype(np.float32)
        found = Embeddings(cells.ids[readable], vectors, INFO, CropSpec(), image.key)
        return found, Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "embedding_steps", embed)


@pytest.fixture
def new_dock(qtbot):
    docks = []

    def make():
        dock = HemaCellsWidget(ViewerModel())
        qtbot.addWidget(dock)
        docks.append(dock)
        return dock

    yield make
    for dock in docks:
        dock.controller.close()


@pytest.fixture
def dock(new_dock):
    return new_dock()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cells"
    write_pictures(folder)
    return folder


def open_folder(dock, qtbot, folder):
    dock.controller.pictures.open_folder(folder)
    qtbot.waitUntil(lambda: not dock.controller.pictures.jobs.running("open"), timeout=WAIT)
    if dock.session.cells is not None:
        qtbot.waitUntil(lambda: dock.session.embeddings is not None, timeout=WAIT)
        qtbot.waitUntil(lambda: not dock.controller.tasks.jobs.running("open"), timeout=WAIT)


def looked(dock, qtbot):
    jobs = dock.controller.pictures.jobs  # tiles may be read meanwhile
    looking = {"timeout": WAIT, "check_params_cb": lambda kind, _changes: kind == "read"}
    with qtbot.waitSignal(jobs.returned, **looking):
        dock.pictures.look_button.click()
    qtbot.waitUntil(lambda: dock.session.embeddings is not None, timeout=WAIT)


def test_a_folder_is_shown_as_one_image(dock, qtbot, folder):
    open_folder(dock, qtbot, folder)
    assert len(dock.session.cells) == 12
    assert "12 pictures" in dock.pictures.text.text()
    assert dock.detect.button.isHidden()
    assert dock.detect.use_detector.isHidden()
    layer = dock.controller.bridge.find("image", dock.session.image.key)
    assert layer.multiscale
    assert layer.name == "cells"


def test_the_tiles_come_by_and_by_and_are_kept(dock, qtbot, folder):
    open_folder(dock, qtbot, folder)
    sheet = dock.session.image.sheet
    qtbot.waitUntil(lambda: not len(sheet.not_loaded()), timeout=WAIT)
    kept = dock.session.project.folder / "pictures" / f"{sheet.pictures.key}.npz"
    qtbot.waitUntil(kept.exists, timeout=WAIT)


def test_class_folders_are_taken_over_once(new_dock, qtbot, tmp_path):
    folder = tmp_path / "sorted"
    write_pictures(folder, in_classes=True)
    dock = new_dock()
    open_folder(dock, qtbot, folder)
    assert len(dock.session.annotated) == 12
    assert "Ctrl+Z" in dock.messages.text
    dock.session.undo()
    assert dock.session.annotated == {}
    dock.controller.close()
    again = new_dock()
    open_folder(again, qtbot, folder)
    assert again.session.annotated == {}  # what was taken back stays so
    assert not again.pictures.classes_button.isHidden()
    again.pictures.classes_button.click()
    assert len(again.session.annotated) == 12


def test_a_table_of_classes_tells_what_did_not_fit(dock, qtbot, folder, tmp_path):
    table = tmp_path / "labels.csv"
    names = sorted(path.name for path in folder.iterdir())
    rows = [f"{name},{name.split('_')[0]}" for name in names[:6]]
    table.write_text("\n".join(["image,class", *rows, "nobody.png,ghost"]))
    open_folder(dock, qtbot, folder)
    dock.pictures.table_chosen.emit(table)
    assert len(dock.session.annotated) == 6
    assert "nobody.png" in dock.messages.text
    assert dock.messages.level == "warning"


def test_a_table_that_is_none_changes_nothing(dock, qtbot, folder, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("this is no table")
    open_folder(dock, qtbot, folder)
    dock.pictures.table_chosen.emit(table)
    assert dock.messages.level == "error"
    assert dock.session.annotated == {}


def test_new_files_are_offered_and_nothing_moves_until_asked(dock, qtbot, folder):
    open_folder(dock, qtbot, folder)
    dock.session.annotate([12], dock.session.palette.ids[0])
    write_pictures(folder, 1, start=70)
    qtbot.waitUntil(lambda: "3 new" in dock.messages.text, timeout=WAIT)
    assert len(dock.session.cells) == 12
    assert dock.messages.offered == "Show the changes"
    dock.messages.offer_button.click()
    qtbot.waitUntil(lambda: len(dock.session.cells) == 15, timeout=WAIT)
    assert set(dock.session.annotated) == {12}


def test_missing_files_keep_their_class(dock, qtbot, folder):
    open_folder(dock, qtbot, folder)
    dock.session.annotate([1, 2], dock.session.palette.ids[0])
    first = folder / dock.session.cells.table["file"].iloc[0]
    first.unlink()
    looked(dock, qtbot)
    assert dock.session.cells.ids[0] == 2
    assert "missing" in dock.pictures.notes.text()
    assert set(dock.session.annotations) == {1, 2}


def test_a_broken_picture_is_named_and_left_out(dock, qtbot, folder):
    (folder / "eosinophil_001.png").write_bytes(b"\x89PNG broken")
    open_folder(dock, qtbot, folder)
    qtbot.waitUntil(lambda: len(dock.session.cells) == 11, timeout=WAIT)
    assert "eosinophil_001.png" in dock.pictures.notes.text() + dock.messages.text
    assert len(dock.session.embeddings) == 11


def test_pictures_of_mixed_sizes_are_one_folder(dock, qtbot, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(8, 8, 3), (300, 20, 3), (64, 500, 3), (400, 400)]):
        pixels = rng.integers(0, 255, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    open_folder(dock, qtbot, folder)
    assert len(dock.session.cells) == 4
    assert len(dock.session.embeddings) == 4


def test_an_empty_folder_is_refused_with_a_sentence(dock, qtbot, tmp_path):
    (tmp_path / "empty").mkdir()
    open_folder(dock, qtbot, tmp_path / "empty")
    assert dock.messages.level == "error"
    assert "no pictures" in dock.messages.text
    assert dock.session.image is None


def test_a_second_dock_does_not_take_the_project_away(new_dock, qtbot, folder):
    first, second = new_dock(), new_dock()
    open_folder(first, qtbot, folder)
    open_folder(second, qtbot, folder)
    assert second.session.cells is None
    assert second.messages.level == "error"
    first.session.annotate([1], first.session.palette.ids[0])
    assert set(first.session.annotated) == {1}


def test_a_project_whose_folder_was_moved_asks_for_a_picture(
    new_dock, qtbot, folder, tmp_path, monkeypatch
):
    dock = new_dock()
    open_folder(dock, qtbot, folder)
    dock.session.annotate([3], dock.session.palette.ids[0])
    project = dock.session.project.folder
    dock.controller.close()
    shutil.move(folder, tmp_path / "archive")
    again, asked = new_dock(), []
    one = next((tmp_path / "archive").iterdir())
    monkeypatch.setattr(again, "ask_for_image", lambda reason: asked.append(reason) or one)
    again.controller.project_controller.open_project(project)
    assert "choose one of them" in asked[0]
    assert set(again.session.annotated) == {3}
    assert len(again.session.cells) == 12
    assert not again.pictures.isHidden()


def test_another_image_hides_the_section_again(dock, qtbot, folder):
    open_folder(dock, qtbot, folder)
    viewer = dock.controller.bridge.viewer
    viewer.add_image(np.full((60, 60, 3), 200, np.uint8), name="smear")
    qtbot.waitUntil(lambda: dock.session.image.name == "smear", timeout=WAIT)
    assert dock.pictures.isHidden()
    assert not dock.detect.button.isHidden()
    assert len(KINDS) == 3
    QApplication.processEvents()
    key = next(
        str(layer.unique_id)
        for layer in viewer.layers
        if layer.name == "cells" and layer.multiscale
    )
    dock.controller.project_controller.choose_image(key)
    qtbot.waitUntil(lambda: dock.session.image.name == "cells", timeout=WAIT)
    assert len(dock.session.cells) == 12


@pytest.mark.slow
def test_thermograms_are_opened_whole_and_by_their_breasts(dock, qtbot, tmp_path):
    from napari_hemacells.samples.thermogram import synthetic_thermogram

    folder = tmp_path / "frames"
    folder.mkdir()
    for seed in range(3):
        np.savetxt(folder / f"frame{seed}.txt", synthetic_thermogram(seed=seed).celsius, "%.2f")
    open_folder(dock, qtbot, folder)
    assert len(dock.session.cells) == 3
    assert "thermograms" in dock.pictures.text.text()
    assert [one.name for one in dock.session.palette] == ["healthy", "sick"]
    assert not dock.pictures.breasts_button.isHidden()
    dock.pictures.breasts_button.click()
    qtbot.waitUntil(lambda: dock.session.image.name == "crops", timeout=4 * WAIT)
    assert len(dock.session.cells) == 6
    assert all("celsius" in name for name in dock.session.cells.table["file"])


def test_changes_in_words():
    assert (
        format_changes(PictureChanges(added=(1, 2), missing=(3,))) == "pictures: 2 new, 1 missing"
    )
    both = join_changes(PictureChanges(missing=(3,)), PictureChanges(back=(3,), added=(9,)))
    assert both.missing == ()
    assert both.added == (9,)
    assert join_changes(None, PictureChanges()) is None
