"""The images of a project at a glance."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made_up import make_cells, make_image
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.store import Project, annotation_state
from napari_hemacells.core.store.project_images import (
    DONE,
    SIDE,
    THUMBNAILS,
    done_images,
    make_thumbnail,
    mark_done,
    summarise_images,
    thumbnail_steps,
)


@pytest.fixture
def project(tmp_path):
    project = Project.create(tmp_path / "project")
    for number in range(2):
        pixels = np.full((120, 200, 3), 60 + 100 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"field {number}.png")
        project.add_image(read_image(tmp_path / f"field {number}.png"))
    return project


def test_what_is_told_of_each_image(project):
    first, second = (stored.key for stored in project.images)
    project.save_cells(first, make_cells(30))
    mark_done(project, second, done=True)
    told = summarise_images(project, annotation_state(project))
    assert [(image.cells, image.annotated, image.done) for image in told] == [
        (30, 0, False),
        (None, 0, True),
    ]
    assert [image.name for image in told] == [stored.name for stored in project.images]


def test_a_tick_is_kept_taken_back_and_copied(project, tmp_path):
    first, second = (stored.key for stored in project.images)
    mark_done(project, first, done=True)
    mark_done(project, second, done=True)
    mark_done(project, first, done=False)
    assert done_images(Project.open(project.folder)) == {second}
    assert done_images(project.copy_to(tmp_path / "copy")) == {second}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff", b'["other"]', b"[" * 99_999])
def test_a_damaged_file_of_ticks_is_none(project, content):
    (project.folder / DONE).write_bytes(content)
    assert done_images(project) == frozenset()
    key = project.images[0].key
    mark_done(project, key, done=True)
    assert done_images(project) == {key}


def test_thumbnails_are_made_kept_and_left_out_where_there_is_no_file(project, tmp_path):
    (tmp_path / "field 1.png").rename(tmp_path / "elsewhere.png")
    first, second = (stored.key for stored in project.images)
    pictures = dict(thumbnail_steps(project))
    assert set(pictures) == {first}
    assert pictures[first].shape == (40, 67, 3)
    assert (pictures[first] == 60).all()
    (tmp_path / "field 0.png").unlink()
    again = dict(thumbnail_steps(project))
    np.testing.assert_array_equal(again[first], pictures[first])
    (project.folder / THUMBNAILS / f"{first}.png").write_bytes(b"damaged")
    assert dict(thumbnail_steps(project)) == {}
    shown = replace(make_image(), key=second)
    assert set(dict(thumbnail_steps(project, (shown,)))) == {second}


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 20, 3), np.uint8),
        np.arange(40_000, dtype=np.uint16).reshape(200, 200),
        np.ones((1, 1, 3), np.uint8),
    ],
)
def test_a_thumbnail_is_small_and_in_colour(pixels):
    picture = make_thumbnail(image_from_array(pixels, "x"))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert 1 <= max(picture.shape[:2]) <= SIDE
