"""``evaluate fewshot``: several numbers after one flag, table, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")
MEASURES = {"balanced_accuracy", "std", "ci95", "macro_f1"}


def test_the_json_has_a_row_a_shot_count(hemacells, crops_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    given = ["--shots", 1, 3, "--repeats", 4, "--seed", 0, "--json", target]
    result = hemacells("evaluate", "fewshot", crops_folder, *given)
    assert result.exit_code == 0, result.output
    report = json.loads(target.read_text())
    assert list(report["shots"]) == ["1", "3"]
    assert {"encoder", "classes", "n"} <= set(report)
    for row in report["shots"].values():
        assert set(row) >= MEASURES
        low, high = row["ci95"]
        assert 0 <= low <= high <= 1
    # two colours are told apart by their colour
    assert report["shots"]["3"]["balanced_accuracy"] == pytest.approx(1.0)
    assert report["shots"]["3"]["macro_f1"] == pytest.approx(1.0)
    assert "1.000" in result.stdout
    assert "Each class, 3 shots" in result.stdout
    assert "What was taken for what, 3 shots" in result.stdout


def test_the_same_seed_gives_the_same_result(hemacells, crops_folder: Path) -> None:
    given = ["--shots", "1,2", "--repeats", 3, "--json", "-"]
    first, second = (hemacells("evaluate", "fewshot", crops_folder, *given) for _ in range(2))
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_a_class_with_too_few_crops_is_left_out_and_named(hemacells, crops_folder: Path) -> None:
    (crops_folder / "rare").mkdir()
    one = crops_folder / "red" / "0.png"
    (crops_folder / "rare" / "only.png").write_bytes(one.read_bytes())
    given = ["--shots", 3, "--repeats", 2, "--json", "-"]
    result = hemacells("evaluate", "fewshot", crops_folder, *given)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["classes"]) == {"red", "violet"}
    assert "rare" in result.stderr


def test_a_folder_without_classes_is_bad_input(hemacells, tmp_path: Path) -> None:
    result = hemacells("evaluate", "fewshot", tmp_path / "missing", "--shots", 1)
    assert result.exit_code == 3
    assert "Traceback" not in result.output


def test_encoder_head_and_choice_by_hand(hemacells, crops_folder: Path) -> None:
    given = ["--encoder", "colour-histogram", "--head", "knn", "--select", "diverse"]
    more = ["--no-unlabelled", "--shots", 2, "--repeats", 2, "--json", "-"]
    result = hemacells("evaluate", "fewshot", crops_folder, *given, *more)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["encoder"], report["select"]) == ("colour-histogram", "diverse")
    assert report["heads"] == ["2: knn"]
    assert report["transductive"] is False


def test_an_encoder_that_is_none_is_bad_input(hemacells, crops_folder: Path) -> None:
    result = hemacells("evaluate", "fewshot", crops_folder, "--shots", 1, "--encoder", "nonsense")
    assert result.exit_code == 3
    assert "nonsense" in result.output


def test_clicks_are_counted_drawn_and_written(hemacells, crops_folder: Path, tmp_path: Path):
    for folder in ("red", "violet"):
        first = (crops_folder / folder / "0.png").read_bytes()
        for number in range(6, 12):
            (crops_folder / folder / f"{number}.png").write_bytes(first)
    files = {kind: tmp_path / f"curve.{kind}" for kind in ("json", "csv", "png")}
    given = ["--clicks", 5, "--repeats", 2, "--json", files["json"], "--csv", files["csv"]]
    result = hemacells("evaluate", "clicks", crops_folder, *given, "--plot", files["png"])
    assert result.exit_code == 0, result.output
    assert set(json.loads(files["json"].read_text())["clicks_to_target"]) == {
        "random",
        "uncertain",
        "active",
    }
    lines = files["csv"].read_text().splitlines()
    assert lines[0] == "order,clicks,balanced_accuracy,low,high"
    assert len(lines) > 10
    assert files["png"].read_bytes().startswith(b"\x89PNG")
