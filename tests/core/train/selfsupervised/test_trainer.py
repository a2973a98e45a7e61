"""SimCLR on the last layers: what changes, what stays, going on, memory, the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_hemacells.core.encode import encoder_like, encoder_name_of, load_encoder, registry
from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.weights_store import file_sha256, store_weights
from napari_hemacells.core.errors import EncoderError, TrainingError
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.callbacks import CHECKPOINT
from napari_hemacells.core.train.selfsupervised import trainer as courses
from napari_hemacells.core.train.selfsupervised.config import AdaptJob
from napari_hemacells.core.train.selfsupervised.dataset import write_training_set
from napari_hemacells.core.train.selfsupervised.simclr import (
    trainable_copy,
    trainable_parameter_names,
)
from napari_hemacells.core.train.selfsupervised.trainer import SimCLRStrategy, adapt
from napari_hemacells.core.train.trainer import Trainer
from napari_hemacells.core.types.progress import run_to_end

BASE = "untrained:test_vit?size=32"

pytest.importorskip("lightly", reason="the extra adapt is not installed")


@pytest.fixture
def job(material, tmp_path):
    write_training_set(tmp_path / "work", material)
    params = AdaptParams(steps=8, batch_size=16, rate=1e-3, device="cpu")
    return AdaptJob(
        tmp_path / "work", tmp_path / "mine.safetensors", params, BASE, decided_by_clicks=False
    )


def test_the_loss_falls_and_only_the_last_layers_change(job):
    longer = replace(job, params=job.params.model_copy(update={"steps": 40}))
    outcome = run_to_end(adapt(longer))
    assert np.mean(outcome.losses[-8:]) < np.mean(outcome.losses[:8])
    base, adapted = load_encoder(BASE, "cpu"), load_encoder(f"adapted:{job.out}", "cpu")
    own, new = base.network.state_dict(), adapted.network.state_dict()
    moved = {name for name in own if not torch.equal(own[name], new[name])}
    assert moved <= set(trainable_parameter_names(base.network))
    assert any(name.startswith("model.blocks.5") for name in moved)
    assert not any("patch_embed" in name or "blocks.0." in name for name in moved)


def test_the_encoder_of_the_file(job, material):
    outcome = run_to_end(adapt(job))
    base, adapted = load_encoder(BASE, "cpu"), load_encoder(f"adapted:{job.out}", "cpu")
    assert adapted.info.sha256 == outcome.sha256 == file_sha256(job.out)
    assert adapted.info.dim == base.info.dim
    assert "40 crops" in adapted.info.seen
    assert not np.allclose(adapted.encode(material.crops), base.encode(material.crops), atol=1e-3)
    header = read_header(job.out)
    assert (header.base, header.base_sha256) == (BASE, base.info.sha256)
    assert header.images == ("one", "two")
    assert header.training["steps"] == 8


def anew(job):
    """The outcome of a training from its first step."""
    (job.folder / CHECKPOINT).unlink(missing_ok=True)
    return run_to_end(adapt(job))


def test_the_same_seed_gives_the_same_weights(job):
    first, weights = anew(job), load_encoder(f"adapted:{job.out}", "cpu").network.state_dict()
    again = anew(replace(job, out=job.out.with_name("again.safetensors")))
    same = load_encoder(f"adapted:{again.file}", "cpu").network.state_dict()
    assert first.losses == again.losses
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    other = replace(job, params=job.params.model_copy(update={"seed": 1}))
    assert anew(other).losses != first.losses


def test_a_training_that_was_stopped_goes_on_to_the_same_end(job):
    whole = anew(job)
    (job.folder / CHECKPOINT).unlink()
    for report in Trainer(SimCLRStrategy(job)).run():
        if report.step == 6:
            break
    resumed = SimCLRStrategy(job)
    trainer = Trainer(resumed)
    assert trainer.resumed
    assert 0 < resumed.learner.step < 8
    for _ in trainer.run():
        pass
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-5)


def test_a_checkpoint_of_another_training_is_refused(job):
    run_to_end(adapt(job))
    other = replace(job, params=job.params.model_copy(update={"rate": 0.5}))
    with pytest.raises(TrainingError, match="another training"):
        Trainer(SimCLRStrategy(other))


def test_too_little_memory_halves_the_batch_and_says_so(job, monkeypatch):
    course = SimCLRStrategy(job)
    learn = course.learner.learn

    def narrow(first, second):
        if len(first) > 8:
            raise torch.OutOfMemoryError
        return learn(first, second)

    monkeypatch.setattr(course.learner, "learn", narrow)
    messages = [report.message for report in Trainer(course).run()]
    assert any("8 crops a step" in message for message in messages)
    assert len(course.losses) == 8
    assert "8 crops a step" in course.finish(0.0).notes[0]


def test_other_errors_are_not_taken_for_it(job, monkeypatch):
    course = SimCLRStrategy(job)

    def broken(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr(course.learner, "learn", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        list(Trainer(course).run())


@pytest.mark.parametrize(("after", "kept"), [(0.5, False), (0.75, True), (0.8, True)])
def test_it_is_kept_only_if_the_clicks_are_told_as_well(job, monkeypatch, after, kept):
    answers = iter([0.75, *[after] * 8])
    monkeypatch.setattr(courses, "accuracy_on_clicks", lambda *_: next(answers))
    outcome = run_to_end(adapt(replace(job, decided_by_clicks=True)))
    assert outcome.kept is kept
    assert job.out.exists() is kept
    assert "75.0% were recognised before" in outcome.format_summary()
    assert (outcome.before, outcome.after) == (0.75, after)


def test_a_model_finds_the_adapted_encoder_by_its_hash(job):
    run_to_end(adapt(job))
    info = load_encoder(f"adapted:{job.out}", "cpu").info
    assert encoder_name_of(info) is None
    copy = store_weights(job.out)
    job.out.unlink()
    assert encoder_name_of(info) == f"adapted:{copy}"
    assert encoder_like(info, "cpu").info == info


def test_an_encoder_adapted_from_an_older_one_is_not_offered(job, monkeypatch):
    run_to_end(adapt(job))
    info = load_encoder(f"adapted:{job.out}", "cpu").info
    store_weights(job.out)
    newer = replace(load_encoder(BASE, "cpu").info, sha256="1" * 64)
    monkeypatch.setitem(registry.ENCODER_FACTORIES, BASE, (lambda device: None, lambda: newer))
    assert encoder_name_of(info) is None


def test_damaged_and_foreign_files_are_refused(job, tmp_path):
    run_to_end(adapt(job))
    content = job.out.read_bytes()
    (tmp_path / "short.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(EncoderError, match="damaged"):
        load_encoder(f"adapted:{tmp_path / 'short.safetensors'}", "cpu")
    with pytest.raises(EncoderError, match="does not exist"):
        load_encoder(f"adapted:{tmp_path / 'none.safetensors'}", "cpu")
    sha256 = read_header(job.out).base_sha256.encode()
    (tmp_path / "old.safetensors").write_bytes(content.replace(sha256, b"0" * 64))
    with pytest.raises(EncoderError, match="another version"):
        load_encoder(f"adapted:{tmp_path / 'old.safetensors'}", "cpu")


def test_an_encoder_without_a_network_cannot_be_taught():
    class Plain:
        info = load_encoder(BASE, "cpu").info

    with pytest.raises(TrainingError, match="no network"):
        trainable_copy(Plain())


@pytest.mark.slow
def test_in_a_process_of_its_own(job):
    run = SubprocessJob(adapt, job, threads=1)
    steps = run.reports()
    reports = []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            outcome = end.value
            break
    assert outcome.steps == 8
    assert {one.phase for one in reports} >= {"train", "validate"}


@pytest.mark.slow
def test_the_bundled_encoder_keeps_its_first_blocks(job):
    bundled = replace(job, base="bundled", params=AdaptParams(steps=2, batch_size=16))
    run_to_end(adapt(bundled))
    base, adapted = load_encoder("bundled"), load_encoder(f"adapted:{job.out}")
    own, new = base.network.state_dict(), adapted.network.state_dict()
    moved = {name for name in own if not torch.equal(own[name], new[name])}
    assert moved
    assert all(name.startswith(("blocks.5.", "blocks.6.", "embed.")) for name in moved)
    assert not any("running" in name for name in moved)  # statistics stay as they are used
    store_weights(job.out)
    assert encoder_like(adapted.info).info == adapted.info
