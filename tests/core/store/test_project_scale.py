"""One scale of values for all images of a project or an adaptation, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.store.project_images import (
    project_image,
    project_reading,
    thumbnail_steps,
)
from napari_hemacells.core.train.selfsupervised.project_dataset import (
    load_folder_crops_steps,
    load_image_crops_steps,
    load_project_crops_steps,
)
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 96
DARK, BRIGHT = 250, 4000  # of the same camera: 8 bits and 12 bits, taken alone


def cell_of(shape):
    """One cell in the middle."""
    labels = np.zeros(shape, np.int32)
    labels[28:68, 28:68] = 1
    return cells_from_labels(labels, shape)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two images of 16 bits that do not say how many are used."""
    written = []
    for name, value in (("dark", DARK), ("bright", BRIGHT)):
        file = tmp_path / f"{name}.tif"
        tifffile.imwrite(file, np.full((SIDE, SIDE, 3), value, np.uint16), photometric="rgb")
        written.append(file)
    return written


@pytest.fixture
def project(files: list[Path], tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "project")
    for file in files:
        image = read_image(file)
        project.add_image(image)
        project.save_cells(image.key, cell_of((SIDE, SIDE)))
    return project


def test_a_dark_image_of_a_project_stays_dark(project: Project) -> None:
    reading = project_reading(project)
    assert reading.note == (
        "One scale for all images: 12 bits, guessed from their values together."
    )
    dark, bright = (project_image(project, stored.key, reading) for stored in project.images)
    assert np.unique(dark.pixels).tolist() == [round(255 * DARK / 4095)]
    assert np.unique(bright.pixels).tolist() == [round(255 * BRIGHT / 4095)]
    assert dark.bit_depth.source == "run"


def test_an_image_that_is_open_with_another_scale_is_read_again(project, files) -> None:
    reading, key = project_reading(project), project.images[0].key
    alone = read_image(files[0])
    assert alone.pixels.max() == DARK
    read = project_image(project, key, reading, alone)
    assert read.pixels.max() == round(255 * DARK / 4095)
    bright = read_image(files[1])
    assert project_image(project, project.images[1].key, reading, bright) is bright


def test_thumbnails_share_the_scale(project: Project) -> None:
    dark, bright = (picture for _, picture in thumbnail_steps(project))
    assert dark.max() < 20
    assert bright.min() > 240


def test_an_adaptation_says_its_scale(project, files, tmp_path, monkeypatch) -> None:
    def detect(image):
        yield from ()
        return cell_of(image.shape)

    monkeypatch.setattr(
        "napari_hemacells.core.train.selfsupervised.project_dataset.detect_steps", detect
    )
    for name in ("a", "b"):
        (tmp_path / "crops" / name).mkdir(parents=True)
    for file, name in zip(files, ("a", "b"), strict=True):
        (tmp_path / "crops" / name / file.name).write_bytes(file.read_bytes())
    for steps in (
        load_project_crops_steps(project),
        load_image_crops_steps(files),
        load_folder_crops_steps(tmp_path / "crops"),
    ):
        training = run_to_end(steps)
        assert training.notes == (
            "One scale for all images: 12 bits, guessed from their values together.",
        )
        middle = training.crops[:, 60:68, 60:68].max(axis=(1, 2, 3)).tolist()
        assert middle == [round(255 * DARK / 4095), round(255 * BRIGHT / 4095)]


def test_bytes_have_no_scale_to_share(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project")
    file = tmp_path / "bytes.tif"
    tifffile.imwrite(file, np.full((SIDE, SIDE, 3), 90, np.uint8), photometric="rgb")
    project.add_image(read_image(file))
    assert project_reading(project).note == ""
