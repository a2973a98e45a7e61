"""``detect``: formats, names, exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells import __version__
from napari_hemacells.core.types import CELL_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def smear(tmp_path: Path) -> Path:
    """Twelve red discs of 40 px on glass."""
    rows, cols = np.indices((240, 320))
    pixels = np.full((240, 320, 3), (235, 228, 232), np.float64)
    for row in range(40, 240, 80):
        for col in range(40, 320, 80):
            pixels[np.hypot(rows - row, cols - col) <= 20] = (205, 110, 115)
    noisy = pixels + np.random.default_rng(0).normal(0, 3, pixels.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "smear.png")
    return tmp_path / "smear.png"


def test_detect_writes_table_and_labels_that_agree(hemacells, smear: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = hemacells("detect", smear, "--out", out, "--method", "classical")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "smear.cells.csv", keep_default_na=False)
    labels = tifffile.imread(out / "smear.labels.tif")
    assert tuple(table) == CELL_COLUMNS
    assert len(table) == 12
    assert labels.shape == (240, 320)
    assert labels.dtype.kind in "iu"
    for cell in table.itertuples():
        rows, cols = np.nonzero(labels == cell.label)
        assert (rows.min(), cols.min()) == (cell.min_row, cell.min_col)
        assert (rows.max() + 1, cols.max() + 1) == (cell.max_row, cell.max_col)
        assert len(rows) == cell.area
        assert (rows.mean(), cols.mean()) == pytest.approx((cell.row, cell.col), abs=0.01)


@pytest.mark.parametrize("method", ["learned", "classical"])
def test_either_detector_can_be_chosen_and_is_named(
    hemacells, smear: Path, tmp_path: Path, method: str
) -> None:
    result = hemacells("detect", smear, "--out", tmp_path, "--method", method, "--json")
    (image,) = json.loads(result.stdout)["images"]
    assert (image["cells"], image["source"], image["detector"]) == (12, "detector", method)
    labels = tifffile.imread(image["labels"])
    table = pd.read_csv(image["csv"], keep_default_na=False).set_index("label")
    assert sorted(np.unique(labels[labels > 0])) == sorted(table.index)
    for row in range(40, 240, 80):
        for col in range(40, 320, 80):
            cell = table.loc[labels[row, col]]
            found = cell[["min_row", "min_col", "max_row", "max_col"]].to_numpy(float)
            assert found == pytest.approx([row - 20, col - 20, row + 20, col + 20], abs=5)


def test_an_unknown_detector_is_wrong_usage(hemacells, smear: Path, tmp_path: Path) -> None:
    result = hemacells("detect", smear, "--out", tmp_path, "--method", "guess")
    assert result.exit_code == 2


def test_json_goes_to_standard_output_alone(hemacells, smear: Path, tmp_path: Path) -> None:
    result = hemacells("detect", smear, "--out", tmp_path / "out", "--json")
    told = json.loads(result.stdout)
    assert told["failed"] == []
    (image,) = told["images"]
    assert image["cells"] == 12
    assert sum(image["by_class"].values()) == 12
    assert image["shape"] == [240, 320]
    assert image["csv"] == str(tmp_path / "out" / "smear.cells.csv")


def test_json_goes_to_a_file_where_one_is_named(hemacells, smear: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "result.json"
    result = hemacells("detect", smear, "--out", tmp_path / "out", "--json", target)
    assert result.exit_code == 0
    assert "12 cells" in result.stdout
    assert json.loads(target.read_text())["images"][0]["name"] == "smear"


def test_quiet_says_nothing(hemacells, smear: Path, tmp_path: Path) -> None:
    result = hemacells("detect", smear, "--out", tmp_path / "out", "--quiet", "--device", "cpu")
    assert result.exit_code == 0
    assert result.output == ""


def test_images_of_one_stem_do_not_overwrite_each_other(
    hemacells, smear: Path, tmp_path: Path
) -> None:
    for folder in ("s1", "s2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "smear.png").write_bytes(smear.read_bytes())
    out = tmp_path / "out"
    result = hemacells("detect", tmp_path / "s1", tmp_path / "s2", "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.glob("*.csv")) == [
        "s1_smear.cells.csv",
        "s2_smear.cells.csv",
    ]
    assert "s2_smear" in result.stderr


def test_boxes_are_kept_whole_with_their_classes(hemacells, smear: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("class,min_row,min_col,max_row,max_col\nRBC,20,20,60,60\nWBC,30,30,90,100\n")
    result = hemacells("detect", smear, "--out", tmp_path / "out", "--cells", boxes)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out" / "smear.cells.csv")
    assert table["class"].tolist() == ["RBC", "WBC"]
    assert table[["min_row", "min_col", "max_row", "max_col"]].to_numpy().tolist() == [
        [20, 20, 60, 60],
        [30, 30, 90, 100],
    ]


def test_missing_damaged_and_tiny_images_are_told_one_by_one(
    hemacells, smear: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(smear.read_bytes()[:2000])
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (1, 1)).save(tiny)
    missing = tmp_path / "missing.png"
    given = [missing, damaged, smear, tiny]
    result = hemacells("detect", *given, "--out", tmp_path / "out", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 3
    assert {"missing.png", "damaged.png"} <= {
        one["image"].rpartition("/")[2] for one in told["failed"]
    }
    assert "smear" in [one["name"] for one in told["images"]]
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "given",
    [["detect"], ["detect", "a.png"], ["nonsense"], ["detect", "a.png", "--out", "x", "-z"]],
)
def test_wrong_usage_is_2(hemacells, given: list[str]) -> None:
    assert hemacells(*given).exit_code == 2


def test_version(hemacells) -> None:
    result = hemacells("--version")
    assert result.exit_code == 0
    assert __version__ in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["detect"],
        ["fit"],
        ["classify"],
        ["evaluate"],
        ["evaluate", "fewshot"],
        ["evaluate", "detection"],
        ["demo"],
    ],
)
def test_every_command_has_help(hemacells, command: list[str]) -> None:
    result = hemacells(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_a_folder_s_own_results_and_hidden_files_are_no_input(
    hemacells, smear: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "smear.png").write_bytes(smear.read_bytes())
    for name in ("._smear.png", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"left by a system")
    for _ in range(2):
        result = hemacells("detect", folder, "--out", folder, "--method", "classical", "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert [one["cells"] for one in told["images"]] == [12]
        assert told["failed"] == []
    assert (folder / "smear.cells.csv").read_bytes().startswith(b"\xef\xbb\xbflabel,")


def test_a_table_that_was_written_is_read_again(hemacells, smear: Path, tmp_path: Path) -> None:
    first = hemacells("detect", smear, "--out", tmp_path / "a", "--method", "classical")
    assert first.exit_code == 0
    given = ["--cells", tmp_path / "a" / "smear.cells.csv", "--out", tmp_path / "b"]
    assert hemacells("detect", smear, *given).exit_code == 0
    before, after = (pd.read_csv(tmp_path / one / "smear.cells.csv") for one in "ab")
    kept = ["label", "class", "min_row", "min_col", "max_row", "max_col"]
    pd.testing.assert_frame_equal(before[kept], after[kept])
