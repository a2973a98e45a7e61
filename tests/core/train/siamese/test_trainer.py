"""A siamese training: what it writes, that it goes on, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.classify.verification import Likeness
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.siamese_head import read_head_weights
from napari_hemacells.core.errors import EncoderError, TrainingError
from napari_hemacells.core.params import SiameseParams
from napari_hemacells.core.train.siamese.config import SiameseJob, threshold_rule
from napari_hemacells.core.train.siamese.dataset import (
    SiameseTrainingSet,
    check_enough,
    held_out_rows,
    read_cells,
    remove_training,
    write_cells,
)
from napari_hemacells.core.train.siamese.likeness_store import likeness_for, read_likeness
from napari_hemacells.core.train.siamese.trainer import HELD_OUT_METRIC, train_siamese

COLOURS = {"pale": (210, 180, 190), "dark": (70, 40, 110), "red": (200, 60, 60)}


def made_up_cells(each=6, kinds=3, size=48):
    """Discs of a colour for each kind."""
    random = np.random.default_rng(0)
    rows, cols = np.mgrid[:size, :size] - size / 2
    crops, labels = [], []
    for name in list(COLOURS)[:kinds]:
        for _ in range(each):
            crop = np.full((size, size, 3), 235.0)
            disc = rows**2 + cols**2 < (size * random.uniform(0.25, 0.4)) ** 2
            crop[disc] = np.array(COLOURS[name]) + random.normal(0, 12, 3)
            crops.append(np.clip(crop + random.normal(0, 4, crop.shape), 0, 255))
            labels.append(name)
    return SiameseTrainingSet(np.stack(crops).astype(np.uint8), tuple(labels), ("a note",))


def run(job):
    steps, reports = train_siamese(job), []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return end.value, reports


def job_in(folder, cells=None, **params):
    job = SiameseJob(folder, SiameseParams(device="cpu", **params), "imagenet", "the command")
    write_cells(job.folder, cells or made_up_cells())
    return job


def test_a_distance_is_learned_without_training(tmp_path):
    outcome, _ = run(job_in(tmp_path / "out"))
    assert outcome.weights is None
    assert outcome.encoder == "imagenet"
    likeness = Likeness.load(outcome.likeness)
    vectors = load_encoder("imagenet", "cpu").encode(made_up_cells().crops)
    kinds = np.repeat(np.arange(3), 6)
    right = likeness.same(likeness.distances(vectors, vectors)) == (kinds[:, None] == kinds)
    assert right.mean() > 0.9
    page = outcome.report.read_text()
    for words in ("18", "pale", "Errors on held-out pairs", "a note", "the command", "diagnosis"):
        assert words in page
    assert outcome.to_dict()["kinds"] == {"dark": 6, "pale": 6, "red": 6}
    assert "cells of 3 kinds" in outcome.format_summary()


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "multi-similarity"])
def test_a_head_is_an_encoder_afterwards(tmp_path, loss):
    job = job_in(tmp_path / "out", network="head", loss=loss, epochs=25, batch_size=8)
    outcome, reports = run(job)
    losses = [report.losses["total"] for report in reports if report.losses]
    assert losses[-1] < losses[0]
    assert any(HELD_OUT_METRIC in report.metrics for report in reports)
    encoder = load_encoder(outcome.encoder, "cpu")
    cells = made_up_cells()
    vectors = encoder.encode(cells.crops)
    assert vectors.shape == (18, encoder.info.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert "18 annotated cells of the kinds dark, pale, red" in encoder.info.seen
    likeness = Likeness.load(outcome.likeness)
    assert likeness.auroc == outcome.auroc
    assert outcome.auroc > 0.9
    assert outcome.steps == 25 * 2
    on_the_base(outcome, likeness, vectors)


def on_the_base(outcome, likeness, vectors):
    """The head compares the vectors of the encoder below as it does its own, without torch."""
    base = load_encoder("imagenet", "cpu")
    saved = read_likeness(outcome.likeness.parent)
    head = likeness_for(saved, base.info)
    known = base.encode(made_up_cells().crops)
    assert np.allclose(head.transform(known), vectors, atol=1e-4)
    assert (head.threshold, head.learned_from) == (likeness.threshold, likeness.learned_from)
    assert "18 annotated cells of 3 kinds (dark, pale, red)" in head.learned_from
    own = likeness_for(saved, load_encoder(outcome.encoder, "cpu").info)
    assert np.allclose(own.transform(vectors), vectors, atol=1e-4)
    assert likeness_for(saved, replace(base.info, sha256="0" * 64)) is None


def test_an_interrupted_training_goes_on_as_it_would_have(tmp_path):
    params = {"network": "head", "epochs": 10, "batch_size": 8}
    whole, _ = run(job_in(tmp_path / "whole", **params))
    job = job_in(tmp_path / "cut", **params)
    steps = train_siamese(job)
    while next(steps).step < 13:
        pass
    steps.close()
    outcome, reports = run(job)
    assert min(report.step for report in reports if report.phase == "train") >= 4
    tensors = [load_file(item.weights) for item in (whole, outcome)]
    assert all(np.allclose(tensors[0][name], tensors[1][name], atol=1e-6) for name in tensors[0])
    other = SiameseJob(job.out, SiameseParams(device="cpu", **params, rate=1e-3), "imagenet")
    with pytest.raises(TrainingError, match="another training"):
        run(other)


def load_file(path):
    from safetensors.numpy import load_file

    return load_file(path)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tuned", "thesis"])
def test_networks_that_learn_whole(tmp_path, network):
    job = job_in(tmp_path / "out", made_up_cells(6, 2), network=network, epochs=3, batch_size=6)
    outcome, _ = run(job)
    encoder = load_encoder(outcome.encoder, "cpu")
    vectors = encoder.encode(made_up_cells(6, 2).crops)
    assert np.isfinite(vectors).all()
    assert ("ImageNet" in encoder.info.seen) == (network == "tuned")
    saved = read_likeness(outcome.likeness.parent)
    assert likeness_for(saved, encoder.info) is not None
    assert likeness_for(saved, load_encoder("imagenet", "cpu").info) is None


def test_few_cells_are_refused_and_none_is_held_out_of_few():
    with pytest.raises(TrainingError, match="two kinds"):
        check_enough(made_up_cells(kinds=1))
    cells = made_up_cells(each=4)
    assert not held_out_rows(cells.labels, 0).any()
    out = held_out_rows(made_up_cells(each=20).labels, 0)
    assert out.reshape(3, 20).sum(axis=1).tolist() == [4, 4, 4]


def test_few_cells_are_learned_from_with_a_warning(tmp_path):
    job = job_in(tmp_path / "out", made_up_cells(3), network="head", epochs=2, batch_size=4)
    outcome, _ = run(job)
    assert "too good" in outcome.held_out


def test_what_is_learned_from_is_kept_until_the_end(tmp_path):
    cells = made_up_cells()
    write_cells(tmp_path / "training", cells)
    read = read_cells(tmp_path / "training")
    assert read.digest() == cells.digest()
    assert read.notes == cells.notes
    remove_training(tmp_path / "training")
    with pytest.raises(TrainingError, match="without --resume"):
        read_cells(tmp_path / "training")


def test_a_damaged_network_is_refused(tmp_path):
    job = job_in(tmp_path / "out", network="head", epochs=1)
    outcome, _ = run(job)
    whole = outcome.weights.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for content in (b"", whole[:40], whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(EncoderError):
            load_encoder(f"siamese:{damaged}", "cpu")
        with pytest.raises(EncoderError):
            read_head_weights(damaged)
    with pytest.raises(EncoderError, match="train siamese"):
        load_encoder(f"siamese:{tmp_path / 'nothing'}", "cpu")


def test_rules_by_name():
    assert threshold_rule("equal-error") == "equal_error"
    assert threshold_rule("youden") == "youden"
    assert threshold_rule("0.02") == 0.02
    with pytest.raises(ValueError, match="share"):
        SiameseParams(threshold="2")
