"""A training from its pictures to its bundle."""

from __future__ import annotations

import csv
import errno
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from made_up_discs import COLOURS, SMALL, add_discs, disc
from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import learner, pipeline, training
from napari_hemacells.core.train.classifier.cross_validation import cross_validate_steps
from napari_hemacells.core.train.classifier.learner import ClassifierTrainStep
from napari_hemacells.core.train.classifier.pipeline import train, train_steps
from napari_hemacells.core.types import Embeddings
from napari_hemacells.core.types.progress import run_to_end


def same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def stop_after(steps, epochs):
    """Close a training when so many epochs have been checked."""
    for report in steps:
        epochs -= bool(report.metrics)
        if not epochs:
            next(steps)  # the checkpoint is written after the report
            steps.close()
            return
    pytest.fail("the training ended before it could be stopped")


@pytest.fixture
def colours(job):
    """A training that tells red from violet."""
    return train(job(epochs=4))


def test_it_learns_two_colours(colours):
    assert colours.figures["validation"]["accuracy"]["value"] == 1.0
    assert len(colours.history) == 5
    assert colours.history[-1].train_loss < colours.history[0].train_loss


def test_it_leaves_all_that_a_report_needs(colours):
    files = {one.name for one in colours.folder.iterdir()}
    assert files >= {
        "model", "checkpoint.pt", "figures.json", "log.csv", "run.json", "split.csv",
        "split.json", "train.csv", "validation.csv",
    }  # fmt: skip
    with (colours.folder / "validation.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert all(row["predicted"] == row["label"] for row in rows)
    sums = [float(row["p_red"]) + float(row["p_violet"]) for row in rows]
    assert sums == pytest.approx([1.0] * len(rows), abs=1e-5)
    told = json.loads((colours.folder / "run.json").read_text())
    assert told["recipe"]["arch"] == "test_resnet"
    assert told["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "ungrouped" in told["split"]


def test_its_bundle_says_what_the_network_said(colours):
    bundle = load_bundle(colours.model)
    encoder = bundle.make_encoder("cpu")
    assert [one.name for one in bundle.palette] == ["red", "violet"]
    with (colours.folder / "validation.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    from PIL import Image

    crops = np.stack([np.asarray(Image.open(row["path"])) for row in rows])
    vectors = encoder.encode(crops)
    ids = np.arange(len(rows))
    said = bundle.head.predict(Embeddings(ids, vectors, encoder.info, bundle.spec, ""))
    written = [[float(row["p_red"]), float(row["p_violet"])] for row in rows]
    assert said.probabilities == pytest.approx(np.array(written), abs=1e-5)
    assert bundle.training["recipe"]["arch"] == "test_resnet"


def test_its_bundle_says_unknown_of_what_it_was_not_taught(colours):
    bundle = load_bundle(colours.model)
    encoder = bundle.make_encoder("cpu")

    def share_unknown(name):
        crops = np.stack([disc(name, seed) for seed in range(9000, 9024)])
        vectors, ids = encoder.encode(crops), np.arange(len(crops))
        said = bundle.head.predict(Embeddings(ids, vectors, encoder.info, bundle.spec, ""))
        return said.verdict.mean()

    assert max(share_unknown("red"), share_unknown("violet")) <= 0.25
    assert share_unknown("green") >= 0.9


def test_a_stopped_training_goes_on_to_the_same_result(job):
    whole, cut = job("whole", mix="mixup", tta=1), job("cut", mix="mixup", tta=1)
    train(whole)
    stop_after(train_steps(cut), 2)
    assert not (cut.folder / "model").exists()
    reports = []
    steps = train_steps(cut)
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            resumed = end.value
            break
    assert any(one.message == "Going on after 1 epochs" for one in reports) or any(
        one.message == "Going on after 2 epochs" for one in reports
    )
    one, other = load_bundle(whole.folder / "model"), load_bundle(resumed.model)
    assert same(one.encoder_tensors, other.encoder_tensors)
    assert same(one.head_tensors, other.head_tensors)
    assert one.encoder.sha256 == other.encoder.sha256


def test_a_checkpoint_of_another_training_is_not_gone_on_from(job):
    train(job())
    again = [one.message for one in train_steps(job(seed=1))]
    assert not any(one.startswith("Going on") for one in again)


def test_kept_views_of_a_frozen_body_teach_the_head(job):
    outcome = train(job(frozen_views=2, frozen_epochs=6, epochs=0))
    assert [one.stage for one in outcome.history] == ["head"] * 6
    assert outcome.history[-1].train_loss < outcome.history[0].train_loss


def test_a_found_rate_is_written_with_its_curve(job):
    recipe = job(rate=None, epochs=1)
    train(recipe)
    told = json.loads((recipe.folder / "rate_finder.json").read_text())
    with (recipe.folder / "rate_finder.csv").open(newline="", encoding="utf-8-sig") as stream:
        rates = [float(row["rate"]) for row in csv.DictReader(stream)]
    assert rates == sorted(rates)
    assert 1e-6 <= told["suggestion"] <= 1.0


def test_it_stops_early_and_keeps_the_best(job):
    outcome = train(job(epochs=40, patience=2, rate=1e-2, schedule="constant"))
    losses = [one.validation_loss for one in outcome.history]
    assert len(losses) < 41
    assert min(losses[-2:]) >= min(losses[:-2])  # two looks without a gain ended it


def test_unreadable_files_are_left_out_and_named(job, discs):
    (discs / "red" / "broken.png").write_bytes(b"no picture")
    outcome = train(job(epochs=0))
    assert len(outcome.unreadable) == 1
    assert "red/broken.png" in outcome.unreadable[0]
    assert any("1 files could not be read" in one for one in outcome.notes)


def test_a_class_whose_only_other_picture_is_broken_is_refused(job, discs):
    (discs / "green").mkdir()
    add_discs(discs, "green", 1)
    (discs / "green" / "broken.png").write_bytes(b"")
    with pytest.raises(TrainingError, match="“green” has only one picture"):
        train(job())


def test_a_loss_that_is_no_number_is_told_with_a_lower_rate(job, monkeypatch):
    def broken(self, places, feed):
        return torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr(ClassifierTrainStep, "loss", broken)
    with pytest.raises(TrainingError, match=r"not a number any more.*--rate"):
        train(job())


def test_a_full_memory_halves_the_batch_and_says_so(job, monkeypatch):
    honest = ClassifierTrainStep.loss

    def hungry(self, places, feed):
        if len(places) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return honest(self, places, feed)

    monkeypatch.setattr(ClassifierTrainStep, "loss", hungry)
    steps, said = train_steps(job(batch=16)), []
    while True:
        try:
            said.append(next(steps).message)
        except StopIteration as end:
            outcome = end.value
            break
    assert "Out of memory: 4 crops at once from now on" in said
    assert outcome.history[-1].portion == 4
    assert any("memory was full" in one for one in outcome.notes)


def test_no_room_for_two_crops_is_an_error(job, monkeypatch):
    def hungry(self, places, feed):
        raise MemoryError

    monkeypatch.setattr(ClassifierTrainStep, "loss", hungry)
    with pytest.raises(TrainingError, match="even for two crops"):
        train(job())


def test_a_full_disk_is_told(job, monkeypatch):
    def full(state, stream):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match=r"checkpoint\.pt"):
        train(job())


def test_a_test_part_is_judged_too(job, discs):
    for name in ("red", "violet"):
        add_discs(discs, name, 24, first=16)
    outcome = train(job(test=0.2, tta=2))
    assert outcome.figures["test"]["n"] > 2
    assert outcome.figures["test"]["tta"]["copies"] == 2
    assert not any("chosen on the validation part" in one for one in outcome.notes)


def test_crops_beyond_the_memory_are_read_anew(job, monkeypatch):
    roomy = train(job("roomy"))
    monkeypatch.setattr("napari_hemacells.core.train.classifier.crop_store.MEGABYTE", 32 * 32 * 3)
    tight = train(job("tight", memory_mb=16))
    assert same(load_bundle(roomy.model).encoder_tensors, load_bundle(tight.model).encoder_tensors)


def test_folds_judge_every_picture_once(job):
    found = run_to_end(cross_validate_steps(job(epochs=1), 4))
    with found.table.open(newline="", encoding="utf-8-sig") as stream:
        names = [row["name"] for row in csv.DictReader(stream)]
    assert len(names) == len(set(names)) == 32
    assert found.figures["pooled"]["n"] == 32
    assert len(found.figures["folds"]) == 4


def test_training_wants_three_classes_too(job, discs):
    add_discs(discs, "green", 16)
    outcome = train(job(epochs=3, sampling="weights", smoothing=0.1, head="linear"))
    assert sorted(outcome.figures["validation"]["classes"]) == sorted(COLOURS)


def test_one_sigmoid_is_two_probabilities(job):
    outcome = train(job(head="dense", epochs=3))
    bundle = load_bundle(outcome.model)
    vectors = bundle.make_encoder("cpu").encode(np.stack([disc("red", 7), disc("violet", 8)]))
    said = bundle.head.predict(Embeddings(np.arange(2), vectors, bundle.encoder, bundle.spec, ""))
    assert said.probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert np.all(bundle.head.weights[:, 0] == 0)


def test_the_device_is_settled_once(job, monkeypatch):
    def settled(**kwargs):
        raise ValueError("AcceleratorState has already been initialized")

    monkeypatch.setattr(learner, "Accelerator", settled)
    with pytest.raises(TrainingError, match="start it again"):
        train(job())


def test_the_fingerprint_follows_what_matters(job):
    def fingerprint(one):
        prepared = run_to_end(pipeline.prepare_steps(one))
        return training.Training(one, prepared).fingerprint()

    first = fingerprint(job())
    assert fingerprint(replace(job(), name="other")) == first
    assert fingerprint(job(memory_mb=64)) == first
    assert fingerprint(job(rate=1e-3)) != first


@pytest.mark.slow
def test_two_processes_learn_together(job, monkeypatch):
    """Under a launcher the batch is shared out, and one process writes."""
    given = job()
    script = "from napari_hemacells.cli import main; main()"
    (given.folder.parent / "cli.py").write_text(script)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
        str(given.folder.parent / "cli.py"), "train", str(given.source), "--out",
        str(given.folder), "--frozen-blocks=0", "--tta=0", *arguments,
    ]  # fmt: skip
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    subprocess.run(command, check=True, timeout=240)
    told = json.loads((given.folder / "run.json").read_text())
    assert told["processes"] == 2
    assert load_bundle(given.folder / "model").training["epochs"] == 3
