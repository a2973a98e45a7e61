from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_hemacells.cli.app import app
from napari_hemacells.cli.console import format_report
from napari_hemacells.core.store import Project
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.samples import synthetic_smear

VOC = """<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>
<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"""


def run(*arguments) -> object:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def annotated(tmp_path):
    """Three small fields with Pascal VOC boxes beside them."""
    images, notes = tmp_path / "images", tmp_path / "notes"
    images.mkdir()
    notes.mkdir()
    for seed in range(3):
        smear = synthetic_smear(seed, (160, 240))
        Image.fromarray(smear.image).save(images / f"f{seed}.png")
        sides = {"y0": "min_row", "x0": "min_col", "y1": "max_row", "x1": "max_col"}
        boxes = [
            VOC.format(name=row["class"], **{key: row[side] for key, side in sides.items()})
            for _, row in smear.table.iterrows()
        ]
        (notes / f"f{seed}.xml").write_text(f"<annotation>{''.join(boxes)}</annotation>")
    return images, notes


@pytest.mark.slow
def test_trained_weights_are_written_with_a_report_and_detect_uses_them(annotated, tmp_path):
    images, notes = annotated
    out, record = tmp_path / "own.safetensors", tmp_path / "record.json"
    options = ("--out", out, "--steps", 2, "--batch-size", 2, "--threads", 1, "--json", record)
    result = run("train", "detector", images, "--annotations", notes, *options)
    assert result.exit_code == 0, result.output
    told = json.loads(record.read_text())
    assert told["weights"] == str(out)
    assert set(told["after"]) >= {"RBC", "all"}
    page = out.with_suffix(".html").read_text()
    assert f"hemacells train detector {images} --annotations {notes}" in page
    assert "--steps 2" in page
    assert not out.with_name("own.training").exists()
    found = run("detect", images / "f0.png", "--out", tmp_path / "found", "--weights", out)
    assert found.exit_code == 0, found.output
    assert (tmp_path / "found" / "f0.cells.csv").is_file()


def test_project_without_corrections_is_refused_with_advice(tmp_path):
    Project.create(tmp_path / "project")
    result = run("train", "detector", tmp_path / "project", "--out", tmp_path / "a.safetensors")
    assert result.exit_code == 3
    assert "go through an image" in " ".join(result.output.split())
    assert not (tmp_path / "a.safetensors").exists()


def test_nothing_to_resume_is_a_sentence(tmp_path):
    options = ("--resume", "--out", tmp_path / "a.safetensors")
    result = run("train", "detector", tmp_path, *options)
    assert result.exit_code == 3
    assert "start it without --resume" in " ".join(result.output.split())


def test_weights_of_another_ending_are_refused(tmp_path):
    result = run("train", "detector", tmp_path, "--out", tmp_path / "a.pt")
    assert result.exit_code == 3
    assert "a.safetensors" in " ".join(result.output.split())


def test_detecting_with_weights_that_are_not_there_is_refused(tmp_path):
    image = tmp_path / "glass.png"
    Image.fromarray(np.full((60, 80, 3), 230, np.uint8)).save(image)
    missing = tmp_path / "missing.safetensors"
    result = run("detect", image, "--out", tmp_path / "found", "--weights", missing)
    assert result.exit_code == 3
    assert "missing.safetensors" in " ".join(result.output.split())


def test_a_line_of_progress_says_what_is_known():
    report = TrainingReport(
        50,
        150,
        losses={"total": 1.25},
        metrics={"F1 all": 0.9},
        images_per_second=11.04,
        eta_s=72.0,
    )
    assert (
        format_report(report)
        == "step 50/150 · loss 1.250 · F1 all 0.900 · 11.0 images/s · 72 s to go"
    )
