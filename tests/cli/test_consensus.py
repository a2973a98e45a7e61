"""``consensus`` and ``evaluate consensus``: what they print and write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

TABLE = """image,annotator,row,column,class
a.png,Ana,10,10,alive
a.png,Ben,12,10,alive
a.png,Eva,11,13,dead
a.png,Ana,90,90,dead
a.png,Ben,91,90,dead
b.png,Ana,5,5,alive
b.png,Ben,6,6,alive
"""


def test_cells_and_doubts_are_written(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    file = tmp_path / "points.csv"
    file.write_text(TABLE)
    out, review, told = tmp_path / "cells.csv", tmp_path / "review.csv", tmp_path / "told.json"
    done = hemacells(
        "consensus", file, "--method", "matching", "--out", out, "--review", review, "--json", told
    )
    assert done.exit_code == 0, done.output
    cells = pd.read_csv(out)
    assert list(cells.columns[:6]) == ["image", "row", "column", "class", "state", "votes"]
    assert sorted(cells["class"]) == ["alive", "alive", "dead"]
    assert len(pd.read_csv(review)) == 2  # Eva says dead; Eva did not mark the second cell
    record = json.loads(told.read_text())
    assert record["annotators"] == 3
    assert record["cells"] == 3
    assert "Krippendorff" in done.stdout
    assert "Ana" in done.stdout


def test_images_set_aside_are_told(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    file = tmp_path / "points.csv"
    file.write_text(TABLE)
    given = ("consensus", file, "--method", "radius", "--radius", 35, "--json", "-")
    done = hemacells(*given)
    assert done.exit_code == 0, done.output
    assert "different numbers of cells there: 1." in done.stderr
    assert json.loads(done.stdout)["set_aside"] == ["a.png"]
    every = hemacells(*given, "--keep-all-images")
    assert json.loads(every.stdout)["set_aside"] == []


def test_several_files_of_one_annotator_each(
    tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    for name in ("Ana", "Ben"):
        (tmp_path / f"{name}.csv").write_text("image,row,column\na.png,5,5\n")
    done = hemacells("consensus", tmp_path / "Ana.csv", tmp_path / "Ben.csv", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [row["annotator"] for row in record["annotator_figures"]] == ["Ana", "Ben"]
    assert record["cells"] == 1


def test_a_wrong_file_ends_with_a_sentence(
    tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("alive_array,task\n__import__('os'),a\n")
    done = hemacells("consensus", file)
    assert done.exit_code == 3
    assert "no list of points" in done.stderr


def test_methods_are_measured(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    done = hemacells(
        "evaluate", "consensus", "--images", 2, "--spacing", 60, "--repeats", 2, "--misses", 0.1,
        "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["simulation"]["misses"] == 0.1
    assert (
        record["methods"]["matching"]["f1"]["value"] > record["methods"]["radius"]["f1"]["value"]
    )
