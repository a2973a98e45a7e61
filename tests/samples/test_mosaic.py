"""The large smear: the truth is where the cells are, whatever the format."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.image import read_image
from napari_hemacells.samples import mosaic


@pytest.fixture
def small_fields(monkeypatch):
    monkeypatch.setattr(mosaic, "FIELD", 512)


def test_cells_are_where_the_truth_says(tmp_path, small_fields):
    made = mosaic.smear_mosaic(tmp_path / "m.ome.zarr", (900, 1300), seed=3)
    image = read_image(made.path)
    assert image.shape == made.shape == (900, 1300)
    assert image.pixel_size_um == pytest.approx(7.5 / made.diameter)
    centres = made.table[["row", "col"]].to_numpy()
    stain = 255 - image.pixels[..., 1].astype(int)
    at_cells = stain[tuple(centres.round().astype(int).T)]
    corners = [stain[:60, :60], stain[-60:, :60], stain[:60, -60:], stain[-60:, -60:]]
    assert (at_cells > max(corner.max() for corner in corners)).mean() > 0.97
    inside = ((2 * centres / made.shape - 1) ** 2).sum(axis=1) < 1.02
    assert inside.all()
    assert set(made.table["class"]) == {"RBC", "WBC", "Platelets"}


def test_cells_crowd_where_it_is_thick(tmp_path, small_fields):
    made = mosaic.smear_mosaic(tmp_path / "m.zarr", (500, 4000), seed=1)
    col, thick = made.table["col"], made.table["thick"]
    assert made.thick.max(axis=0).tolist() == [500, mosaic.THICK_SHARE * 4000]
    assert col[thick].max() < col[~thick].max()
    # The first field is narrower on the ellipse than the second, and has more cells all the same.
    assert (col < 512).sum() > 1.3 * col.between(512, 1024).sum() > 0


def test_both_formats_show_the_same(tmp_path, small_fields):
    images = [
        read_image(mosaic.smear_mosaic(tmp_path / name, (520, 700), seed=2).path)
        for name in ("m.ome.zarr", "m.ome.tif")
    ]
    assert images[0].key == images[1].key
    assert not (tmp_path / "m.ome.tif.part.zarr").exists()
    assert images[1].pixel_size_um == pytest.approx(7.5 / 44)
    np.testing.assert_array_equal(images[0].pixels, images[1].pixels)
