"""``check-labels``: what it prints and writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from made_up_discs import add_discs, disc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


def test_a_wrong_label_comes_first(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    discs = tmp_path / "discs"
    for name in ("red", "violet"):
        add_discs(discs, name, 12)
    Image.fromarray(disc("violet", 99)).save(discs / "red" / "wrong.png")
    told, table = tmp_path / "told.json", tmp_path / "told.csv"
    given = ("--encoder", "colour-histogram", "--json", told, "--csv", table, "--show", 3)
    done = hemacells("check-labels", discs, *given)
    assert done.exit_code == 0, done.output
    record = json.loads(told.read_text())
    assert record["n"] == 25
    first = record["suspects"][0]
    assert (first["name"], first["label"], first["suggested"]) == (
        "red/wrong.png", "red", "violet",
    )  # fmt: skip
    rows = pd.read_csv(table)
    assert rows["name"][0] == "red/wrong.png"
    assert rows["score"].is_monotonic_increasing
    assert "wrong.png" in done.stdout


def test_one_class_is_refused(tmp_path: Path, hemacells: Callable[..., Result]) -> None:
    add_discs(tmp_path / "discs", "red", 4)
    done = hemacells("check-labels", tmp_path / "discs", "--encoder", "colour-histogram")
    assert done.exit_code == 3
    assert "Two classes are needed" in done.stderr


def test_the_class_is_read_from_file_names(
    tmp_path: Path, hemacells: Callable[..., Result]
) -> None:
    for name in ("red", "violet"):
        add_discs(tmp_path / "sorted", name, 6)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for file in sorted((tmp_path / "sorted").rglob("*.png")):
        file.rename(mixed / f"{file.parent.name}_{file.name}")
    told = tmp_path / "told.json"
    given = ("--encoder", "colour-histogram", "--json", told, "--label-pattern", "^([a-z]+)_")
    done = hemacells("check-labels", mixed, *given)
    assert done.exit_code == 0, done.output
    record = json.loads(told.read_text())
    assert record["n"] == 12
    assert {suspect["label"] for suspect in record["suspects"]} == {"red", "violet"}
