"""A folder of pictures of one cell each as the image of a session."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from made_up import INFO
from made_up_pictures import KINDS, write_pictures
from napari_hemacells.core.errors import AnnotationError, CellsError, ImageError, ProjectError
from napari_hemacells.core.pictures import CellPictures, read_labels
from napari_hemacells.core.store import Project, projects_root
from napari_hemacells.core.types import CropSpec, Embeddings
from napari_hemacells.session import Session, run_classification


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cells"
    write_pictures(folder)
    return folder


@pytest.fixture
def opened():
    """Sessions that have a folder open, closed in the end."""
    made = []

    def open_folder(folder, annotator="anna"):
        session = Session(annotator)
        made.append(session)
        session.open_pictures(folder)
        return session

    yield open_folder
    for session in made:
        session.close()


def embedded(session) -> Embeddings:
    """The mean colour of each picture, as an encoder would give it."""
    sheet = session.image.sheet
    numbers, vectors = [], []
    for number in session.cells.ids.tolist():
        try:
            pixels = sheet.pictures.pixels(number)
        except ImageError:
            continue
        numbers.append(number)
        vectors.append(np.resize(pixels.reshape(-1, 3).mean(axis=0) / 255, INFO.dim))
    return Embeddings(
        np.array(numbers), np.asarray(vectors, np.float32), INFO, CropSpec(), session.image.key
    )


def test_each_picture_is_a_cell_called_by_its_number(folder, opened):
    session = opened(folder)
    assert session.cells.ids.tolist() == list(range(1, 13))
    assert session.cells.table["file"].tolist() == sorted(p.name for p in folder.iterdir())
    assert session.image.name == "cells"
    assert session.project.folder.is_relative_to(projects_root())


def test_annotations_are_there_when_the_folder_is_opened_again(folder, opened):
    first = opened(folder)
    first.annotate([3, 7], first.palette.ids[0])
    first.close()
    again = opened(folder)
    assert set(again.annotated) == {3, 7}
    assert again.project.folder == Project.open(again.project.folder).folder


def test_a_project_opens_its_folder_by_itself(folder, opened):
    session = opened(folder)
    session.annotate([5], session.palette.ids[1])
    place, key = session.project.folder, session.image.key
    session.close()
    project = Project.open(place)
    assert project.image(key).kind == "pictures"
    assert project.load_cells(key).ids.tolist() == list(range(1, 13))
    assert project.cell_ids(key) == frozenset(range(1, 13))


def test_files_that_come_and_go_change_no_number(folder, opened):
    session = opened(folder)
    session.annotate([2, 12], session.palette.ids[0])
    names = dict(zip(session.cells.ids, session.cells.table["file"], strict=True))
    write_pictures(folder, 1, start=0)  # the same names: nothing new
    write_pictures(folder, 2, start=90)
    (folder / names[1]).unlink()
    changes = session.look_for_pictures()
    assert len(changes.added) == 6
    assert changes.missing == (1,)
    assert session.cells.ids.tolist() == list(range(2, 19))
    after = dict(zip(session.cells.ids, session.cells.table["file"], strict=True))
    assert all(after[number] == names[number] for number in range(2, 13))
    assert set(session.annotated) == {2, 12}


def test_a_missing_picture_comes_back_with_its_class(folder, opened, tmp_path):
    session = opened(folder)
    session.annotate([1], session.palette.ids[0])
    name = session.cells.table["file"].iloc[0]
    shutil.move(folder / name, tmp_path / name)
    assert session.look_for_pictures().missing == (1,)
    assert 1 not in session.cells.position
    assert 1 in session.annotations  # its word is kept
    shutil.move(tmp_path / name, folder / name)
    assert session.look_for_pictures().back == (1,)
    assert session.annotated[1] == session.palette.ids[0]
    assert 1 in session.cells.position


def test_a_folder_that_was_moved_is_known_again(folder, opened, tmp_path):
    session = opened(folder)
    session.annotate([4], session.palette.ids[0])
    session.set_embeddings(embedded(session))
    session.image.sheet.pictures.digests(session.cells.ids.tolist())
    session.project.save_pictures(session.image.sheet.pictures)
    key = session.image.key
    session.close()
    shutil.move(folder, tmp_path / "elsewhere")
    again = opened(tmp_path / "elsewhere")
    assert again.image.key == key
    assert set(again.annotated) == {4}


def test_another_folder_with_the_same_names_is_another(folder, opened, tmp_path):
    session = opened(folder)
    session.image.sheet.pictures.digests(session.cells.ids.tolist())
    session.project.save_pictures(session.image.sheet.pictures)
    key = session.image.key
    session.close()
    shutil.rmtree(folder)
    other = tmp_path / "other"
    for number, file in enumerate(write_pictures(other)):
        file.write_bytes(file.read_bytes() + bytes([number]))  # other contents
    assert opened(other).image.key != key


def test_where_the_folder_is_gone_the_project_asks_for_it(folder, opened, tmp_path):
    session = opened(folder)
    place, key = session.project.folder, session.image.key
    session.close()
    shutil.move(folder, tmp_path / "elsewhere")
    project = Project.open(place)
    with pytest.raises(ProjectError, match="choose one of them"):
        project.locate(key)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match="not the image"):
        project.relink(key, tmp_path / "empty")
    one = next((tmp_path / "elsewhere").iterdir())
    assert project.relink(key, one) == tmp_path / "elsewhere"
    assert len(project.load_cells(key)) == 12


def test_class_folders_become_annotations_that_one_undo_takes_back(tmp_path, opened):
    folder = tmp_path / "sorted"
    write_pictures(folder, in_classes=True)
    session = opened(folder)
    taken = session.take_classes(session.image.sheet.pictures.annotations())
    assert taken == 12
    assert [one.name for one in session.palette] == sorted(KINDS)
    names = {one.id: one.name for one in session.palette}
    for number, file in zip(session.cells.ids, session.cells.table["file"], strict=True):
        assert names[session.annotated[number]] == file.split("/")[0]
    session.undo()
    assert session.annotated == {}


def test_own_annotations_count_more_than_folders_and_tables(tmp_path, opened):
    folder = tmp_path / "sorted"
    write_pictures(folder, in_classes=True)
    session = opened(folder)
    mine = session.palette.ids[0]
    session.annotate([1], mine)
    assert session.take_classes(session.image.sheet.pictures.annotations()) == 11
    assert session.annotated[1] == mine
    assert mine in session.palette
    assert session.take_classes(session.image.sheet.pictures.annotations()) == 0


def test_a_table_with_an_unknown_name_is_taken_over_where_it_fits(folder, opened, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,class\nbasophil_000.png,Baso\nnobody.png,Baso\n")
    session = opened(folder)
    pictures = session.image.sheet.pictures
    matched = pictures.apply_labels(read_labels(table))
    assert any("nobody.png" in sentence for sentence in matched.sentences)
    assert session.take_classes(pictures.annotations()) == 1
    assert session.palette.by_name("Baso").id == session.annotated[1]


def test_a_broken_picture_is_left_out_and_named(folder, opened):
    session = opened(folder)
    broken = folder / session.cells.table["file"].iloc[5]
    broken.write_bytes(b"no picture")
    said = []
    session.events.noticed.connect(said.append)
    assert session.set_embeddings(embedded(session))
    assert 6 not in session.cells.position
    assert len(session.embeddings) == 11
    assert broken.name in said[0]


def test_pictures_are_classified_from_some(folder, opened):
    session = opened(folder)
    session.set_embeddings(embedded(session))
    names = session.cells.table["file"].tolist()
    for kind in KINDS:
        class_id = session.add_class(kind)
        session.annotate([names.index(f"{kind}_000.png") + 1], class_id)
    session.accept(run_classification(session.request()))
    known = session.known_classes
    by_name = {one.id: one.name for one in session.palette}
    assert [by_name[class_id] for class_id in known] == [name.split("_")[0] for name in names]


def test_alike_are_those_of_one_kind(folder, opened):
    session = opened(folder)
    with pytest.raises(AnnotationError, match="embedded"):
        session.similar([1])
    session.set_embeddings(embedded(session))
    names = dict(zip(session.cells.ids.tolist(), session.cells.table["file"], strict=True))
    assert {names[cell].split("_")[0] for cell in session.similar([1], 3)} == {"basophil"}
    session.annotate([2], session.palette.ids[0])
    assert sorted([1, *session.similar([1])]) == session.cells.ids.tolist()


def test_nothing_is_cut_out_of_a_picture(folder, opened):
    session = opened(folder)
    for refused in (
        lambda: session.delete_cells([1]),
        lambda: session.split_cell(1),
        lambda: session.merge_cells([1, 2]),
        lambda: session.add_cell(4, 4),
    ):
        with pytest.raises(CellsError, match="Each picture"):
            refused()


def test_annotated_pictures_of_another_folder_are_remembered(folder, opened, tmp_path):
    """A folder joins a project that has one already, and its classes count there."""
    session = opened(folder)
    cache_of = session.project.embeddings_folder
    from napari_hemacells.core.encode import EmbeddingCache, embed_collection_steps
    from napari_hemacells.core.types.progress import run_to_end

    class Mean:
        info = INFO

        def encode(self, crops):
            means = crops.reshape(len(crops), -1, 3).mean(axis=1) / 255
            return np.tile(means, (1, INFO.dim))[:, : INFO.dim].astype(np.float32)

    def embed():
        pictures = session.image.sheet.pictures
        return run_to_end(
            embed_collection_steps(pictures, CropSpec(), Mean(), EmbeddingCache(cache_of))
        )

    session.set_embeddings(embed())
    session.annotate([1], session.palette.ids[0])
    session.annotate([5], session.palette.ids[1])
    from napari_hemacells.core.pictures.contact_sheet import sheet_image

    other = tmp_path / "more"
    write_pictures(other, 2, start=50)
    session.live._others.clear()
    session.show_image(sheet_image(CellPictures.open(other)))
    session.live._others.clear()
    session.set_embeddings(embed())
    assert len(session.support().labels) == 2


def test_two_sessions_do_not_write_one_project(folder, opened):
    from napari_hemacells.core.errors import StorageError

    session = opened(folder)
    other = Session("bert")
    with pytest.raises(StorageError):
        other.open_pictures(folder)
    assert len(session.cells) == 12


def test_three_pictures_make_a_sheet_that_can_be_seen(tmp_path, opened):
    folder = tmp_path / "three"
    write_pictures(folder, 1)
    session = opened(folder)
    assert len(session.cells) == 3
    levels = session.image.sheet.display_levels()
    assert len(levels) >= 2
    assert np.asarray(levels[0]).shape == (*session.image.shape, 3)


def test_a_read_only_folder_can_be_annotated(folder, opened):
    folder.chmod(0o555)
    try:
        session = opened(folder)
        session.annotate([1], session.palette.ids[0])
        assert sorted(folder.iterdir()) == sorted(folder.glob("*.png"))
    finally:
        folder.chmod(0o755)


def test_only_a_project_with_pictures_needs_this_version(folder, opened, tmp_path):
    import json

    session = opened(folder)
    stored = json.loads((session.project.folder / "project.json").read_text())
    assert stored["schema_version"] == 3
    assert stored["images"][0]["kind"] == "pictures"
    other = Project.create(tmp_path / "smears")
    assert json.loads((other.folder / "project.json").read_text())["schema_version"] == 2


def test_the_exported_table_names_each_picture(folder, opened):
    from napari_hemacells.core.store.tables import cells_table
    from napari_hemacells.core.types.progress import run_to_end
    from napari_hemacells.session.project_table import project_table_steps, request_project_table

    session = opened(folder)
    session.annotate([2], session.palette.ids[0])
    names = session.cells.table["file"].tolist()
    one = cells_table(
        session.image, session.cells, session.annotations, session.prediction, session.palette
    )
    assert one["image"].tolist() == names
    joint = run_to_end(project_table_steps(request_project_table(session)))
    assert joint.frame["image"].tolist() == names
    assert joint.frame["file"].tolist() == [str(folder / name) for name in names]
    assert joint.frame["class"].tolist()[1] == session.palette.classes[0].name
