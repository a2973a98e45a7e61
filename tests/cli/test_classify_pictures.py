"""``classify --whole``: each picture one row; what is refused, named or hinted at."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_hemacells.core.store import load_bundle, save_bundle
from napari_hemacells.core.types import UNKNOWN, LearnedFrom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.usefixtures("colour_encoder")

COLOURS = {"red": (200, 80, 90), "violet": (90, 40, 150)}


def picture(colour: tuple[int, int, int], side: int = 32, radius: int = 8, seed: int = 0) -> Any:
    rows, cols = np.indices((side, side))
    pixels = np.full((side, side, 3), (235.0, 228.0, 232.0))
    pixels[np.hypot(rows - side / 2, cols - side / 2) <= radius] = colour
    noisy = pixels + np.random.default_rng(seed).normal(0, 6, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def bundle(hemacells, crops_folder: Path, tmp_path: Path) -> Path:
    made = hemacells("fit", crops_folder, "--out", tmp_path / "model")
    assert made.exit_code == 0, made.output
    return tmp_path / "model"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of each colour in class folders, with a blank in the folder's name."""
    folder = tmp_path / "new cells"
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for seed in range(3):
            Image.fromarray(picture(colour, seed=seed)).save(folder / name / f"{seed}.png")
    return folder


@pytest.fixture
def whole(hemacells, bundle: Path, tmp_path: Path) -> Callable[..., tuple[Result, Any]]:
    """Classify pictures; return what was said, and the table where there is one."""

    def run(*given: Any) -> tuple[Result, Any]:
        out = tmp_path / "out"
        result = hemacells("classify", "--whole", *given, "--model", bundle, "--out", out)
        table = out / "cells.csv"
        return result, pd.read_csv(table) if table.is_file() else None

    return run


def test_each_picture_is_one_row(whole, pictures: Path) -> None:
    result, table = whole(pictures)
    assert result.exit_code == 0, result.output
    assert list(table)[:6] == ["image", "label", "class", "confidence", "unknown", "group"]
    assert {"p_red", "p_violet", "is_unknown", "predicted", "file"} < set(table)
    assert table["image"].tolist() == [f"{n}/{i}.png" for n in ("red", "violet") for i in range(3)]
    assert table["label"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["predicted"].tolist() == ["red"] * 3 + ["violet"] * 3
    assert np.allclose(table["p_red"] + table["p_violet"], 1, atol=1e-4)
    assert "6 pictures" in result.stdout
    assert "learned from" not in result.stderr


def test_the_answer_for_a_picture_does_not_depend_on_the_others(whole, pictures: Path) -> None:
    _, together = whole(pictures)
    _, alone = whole(pictures / "violet" / "1.png")
    assert alone["image"].tolist() == ["1.png"]
    numbers = ["confidence", "p_red", "p_violet"]
    assert np.allclose(alone[numbers].iloc[0], together[numbers].iloc[4], atol=1e-6)


def test_files_folders_and_patterns_are_taken_once(whole, pictures: Path) -> None:
    result, table = whole(pictures / "red", str(pictures / "*" / "0.png"), pictures / "red/1.png")
    assert result.exit_code == 0, result.output
    assert sorted(table["image"]) == ["red/0.png", "red/1.png", "red/2.png", "violet/0.png"]


def test_what_cannot_be_read_is_named_and_has_no_row(whole, pictures: Path) -> None:
    (pictures / "red" / "1.png").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("a day in the laboratory", encoding="utf-8")
    result, table = whole(pictures)
    assert result.exit_code == 3
    assert len(table) == 5
    assert "red/1.png" not in set(table["image"])
    assert "1 of 6 pictures could not be read and have no row" in result.stderr
    assert "1.png" in result.stderr
    assert "1 file is no picture and left out (1 .txt)" in result.stderr


@pytest.mark.parametrize("made", ["empty", "missing", "all broken"])
def test_without_a_picture_nothing_is_written(whole, tmp_path: Path, made: str) -> None:
    folder = tmp_path / made
    if made != "missing":
        folder.mkdir()
    if made == "all broken":
        (folder / "a.png").write_bytes(b"x")
    result, table = whole(folder)
    assert result.exit_code == 3
    assert table is None
    assert made in result.stderr or "a.png" in result.stderr


def test_pictures_of_any_kind_and_size_are_read(whole, tmp_path: Path) -> None:
    folder = tmp_path / "kinds"
    folder.mkdir()
    violet = picture(COLOURS["violet"], 64, 16)
    Image.fromarray(violet).save(folder / "a.jpg", quality=95)
    Image.fromarray(np.dstack([violet, np.full((64, 64), 255, np.uint8)])).save(folder / "b.png")
    import tifffile

    tifffile.imwrite(folder / "c.tif", violet.astype(np.uint16) * 257, photometric="rgb")
    Image.fromarray(picture(COLOURS["violet"], 32, 8)[:, 4:]).save(folder / "d.bmp")
    result, table = whole(folder)
    assert result.exit_code == 0, result.output
    assert table["predicted"].tolist() == ["violet"] * 4


def test_the_other_kind_is_warned_about(hemacells, whole, bundle: Path, pictures: Path) -> None:
    model = load_bundle(bundle)
    assert model.learned_from == LearnedFrom(
        "pictures", context=model.learned_from.context, side=32
    )
    assert model.learned_from.context == pytest.approx(32 / 17, abs=0.1)
    save_bundle(bundle, replace(model, learned_from=LearnedFrom("cells", diameter=17.0)))
    result, _ = whole(pictures)
    assert result.exit_code == 0
    assert "learned from cells of about 17 pixels found in images; here each" in result.stderr
    save_bundle(bundle, replace(model, learned_from=None))
    assert "does not say whether it learned from whole pictures" in whole(pictures)[0].stderr


def test_detected_cells_are_warned_about_where_pictures_taught(
    hemacells, bundle: Path, field: Path, tmp_path: Path
) -> None:
    given = ["--model", bundle, "--out", tmp_path / "out"]
    own = ["--cells", field.with_name("field.labels.tif")]
    result = hemacells("classify", field, *given, *own)
    assert result.exit_code == 0, result.output
    assert "here it is asked about cells found in images" in result.stderr


def test_a_model_of_thermograms_is_not_asked_about_colours(
    whole, bundle: Path, pictures: Path
) -> None:
    of_heat = LearnedFrom("pictures", side=640, modality="temperature")
    save_bundle(bundle, replace(load_bundle(bundle), learned_from=of_heat))
    result, table = whole(pictures)
    assert result.exit_code == 4
    assert table is None
    assert "learned from thermograms, these are colour pictures" in result.stderr


def test_pictures_framed_otherwise_are_cropped_to_match(whole, tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    for seed in range(20):
        Image.fromarray(picture(COLOURS["violet"], 96, 12, seed)).save(folder / f"{seed:02}.png")
    result, table = whole(folder, "--json", tmp_path / "said.json")
    said = json.loads((tmp_path / "said.json").read_text())
    assert "the pictures are cropped to match" in result.stderr
    assert said["framing"] == pytest.approx(1.25 * 25 / 96, abs=0.06)
    assert said["warnings"] == [said["warnings"][0]]
    assert (table["class"] != UNKNOWN).any()


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--cells", "x.tif"], "--cells"),
        (["--overlay"], "--overlay"),
        (["--cell-diameter", "30"], "--cell-diameter"),
        (["--scheduler", "tcp://x:1"], "--scheduler"),
    ],
)
def test_options_without_a_meaning_are_refused(
    whole, pictures: Path, option: list[str], named: str
) -> None:
    result, table = whole(pictures, *option)
    assert result.exit_code == 2
    assert named in result.stderr
    assert table is None


def test_pictures_of_one_cell_each_are_recognised_without_the_option(
    hemacells, bundle: Path, field: Path, pictures: Path, tmp_path: Path
) -> None:
    given = ["--model", bundle, "--out", tmp_path / "out", "--method", "classical"]
    assert "use --whole" in hemacells("classify", pictures / "red", *given).stderr
    model = load_bundle(bundle)
    save_bundle(bundle, replace(model, learned_from=LearnedFrom("cells", diameter=17.0)))
    assert "use --whole" in hemacells("classify", pictures / "red", *given).stderr  # by looking
    assert "use --whole" not in hemacells("classify", field, *given).stderr


def test_thermograms_are_pictures_with_their_patients_as_groups(
    hemacells, whole, tmp_path: Path
) -> None:
    def frames(folder: Path, first: int) -> Path:
        for number, (label, degrees) in enumerate([("healthy", 30.0), ("sick", 36.0)] * 3):
            file = folder / label / f"T{first + number:04d}.1.1.S.2013-01-16.00.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(file, np.full((24, 32), degrees + number / 10), fmt="%.2f")
        return folder

    made = hemacells("fit", frames(tmp_path / "learn", 100), "--out", tmp_path / "heat")
    assert made.exit_code == 0, made.output
    assert load_bundle(tmp_path / "heat").learned_from.modality == "temperature"
    result, table = whole(frames(tmp_path / "ask", 200))
    assert "these are thermograms: choose another model" in result.stderr  # of colours
    assert table is None
    given = ["--whole", tmp_path / "ask", "--model", tmp_path / "heat", "--out", tmp_path / "o"]
    result = hemacells("classify", *given)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "o" / "cells.csv")
    assert table["predicted"].tolist() == ["healthy"] * 3 + ["sick"] * 3
    assert table["group"].tolist()[0] == "patient 200"
