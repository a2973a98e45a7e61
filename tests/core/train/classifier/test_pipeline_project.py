"""What the dock's child does beside the training: pace, rate, report, the command to repeat it."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier import ClassifierConfig, preset_config
from napari_hemacells.core.train.classifier.dataset import (
    read_examples,
    read_spec,
    write_examples,
    write_spec,
)
from napari_hemacells.core.train.classifier.estimate import (
    ThroughputJob,
    measure_throughput_steps,
    suggest_lr_steps,
)
from napari_hemacells.core.train.classifier.pipeline import fine_tune_steps, prepare_steps
from napari_hemacells.core.train.classifier.report import build as report_steps
from napari_hemacells.core.train.classifier.training import TrainJob, repeat_command
from napari_hemacells.core.types import CropSpec
from napari_hemacells.core.types.progress import run_to_end


def test_pace_is_that_of_a_few_steps(job):
    found = run_to_end(measure_throughput_steps(ThroughputJob(job().recipe, 3)))
    assert found.evaluated_per_s > 0
    assert found.learned > 0
    assert found.device == "cpu"


def test_rate_is_found_without_training(job):
    wanted = job(rate=None)
    curve = run_to_end(suggest_lr_steps(wanted))
    assert len(curve.rates) == len(curve.losses) > 4
    assert 1e-6 <= curve.suggestion <= 1
    assert not (wanted.folder / "checkpoint.pt").exists()


def test_report_that_fails_is_a_note_and_the_model_stays(job, monkeypatch):
    def fail(_folder):
        yield from ()
        raise TrainingError("The report's template is not there.")

    monkeypatch.setattr(report_steps, "write_report_steps", fail)
    outcome = run_to_end(fine_tune_steps(job()))
    assert "There is no report: The report's template" in outcome.notes[-1]
    assert (outcome.model / "bundle.json").is_file()


def test_command_names_what_differs_from_the_recipe():
    recipe = preset_config("from nothing", {"arch": "resnet18", "flips": False, "device": "cpu"})
    words = shlex.split(repeat_command(TrainJob(Path("a b"), Path("out"), recipe), "from nothing"))
    assert words == [
        "hemacells", "train", "a b", "--recipe", "from-nothing", "--arch", "resnet18",
        "--no-flips", "--out", "out",
    ]  # fmt: skip


def test_crops_are_taken_as_they_were_cut(tmp_path):
    crops = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    write_examples(tmp_path, crops, ["a", "b"] * 4)
    write_spec(tmp_path, CropSpec(32, 1.7))
    assert read_spec(tmp_path) == CropSpec(32, 1.7)
    recipe = ClassifierConfig(
        arch="test_resnet", weights="none", size=32, context=1.2, device="cpu"
    )
    prepared = run_to_end(prepare_steps(TrainJob(tmp_path, tmp_path / "run", recipe)))
    assert prepared.spec == CropSpec(32, 1.7)
    first = read_examples(tmp_path).items[0].path.stem
    assert np.array_equal(prepared.loaded.crops[np.array([0])][0], crops[int(first)])


@pytest.mark.parametrize("content", [b"", b"{}", b'{"size": "x", "context": 1}'])
def test_damaged_note_of_the_cut_is_none(tmp_path, content):
    assert read_spec(tmp_path) is None
    (tmp_path / "crops.json").write_bytes(content)
    assert read_spec(tmp_path) is None
