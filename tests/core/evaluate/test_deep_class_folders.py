"""Class folders with pictures of more than 8 bits, damaged ones and huge ones."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.evaluate.class_folders import read_folder
from napari_hemacells.core.types import CropSpec, EncoderInfo

if TYPE_CHECKING:
    from pathlib import Path


class MeanColour:
    """The mean of a crop."""

    info = EncoderInfo(name="mean", sha256="d" * 64, dim=1)
    device = "cpu"

    def encode(self, crops: np.ndarray) -> np.ndarray:
        return crops.reshape(len(crops), -1).mean(axis=1, keepdims=True).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value in (("dark", 60), ("bright", 240)):
        (tmp_path / name).mkdir()
        pixels = np.full((40, 40, 3), value, np.uint16) * 16
        tifffile.imwrite(tmp_path / name / "a.tif", pixels, photometric="rgb")
    return tmp_path


def test_one_bit_depth_for_the_folder(folder: Path) -> None:
    read = read_folder(folder, CropSpec(), MeanColour())
    means = dict(zip(read.labels, read.vectors[:, 0].tolist(), strict=True))
    assert means == {"bright": pytest.approx(239, abs=1), "dark": pytest.approx(60, abs=1)}


def test_a_damaged_picture_is_left_out_by_name(folder: Path) -> None:
    file = folder / "dark" / "cut.tif"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(file, compression="tiff_lzw")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    read = read_folder(folder, CropSpec(), MeanColour())
    assert len(read.files) == 2
    (sentence,) = read.unreadable
    assert "dark/cut.tif" in sentence


def test_a_slide_is_no_picture_of_a_cell(folder: Path) -> None:
    with tifffile.TiffWriter(folder / "dark" / "slide.tif") as tiff:
        tiff.write(
            iter([zlib.compress(bytes(512 * 512 * 3))] * 22**2), shape=(11_000, 11_000, 3),
            dtype=np.uint8, tile=(512, 512), photometric="rgb", metadata=None,
            compression="deflate",
        )  # fmt: skip
    read = read_folder(folder, CropSpec(), MeanColour())
    assert len(read.files) == 2
    assert (
        "slide.tif has 11,000 × 11,000 pixels and is no picture of one cell" in read.unreadable[0]
    )
