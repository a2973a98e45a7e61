"""``triage``: the odd cells of images, for a second look."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store.triage import read_triage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")


@pytest.fixture
def bundle(hemacells, crops_folder: Path, tmp_path: Path) -> Path:
    made = hemacells("fit", crops_folder, "--out", tmp_path / "model")
    assert made.exit_code == 0, made.output
    return tmp_path / "model"


@pytest.fixture
def fields(tmp_path: Path, draw_discs) -> Path:
    """Two fields of one name in two folders, each with one green disc among red and violet."""
    for number, slide in enumerate(("slide 1", "<b>slide 2</b>")):
        folder = tmp_path / "fields" / slide.replace("/", "_")
        folder.mkdir(parents=True)
        kinds = ["red", "violet", "red", "green", "violet", "red"]
        pixels, labels = draw_discs(kinds, number)
        Image.fromarray(pixels).save(folder / "field.png")
        masks = tmp_path / "cells"
        masks.mkdir(exist_ok=True)
        name = f"{folder.name}_field"
        tifffile.imwrite(masks / f"{name}.labels.tif", labels)
    return tmp_path / "fields"


def run(hemacells, fields: Path, bundle: Path, out: Path, *more: str):
    images = sorted(fields.rglob("field.png"))
    return hemacells(
        "triage", *images, "--model", bundle, "--out", out, "--cells", fields.parent / "cells",
        *more,
    )  # fmt: skip


def test_an_odd_cell_of_each_image_is_listed_with_what_it_resembles(
    hemacells, fields: Path, bundle: Path, tmp_path: Path
) -> None:
    result = run(hemacells, fields, bundle, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    table = read_table(tmp_path / "out" / "triage.csv").to_frame()
    assert told["odd"] == len(table)
    by_image = table.groupby("image")["cell"].apply(list).to_dict()
    assert len(by_image) == 2, by_image  # equal names are kept apart
    assert all("40" in cells for cells in by_image.values())
    assert set(table["resembles"]) <= {"red", "violet"}
    assert table["oddness"].astype(float).between(0, 1).all()
    assert (table["distance"].astype(float) >= 0).all()
    for column in ("likeness", "same kind"):
        assert set(table[column]) == {""}  # two kinds: the distance alone
    assert set(table["second look"]) == {""}
    for crop in table["crop"]:
        with Image.open(tmp_path / "out" / crop) as picture:
            assert picture.size[0] == picture.size[1] > 8
    green = table[table["cell"] == "40"]["crop"].iloc[0]
    middle = np.asarray(Image.open(tmp_path / "out" / green))[60:68, 60:68].mean(axis=(0, 1))
    assert middle.argmax() == 1


def test_the_page_is_whole_offline_escaped_and_no_diagnosis(
    hemacells, fields: Path, bundle: Path, tmp_path: Path
) -> None:
    result = run(hemacells, fields, bundle, tmp_path / "out")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "triage.html").read_text()
    assert "no diagnosis" in page
    assert "<b>slide" not in page
    assert "&lt;b&gt;slide" in page
    assert not re.search(r"(src|href)=.(?!data:)(http|//|/)", page)
    assert page.count("data:image/png") >= 2
    assert "odd" in result.stdout


def test_the_same_tables_as_classify_come_with_it(
    hemacells, fields: Path, bundle: Path, tmp_path: Path
) -> None:
    assert run(hemacells, fields, bundle, tmp_path / "triage").exit_code == 0
    images = sorted(fields.rglob("field.png"))
    classified = hemacells(
        "classify", *images, "--model", bundle, "--out", tmp_path / "classify",
        "--cells", fields.parent / "cells",
    )  # fmt: skip
    assert classified.exit_code == 0, classified.output
    for name in ("cells.csv",):
        mine, theirs = (pd.read_csv(tmp_path / kind / name) for kind in ("triage", "classify"))
        pd.testing.assert_frame_equal(mine, theirs)
    unknown = pd.read_csv(tmp_path / "triage" / "cells.csv")["class"] == "(unknown)"
    assert unknown.sum() >= len(read_table(tmp_path / "triage" / "triage.csv").rows)


def test_what_was_done_is_taken_over_and_missing_crops_are_told(
    hemacells, fields: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(hemacells, fields, bundle, out).exit_code == 0
    before = (out / "triage.csv").read_bytes()
    again = run(hemacells, fields, bundle, out, "--skip-done")
    assert again.exit_code == 0, again.output
    assert (out / "triage.csv").read_bytes() == before
    for crop in out.glob("*.odd-cells/cell-*.png"):
        crop.unlink()
    refused = run(hemacells, fields, bundle, out, "--skip-done")
    assert refused.exit_code == 5
    assert "--skip-done" in refused.stderr


def test_a_model_of_too_few_cells_calls_none_odd_and_says_so(
    hemacells, crops_folder: Path, fields: Path, tmp_path: Path
) -> None:
    for file in crops_folder.glob("*/*.png"):
        if int(file.stem) > 1:
            file.unlink()
    assert hemacells("fit", crops_folder, "--out", tmp_path / "few").exit_code == 0
    result = run(hemacells, fields, tmp_path / "few", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "too few cells" in (tmp_path / "out" / "triage.html").read_text()
    assert read_table(tmp_path / "out" / "triage.csv").rows == ()


def test_a_damaged_file_of_an_image_is_named(tmp_path: Path) -> None:
    from napari_hemacells.core.errors import StorageError

    for content in (b"{", b'{"cells": -1}', b"[]"):
        (tmp_path / "a.triage.json").write_bytes(content)
        with pytest.raises(StorageError, match=r"a\.triage\.json"):
            read_triage(tmp_path / "a.triage.json")
    with pytest.raises(StorageError, match="missing"):
        read_triage(tmp_path / "nothing.json")
