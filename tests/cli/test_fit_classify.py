"""``fit`` and ``classify``: formats, exit codes, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.types import CELL_COLUMNS, UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("colour_encoder")


@pytest.fixture
def bundle(hemacells, crops_folder: Path, tmp_path: Path) -> Path:
    made = hemacells("fit", crops_folder, "--out", tmp_path / "model")
    assert made.exit_code == 0, made.output
    return tmp_path / "model"


@pytest.fixture
def own_cells(field: Path) -> list[str]:
    return ["--cells", str(field.with_name("field.labels.tif"))]


def test_fit_writes_a_bundle_with_the_folders_as_classes(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert [one.name for one in loaded.palette] == ["red", "violet"]
    assert sorted(loaded.training_counts.values()) == [6, 6]
    assert loaded.encoder.name == "colour"


def test_size_and_colour_go_with_the_bundle(
    hemacells, crops_folder: Path, field: Path, own_cells: list[str], tmp_path: Path
) -> None:
    made = hemacells("fit", crops_folder, "--out", tmp_path / "model", "--measured")
    assert made.exit_code == 0, made.output
    loaded = load_bundle(tmp_path / "model")
    assert loaded.encoder.preprocessing["features"]["names"][:2] == ["size", "nucleus"]
    assert loaded.vectors.shape[1] == loaded.encoder.dim
    said = hemacells(
        "classify", field, "--model", tmp_path / "model", "--out", tmp_path / "out", *own_cells
    )
    assert said.exit_code == 0, said.output
    table = pd.read_csv(tmp_path / "out" / "field.cells.csv")
    assert set(table["predicted"]) == {"red", "violet"}


def test_fit_says_the_same_as_json(hemacells, crops_folder: Path, tmp_path: Path) -> None:
    result = hemacells("fit", crops_folder, "--out", tmp_path / "m", "--json")
    told = json.loads(result.stdout)
    assert told["classes"] == {"red": 6, "violet": 6}
    assert told["bundle"] == str(tmp_path / "m")
    # discs of 17 px in crops of 32 px, framed as a detector would with its margin of 1.25
    assert told["framing"] == pytest.approx(1.25 * 17 / 32, abs=0.05)


@pytest.mark.parametrize("name", ["missing", "bare"])
def test_fit_refuses_a_folder_without_crops(hemacells, tmp_path: Path, name: str) -> None:
    (tmp_path / "bare").mkdir()
    result = hemacells("fit", tmp_path / name, "--out", tmp_path / "model")
    assert result.exit_code == 3
    assert name in result.stderr
    assert not (tmp_path / "model").exists()


def test_fit_names_pictures_that_cannot_be_read(
    hemacells, crops_folder: Path, tmp_path: Path
) -> None:
    (crops_folder / "red" / "broken.png").write_bytes(b"no picture")
    result = hemacells("fit", crops_folder, "--out", tmp_path / "model")
    assert result.exit_code == 3
    assert "broken.png" in result.stderr
    assert sorted(load_bundle(tmp_path / "model").training_counts.values()) == [6, 6]


def test_classify_writes_each_cell_with_its_class(
    hemacells, bundle: Path, field: Path, own_cells: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = hemacells("classify", field, "--model", bundle, "--out", out, *own_cells)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "field.cells.csv")
    assert list(table) == [
        *CELL_COLUMNS, "annotated", "predicted", "confidence", "unknown", "is_unknown",
        "p_red", "p_violet",
    ]  # fmt: skip
    assert table["label"].tolist() == [10, 20, 30]
    assert table["predicted"].tolist() == ["red", "violet", "red"]
    assert table["annotated"].isna().all()
    assert np.allclose(table["p_red"] + table["p_violet"], 1, atol=1e-4)
    assert np.allclose(table["confidence"], table[["p_red", "p_violet"]].max(axis=1))
    written = tifffile.imread(out / "field.labels.tif")
    assert np.array_equal(written, tifffile.imread(own_cells[1]))


def test_classify_draws_an_overlay_where_asked(
    hemacells, bundle: Path, field: Path, own_cells: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ["--model", bundle, "--out", out, *own_cells, "--overlay", "--json"]
    told = json.loads(hemacells("classify", field, *given).stdout)
    assert told["images"][0]["overlay"] == str(out / "field.overlay.png")
    shown = pd.read_csv(out / "field.cells.csv")["class"].value_counts().to_dict()
    assert told["images"][0]["predicted"] == shown
    with Image.open(out / "field.overlay.png") as overlay, Image.open(field) as image:
        assert overlay.width == image.width
        assert overlay.height > image.height  # the legend


def test_zero_cells_give_zero_rows(hemacells, bundle: Path, field: Path, tmp_path: Path) -> None:
    with Image.open(field) as image:
        np.save(tmp_path / "none.npy", np.zeros((image.height, image.width), np.int32))
    out = tmp_path / "out"
    given = ["--model", bundle, "--out", out, "--cells", tmp_path / "none.npy", "--overlay"]
    result = hemacells("classify", field, *given)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "field.cells.csv")
    assert len(table) == 0
    assert {"label", "predicted", "p_red"} <= set(table)


def test_one_bad_image_does_not_stop_the_others(
    hemacells, bundle: Path, field: Path, own_cells: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    given = ["--model", bundle, "--out", tmp_path / "out", *own_cells, "--json"]
    result = hemacells("classify", broken, field, *given)
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert [one["name"] for one in told["images"]] == ["field"]
    assert [one["image"] for one in told["failed"]] == [str(broken)]
    assert "1 of 2 images failed" in result.stderr
    assert "broken.png" in result.stderr


def test_labels_of_another_shape_are_refused(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "other.npy", np.ones((5, 5), np.int32))
    given = ["--model", bundle, "--out", tmp_path / "out", "--cells", tmp_path / "other.npy"]
    result = hemacells("classify", field, *given)
    assert result.exit_code == 3
    assert not (tmp_path / "out" / "field.cells.csv").exists()


def test_a_truncated_bundle_is_refused(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    tensors = bundle / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-10])
    with pytest.raises(BundleError):
        load_bundle(bundle)
    result = hemacells("classify", field, "--model", bundle, "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert "Error:" in result.stderr
    assert "Traceback" not in result.stderr


def test_another_encoder_is_refused_and_debug_shows_where(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    content["encoder"]["sha256"] = "d" * 64
    (bundle / "bundle.json").write_text(json.dumps(content))
    given = ["classify", field, "--model", bundle, "--out", tmp_path / "out", "--debug"]
    result = hemacells(*given)
    assert result.exit_code == 4
    assert "encoder" in result.stderr
    assert "Traceback" in result.stderr


def test_another_scale_is_refused_unless_allowed(
    hemacells, bundle: Path, field: Path, own_cells: list[str], tmp_path: Path
) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    content["cell_diameter_px"] = 500.0
    content["version"] = 1  # which has no hash over its JSON
    (bundle / "bundle.json").write_text(json.dumps(content))
    given = ["classify", field, "--model", bundle, "--out", tmp_path / "out", *own_cells]
    assert hemacells(*given).exit_code == 4
    assert hemacells(*given, "--allow-other-scale").exit_code == 0


def test_a_file_where_the_folder_should_be_is_a_storage_error(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    given = ["classify", field, "--model", bundle, "--out", tmp_path / "taken"]
    result = hemacells(*given)
    assert result.exit_code == 5
    assert "--out" in result.stderr


def test_the_summary_counts_what_the_table_shows(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    """A cell that is too far for any class is unknown on the screen, in JSON and in the table."""
    labels = tifffile.imread(field.with_name("field.labels.tif"))
    with Image.open(field) as image:
        pixels = np.array(image)
    pixels[labels == 30] = (20, 250, 30)
    Image.fromarray(pixels).save(tmp_path / "green.png")
    tifffile.imwrite(tmp_path / "green.labels.tif", labels)
    given = [
        "--model",
        bundle,
        "--out",
        tmp_path / "out",
        "--cells",
        tmp_path / "green.labels.tif",
    ]
    result = hemacells("classify", tmp_path / "green.png", *given, "--json", tmp_path / "a.json")
    (told,) = json.loads((tmp_path / "a.json").read_text())["images"]
    shown = pd.read_csv(told["csv"])["class"].value_counts().to_dict()
    assert told["predicted"] == shown
    assert shown[UNKNOWN] >= 1
    assert sum(shown.values()) == 3
    assert f"{UNKNOWN} {shown[UNKNOWN]}" in result.stdout
