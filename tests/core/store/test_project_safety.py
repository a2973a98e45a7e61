"""Projects of other people, several windows, damage: nothing outside is touched, nothing lost."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.annotate import SetLabels
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project, annotation_state, find_project
from napari_hemacells.core.types import CellRef

if sys.platform == "win32":
    pytest.skip("pipes and unprivileged links are POSIX", allow_module_level=True)


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path / "work" / "project", "My smear")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "smear.png"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return read_image(path)


def annotate(project, image, cell=1):
    history = project.open_history("ann")
    history.do(SetLabels(((CellRef(image.key, cell), 1.0, 1.0),), "wbc", "ann"))
    history.close()


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["project.json", "project.json.lock", "journal.jsonl", "journal.jsonl.lock", "cells",
     "journal.jsonl.torn", "cells/x.labels.tif", "detection/key", "models", "models/a/model/b",
     "adapted", "export", "embeddings", "embeddings/x.safetensors"],
)  # fmt: skip
def test_a_project_with_a_link_is_refused_by_name(project, tmp_path, name):
    path = project.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "part-00001.npz").write_bytes(b"untouched")
    path.symlink_to(outside)
    with pytest.raises(StorageError, match=f"{name}” is a link"):
        Project.open(project.folder)
    (project.folder / "project.json").unlink(missing_ok=True)
    if name != "project.json":
        with pytest.raises(StorageError, match=f"{name}” is a link"):
            Project.create(project.folder)
    assert [file.read_bytes() for file in outside.iterdir()] == [b"untouched"]


def test_a_pipe_in_a_project_is_refused_and_does_not_hang(project):
    (project.folder / "cells").mkdir()
    os.mkfifo(project.folder / "cells" / "x.labels.tif")
    with pytest.raises(StorageError, match="is a pipe"):
        Project.open(project.folder)


def test_links_of_the_users_own_beside_the_project_are_no_matter(project, tmp_path):
    (project.folder / "images").symlink_to(tmp_path)
    assert Project.open(project.folder).name == "My smear"


def test_a_link_that_comes_after_opening_is_not_followed(project, picture, tmp_path):
    project.add_image(picture)
    project.save_cells(picture.key, make_cells(4))
    tif = project.folder / "cells" / f"{picture.key}.labels.tif"
    outside = tmp_path / "outside.tif"
    tif.rename(outside)
    tif.symlink_to(outside)
    with pytest.raises(ProjectError, match="is a link"):
        project.load_cells(picture.key)
    before = outside.read_bytes()
    project.save_cells(picture.key, make_cells(5))
    assert outside.read_bytes() == before
    lock = project.folder / "project.json.lock"
    lock.unlink(missing_ok=True)
    lock.symlink_to(outside)
    with pytest.raises(StorageError, match="is a link"):
        project.update(name="x")
    assert outside.read_bytes() == before


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_an_image_path_that_never_ends_is_no_image(project, picture, tmp_path, kind):
    project.add_image(picture)
    path = tmp_path / "never"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    content = json.loads((project.folder / "project.json").read_text())
    content["images"][0] |= {"path": str(path), "relative": None}
    content |= {"schema_version": 1, "checksum": None}
    (project.folder / "project.json").write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="point to the file"):
        Project.open(project.folder).locate(picture.key)
    with pytest.raises(ProjectError, match="another one"):
        project.relink(picture.key, path)


@pytest.mark.parametrize(
    "place", ["/etc", "../other/model", "models/../../x", r"..\x", r"C:\x", r"\\server\x", "C:x"]
)
@pytest.mark.parametrize("what", ["classifier", "detector"])
def test_a_model_outside_the_project_is_refused(project, place, what):
    content = json.loads((project.folder / "project.json").read_text())
    content |= {"schema_version": 1, "checksum": None}
    if what == "classifier":
        content["classifier"] = place
    else:
        content["detect"]["weights"] = place
    (project.folder / "project.json").write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="outside the project"):
        Project.open(project.folder)


def test_save_as_leaves_links_behind_and_says_which(project, picture, tmp_path):
    project.add_image(picture)
    project.save_cells(picture.key, make_cells(4))
    (tmp_path / "secret").write_bytes(b"secret")
    (project.folder / "notes").symlink_to(tmp_path / "secret")
    (project.folder / "cells" / "more").symlink_to(tmp_path)
    os.mkfifo(project.folder / "pipe")
    copied = project.copy_to(tmp_path / "copy")
    names = {path.relative_to(copied.folder).as_posix() for path in copied.folder.rglob("*")}
    assert "notes" not in names
    assert "cells/more" not in names
    assert f"cells/{picture.key}.labels.tif" in names
    assert not [path for path in copied.folder.rglob("*") if path.is_symlink()]
    assert "“cells/more”, “notes”, “pipe”" in copied.notices[0]
    assert len(Project.open(copied.folder).load_cells(picture.key)) == 4


# --- several windows -----------------------------------------------------------------------------


def test_two_open_projects_keep_one_anothers_changes(project, picture):
    other = Project.open(project.folder)
    project.update(name="Renamed")
    other.update(encoder_name="timm:resnet18")
    project.add_image(picture)
    second = replace(picture, key="b" * 16, name="second")
    other.add_image(second)
    project.add_image(replace(picture, name="first, named anew"))
    there = Project.open(project.folder)
    assert (there.name, there.content.encoder_name) == ("Renamed", "timm:resnet18")
    assert [image.name for image in there.images] == ["first, named anew", "second"]


def test_many_writers_lose_nothing(project, picture):
    def add(number):
        mine = Project.open(project.folder)
        for step in range(5):
            mine.add_image(replace(picture, key=f"{number}-{step}"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Project.open(project.folder).images) == 20


def test_a_lock_that_stays_is_a_sentence(project, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr("napari_hemacells.core.store.project._PATIENCE", 0)
    with (
        FileLock(project.folder / "project.json.lock"),
        pytest.raises(StorageError, match="Another window or program is writing"),
    ):
        project.update(name="x")
    project.update(name="x")


def test_a_project_file_damaged_or_deleted_meanwhile_is_written_anew(project, picture):
    project.add_image(picture)
    path = project.folder / "project.json"
    path.write_bytes(b"\0" * 100)
    project.update(name="Second")
    assert Project.open(project.folder).images == project.images
    assert path.with_name("project.json.damaged").read_bytes() == b"\0" * 100
    assert "kept as “project.json.damaged”" in project.notices[0]
    path.unlink()
    project.update(name="Third")
    assert Project.open(project.folder).images == project.images


def test_a_project_folder_that_was_moved_is_not_made_again(project):
    project.folder.rename(project.folder.with_name("moved"))
    with pytest.raises(StorageError, match="not there any more"):
        project.update(name="x")
    assert not project.folder.exists()


# --- damage --------------------------------------------------------------------------------------


def test_every_single_bit_of_a_project_file_counts(project, picture):
    project.add_image(picture)
    path = project.folder / "project.json"
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(StorageError):
            Project.open(project.folder)
    path.write_bytes(whole)
    assert Project.open(project.folder).content == project.content


def test_annotations_come_back_without_the_project_file(project, picture):
    project.add_image(picture)
    project.save_cells(picture.key, make_cells(4))
    annotate(project, picture, 3)
    path = project.folder / "project.json"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ProjectError, match=r"move it to another folder .* come back"):
        Project.open(project.folder)
    path.rename(path.parent.parent / "project.json")
    again = Project.open(project.folder)
    assert "starts from its journal" in again.notices[0]
    again.add_image(picture)
    assert list(annotation_state(again).by_annotator["ann"]) == [CellRef(picture.key, 3)]
    assert len(again.load_cells(picture.key)) == 4
    assert not Project.open(project.folder).notices


def test_a_missing_journal_is_told(project, picture):
    project.add_image(picture)
    annotate(project, picture)
    project.journal_path.unlink()
    again = Project.open(project.folder)
    with pytest.raises(ProjectError, match="annotations of this project are missing"):
        annotation_state(again)
    again.open_history("ann").close()
    assert "annotations of this project are missing" in again.notices[0]


def test_a_new_project_misses_no_journal(project, picture):
    project.add_image(picture)
    assert not annotation_state(project).by_annotator
    project.open_history("ann").close()
    assert not project.notices
    assert not Project.open(project.folder).notices


def flips(data: bytes, count: int):
    rng = np.random.default_rng(0)
    for bit in rng.choice(len(data) * 8, count, replace=False):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << int(bit % 8)
        yield bytes(flipped)


def test_a_changed_bit_of_the_cells_is_noticed_or_does_not_matter(project, picture):
    project.add_image(picture)
    cells = make_cells(20)
    project.save_cells(picture.key, cells)
    path = project.folder / "cells" / f"{picture.key}.labels.tif"
    refused = 0
    for flipped in flips(path.read_bytes(), 300):
        path.write_bytes(flipped)
        try:
            found = project.load_cells(picture.key)
        except ProjectError:
            refused += 1
        else:
            assert found.table.equals(cells.table)
            assert np.array_equal(found.labels, cells.labels)
            assert (found.diameter, found.source) == (cells.diameter, cells.source)
    assert refused > 200


def test_a_changed_bit_of_the_embeddings_is_noticed_or_does_not_matter(tmp_path):
    image, cells = make_image(), make_cells(10)
    embeddings = make_embeddings(image, cells)
    cache = EmbeddingCache(tmp_path)
    about = (image.key, embeddings.encoder, embeddings.spec, cells.boxes)
    cache.save(*about, embeddings.vectors)
    path = cache.path(*about[:3])
    unknown = 0
    for flipped in flips(path.read_bytes(), 300):
        path.write_bytes(flipped)
        vectors, known = cache.load(*about)
        assert known.all() or not known.any()
        unknown += not known.any()
        assert not known.any() or np.array_equal(vectors, embeddings.vectors)
    assert unknown > 200


# --- permissions and leftovers -------------------------------------------------------------------


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    "target",
    ["napari_hemacells.core.files.safe_files.os.open",
     "napari_hemacells.core.files.safe_files.os.scandir", "pathlib.Path.lstat"],
)  # fmt: skip
def test_a_project_that_may_not_be_read_says_so(project, picture, monkeypatch, target):
    project.add_image(picture)
    project.save_cells(picture.key, make_cells(4))
    monkeypatch.setattr(target, refuse)
    with pytest.raises(StorageError, match="may not be read: ask for the right"):
        Project.open(project.folder)


def test_a_real_folder_without_permission_says_so(project):
    user = os.geteuid()
    project.folder.chmod(0)
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match="may not be read: ask for the right"):
            Project.open(project.folder)
        with pytest.raises(StorageError, match=r"may not be written to|may not be read"):
            project.update(name="x")
    finally:
        os.seteuid(user)
        project.folder.chmod(0o700)


def test_a_search_passes_over_what_may_not_be_read(project, picture, monkeypatch):
    project.add_image(picture)
    assert find_project(picture.key, project.folder.parent) == project.folder
    monkeypatch.setattr("napari_hemacells.core.files.safe_files.os.open", refuse)
    assert find_project(picture.key, project.folder.parent) is None


def test_leftovers_are_cleared_up_at_the_next_opening(project):
    for name in (".project.json.01234567.part", "cells/.a.labels.tif.01234567.part",
                 "models/m/.split.json.89abcdef.part",
                 "detection/k/.plan.json.4711.part"):  # fmt: skip
        file = project.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    model = project.folder / "models" / "m" / ".model.01234567.old"
    model.mkdir()
    Project.open(project.folder)
    left = [path.name for path in project.folder.rglob(".*")]
    assert not left
    assert (project.folder / "models" / "m" / "model").is_dir()
