"""Every place belongs to exactly one tile; the picture is the same in every tile."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.detect.tiling import ScaledImage, make_tiles


@pytest.mark.parametrize("shape", [(1, 1), (512, 513), (700, 100), (1300, 1650), (640, 1024)])
def test_cores_cover_every_pixel_once(shape: tuple[int, int]) -> None:
    count = np.zeros(shape, int)
    for tile in make_tiles(shape):
        count[slice(*tile.core_rows), slice(*tile.core_cols)] += 1
    assert (count == 1).all()


def test_tiles_start_on_the_grid_of_the_network() -> None:
    for tile in make_tiles((2000, 3000), core=256, halo=64):
        assert tile.rows[0] % 16 == 0
        assert tile.cols[0] % 16 == 0


def test_a_cell_belongs_to_one_tile_wherever_it_lies() -> None:
    shape = (700, 900)
    middles = np.random.default_rng(0).uniform(-5, 1, (200, 2)) + np.random.default_rng(1).uniform(
        0, 1, (200, 2)
    ) * np.array(shape)
    owners = np.zeros(200, int)
    for tile in make_tiles(shape, core=256, halo=64):
        owners += tile.own(middles)
    assert (owners == 1).all()


@pytest.mark.parametrize("scale", [0.39, 1.0, 1.7])
def test_a_part_is_the_same_as_in_the_whole(scale: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (211, 307, 3), dtype=np.uint8)
    view = ScaledImage(pixels, scale)
    whole = view.part(slice(0, view.shape[0]), slice(0, view.shape[1]))
    part = view.part(slice(16, 64), slice(32, 100))
    apart = np.abs(part.astype(int) - whole[16:64, 32:100])
    assert apart.max() <= 2
