"""What there is to learn from before anything is read, and what a project keeps of adaptations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.annotate import AnnotationState
from napari_hemacells.core.annotate.cell_edits import Correction, cell_record
from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.selfsupervised import encoder_store, estimate
from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome
from napari_hemacells.core.train.selfsupervised.estimate import AvailableCells


@pytest.fixture
def project(tmp_path):
    """Two images with 30 and 12 cells, one without."""
    made = Project.create(tmp_path / "project")
    for seed, count in ((0, 30), (1, 12), (2, 0)):
        image = make_image(seed, f"smear {seed}")
        made.add_image(image)
        if count:
            made.save_cells(image.key, make_cells(count))
    return made


def test_cells_of_all_images_are_counted_as_corrected(project):
    first = project.images[0].key
    state = AnnotationState("anna")
    assert estimate.count_available_cells(project, state) == AvailableCells(42, 2)
    cell = cell_record(make_cells(), 3)
    state.corrections[first] = {
        3: Correction(cell, "refused"),
        4: Correction(replace(cell, cell=4), "gone"),
        5: Correction(replace(cell, cell=5), "there"),
        31: Correction(replace(cell, cell=31), "there"),
    }
    assert estimate.count_available_cells(project, state) == AvailableCells(41, 2)


def test_ids_follow_the_file_whatever_its_kind(project):
    image, cells = project.images[0], make_cells()
    assert project.cell_ids(image.key) == set(range(1, 31))
    masks = PackedMasks.of_labels(cells.labels, cells.ids.tolist(), cells.boxes)
    lazy = replace(cells, labels=LazyLabels(cells.labels.shape, cells.ids, masks))
    project.save_cells(image.key, lazy)
    assert project.cell_ids(image.key) == set(range(1, 31))
    project.save_cells(image.key, make_cells(7))
    assert project.cell_ids(image.key) == set(range(1, 8))
    (project.folder / "cells" / f"{image.key}.labels.tif").write_bytes(b"no cells")
    with pytest.raises(ProjectError, match="cannot be read"):
        project.cell_ids(image.key)
    assert estimate.count_available_cells(project, AnnotationState("anna")) == AvailableCells(
        12, 1
    )


def test_what_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(estimate, "check_installed", lambda: None)
    assert "There are 31 so far" in estimate.adaptation_unavailable_reason(AvailableCells(31, 1))
    assert estimate.adaptation_unavailable_reason(AvailableCells(32, 1)) == ""


def test_without_lightly_the_command_that_installs_it_is_the_reason(monkeypatch):
    monkeypatch.setattr(
        "napari_hemacells.core.train.selfsupervised.config.find_spec", lambda name: None
    )
    assert "napari-hemacells[adapt]" in estimate.adaptation_unavailable_reason(
        AvailableCells(5000, 1)
    )


def test_time_grows_with_the_cells_up_to_the_most_and_falls_with_the_cores():
    def seconds(count, clicks=0, cores=1):
        return estimate.estimated_seconds(AvailableCells(count, 1), clicks, AdaptParams(), cores)

    assert seconds(40) < seconds(2000) < seconds(4000) == seconds(90_000)
    assert seconds(2000) < seconds(2000, clicks=20) < seconds(2000, clicks=200)
    assert seconds(4000, cores=2) < 0.6 * seconds(4000)


# --- kept ----------------------------------------------------------------------------------------


def ended(job, *, keep=True):
    """Let an adaptation come to its end."""
    job.out.parent.mkdir(parents=True, exist_ok=True)
    if keep:
        job.out.write_bytes(b"weights")
    file = job.out if keep else None
    return AdaptOutcome(file, "a" * 64, "bundled", 0.75, 0.8, 42, 12, 8, 3.0, (2.5, 1.5), ("So.",))


def test_outcome_waits_for_an_answer_across_a_restart(project):
    job = encoder_store.new_job(project, "bundled")
    assert job.out.is_relative_to(project.folder)
    assert encoder_store.load_pending_outcome(project) is None
    outcome = ended(job)
    encoder_store.save_outcome(job, outcome)
    assert encoder_store.load_pending_outcome(Project.open(project.folder)) == outcome
    encoder_store.clear_pending_outcome(outcome)
    assert encoder_store.load_pending_outcome(project) is None
    assert job.out.is_file()


def test_what_was_interrupted_is_swept_away_and_what_ended_stays(project):
    done = encoder_store.new_job(project, "bundled")
    encoder_store.save_outcome(done, ended(done))
    broken = replace(
        done, out=project.folder / "adapted" / "20200101-000000-000000" / encoder_store.ENCODER
    )
    broken.out.with_name("encoder.adapting").mkdir(parents=True)
    (broken.out.with_name("encoder.adapting") / "crops.npz").write_bytes(b"crops")
    mine = project.folder / "adapted" / "my own notes"
    mine.mkdir()
    encoder_store.remove_unfinished(project)
    assert not broken.out.parent.exists()
    assert done.out.is_file()
    assert mine.is_dir()


def test_each_adaptation_has_a_folder_of_its_own(project):
    assert len({encoder_store.new_job(project, "bundled").out for _ in range(9)}) == 9


def test_dropped_adaptation_leaves_nothing(project):
    job = encoder_store.new_job(project, "bundled")
    encoder_store.save_outcome(job, ended(job))
    encoder_store.remove_adaptation(job.out)
    assert not (project.folder / "adapted").exists()


def test_outcome_of_another_program_is_passed_over(project):
    job = encoder_store.new_job(project, "bundled")
    ended(job)
    job.out.with_name(encoder_store.OUTCOME).write_text("[1, 2]")
    assert encoder_store.load_pending_outcome(project) is None
