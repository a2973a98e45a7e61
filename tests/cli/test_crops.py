"""``crops`` and ``evaluate crop-size``: several numbers, files, figures, what is refused."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.train.classifier import crop_size_study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

COLOURS = {"alive": (210, 120, 60), "dead": (70, 60, 190)}


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """Ten fields of 60 × 80 pixels with two living and two dead cells each, and their table."""
    (tmp_path / "fields").mkdir()
    rows = []
    for number in range(10):
        pixels = np.full((60, 80, 3), 230, np.uint8)
        for at, name in enumerate(("alive", "dead", "dead", "alive")):
            row, column = 15 + 30 * (at // 2), 20 + 40 * (at % 2) + number % 3
            pixels[row - 6 : row + 7, column - 6 : column + 7] = COLOURS[name]
            rows.append((f"field{number}", row, column, name))
        Image.fromarray(pixels).save(tmp_path / f"fields/field{number}.png")
    with (tmp_path / "points.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "row", "column", "class"), *rows])
    return tmp_path


def cut(fields: Path, hemacells: Callable[..., Result], *more: object) -> Result:
    return hemacells(
        "crops", fields / "points.csv", "--images", fields / "fields", "--out", fields / "out",
        "--check", "none", *more,
    )  # fmt: skip


def test_several_sizes_in_one_command(fields: Path, hemacells: Callable[..., Result]) -> None:
    told = fields / "told.json"
    done = cut(fields, hemacells, "--size", 20, 24, "--border", "reject", "--json", told)
    assert done.exit_code == 0, done.output
    record = json.loads(told.read_text())
    assert record["sizes"]["20"]["classes"] == {"alive": 20, "dead": 20}
    assert record["sizes"]["24"]["rejected"] == 0
    assert record["border"] == "reject"
    assert sum(record["sizes"]["20"]["split"].values()) == 40
    assert len(list((fields / "out/24px/dead").glob("*.png"))) == 20


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--size=few",), 2, "Whole numbers"),
        (("--size", 4), 3, "not 4"),
        (("--border", "mirror"), 2, "border"),
        (("--validation", 0.6, "--test", 0.5), 3, "leave some to learn from"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    fields: Path, hemacells: Callable[..., Result], more: tuple[object, ...], code: int, words: str
) -> None:
    done = cut(fields, hemacells, *more)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.split())
    assert not (fields / "out").exists()


def test_images_are_asked_for(fields: Path, hemacells: Callable[..., Result]) -> None:
    done = hemacells("crops", fields / "points.csv", "--out", fields / "out")
    assert done.exit_code == 2
    assert "--images DIR" in done.output


def study(fields: Path, hemacells: Callable[..., Result], *more: object) -> Result:
    return hemacells(
        "evaluate", "crop-size", fields / "out", "--out", fields / "study", "--epochs", 1,
        "--copies", 0, "--input-size", 16, "--draws", 3, "--shots", 1, 5, "--device", "cpu",
        "--networks", "few-shot,scratch", *more,
    )  # fmt: skip


def test_the_size_of_crops_is_a_table_a_page_and_goes_on(
    fields: Path,
    hemacells: Callable[..., Result],
    colour_encoder: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cut(fields, hemacells, "--size", 20, 24, "--test", 0.3).exit_code == 0
    told = fields / "told.json"
    done = study(fields, hemacells, "--json", told)
    assert done.exit_code == 0, done.output
    rows = json.loads(told.read_text())["rows"]
    assert [(row["size"], row["network"]) for row in rows if row["learned from"] == "train"] == [
        (size, name) for size in (20, 24)
        for name in ("always the commonest class", "colour, frozen", "small_vgg_bn")
    ]  # fmt: skip
    by = {(row["network"], row["learned from"], row["size"]): row for row in rows}
    assert by["always the commonest class", "train", 20]["accuracy"] == 0.5
    assert by["colour, frozen", "5 crops a class", 24]["accuracy"] == 1.0
    assert by["small_vgg_bn", "train", 20]["seen"] == "nothing before"
    assert by["small_vgg_bn", "train", 20]["n"] % 4 == 0  # whole fields
    page = (fields / "study/crop_size.html").read_text()
    assert "Test accuracy by size of the crops" in page
    assert "24 px" in page
    written = (fields / "study/crop_size.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(written) == 1 + len(rows)

    def never(job: object) -> object:
        raise AssertionError("trained again")

    monkeypatch.setattr(crop_size_study, "train_steps", never)
    again = study(fields, hemacells, "--json", told)
    assert again.exit_code == 0, again.output
    assert json.loads(told.read_text())["rows"] == rows


def test_a_study_needs_a_test_part(
    fields: Path, hemacells: Callable[..., Result], colour_encoder: object
) -> None:
    assert cut(fields, hemacells, "--size", 20, "--test", 0).exit_code == 0
    done = study(fields, hemacells)
    assert done.exit_code == 3
    assert "no crops in the part test" in " ".join(done.output.split())


def test_a_study_of_another_folder_is_refused(
    fields: Path, hemacells: Callable[..., Result], colour_encoder: object
) -> None:
    done = hemacells("evaluate", "crop-size", fields / "fields", "--out", fields / "study")
    assert done.exit_code == 3
    assert "hemacells crops" in " ".join(done.output.split())
