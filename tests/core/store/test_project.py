from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_hemacells.core.annotate import AddClass, RenameClass, SetClassKey, SetLabels
from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.params import ClassifyParams, DetectParams
from napari_hemacells.core.store.project import Project, default_folder, find_project
from napari_hemacells.core.types import CellRef, Groups


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "images" / "smear.png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return replace(
        read_image(path), groups=Groups(patient="p1", laboratory="lab"), pixel_size_um=0.2
    )


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "work" / "project", "My smear")


def test_a_project_reopens_as_it_was(project, picture, cells, encoder, spec):
    project.add_image(picture)
    project.save_cells(picture.key, cells)
    project.update(encoder=encoder, crop=spec, detect=DetectParams(sensitivity=0.7))
    history = project.open_history("ann")
    smudge = history.state.palette.new_class("Smudge")
    history.do(AddClass(smudge, 0))
    history.do(SetClassKey(smudge.id, 1))
    history.do(RenameClass("wbc", "Leukocyte"))
    history.do(SetLabels(((CellRef(picture.key, 3), 9.5, 34.5),), "wbc", "ann"))
    history.close()

    again = Project.open(project.folder)
    assert again.content == project.content
    assert again.image(picture.key).groups == Groups(patient="p1", laboratory="lab")
    reopened = again.open_history("ann")
    assert reopened.state == history.state
    assert reopened.state.palette == history.state.palette
    assert [(c.name, c.key) for c in reopened.state.palette] == [
        ("Smudge", 1), ("RBC", None), ("Leukocyte", 2), ("Platelets", 3),
    ]  # fmt: skip
    reopened.close()


def test_how_cells_are_looked_at_and_classified_is_kept(project):
    assert project.content.encoder_name == "bundled"
    wanted = ClassifyParams(head="knn", measured=True)
    project.update(encoder_name="timm:resnet18", classify=wanted)
    again = Project.open(project.folder).content
    assert (again.encoder_name, again.classify) == ("timm:resnet18", wanted)
    project.update(name="Other")
    assert Project.open(project.folder).content.classify == wanted


def test_a_project_of_an_earlier_version_opens_with_what_was_usual_then(project):
    path = project.folder / "project.json"
    stored = json.loads(path.read_text())
    for later in ("encoder_name", "classify", "journal", "checksum"):
        del stored[later]
    path.write_text(json.dumps(stored | {"schema_version": 1}))
    assert Project.open(project.folder).content == project.content


def test_an_encoder_that_is_not_known_here_does_not_close_a_project(project):
    project.update(encoder_name="of a later version")
    assert Project.open(project.folder).content.encoder_name == "of a later version"


def test_cells_come_back_exactly(project, picture, cells):
    project.add_image(picture)
    cells = replace(cells, detector="classical")
    project.save_cells(picture.key, cells)
    back = Project.open(project.folder / "project.json").load_cells(picture.key)
    np.testing.assert_array_equal(back.labels, cells.labels)
    assert back.labels.dtype == np.int32
    pd.testing.assert_frame_equal(back.table, cells.table)
    assert (back.diameter, back.source) == (cells.diameter, cells.source)
    assert back.detector == cells.detector
    copy = pd.read_csv(project.folder / "cells" / f"{picture.key}.cells.csv")
    assert copy["label"].tolist() == [2, 3, 7, 9]


def test_cells_of_a_large_image_come_back_exactly(project, picture, cells, tmp_path):
    import tifffile

    from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
    from napari_hemacells.core.store.cells_file import write_labels

    project.add_image(picture)
    project.save_cells(picture.key, cells)
    masks = PackedMasks.of_labels(cells.labels, cells.ids.tolist(), cells.boxes)
    many = replace(cells, labels=LazyLabels(cells.labels.shape, cells.ids, masks))
    project.save_cells(picture.key, many)
    back = Project.open(project.folder).load_cells(picture.key)
    assert isinstance(back.labels, LazyLabels)
    np.testing.assert_array_equal(np.asarray(back.labels), np.asarray(many.labels))
    pd.testing.assert_frame_equal(back.table, cells.table)
    assert (back.diameter, back.source) == (cells.diameter, cells.source)
    write_labels(tmp_path / "a.tif", back.labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), np.asarray(many.labels))
    path = project.folder / "cells" / f"{picture.key}.masks.npz"
    whole = path.read_bytes()
    for keep in (0, 60, len(whole) // 2, -20):
        path.write_bytes(whole[:keep])
        with pytest.raises(ProjectError, match="cannot be read"):
            project.load_cells(picture.key)
    project.save_cells(picture.key, cells)
    assert isinstance(project.load_cells(picture.key).labels, np.ndarray)


def test_zero_cells_come_back(project, picture, no_cells):
    project.add_image(picture)
    project.save_cells(picture.key, no_cells)
    back = project.load_cells(picture.key)
    pd.testing.assert_frame_equal(back.table, no_cells.table)


def test_damaged_cells_are_a_sentence(project, picture, cells):
    project.add_image(picture)
    with pytest.raises(ProjectError, match="No cells"):
        project.load_cells(picture.key)
    project.save_cells(picture.key, cells)
    path = project.folder / "cells" / f"{picture.key}.labels.tif"
    for keep in (0, 60, 300, -20):
        whole = path.read_bytes()
        path.write_bytes(whole[:keep])
        with pytest.raises(ProjectError, match="cannot be read"):
            project.load_cells(picture.key)
        path.write_bytes(whole)


def test_an_image_added_twice_is_there_once(project, picture):
    project.add_image(picture)
    project.add_image(replace(picture, pixel_size_um=0.3))
    assert [(i.key, i.pixel_size_um) for i in project.images] == [(picture.key, 0.3)]


def test_an_image_is_found_where_it_was(project, picture):
    project.add_image(picture)
    assert project.locate(picture.key) == picture.path


@pytest.fixture
def all_files_are_large(monkeypatch):
    monkeypatch.setattr("napari_hemacells.core.store.image_paths.FULL_HASH_BYTES", 0)
    monkeypatch.setattr("napari_hemacells.core.store.image_paths.SAMPLE_BYTES", 16)


def test_a_large_file_is_known_by_samples(project, picture, all_files_are_large):
    stored = project.add_image(picture)
    assert stored.file_sha256.startswith("sampled-")
    assert project.locate(picture.key) == picture.path
    Image.fromarray(255 - picture.pixels).save(picture.path)
    with pytest.raises(ProjectError, match="changed"):
        project.locate(picture.key)


def test_a_large_file_of_an_older_project_is_known(project, picture, request):
    stored = project.add_image(picture)
    assert len(stored.file_sha256) == 64
    request.getfixturevalue("all_files_are_large")
    project._put(stored.model_copy(update={"key": "0123456789abcdef"}))
    assert project.locate("0123456789abcdef") == picture.path  # by its bytes, not by its key


def test_an_ome_zarr_folder_is_known_by_its_pixels(project, picture, tmp_path):
    from napari_hemacells.samples.pyramid import write_pyramid

    folder = tmp_path / "slide.ome.zarr"
    write_pyramid(folder, (20, 30), 512, [(0, 0, picture.pixels)], pixel_size_um=0.2)
    image = read_image(folder)
    assert project.add_image(image).file_sha256 is None
    assert project.locate(image.key) == folder
    write_pyramid(folder, (20, 30), 512, [(0, 0, 255 - picture.pixels)], pixel_size_um=0.2)
    with pytest.raises(ProjectError, match="changed"):
        project.locate(image.key)


def test_project_and_images_moved_together_are_found(project, picture, tmp_path):
    project.add_image(picture)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images").rename(tmp_path / "elsewhere" / "images")
    (tmp_path / "work").rename(tmp_path / "elsewhere" / "work")
    moved = Project.open(tmp_path / "elsewhere" / "work" / "project")
    assert moved.locate(picture.key) == tmp_path / "elsewhere" / "images" / "smear.png"


def test_a_moved_image_is_asked_for_and_checked(project, picture, tmp_path):
    project.add_image(picture)
    elsewhere = tmp_path / "smear copy.tif"
    Image.open(picture.path).save(elsewhere)
    picture.path.unlink()
    with pytest.raises(ProjectError, match=r"is not at .*smear.png.* point to where it is"):
        project.locate(picture.key)
    other = tmp_path / "other.png"
    Image.new("RGB", (30, 20)).save(other)
    with pytest.raises(ProjectError, match="not the image"):
        project.relink(picture.key, other)
    with pytest.raises(ProjectError, match="no file"):
        project.relink(picture.key, tmp_path / "gone.png")
    project.relink(picture.key, elsewhere)
    assert Project.open(project.folder).locate(picture.key) == elsewhere


def test_a_changed_image_is_not_taken_for_the_same(project, picture):
    project.add_image(picture)
    Image.new("RGB", (30, 20)).save(picture.path)
    with pytest.raises(ProjectError, match="has changed"):
        project.locate(picture.key)
    picture.path.write_bytes(b"no picture")
    with pytest.raises(ProjectError, match="has changed"):
        project.locate(picture.key)


def test_a_layer_without_a_file_says_so(project, image):
    project.add_image(image)
    with pytest.raises(ProjectError, match="layer without a file"):
        project.locate(image.key)


def test_an_unknown_image_is_a_sentence(project):
    with pytest.raises(ProjectError, match="holds no image"):
        project.locate("feed")


def test_a_project_is_not_made_over_another(project):
    with pytest.raises(ProjectError, match="already"):
        Project.create(project.folder)


def rewrite(project, **values):
    """Change a project file as one of the first version, which had no checksum."""
    path = project.folder / "project.json"
    stored = json.loads(path.read_text()) | {"schema_version": 1, "checksum": None} | values
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schema_version": 4, "unheard": 1}, "newer version"),
        ({"schema_version": 2}, "damaged"),
        ({"checksum": "0" * 64}, "checksum"),
        ({"format": "other"}, "does not belong"),
        ({"name": None}, "damaged"),
        ({"images": [{"key": "../../x", "name": "n", "shape": [1, 1]}]}, "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(project, values, words):
    rewrite(project, **values)
    with pytest.raises(ProjectError, match=words):
        Project.open(project.folder)


def test_a_truncated_or_missing_file_is_a_sentence(project, tmp_path):
    path = project.folder / "project.json"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ProjectError, match="damaged"):
        Project.open(project.folder)
    with pytest.raises(ProjectError, match="no HemaCells project"):
        Project.open(tmp_path / "nothing")


def test_save_as_goes_on_in_the_copy(project, picture, cells, tmp_path):
    project.add_image(picture)
    project.save_cells(picture.key, cells)
    history = project.open_history("ann")
    history.do(SetLabels(((CellRef(picture.key, 3), 9.5, 34.5),), "wbc", "ann"))
    copy = project.copy_to(tmp_path / "a" / "b" / "copy")
    second = copy.open_history("ann")  # the first one is still open
    assert second.state == history.state
    second.do(SetLabels(((CellRef(picture.key, 2), 9.5, 9.5),), "rbc", "ann"))
    assert len(history.state.labels) == 1
    assert copy.locate(picture.key) == picture.path
    expected = os.path.relpath(picture.path, copy.folder)
    assert Project.open(copy.folder).image(picture.key).relative == expected
    assert len(copy.load_cells(picture.key)) == 4
    second.close()
    history.close()


def test_save_as_leaves_other_things_alone(project, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    with pytest.raises(ProjectError, match="not empty"):
        project.copy_to(tmp_path / "full")
    with pytest.raises(ProjectError, match="inside itself"):
        project.copy_to(project.folder / "inside")
    (tmp_path / "empty").mkdir()
    assert Project.open(project.copy_to(tmp_path / "empty").folder).name == "My smear"


def test_a_folder_that_cannot_be_written_is_a_sentence(project, picture, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="was not saved"):
        Project.create(tmp_path / "file" / "project")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("napari_hemacells.core.files.fsio._sync_file", refuse)
    before = project.content
    with pytest.raises(StorageError, match="may not be written to"):
        project.add_image(picture)
    assert project.content == before
    assert Project.open(project.folder).content == before


def test_the_default_folder_is_found_again(picture, tmp_path):
    root = tmp_path / "projects"
    assert find_project(picture.key, root) is None
    folder = default_folder(replace(picture, name="a/b: c"), root)
    assert folder == root / f"a_b_ c-{picture.key}"
    Project.create(folder).add_image(picture)
    damaged = Project.create(root / "damaged")
    (damaged.folder / "project.json").write_text("{")
    assert find_project(picture.key, root) == folder
    assert find_project("feed", root) is None


def test_the_default_place_is_the_users_data_folder(picture, monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_data_path", lambda *a, **k: tmp_path / "data")
    assert default_folder(picture).parent == tmp_path / "data" / "projects"


def test_an_image_from_a_layer_does_not_make_the_project_forget_its_file(project, picture):
    project.add_image(picture)
    stored = project.image(picture.key)
    project.add_image(replace(picture, path=None, pixel_size_um=None, groups=Groups()))
    assert project.image(picture.key) == stored
    project.add_image(replace(picture, groups=Groups(patient="p2")))
    assert project.image(picture.key).groups == Groups(patient="p2", laboratory="lab")
    assert Project.open(project.folder).locate(picture.key) == picture.path
