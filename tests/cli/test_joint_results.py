"""One table for all images: its columns, its workbook, and that every summary agrees with it."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import openpyxl
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.store.joint_table import FIRST_COLUMNS
from napari_hemacells.core.types import UNKNOWN

from .conftest import draw

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")
EXTENT = {"slide1": ["red", "violet", "red"], "slide2": ["violet", "violet", "green"]}


@pytest.fixture
def bundle(hemacells, crops_folder: Path, tmp_path: Path) -> Path:
    assert hemacells("fit", crops_folder, "--out", tmp_path / "model").exit_code == 0
    return tmp_path / "model"


@pytest.fixture
def slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two fields of one name, in the folders of two slides; a disc is unlike everything taught."""
    monkeypatch.setitem(draw.__globals__["COLOURS"], "green", (20, 230, 60))
    images = []
    for number, (slide, kinds) in enumerate(EXTENT.items()):
        pixels, labels = draw(kinds, seed=number)
        folder = tmp_path / slide
        folder.mkdir()
        Image.fromarray(pixels).save(folder / "field.png")
        images.append(folder / "field.png")
        (tmp_path / "own").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "own" / f"{slide}_field.labels.tif", labels)
    return images


@pytest.fixture
def classified(hemacells, bundle: Path, slides: list[Path], tmp_path: Path):
    given = ["--model", bundle, "--out", tmp_path / "out", "--cells", tmp_path / "own"]
    given += ["--folders-are-groups", "--json", tmp_path / "told.json"]
    result = hemacells("classify", *slides, *given)
    assert result.exit_code == 0, result.output
    return result, json.loads((tmp_path / "told.json").read_text()), tmp_path / "out"


def read_table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "cells.csv", keep_default_na=False)


def sheet(out: Path, name: str) -> list[tuple]:
    return list(openpyxl.load_workbook(out / "cells.xlsx")[name].iter_rows(values_only=True))


def test_the_table_has_the_columns_and_tells_equal_names_apart(classified) -> None:
    table = read_table(classified[2])
    columns = [*FIRST_COLUMNS, "p_red", "p_violet"]
    assert list(table)[: len(columns)] == columns
    assert table["image"].tolist() == ["slide1/field.png"] * 3 + ["slide2/field.png"] * 3
    assert table["label"].tolist() == [10, 20, 30] * 2
    assert table["group"].tolist() == ["slide1"] * 3 + ["slide2"] * 3
    assert table["class"].tolist() == ["red", "violet", "red", "violet", "violet", UNKNOWN]
    assert table["is_unknown"].astype(str).tolist() == ["False"] * 5 + ["True"]
    heading, *rows = sheet(classified[2], "Cells")
    assert list(heading) == list(table)
    assert [row[2] for row in rows] == table["class"].tolist()
    assert [row[3] for row in rows] == pytest.approx(table["confidence"].tolist())


def test_every_summary_agrees_with_the_table(classified) -> None:
    result, told, out = classified
    table = read_table(out)
    expected = Counter(table["class"])
    assert expected == {"red": 2, "violet": 3, UNKNOWN: 1}
    summary = told["summary"]
    found = {one["class"]: one["cells"] for one in summary["classes"]}
    assert found | {UNKNOWN: summary["unknown"]} == expected
    assert summary["cells"] == len(table)
    assert summary["no_class"] == 0
    assert sum((Counter(one["predicted"]) for one in told["images"]), Counter()) == expected
    said = re.search(r"All 2 images: 6 cells: (.*) →", result.stdout)
    assert said
    assert said[1] == "red 2, violet 3, (unknown) 1"
    assert "(red 2, violet 1)" in result.stdout  # of one image
    rows = {row[0]: row[1] for row in sheet(out, "Summary") if row[0]}
    assert {name: rows[name] for name in expected} == expected
    assert rows["Total"] == len(table)
    shares = {row[0]: row[2:5] for row in sheet(out, "Summary") if row[0] in found}
    for one in summary["classes"]:
        assert shares[one["class"]] == pytest.approx((one["share"], *one["ci95"]), abs=1e-4)
    assert summary["classes"][1]["share"] == 0.6  # of those that have a class
    heading, *groups = sheet(out, "Groups")
    assert heading == ("group", "cells", "red", "violet", UNKNOWN, "(no class)")
    assert groups == [("slide1", 3, 2, 1, 0, 0), ("slide2", 3, 0, 2, 1, 0)]
    assert [row[2:] for row in sheet(out, "Images")[1:]] == [row[1:] for row in groups]
    assert summary["groups"]["slide2"]["unknown"] == 1


def test_what_was_done_before_is_in_the_table_again(
    hemacells, bundle: Path, slides: list[Path], tmp_path: Path
) -> None:
    given = ["--model", bundle, "--out", tmp_path / "out", "--cells", tmp_path / "own"]
    assert hemacells("classify", *slides, *given).exit_code == 0
    before = (tmp_path / "out" / "cells.csv").read_bytes()
    again = hemacells("classify", *slides, *given, "--skip-done")
    assert again.exit_code == 0
    assert again.stdout.count("done before") == 2
    assert (tmp_path / "out" / "cells.csv").read_bytes() == before


def test_an_image_that_fails_is_not_in_the_table(
    hemacells, bundle: Path, slides: list[Path], tmp_path: Path
) -> None:
    slides[1].write_bytes(b"no picture")
    given = ["--model", bundle, "--out", tmp_path / "out", "--cells", tmp_path / "own"]
    assert hemacells("classify", *slides, *given).exit_code == 3
    assert set(read_table(tmp_path / "out")["image"]) == {"field.png"}
