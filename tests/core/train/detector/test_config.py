"""The real network on small synthetic fields."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from safetensors import safe_open

from napari_hemacells.core.detect.learned.model import bundled_model, model_for
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.detection_report import describe_training_data
from napari_hemacells.core.params import DetectParams, TrainDetectorParams
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.callbacks import load_checkpoint
from napari_hemacells.core.train.detector import evaluator
from napari_hemacells.core.train.detector.config import DetectorJob, prepare_folder, remove_folder
from napari_hemacells.core.train.detector.trainer import fine_tune
from napari_hemacells.samples.smear import rehearsal_fields
from training_jobs import small_rehearsal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fields():
    return list(rehearsal_fields(range(3), (160, 240)))


@pytest.fixture
def job(tmp_path, fields):
    folder = tmp_path / "run"
    prepare_folder(folder, fields, ["field 9: nothing was corrected."])
    params = TrainDetectorParams(batch_size=2, device="cpu")
    out = tmp_path / "own.safetensors"
    return DetectorJob(
        folder, out, 4, params, rehearsal=small_rehearsal, command="hemacells train"
    )


def to_end(steps):
    reports = []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return reports, end.value


def tensors(file):
    with safe_open(file, framework="pt") as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def test_child_trains_and_leaves_weights_with_a_header_and_a_report(job, fields) -> None:
    reports, outcome = to_end(SubprocessJob(fine_tune, job, threads=1).reports())
    assert {"train", "validate", "end"} <= {report.phase for report in reports}
    assert any("F1 all" in report.metrics for report in reports)
    model = model_for(outcome.weights)
    assert model.limits.overlap == bundled_model().limits.overlap
    with safe_open(outcome.weights, framework="pt") as stored:
        about = json.loads(stored.metadata()["trained"])
    assert {one["key"] for one in about["images"]} == {field.key for field in fields}
    assert about["start"]["name"] == "bundled detector"
    learned = [one["name"] for one in about["images"] if one["learned"]]
    assert learned
    assert describe_training_data(DetectParams(weights=outcome.weights)).startswith(
        ", ".join(learned)
    )
    assert about["f1_iou50_held_out"]["after"] == outcome.after.f1()
    page = outcome.report.read_text()
    assert "hemacells train" in page
    assert "<svg" in page
    assert fields[0].name in page
    assert "Left out: field 9" in page


def test_gone_on_from_a_checkpoint_gives_what_an_uninterrupted_training_gives(job) -> None:
    _, whole = to_end(fine_tune(job))
    file = job.folder / "checkpoint.pt"
    state = load_checkpoint(file)
    weights = tensors(whole.weights)
    file.unlink()
    steps = fine_tune(job)
    for report in steps:
        if report.step == 3 and report.phase == "train":  # two steps are in the checkpoint
            steps.close()
    _, resumed = to_end(fine_tune(job))
    again, state_again = tensors(resumed.weights), load_checkpoint(file)
    assert all((again[name] == tensor).all() for name, tensor in weights.items())
    for part in ("network", "average"):
        ours, theirs = state["learner"][part], state_again["learner"][part]
        assert all((theirs[name] == tensor).all() for name, tensor in ours.items())
    assert not all((state["learner"]["network"][n] == t).all() for n, t in weights.items())
    assert resumed.curves.losses == whole.curves.losses


def test_checkpoint_of_another_training_is_refused(job) -> None:
    to_end(fine_tune(job))
    with pytest.raises(TrainingError, match="of another training"):
        to_end(fine_tune(replace(job, steps=5)))


def test_too_high_a_rate_is_a_sentence(job) -> None:
    params = job.params.model_copy(update={"rate": 1e30})
    with pytest.raises(TrainingError, match="lower learning rate"):
        to_end(fine_tune(replace(job, params=params, steps=12)))


def test_too_little_memory_halves_the_batch_and_says_so(job, monkeypatch) -> None:
    from napari_hemacells.core.train.detector import optim

    collate = optim.collate

    def small(crops):
        if len(crops) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return collate(crops)

    monkeypatch.setattr(optim, "collate", small)
    reports, outcome = to_end(fine_tune(job))
    assert any("1 crops a step" in report.message for report in reports)
    assert any("1 crops a step" in note for note in outcome.notes)


def test_nothing_to_learn_from_is_a_sentence(job) -> None:
    remove_folder(job.folder)
    with pytest.raises(TrainingError, match="no corrected field"):
        to_end(fine_tune(job))


def test_a_training_that_only_harms_gives_the_start_back_with_its_limits(job, monkeypatch) -> None:
    """The limits chosen on a few held-out cells go with learned weights only."""
    monkeypatch.setattr(
        evaluator, "choose_thresholds", lambda _pairs, before: (0.5,) * len(before)
    )
    params = job.params.model_copy(update={"rate": 0.3})
    _, outcome = to_end(fine_tune(replace(job, params=params)))
    start, kept = bundled_model(), model_for(outcome.weights)
    assert kept.limits.scores == start.limits.scores
    ours, theirs = kept.network.state_dict(), start.network.state_dict()
    assert all((ours[name] == tensor).all() for name, tensor in theirs.items())
