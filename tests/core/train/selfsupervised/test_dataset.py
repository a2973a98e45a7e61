"""What is learned from and judged on: project, class folders, images; leave one out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.annotate import SetLabels
from napari_hemacells.core.crop import extract_crops
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.selfsupervised.config import check_installed
from napari_hemacells.core.train.selfsupervised.dataset import (
    AdaptTrainingSet,
    LabelledCrops,
    read_training_set,
    remove_folder,
    write_training_set,
)
from napari_hemacells.core.train.selfsupervised.evaluator import (
    evaluable_clicks,
    leave_one_out_accuracy,
)
from napari_hemacells.core.train.selfsupervised.project_dataset import (
    load_folder_crops_steps,
    load_project_crops_steps,
)
from napari_hemacells.core.types import CellRef, CropSpec
from napari_hemacells.core.types.progress import run_to_end


def test_written_and_read(material, tmp_path):
    write_training_set(tmp_path / "work", material)
    found = read_training_set(tmp_path / "work")
    assert found.digest() == material.digest()
    np.testing.assert_array_equal(found.clicks.crops, material.clicks.crops)
    assert found.clicks.labels == material.clicks.labels
    assert found.images == material.images
    remove_folder(tmp_path / "work")
    assert not (tmp_path / "work").exists()
    with pytest.raises(TrainingError, match="no interrupted training"):
        read_training_set(tmp_path / "work")


def test_too_few_cells_are_told(material, tmp_path):
    none = LabelledCrops(material.clicks.crops[:0], ())
    few = AdaptTrainingSet(material.crops[:9], none, (), ("The other image is gone.",))
    with pytest.raises(TrainingError, match=r"9 cells are too few.*The other image is gone"):
        write_training_set(tmp_path / "work", few)


@pytest.fixture
def folder(material, tmp_path):
    for number, crop in enumerate(material.crops):
        place = tmp_path / "crops" / ("red" if number < 20 else "violet")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(place / f"{number:02d}.png")
    (tmp_path / "crops" / "red" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "crops"


def test_class_folders_teach_without_their_names(folder):
    found = run_to_end(load_folder_crops_steps(folder, labels=False))
    assert found.crops.shape == (40, 128, 128, 3)
    assert found.clicks.labels == ()
    assert len(set(found.images)) == 40
    (sentence,) = found.left_out
    assert "broken.png" in sentence


def test_class_folders_judge_by_their_names(folder):
    found = run_to_end(load_folder_crops_steps(folder))
    assert found.clicks.labels == ("red",) * 20 + ("violet",) * 20
    np.testing.assert_array_equal(found.clicks.crops, found.crops)


@pytest.fixture
def project(tmp_path):
    """A smear of 60 cells, two of which are called by three annotators."""
    pixels = np.full((160, 240, 3), 230, np.uint8)
    corners = [(row, col) for row in range(4, 150, 26) for col in range(4, 230, 24)][:60]
    labels = np.zeros((160, 240), np.int32)
    for number, (row, col) in enumerate(corners):
        pixels[row : row + 16, col : col + 16] = (200, 80, 90)
        labels[row : row + 16, col : col + 16] = number + 1
    Image.fromarray(pixels).save(tmp_path / "smear.png")
    image = read_image(tmp_path / "smear.png")
    made = Project.create(tmp_path / "project")
    made.add_image(image)
    made.save_cells(image.key, cells_from_labels(labels, (160, 240)))
    history = made.open_history("ann")
    history.do(SetLabels(((CellRef(image.key, 3), 9.5, 34.5),), "wbc", "ann"))
    history.do(SetLabels(((CellRef(image.key, 7), 9.5, 34.5),), "rbc", "ann"))
    history.do(SetLabels(((CellRef(image.key, 3), 9.5, 34.5),), "rbc", "bob"))
    history.do(SetLabels(((CellRef(image.key, 3), 9.5, 34.5),), "rbc", "cat"))
    history.close()
    return made


def test_a_project_teaches_with_all_cells_and_judges_with_the_clicked(project):
    found = run_to_end(load_project_crops_steps(project))
    cells = project.load_cells(project.images[0].key)
    image = read_image(project.locate(project.images[0].key))
    np.testing.assert_array_equal(found.crops, extract_crops(image, cells, CropSpec()))
    assert found.images == (project.images[0].key,)
    assert sorted(found.clicks.labels) == ["rbc", "rbc"]  # what most call the third cell
    assert len(found.clicks.crops) == 2


def test_of_many_cells_an_even_part_teaches(project):
    assert len(run_to_end(load_project_crops_steps(project, most=20)).crops) == 20


def test_an_image_that_is_gone_is_left_out_and_named(project, tmp_path):
    (tmp_path / "smear.png").unlink()
    with pytest.raises(TrainingError, match=r"no cells to learn from.*smear"):
        run_to_end(load_project_crops_steps(project))


def test_an_image_in_memory_needs_no_file(project, tmp_path):
    image = read_image(tmp_path / "smear.png")
    (tmp_path / "smear.png").unlink()
    found = run_to_end(load_project_crops_steps(project, opened={image.key: image}))
    assert len(found.crops) == 60
    assert found.left_out == ()


def test_leave_one_out_of_separate_and_of_equal_classes():
    random = np.random.default_rng(0)
    labels = ["a"] * 10 + ["b"] * 10
    apart = random.normal(0, 1, (20, 5)).astype(np.float32)
    apart[10:, 0] += 20
    assert leave_one_out_accuracy(apart, labels) == 1.0
    alike = np.repeat(random.normal(0, 1, (10, 5)), 2, axis=0).astype(np.float32)
    assert (
        leave_one_out_accuracy(alike, ["a", "b"] * 10) == 0.0
    )  # each one's twin is of the other class


def test_classes_with_one_click_do_not_judge():
    assert evaluable_clicks(["a", "a", "b", "c", "c"]).tolist() == [0, 1, 3, 4]
    assert evaluable_clicks(["a", "a", "b"]).tolist() == []
    assert evaluable_clicks([]).tolist() == []


def test_without_lightly_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setattr(
        "napari_hemacells.core.train.selfsupervised.config.find_spec", lambda name: None
    )
    with pytest.raises(TrainingError, match=r"napari-hemacells\[adapt\]"):
        check_installed()
