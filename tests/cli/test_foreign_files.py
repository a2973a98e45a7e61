"""Batches with files that are damaged, hostile or strange: each is named, the others are done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.image.bit_depth import BIT_DEPTHS

if TYPE_CHECKING:
    from pathlib import Path


def draw_smear() -> np.ndarray:
    """Six red discs of 40 px on glass, uint8."""
    rows, cols = np.indices((160, 240))
    pixels = np.full((160, 240, 3), (235, 228, 232), np.float64)
    for row in range(40, 160, 80):
        for col in range(40, 240, 80):
            pixels[np.hypot(rows - row, cols - col) <= 20] = (205, 110, 115)
    noisy = pixels + np.random.default_rng(0).normal(0, 3, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


SMEAR = draw_smear()


def cut_lzw(path: Path) -> None:
    """An LZW TIFF whose directory is at the end, cut to half."""
    Image.fromarray(SMEAR).save(path, "TIFF", compression="tiff_lzw")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_png(path: Path) -> None:
    Image.fromarray(SMEAR).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:900])


def postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")


def stack(path: Path) -> None:
    tifffile.imwrite(path, np.stack([SMEAR[..., 0]] * 3), imagej=True, metadata={"axes": "ZYX"})


def nothing(path: Path) -> None:
    path.touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "z.png"):
        Image.fromarray(SMEAR).save(tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("spoil", "suffix"),
    [
        (cut_lzw, ".tif"),
        (cut_png, ".png"),
        (postscript, ".png"),
        (stack, ".tif"),
        (nothing, ".jpg"),
    ],
)
def test_a_bad_file_fails_alone_and_is_named(hemacells, folder: Path, spoil, suffix: str) -> None:
    spoil(folder / f"middle{suffix}")
    out = folder.parent / "out"
    result = hemacells("detect", folder, "--out", out, "--method", "classical", "--json")
    assert result.exit_code == 3, result.output
    told = json.loads(result.stdout)
    assert [image["name"] for image in told["images"]] == ["a", "z"]
    assert [image["cells"] for image in told["images"]] == [6, 6]
    (failed,) = told["failed"]
    assert f"middle{suffix}" in failed["error"]
    assert "1 of 3 images failed" in result.stderr


def test_one_bit_depth_for_the_run_is_said(hemacells, tmp_path: Path) -> None:
    bright = SMEAR.astype(np.uint16) * 16
    tifffile.imwrite(
        tmp_path / "a.tif", bright // 8, photometric="rgb"
    )  # a field out of the light
    tifffile.imwrite(tmp_path / "b.tif", bright, photometric="rgb")
    out = tmp_path / "out"
    result = hemacells(
        "detect", tmp_path, "--out", out, "--method", "classical", "--json", tmp_path / "r.json"
    )
    images = json.loads((tmp_path / "r.json").read_text())["images"]
    assert [image["bit_depth"] for image in images] == [
        {"bits": 12, "offset": 0, "source": "run"}
    ] * 2
    assert images[1]["cells"] == 6
    assert "and 1 more: 12 bits, guessed from" in " ".join(result.output.split())
    assert 12 in BIT_DEPTHS


def test_bytes_have_no_notes(hemacells, folder: Path) -> None:
    result = hemacells(
        "detect", folder / "a.png", "--out", folder, "--method", "classical", "--json"
    )
    (image,) = json.loads(result.stdout)["images"]
    assert (image["bit_depth"], image["notes"]) == (
        {"bits": 8, "offset": 0, "source": "type"}, [],
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"II*\x00", b"\x89PNG\r\n\x1a\n", b"", b"words"])
def test_bad_labels_fail_their_image_alone(hemacells, folder: Path, content: bytes) -> None:
    labels = np.zeros(SMEAR.shape[:2], np.uint32)
    labels[20:60, 20:60] = 100_000_000
    own = folder.parent / "own"
    own.mkdir()
    tifffile.imwrite(own / "a.tif", labels)
    (own / "z.tif").write_bytes(content)
    out = folder.parent / "out"
    result = hemacells("detect", folder, "--cells", own, "--out", out, "--json")
    told = json.loads(result.stdout)
    assert [image["cells"] for image in told["images"]] == [1]
    assert "z.tif" in told["failed"][0]["error"]
    assert pd.read_csv(out / "a.cells.csv")["label"].tolist() == [100_000_000]
    assert tifffile.imread(out / "a.labels.tif").max() == 100_000_000
    assert result.exit_code == 3


def test_a_folder_of_a_maker_s_own_kind_says_what_to_do(hemacells, tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    result = hemacells("detect", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "Export it as OME-TIFF in ZEN" in " ".join(result.stderr.split())
    Image.fromarray(SMEAR).save(tmp_path / "a.png")
    result = hemacells("detect", tmp_path, "--out", tmp_path / "out", "--method", "classical")
    assert result.exit_code == 0
    assert "also holds 1 .czi files" in " ".join(result.stderr.split())


@pytest.mark.parametrize("letter", ["m", "ü"])
def test_results_of_a_very_long_name_are_cut(hemacells, tmp_path: Path, letter: str) -> None:
    for number, length in enumerate((236, 235)):
        name = letter * (length // len(letter.encode()))
        Image.fromarray(SMEAR).save(tmp_path / f"{name}{number}.png")
    out = tmp_path / "out"
    result = hemacells("detect", tmp_path, "--out", out, "--method", "classical", "--json")
    images = json.loads(result.stdout)["images"]
    assert [image["cells"] for image in images] == [6, 6]
    assert len({image["csv"] for image in images}) == 2
    assert "long name was cut" in " ".join(result.stderr.split())
    assert result.exit_code == 0
