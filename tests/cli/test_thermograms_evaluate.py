"""``hemacells evaluate thermograms``: the JSON that others read, and what a user is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_hemacells.cli import app
from napari_hemacells.core.types import EncoderInfo
from napari_hemacells.samples.thermogram import synthetic_thermogram


class TinyEncoder:
    info = EncoderInfo("tiny", "0" * 64, 2)
    device = "cpu"

    def encode(self, crops):
        flat = crops.reshape(len(crops), -1)
        return np.stack([flat.mean(1), flat.std(1)], 1).astype(np.float32)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hemacells.core.encode.load_encoder", lambda *_: TinyEncoder())
    stored, rows = {}, ["exam,patient,label,date,view,protocol"]
    for number in range(6):
        stored[f"e{number}"] = synthetic_thermogram(number, size=(96, 128)).celsius
        label = "sick" if number % 2 else "healthy"
        rows.append(f"e{number},{number},{label},2013-0{number + 1}-01,1,S")
    np.savez(tmp_path / "data.npz", **stored)
    (tmp_path / "exams.csv").write_text("\n".join(rows))
    return tmp_path


def call(study, *more):
    return CliRunner().invoke(
        app,
        ["evaluate", "thermograms", str(study / "exams.csv"), "--data", str(study / "data.npz"),
         "--folds", "3", "--repeats", "2", *more],
    )  # fmt: skip


def test_json_has_method_and_baselines(study):
    result = call(study, "--json", str(study / "out.json"), "--quiet")
    assert result.exit_code == 0, result.output
    report = json.loads((study / "out.json").read_text())
    assert 0 <= report["method"]["auc"] <= 1
    low, high = report["method"]["ci95"]
    assert low <= report["method"]["auc"] <= high
    for name in ("max_temperature", "mean_temperature", "left_right_difference", "region_table"):
        assert {"auc", "ci95", "sensitivity", "specificity"} <= set(report["baselines"][name])
    assert report["n_patients"] == 6


def test_split_by_image_is_told_loudly(study):
    result = call(study, "--split", "image", "--copies", "2")
    assert result.exit_code == 0, result.output
    assert "SPLIT BY IMAGE" in result.output


def test_a_missing_table_ends_with_a_sentence(study):
    (study / "exams.csv").unlink()
    result = call(study)
    assert result.exit_code == 3
    assert "cannot be read" in result.output
