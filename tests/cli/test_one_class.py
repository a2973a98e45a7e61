"""Models of one class alone: no verdict against the detector's kind, and no percentage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from napari_hemacells import api

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def red_model(hemacells, colour_encoder, crops_folder: Path, tmp_path: Path) -> Path:
    """A model of the class RBC alone."""
    (tmp_path / "one").mkdir()
    (crops_folder / "red").rename(tmp_path / "one" / "RBC")
    result = hemacells("fit", tmp_path / "one", "--out", tmp_path / "model")
    assert result.exit_code == 0
    assert "One class alone" in result.output
    return tmp_path / "model"


def test_classify_gives_the_class_to_cells_of_its_kind_without_a_confidence(
    hemacells, red_model: Path, field: Path, tmp_path: Path
) -> None:
    (tmp_path / "boxes.csv").write_text(
        "min_row,min_col,max_row,max_col,class\n8,8,24,24,RBC\n8,40,24,56,WBC\n8,72,24,88,\n"
    )
    result = hemacells(
        "classify", field, "--model", red_model, "--cells", tmp_path / "boxes.csv",
        "--out", tmp_path / "out", "--allow-other-scale", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "field.cells.csv", keep_default_na=False)
    assert table["predicted"].tolist() == ["RBC", "", ""]
    assert table["class"].tolist() == ["RBC", "WBC", ""]
    assert table["confidence"].tolist() == ["", "", ""]
    counts = json.loads((tmp_path / "r.json").read_text())["images"][0]["predicted"]
    assert counts == {"RBC": 1, "WBC": 1, "": 1}


def test_a_whole_thermogram_is_not_called_the_only_class(
    hemacells, colour_encoder, tmp_path: Path
) -> None:
    (tmp_path / "one" / "healthy").mkdir(parents=True)
    for number in range(3):
        degrees = np.linspace(28, 35 + number, 60 * 80).reshape(60, 80)
        np.savetxt(tmp_path / "one" / "healthy" / f"{number}.txt", degrees, fmt="%.2f")
    assert hemacells("fit", tmp_path / "one", "--out", tmp_path / "model").exit_code == 0
    np.savetxt(tmp_path / "frame.txt", degrees, fmt="%.2f")
    result = hemacells(
        "classify", tmp_path / "frame.txt", "--model", tmp_path / "model",
        "--out", tmp_path / "out", "--allow-other-scale",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "frame.cells.csv", keep_default_na=False)
    assert table["predicted"].tolist() == [""]


def test_there_is_no_accuracy_of_one_class(hemacells, red_model: Path, crops_folder, tmp_path):
    result = hemacells("evaluate", "bundle", red_model, tmp_path / "one")
    assert result.exit_code != 0
    assert "one class alone (RBC)" in result.output


def test_the_library_says_nothing_without_kinds_of_cells() -> None:
    smear = api.synthetic_smear(seed=4, shape=(260, 340), diameter=24)
    image = api.open_image(smear.image)
    cells = api.detect(image, method="classical")
    embeddings = api.embed(image, cells)
    red = cells.ids[cells.table["class"].to_numpy() == "RBC"].tolist()
    model = api.fit(embeddings, {red[0]: "RBC"})
    assert len(api.predict(model, embeddings).ids) == 0
    prediction = api.predict(model, embeddings, cells)
    assert prediction.ids.tolist() == red
    assert len(red) < len(cells)
    assert np.isnan(prediction.confidence).all()


def test_pictures_of_one_cell_are_not_all_called_the_only_class(hemacells, red_model, tmp_path):
    result = hemacells(
        "classify", tmp_path / "one", "--whole", "--model", red_model, "--out", tmp_path / "out"
    )
    assert result.exit_code == 4
    assert "one class alone (RBC)" in result.output


def test_whole_pictures_have_no_plane_to_choose(hemacells, red_model, tmp_path):
    result = hemacells(
        "classify", tmp_path / "one", "--whole", "--plane", "2", "--model", red_model,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "--plane does not go with --whole" in result.output
