"""The annotated cells of a project as pictures: which, how split, what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made_up import make_cells, make_image
from napari_hemacells.core.annotate import SetLabels
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.classifier import ClassifierConfig, model_store
from napari_hemacells.core.train.classifier.artifacts import write_csv
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.train.classifier.model_store import TrainedCell, trained_cells
from napari_hemacells.core.train.classifier.project_dataset import (
    annotated_cells_of,
    cell_name,
    export_crops_steps,
    parse_cell_name,
    plan_split,
    unavailable_reason,
)
from napari_hemacells.core.types import CellRef, CropSpec, Groups
from napari_hemacells.core.types.progress import run_to_end

SPEC = CropSpec(16, 1.5)


@pytest.fixture
def project(tmp_path):
    """Three images as files, 30 cells each."""
    project = Project.create(tmp_path / "project")
    for seed in range(3):
        file = tmp_path / f"slide{seed}.png"
        Image.fromarray(make_image(seed).pixels).save(file)
        image = replace(read_image(file), groups=Groups(patient=f"p{min(seed, 1)}"))
        project.add_image(image)
        project.save_cells(image.key, make_cells())
    return project


@pytest.fixture
def history(project):
    history = project.open_history("anna")
    yield history
    history.close()


def say(history, key, cells, class_id):
    places = tuple((CellRef(key, cell), 1.0, 1.0) for cell in cells)
    history.do(SetLabels(places, class_id, "anna"))


@pytest.fixture
def said(project, history):
    """Two classes on the first two images, which are of two patients."""
    for stored in project.images[:2]:
        for column, class_id in enumerate(history.state.palette.ids[:2]):
            say(history, stored.key, range(1 + column, 11, 2), class_id)
    return history.state


def gathered(project, state, folder, **changes):
    settings = {"grouped": True, "opened": {}} | changes
    return run_to_end(export_crops_steps(project, state, folder, SPEC, **settings))


def test_every_annotated_image_is_read_from_its_file(project, said, tmp_path):
    found = gathered(project, said, tmp_path / "crops")
    examples = read_examples(tmp_path / "crops")
    assert found.count == len(examples) == 20
    assert {one.group for one in examples.items} == {"patient//p0", "patient//p1"}
    names = {parse_cell_name(one.path.stem) for one in examples.items}
    assert names == set(said.labels)


def test_crop_is_that_of_the_cell(project, said, tmp_path):
    gathered(project, said, tmp_path / "crops")
    from napari_hemacells.core.crop import extract_crops

    key = project.images[0].key
    name = said.palette.classes[0].name
    file = tmp_path / "crops" / name / f"{cell_name(CellRef(key, 3))}.png"
    wanted = extract_crops(make_image(0), make_cells(), SPEC, [3])[0]
    assert np.array_equal(np.asarray(Image.open(file)), wanted)


def test_image_that_is_gone_is_named_and_the_others_are_learned_from(project, said, tmp_path):
    (tmp_path / "slide1.png").unlink()
    found = gathered(project, said, tmp_path / "crops")
    assert found.count == 10
    assert "slide1" in found.left_out[0]
    assert "10 annotated cells" in found.left_out[0]


def test_open_image_needs_no_file(project, said, tmp_path):
    (tmp_path / "slide1.png").unlink()
    key = project.images[1].key
    found = gathered(project, said, tmp_path / "crops", opened={key: make_image(1)})
    assert (found.count, found.left_out) == (20, ())


def test_nothing_that_can_be_read_is_an_error(project, said, tmp_path):
    for seed in (0, 1):
        (tmp_path / f"slide{seed}.png").unlink()
    with pytest.raises(TrainingError, match="No annotated cell"):
        gathered(project, said, tmp_path / "crops")


def test_reasons_against_training(project, history):
    key = project.images[0].key
    first, second = history.state.palette.ids[:2]
    assert "two classes" in unavailable_reason(annotated_cells_of(project, history.state))
    say(history, key, [1, 2], first)
    assert "only" in unavailable_reason(annotated_cells_of(project, history.state))
    say(history, key, [3], second)
    assert "one annotated cell" in unavailable_reason(annotated_cells_of(project, history.state))
    say(history, key, [4], second)
    assert unavailable_reason(annotated_cells_of(project, history.state)) == ""


def test_patients_are_held_out_as_a_whole_where_each_class_has_two(project, said):
    plan = plan_split(annotated_cells_of(project, said), ClassifierConfig())
    assert plan.grouped
    assert "1 of 2 patients" in plan.words
    assert "10 of 20 cells" in plan.words


def test_class_of_one_patient_makes_it_cell_by_cell_and_says_so(project, said, history):
    say(history, project.images[0].key, [20, 21], history.state.palette.ids[2])
    plan = plan_split(annotated_cells_of(project, history.state), ClassifierConfig())
    assert not plan.grouped
    assert "of one patient" in plan.words
    assert "a little too good" in plan.words


def test_interrupted_training_is_found_and_finished_ones_are_listed(project):
    folder = model_store.new_training_folder(project)
    model_store.save_job(folder, ClassifierConfig(epochs=3), "quick", SPEC)
    assert model_store.interrupted_training(project) is None
    (folder / "checkpoint.pt").write_bytes(b"state")
    assert model_store.interrupted_training(project) == folder
    job = model_store.load_job(folder, None)
    assert (job.recipe.epochs, job.spec, job.source) == (3, SPEC, folder / "crops")
    (folder / "model").mkdir()
    (folder / "figures.json").write_text('{"validation": {"accuracy": {"value": 0.9}}}')
    assert model_store.interrupted_training(project) is None
    assert "90.0%" in model_store.list_models(project)[0].words()
    model_store.delete_training(folder)
    assert model_store.list_models(project) == ()


def test_later_training_keeps_the_parts_of_the_one_before(project):
    first = project.folder / "models" / "classifier-20260101-000000"
    model_store.save_job(first, ClassifierConfig(), "quick", SPEC)
    (first / "split.json").write_text("{}")
    second = model_store.new_training_folder(project)
    model_store.save_job(second, ClassifierConfig(), "quick", SPEC)
    assert (second / "split.json").read_text() == "{}"


def test_cells_that_were_taught_are_known_by_their_names(tmp_path):
    rows = [("RBC/f00-3.png", "RBC", "g", "d", "train"), ("RBC/other.png", "RBC", "", "d", "x")]
    write_csv(tmp_path / "split.csv", ("path", "label", "group", "digest", "part"), rows)
    assert trained_cells(tmp_path) == {CellRef("f00", 3): TrainedCell("RBC", "train")}
    with pytest.raises(TrainingError, match="fine-tune again"):
        trained_cells(tmp_path / "nowhere")
