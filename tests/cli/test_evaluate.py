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
