"""``hemacells thermograms regions``: a table in °C, and crops that training reads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from napari_hemacells.cli import app
from napari_hemacells.core.thermography.regions import find_regions
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.samples.thermogram import synthetic_thermogram

NAMES = {"healthy": "T0001.1.1.S.2013-01-16.00", "sick": "T0002.1.1.S.2013-01-16.00"}


@pytest.fixture(scope="module")
def frames():
    return {
        label: synthetic_thermogram(n, size=(120, 160)).celsius for n, label in enumerate(NAMES)
    }


@pytest.fixture
def study(tmp_path, frames):
    for label, name in NAMES.items():
        (tmp_path / "in" / label).mkdir(parents=True)
        np.savetxt(tmp_path / "in" / label / f"{name}.txt", frames[label], fmt="%.2f")
    return tmp_path


def call(study, *more):
    given = ["thermograms", "regions", str(study / "in"), "--out", str(study / "out"), *more]
    return CliRunner().invoke(app, given)


def test_table_has_numpys_degrees(study, frames):
    result = call(study)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(
        study / "out" / "regions.csv", encoding="utf-8-sig", float_precision="round_trip"
    )
    assert len(table) == 8
    raw = np.loadtxt(study / "in" / "sick" / f"{NAMES['sick']}.txt").astype(np.float32)
    left = find_regions(raw).breasts["left"]
    row = table[table["file"].str.contains("T0002") & (table["region"] == "left breast")].iloc[0]
    assert row["mean (°C)"] == raw[left.mask].astype(np.float64).mean()


@pytest.mark.parametrize(("kind", "each"), [("breasts", 2), ("pairs", 1)])
def test_crops_are_degrees_in_class_folders_with_patients(study, kind, each):
    result = call(study, "--crops", kind, "--size", "64")
    assert result.exit_code == 0, result.output
    found = read_examples(study / "out" / "crops")
    assert found.counts == {"healthy": each, "sick": each}
    assert {one.group for one in found.items} == {"patient 1", "patient 2"}
    crop = tifffile.imread(found.items[0].path)
    assert crop.dtype == np.float32
    assert crop.shape == (64, 64)
    assert 20 < crop.mean() < 40


def test_a_frame_that_cannot_be_read_is_told_and_left_out(study):
    rows = [" ".join(["31.00"] * 40)] * 30 + ["31.00 31.00"]
    (study / "in" / "sick" / "torn.txt").write_text("\n".join(rows))
    result = call(study)
    assert result.exit_code == 0, result.output
    assert "torn.txt" in result.output


def test_an_odd_size_is_refused(study):
    assert call(study, "--crops", "pairs", "--size", "65").exit_code == 2


def test_crops_of_equal_names_are_different_files_with_their_patient(study, frames):
    folder = study / "in" / "other" / "sick"
    folder.mkdir(parents=True)
    np.savetxt(folder / f"{NAMES['sick']}.txt", frames["healthy"], fmt="%.2f")
    assert call(study, "--crops", "pairs", "--size", "64").exit_code == 0
    found = read_examples(study / "out" / "crops")
    assert found.counts == {"healthy": 1, "sick": 2}
    sick = [tifffile.imread(one.path) for one in found.items if one.label == "sick"]
    assert not np.array_equal(*sick)
    assert {one.group for one in found.items} == {"patient 1", "patient 2"}
