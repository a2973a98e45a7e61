"""The contact sheet: where pictures are on it, and what it shows before and after reading."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_pictures import write_pictures
from napari_hemacells.core.crop import extract_crops
from napari_hemacells.core.pictures import CellPictures
from napari_hemacells.core.pictures.contact_sheet import (
    BACKGROUND,
    SIDE,
    ContactSheet,
    sheet_image,
    sheet_of,
)
from napari_hemacells.core.types import CropSpec


@pytest.fixture
def pictures(tmp_path):
    write_pictures(tmp_path / "cells", 7)
    return CellPictures.open(tmp_path / "cells")


def test_a_box_shows_its_picture(pictures):
    image = sheet_image(pictures)
    for number in (1, 9, 21):
        top, left, bottom, right = sheet_of(image).boxes(np.array([number]))[0].tolist()
        shown = np.asarray(image.pixels[top:bottom, left:right])
        np.testing.assert_array_equal(shown, pictures.thumbnail(number, SIDE))


def test_the_pixel_of_a_picture_is_its_cell(pictures):
    sheet = ContactSheet(pictures)
    cells = sheet.cells()
    for cell, (row, col) in zip(cells.ids, np.rint(cells.centres).astype(int), strict=True):
        assert cells.labels[int(row), int(col)] == cell
        assert cells.mask_of(cell).area == SIDE * SIDE
    assert cells.labels[0, 0] == 0
    assert np.asarray(cells.labels).max() == 21


def test_what_a_viewer_shows_never_waits_and_comes_by_and_by(pictures):
    sheet = ContactSheet(pictures)
    levels = sheet.display_levels()
    assert np.unique(np.asarray(levels[0])).tolist() == [BACKGROUND]
    assert sheet.wanted == set(range(1, 22))
    assert sheet.not_loaded().tolist() == list(range(1, 22))
    sheet.load(sheet.take_wanted(100))
    assert sheet.not_loaded().tolist() == []
    np.testing.assert_array_equal(np.asarray(levels[0]), np.asarray(sheet.pixels))
    assert sheet.wanted == set()


def test_levels_are_means_of_the_finest(pictures):
    sheet = ContactSheet(pictures)
    sheet.load(pictures.numbers)
    fine, coarse = (np.array(level).astype(float) for level in sheet.display_levels()[:2])
    means = fine.reshape(coarse.shape[0], 2, coarse.shape[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(means - coarse).max() <= 0.5


def test_small_tiles_are_kept_on_disk_by_name(pictures, tmp_path):
    sheet = ContactSheet(pictures)
    sheet.load([1, 2, 5])
    sheet.save_tiles(tmp_path / "tiles.npz")
    again = ContactSheet(pictures)
    again.read_tiles(tmp_path / "tiles.npz")
    assert np.flatnonzero(again.loaded).tolist() == [0, 1, 4]
    kept = again.small_tiles(np.array([5]), 12)
    np.testing.assert_allclose(kept, sheet.small_tiles(np.array([5]), 12), atol=1)


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04"])
def test_damaged_small_tiles_are_passed_over(pictures, tmp_path, damage):
    (tmp_path / "tiles.npz").write_bytes(damage)
    sheet = ContactSheet(pictures)
    sheet.read_tiles(tmp_path / "tiles.npz")
    sheet.read_tiles(tmp_path / "nothing.npz")
    assert not sheet.loaded.any()


def test_crops_come_from_the_pictures(pictures):
    image, spec = sheet_image(pictures), CropSpec(size=32)
    crops = extract_crops(image, sheet_of(image).cells(), spec, [2, 4])
    np.testing.assert_array_equal(crops, pictures.crops([2, 4], spec))


def test_a_later_picture_waits_for_a_later_sheet(pictures):
    sheet = ContactSheet(pictures)
    write_pictures(pictures.folder, 9, start=100)
    pictures.rescan()
    assert len(pictures) == 48
    assert len(sheet.cells()) <= sheet.tile_rows * sheet.columns
    later = ContactSheet(pictures)
    sheet.load([3])
    later.take_tiles(sheet)
    assert later.loaded[2]
    assert len(later.cells()) == 48


def test_the_coarsest_level_changes_in_place(pictures):
    """A viewer keeps what it once read of it."""
    sheet = ContactSheet(pictures)
    coarsest = sheet.display_levels()[-1]
    kept = np.asarray(coarsest)
    sheet.load([1], sharp=False)
    assert kept is coarsest
    assert kept[:20, :20].max() > BACKGROUND
    sheet.forget([1])
    assert kept.max() == BACKGROUND


def test_a_thumbnail_never_waits_and_is_sharp_once_read(pictures):
    sheet = ContactSheet(pictures)
    first, sharp = sheet.thumbnail_now(3, 64)
    assert first.shape == (64, 64, 3)
    assert not sharp
    assert sheet.has_wishes
    assert sheet.load_thumbnails(10) == 1
    assert not sheet.has_wishes
    second, sharp = sheet.thumbnail_now(3, 64)
    assert sharp
    np.testing.assert_array_equal(second, pictures.thumbnail(3, 64))


def test_a_preview_shows_some_of_the_pictures(pictures):
    preview = ContactSheet(pictures).preview()
    assert preview.shape == (96, 96, 3)
    assert np.unique(preview).size > 20
