"""``train FOLDER`` and ``evaluate bundle``: spelling, files, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from made_up_discs import add_discs
from napari_hemacells.cli import train_classifier
from napari_hemacells.cli.train import join_names
from napari_hemacells.core.store import load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

SMALL = (
    "--arch", "test_resnet", "--weights", "none", "--size", 32, "--frozen-epochs", 0, "--epochs",
    10, "--frozen-blocks", 0, "--rate", 0.01, "--lower", 1, "--batch", 8, "--device", "cpu",
    "--tta", 0, "--context", 1.5, "--no-report",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process: a child would load torch again for every test."""
    monkeypatch.setattr(train_classifier, "run_in_child", lambda job, given, threads: job(given))


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    for name in ("red", "violet"):
        add_discs(tmp_path / "discs", name, 12)
    return tmp_path / "discs"


@pytest.fixture
def model(discs: Path, tmp_path: Path, hemacells: Callable[..., Result]) -> Path:
    done = hemacells("train", discs, "--out", tmp_path / "run", *SMALL, "--json")
    assert done.exit_code == 0, done.output
    return tmp_path / "run" / "model"


def test_train_folder_writes_a_model_and_its_figures(model: Path) -> None:
    assert [one.name for one in load_bundle(model).palette] == ["red", "violet"]
    figures = json.loads((model.parent / "figures.json").read_text())
    assert figures["validation"]["accuracy"]["value"] == 1.0


def test_the_record_is_json(discs: Path, tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    told = tmp_path / "told.json"
    given: Any = (*SMALL, "--json", told, "--onnx")
    done = hemacells("train", "classifier", discs, "--out", tmp_path / "run", *given)
    assert done.exit_code == 0, done.output
    assert "Starts from scratch: test_resnet with random weights" in " ".join(done.output.split())
    record = json.loads(told.read_text())
    assert record["onnx_difference"] <= 1e-4
    assert record["epochs"] == 10
    assert "ungrouped" in record["split"]


def test_classify_takes_the_model_with_its_own_encoder(
    model: Path, field: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    given = ("--model", model, "--cells", field.with_name("field.labels.tif"), "--out", tmp_path)
    done = hemacells("classify", field, *given)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "field.cells.csv")
    assert table["predicted"].tolist() == ["red", "violet", "red"]


def test_the_encoder_of_a_model_serves_few_shots(
    model: Path, discs: Path, hemacells: Callable[..., Result]
) -> None:
    given = ("--encoder", f"model:{model}", "--shots", 2, "--repeats", 2, "--json", "-")
    done = hemacells("evaluate", "fewshot", discs, *given)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["encoder"] == "finetuned.test_resnet"
    assert report["encoder_has_seen"].startswith("started from nothing; then ")
    assert report["crop"]["size"] == 32  # what the model is given, not what others are
    assert report["shots"]["2"]["balanced_accuracy"] > 0.9
    missing = hemacells("evaluate", "fewshot", discs, "--encoder", f"model:{discs}")
    assert missing.exit_code == 4
    assert "Traceback" not in missing.output


def test_evaluate_bundle_writes_the_figures(
    model: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    for name in ("red", "violet", "green"):
        add_discs(tmp_path / "other", name, 5, first=50)
    (tmp_path / "other" / "red").rename(tmp_path / "other" / "Red")
    told = tmp_path / "figures.json"
    done = hemacells("evaluate", "bundle", model, tmp_path / "other", "--json", told, "--tta", 3)
    assert done.exit_code == 0, done.output
    figures = json.loads(told.read_text())
    assert figures["n"] == 10
    assert figures["accuracy"]["value"] == 1.0
    assert figures["left_out"] == {"green": 5}


def test_evaluate_bundle_refuses_foreign_classes(
    model: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    add_discs(tmp_path / "other", "green", 3)
    done = hemacells("evaluate", "bundle", model, tmp_path / "other")
    assert done.exit_code == 3
    assert "knows red, violet" in done.stderr


def test_compare_takes_several_names(
    discs: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    given = ("--compare", "test_resnet", "test_byobnet", "--out", tmp_path / "all", *SMALL[2:])
    done = hemacells("train", discs, *given, "--epochs", 1)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "all" / "compare.md").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("given", "gathered"),
    [
        (["--compare", "a", "b", "--out", "x"], ["--compare=a,b", "--out", "x"]),
        (["x", "--compare", "a"], ["x", "--compare=a"]),
        (["--epochs", "3"], ["--epochs", "3"]),
    ],
)
def test_names_after_compare_are_gathered(given: list[str], gathered: list[str]) -> None:
    assert join_names(given) == gathered


def test_a_folder_after_the_names_is_not_one_of_them(discs: Path) -> None:
    assert join_names(["--compare", "a", "b", str(discs)]) == ["--compare=a,b", str(discs)]


def test_one_class_and_wrong_values_are_refused_in_a_sentence(
    discs: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    for picture in (discs / "red").iterdir():
        picture.unlink()
    done = hemacells("train", discs, "--out", tmp_path / "run", *SMALL)
    assert done.exit_code == 3
    assert "Two classes are needed" in done.stderr
    wrong = hemacells("train", discs, "--out", tmp_path / "run", "--recipe", "best")
    assert wrong.exit_code == 3
    assert "There is no recipe “best”" in wrong.stderr
    bounds = hemacells("train", discs, "--out", tmp_path / "run", "--epochs", -1)
    assert bounds.exit_code == 3
    assert "“epochs” cannot be -1" in bounds.stderr


def test_unreadable_pictures_are_named_and_the_exit_code_says_so(
    discs: Path, tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    (discs / "red" / "broken.png").write_bytes(b"no picture")
    done = hemacells("train", discs, "--out", tmp_path / "run", *SMALL)
    assert done.exit_code == 3
    assert "broken.png" in done.stderr
    assert (tmp_path / "run" / "model").is_dir()


def test_the_report_is_written_at_the_end_and_again(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hemacells: Callable[..., Result]
) -> None:
    from napari_hemacells.core.encode.colour_histogram import ColourHistogram
    from napari_hemacells.core.train.classifier.report import build

    monkeypatch.setattr(build, "bundled_encoder", ColourHistogram)
    monkeypatch.setattr(build, "EmbeddingCache", lambda folder: None)
    told = tmp_path / "told.json"
    given = (*SMALL[:-1], "--epochs", 1, "--json", told)
    done = hemacells("train", discs, "--out", tmp_path / "run", *given)
    assert done.exit_code == 0, done.output
    report = tmp_path / "run" / "report.html"
    assert json.loads(told.read_text())["report"] == str(report)
    assert "report.html" in done.stdout
    report.unlink()
    again = hemacells("report", tmp_path / "run", "--no-labels")
    assert again.exit_code == 0, again.output
    assert "How to repeat it" in report.read_text()


def test_no_report_where_none_is_wanted(model: Path) -> None:
    assert not (model.parent / "report.html").exists()


def test_a_report_of_nothing_is_refused(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    done = hemacells("report", tmp_path)
    assert done.exit_code == 3
    assert "no finished training" in done.stderr


def test_the_detector_is_still_taught_by_its_own_command(hemacells: Callable[..., Result]) -> None:
    shown = hemacells("train", "detector", "--help")
    assert shown.exit_code == 0
    assert "PROJECT_OR_FOLDER" in shown.output
