"""Heat by covering: it lies where the class comes from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.classify.occlusion import occlusion_map
from napari_hemacells.core.types import EncoderInfo

SIDE = 40


class Redness:
    """Mean and spread of red over the whole crop: any place can matter."""

    info = EncoderInfo(name="redness", sha256="d" * 64, dim=2)
    device = "cpu"

    def encode(self, crops: np.ndarray) -> np.ndarray:
        red = crops[..., 0].astype(float) - crops[..., 2]
        return np.stack([red.mean(axis=(1, 2)), red.std(axis=(1, 2))], axis=1).astype(np.float32)


def crop(row: int, col: int, red: int) -> np.ndarray:
    pixels = np.random.default_rng(row).integers(205, 215, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[row : row + 10, col : col + 10] = (red, 60, 60)
    return pixels


@pytest.fixture
def head():
    crops = [crop(n, n, red) for red in (250, 60) for n in range(8)]
    labels = ("red",) * 8 + ("dark",) * 8
    return fit(SupportSet(Redness().encode(np.stack(crops)), labels), ("red", "dark"))


@pytest.mark.parametrize(("row", "col"), [(2, 2), (25, 4), (15, 26)])
def test_the_heat_is_where_the_class_comes_from(head, row, col):
    heat = occlusion_map(Redness(), head, crop(row, col, 250), head.class_ids.index("red"))
    assert heat.shape == (SIDE, SIDE)
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    assert np.hypot(hottest[0] - row - 5, hottest[1] - col - 5) <= 10  # a cover


def test_where_nothing_matters_there_is_no_heat(head):
    plain = np.full((SIDE, SIDE, 3), 210, np.uint8)
    heat = occlusion_map(Redness(), head, plain, 0)
    assert not heat.any()
