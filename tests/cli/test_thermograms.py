"""``hemacells thermograms``: a folder of text files → class folders that training reads."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from napari_hemacells.cli import app
from napari_hemacells.core.temperature import parse_dmr_ir_name, read_celsius
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.samples import synthetic_thermogram

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two frames each of two healthy and two sick patients in sub-folders, one blurred."""
    for patient in range(1, 5):
        folder = tmp_path / "frames" / f"{patient:04d}"
        folder.mkdir(parents=True)
        for number in range(2):
            celsius = synthetic_thermogram(patient, size=(120, 160)).celsius
            if (patient, number) == (2, 1):
                celsius = gaussian_filter(celsius, 4)
            name = f"T{patient:04d}.1.1.D.2013-01-16.{number:02d}.txt"
            np.savetxt(folder / name, celsius, fmt="%.2f")
    (tmp_path / "patients.csv").write_text(
        "Patient;Diagnosis;Age\n1;healthy;40\n2;normal;50\n3;sick;60\n4;cancer;70\n"
    )
    return tmp_path


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["thermograms", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_select_says_what_a_study_would_use(study: Path) -> None:
    target = study / "choice.json"
    output = run(
        "select", study / "frames", "--patients", study / "patients.csv", "--json", target
    )
    told = json.loads(target.read_text())
    assert told["counts"] == {"healthy": 3, "sick": 3}
    reasons = sorted(one["reason"] for one in told["left_out"])
    assert reasons[0].startswith("blurred (")
    assert reasons[1] == "not drawn"
    assert "T0002.1.1.D.2013-01-16.01.txt" in output
    assert sorted(one.name for one in study.iterdir()) == [
        "choice.json", "frames", "patients.csv",
    ]  # fmt: skip


def test_export_writes_degrees_and_keeps_patients_together(study: Path) -> None:
    out = study / "set"
    arguments = [study / "frames", "--patients", study / "patients.csv", "--out", out]
    run("export", *arguments, "--no-balanced", "--quiet")
    with (out / "examples.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7
    for row in rows:
        written = tifffile.imread(out / row["path"])
        assert written.dtype == np.float32
        np.testing.assert_array_equal(written, read_celsius(study / row["source"]))
        assert row["age"] == str(30 + 10 * int(row["patient"]))
    examples = read_examples(out)
    assert examples.grouped
    assert examples.counts == {"healthy": 3, "sick": 4}
    assert {one.group for one in examples.items} == {"0001", "0002", "0003", "0004"}
    with (out / "left_out.csv").open(newline="", encoding="utf-8-sig") as stream:
        (left_out,) = csv.DictReader(stream)
    assert left_out["reason"].startswith("blurred")
    assert "holds an export already" in run("export", *arguments, code=5)


def test_mistakes_are_sentences(study: Path) -> None:
    (study / "empty").mkdir()
    table = study / "patients.csv"
    output = run("select", study / "empty", "--patients", table, code=3)
    assert "no files with temperatures" in " ".join(output.split())
    output = run("select", study / "none", "--patients", table, code=3)
    assert "There is no file or folder" in output
    assert "sharpness" in run("select", study, "--patients", table, "--sharpness", -1, code=2)


@pytest.mark.usefixtures("colour_encoder")
@pytest.mark.parametrize("more", [[], ["--measured"]])
def test_exported_thermograms_teach_and_text_is_classified_whole(
    tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "frames").mkdir()
    rows = ["patient,label"]
    rng = np.random.default_rng(0)
    for patient in range(1, 13):
        sick = patient % 2
        rows.append(f"{patient},{'sick' if sick else 'healthy'}")
        celsius = synthetic_thermogram(patient, size=(96, 128)).celsius + 2 * sick
        name = f"T{patient:04d}.1.1.S.2013-01-16.00.txt"
        np.savetxt(tmp_path / "frames" / name, celsius + rng.normal(0, 0.05), fmt="%.2f")
    (tmp_path / "p.csv").write_text("\n".join(rows))
    frames, out = tmp_path / "frames", tmp_path / "set"
    run("export", frames, "--patients", tmp_path / "p.csv", "--out", out, "--quiet")
    runner, bundle, results = CliRunner(), tmp_path / "model", tmp_path / "results"
    made = runner.invoke(app, ["fit", str(out), "--out", str(bundle), *more])
    assert made.exit_code == 0, made.output
    files = [str(file) for file in sorted(frames.iterdir())]
    said = runner.invoke(
        app, ["classify", *files, "--model", str(bundle), "--out", str(results), "--quiet"]
    )
    assert said.exit_code == 0, said.output
    for patient in (1, 2, 3, 4):
        with (results / f"T{patient:04d}.1.1.S.2013-01-16.00.cells.csv").open(
            encoding="utf-8-sig"
        ) as stream:
            (row,) = csv.DictReader(stream)
        assert (row["min_row"], row["max_col"]) == ("0", "128")
        assert row["predicted"] in {"sick", "healthy"}


def test_equal_names_of_different_folders_are_different_files(study: Path) -> None:
    """Every frame of the table has its own file with its own degrees, and its patient."""
    for patient in range(1, 5):
        folder = study / "frames" / "again" / f"{patient:04d}"
        folder.mkdir(parents=True)
        celsius = synthetic_thermogram(patient + 20, size=(120, 160)).celsius
        np.savetxt(folder / f"T{patient:04d}.1.1.D.2013-01-16.00.txt", celsius, fmt="%.2f")
    (study / "frames" / ".hidden").mkdir()
    name = "T0001.1.1.D.2013-01-16.00.txt"
    (study / "frames" / ".hidden" / name).write_bytes(b"31 " * 40)
    out = study / "set"
    given = [study / "frames", "--patients", study / "patients.csv", "--out", out]
    run("export", *given, "--no-balanced", "--quiet")
    with (out / "examples.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 11
    assert len({row["path"].casefold() for row in rows}) == 11
    for row in rows:
        written = tifffile.imread(out / row["path"])
        np.testing.assert_array_equal(written, read_celsius(study / row["source"]))
        frame = parse_dmr_ir_name(row["path"])
        assert frame is not None
        assert frame.patient == row["patient"]
