"""``hemacells adapt`` and ``evaluate fewshot --adapt``, with a tiny network from nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.weights_store import find_weights_by_hash
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.selfsupervised import trainer

if TYPE_CHECKING:
    from pathlib import Path

BASE = "untrained:test_vit?size=32"
COLOURS = {"red": (200, 80, 90), "violet": (90, 40, 150)}


class InThisProcess:
    """Stands in for the child process, whose start takes seconds."""

    def __init__(self, job, params, *, threads=None):
        self.job, self.params = job, params

    def reports(self):
        return (yield from self.job(self.params))


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("lightly", reason="the extra adapt is not installed")
    for kind in ("data", "cache"):
        place = str(tmp_path / kind)
        monkeypatch.setattr(f"platformdirs.user_{kind}_dir", lambda name, place=place: place)
    monkeypatch.setattr("napari_hemacells.core.train.SubprocessJob", InThisProcess)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Twenty crops of each of two colours."""
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "crops" / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.full((32, 32, 3), 235.0)
            pixels[8:24, 8:24] = colour + random.normal(0, 10, 3)
            noisy = (pixels + random.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / "crops" / name / f"{number}.png")
    return tmp_path / "crops"


def given(out: Path) -> list[object]:
    small = ["--steps", 4, "--batch-size", 16, "--device", "cpu"]
    return ["--out", out, "--encoder", BASE, *small, "--json", out.with_suffix(".json")]


def test_the_adapted_encoder_is_written_and_found_by_its_hash(hemacells, crops, tmp_path):
    out = tmp_path / "mine.safetensors"
    result = hemacells("adapt", crops, *given(out))
    assert result.exit_code == 0, result.output
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["kept"] is True
    assert (told["crops"], told["clicks"], told["steps"]) == (40, 40, 4)
    assert told["leave_one_out_after"] >= told["leave_one_out_before"]
    assert find_weights_by_hash(told["sha256"]) is not None
    assert load_encoder(told["encoder"], "cpu").info.sha256 == told["sha256"]
    assert "recognised before" in " ".join(result.output.split())
    assert not (tmp_path / "mine.adapting").exists()


def test_one_that_does_worse_is_not_kept(hemacells, crops, tmp_path, monkeypatch):
    answers = iter([0.9, *[0.4] * 9])
    monkeypatch.setattr(trainer, "accuracy_on_clicks", lambda *_: next(answers))
    out = tmp_path / "mine.safetensors"
    result = hemacells("adapt", crops, *given(out))
    assert result.exit_code == 0, result.output
    assert json.loads(out.with_suffix(".json").read_text())["encoder"] is None
    assert not out.exists()
    said = " ".join(result.output.split())
    assert "90.0% were recognised before and 40.0% after" in said
    assert "not kept" in said


def test_an_interrupted_one_goes_on(hemacells, crops, tmp_path, monkeypatch):
    out = tmp_path / "mine.safetensors"
    learn = trainer.SimCLRLearner.learn

    def interrupted(learner, first, second):
        if learner.step == 2:
            raise TrainingError("The training was cancelled.")
        return learn(learner, first, second)

    monkeypatch.setattr(trainer.SimCLRLearner, "learn", interrupted)
    assert hemacells("adapt", crops, *given(out)).exit_code == 3
    assert (tmp_path / "mine.adapting").is_dir()
    monkeypatch.setattr(trainer.SimCLRLearner, "learn", learn)
    result = hemacells("adapt", crops, *given(out), "--resume")
    assert result.exit_code == 0, result.output
    assert "step 3/4" in result.output
    assert "step 1/4" not in result.output


def test_what_cannot_be_adapted_is_told_in_a_sentence(hemacells, crops, tmp_path):
    for arguments, said in [
        ((crops, "--out", tmp_path / "mine.pt"), "mine.safetensors"),
        ((tmp_path / "none", "--out", tmp_path / "a.safetensors"), "no folder"),
        ((crops, "--out", tmp_path / "a.safetensors", "--resume"), "start it without --resume"),
        ((crops, *given(tmp_path / "a.safetensors")[:2], "--encoder", "nonsense"), "nonsense"),
    ]:
        result = hemacells("adapt", *arguments)
        assert result.exit_code == 3, result.output
        assert said in " ".join(result.output.split())


def test_fewshot_adapts_without_the_classes_and_says_so(hemacells, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "napari_hemacells.core.train.selfsupervised.config.default_steps", lambda *_: 3
    )
    monkeypatch.setattr(trainer, "default_steps", lambda *_: 3)
    record = tmp_path / "result.json"
    options = ["--encoder", BASE, "--adapt", "--shots", 2, "--repeats", 2, "--json", record]
    result = hemacells("evaluate", "fewshot", crops, *options, "--device", "cpu")
    assert result.exit_code == 0, result.output
    told = json.loads(record.read_text())
    assert "transductive" in told["adapted"]
    assert told["encoder"].startswith("adapted:")
    assert "40 crops" in told["encoder_has_seen"]
    (made,) = (tmp_path / "cache" / "adapted").glob("*.safetensors")
    changed = made.stat().st_mtime_ns
    hemacells("evaluate", "fewshot", crops, *options, "--device", "cpu")
    assert made.stat().st_mtime_ns == changed  # the second time it is there
