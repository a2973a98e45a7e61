"""Whether images are shared out, and among how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.cli import parallel
from napari_hemacells.cli.options import ShareOptions
from napari_hemacells.cli.parallel import (
    PARALLEL_MEGAPIXELS,
    WorkerPlan,
    megapixels,
    plan_workers,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    Image.new("RGB", (400, 250)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "max_workers", lambda: 4)


def test_the_size_is_that_of_the_header(small: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((300, 200, 3), np.uint8), photometric="rgb")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert megapixels(small) == pytest.approx(0.1)
    assert megapixels(tmp_path / "a.tif") == pytest.approx(0.06)
    assert megapixels(tmp_path / "broken.png") == megapixels(tmp_path / "missing.png") == 0


def test_few_small_images_stay_in_this_process(small: Path, four_cores: None) -> None:
    assert plan_workers(ShareOptions(), [small] * 20).is_serial
    enough = int(parallel.PARALLEL_MEGAPIXELS / 0.1) + 1
    assert plan_workers(ShareOptions(), [small] * enough) == WorkerPlan(workers=4)


def test_what_is_asked_for_is_done(small: Path, four_cores: None) -> None:
    assert plan_workers(ShareOptions(workers=3), [small]) == WorkerPlan(workers=3)
    assert plan_workers(ShareOptions(workers=0), [small] * 1000).is_serial
    assert plan_workers(ShareOptions(workers=1), [small] * 1000).is_serial
    assert not plan_workers(ShareOptions(scheduler="tcp://a:1"), [small]).is_serial


def test_a_folder_that_is_no_image_is_not_worth_several_processes(tmp_path):
    assert megapixels(tmp_path) == 0
    (tmp_path / ".zarray").write_text("{}")
    assert megapixels(tmp_path) == PARALLEL_MEGAPIXELS
