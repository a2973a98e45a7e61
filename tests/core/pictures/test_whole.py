"""An open image as one cell: framed as detected cells are, kept with a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_hemacells.core.crop import extract_crops, from_picture
from napari_hemacells.core.encode import EmbeddingCache, embed
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import LazyPixels, image_from_array
from napari_hemacells.core.pictures import whole_picture
from napari_hemacells.core.store import Project
from napari_hemacells.core.types import CropSpec, EncoderInfo, LearnedFrom, SmearImage

if TYPE_CHECKING:
    from pathlib import Path


class MeanColour:
    info = EncoderInfo("mean colour", "0" * 64, 3)
    device = "cpu"

    def encode(self, crops: np.ndarray) -> np.ndarray:
        return np.asarray(crops.mean(axis=(1, 2)), dtype=np.float32)


@pytest.fixture
def image() -> SmearImage:
    rows, cols = np.indices((60, 80))
    pixels = np.full((60, 80, 3), (235, 230, 240), np.uint8)
    pixels[np.hypot(rows - 29.5, cols - 39.5) <= 16] = (90, 40, 160)
    return image_from_array(pixels, "cell")


def test_the_picture_is_the_cell_and_framed_as_a_detected_one(image: SmearImage) -> None:
    cells = whole_picture(image)
    assert cells.boxes.tolist() == [[0, 0, 60, 80]]
    assert cells.context == pytest.approx(80 / 33, rel=0.06)
    spec = CropSpec(size=32)
    (crop,) = extract_crops(image, cells, spec)
    expected = from_picture(image.pixels, spec, framing=1.25 / cells.context)
    assert np.array_equal(crop, expected)
    assert cells.learned_from() == LearnedFrom("pictures", context=cells.context, side=80)


def test_it_is_kept_with_a_project(image: SmearImage, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    project.add_image(image)
    cells = whole_picture(image, 2.5)
    project.save_cells(image.key, cells)
    back = project.load_cells(image.key)
    assert (back.source, back.context) == ("whole", 2.5)
    assert back.boxes.tolist() == cells.boxes.tolist()


def test_another_framing_is_another_vector_in_the_cache(image: SmearImage, tmp_path: Path) -> None:
    cache, spec = EmbeddingCache(tmp_path), CropSpec(size=32)
    small = embed(image, whole_picture(image, 1.0), spec, MeanColour(), cache).vectors
    large = embed(image, whole_picture(image, 3.0), spec, MeanColour(), cache).vectors
    assert not np.array_equal(small, large)
    again = embed(image, whole_picture(image, 1.0), spec, MeanColour(), cache).vectors
    assert np.array_equal(small, again)


def test_a_thermogram_is_its_whole_frame() -> None:
    frame = SmearImage(np.full((20, 30), 30.0, np.float32), "0" * 16, "t", "temperature")
    cells = whole_picture(frame)
    assert cells.context is None
    (crop,) = extract_crops(frame, cells, CropSpec(size=30, context=2.0))
    assert crop.dtype == np.float32


def test_a_slide_is_no_picture_of_one_cell(image: SmearImage) -> None:
    class Slide(LazyPixels):
        def __init__(self) -> None:
            self.shape = (40_000, 50_000, 3)

    slide = SmearImage(Slide(), "0" * 16, "slide")
    with pytest.raises(CellsError, match="40,000 × 50,000 pixels and is no picture of one cell"):
        whole_picture(slide)
