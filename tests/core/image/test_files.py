"""Files with temperatures where the rest of the program reads images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_hemacells.core.crop import extract_crops, from_picture, to_bytes
from napari_hemacells.core.detect.sources import whole_frame
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.image import content_key, is_image, read_image
from napari_hemacells.core.types import Cells, CropSpec, Groups, SmearImage
from napari_hemacells.samples import synthetic_thermogram

if TYPE_CHECKING:
    from pathlib import Path

CELSIUS = synthetic_thermogram(3, size=(60, 80)).celsius
NAME = "T0287.1.1.D.2015-07-20.18"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / f"{NAME}.txt", CELSIUS, fmt="%.2f")
    return tmp_path / f"{NAME}.txt"


def test_text_is_an_image_in_degrees_of_a_patient(text: Path) -> None:
    image = read_image(text)
    assert image.modality == "temperature"
    assert image.name == NAME
    assert image.groups.patient == "0287"
    assert image.path == text
    assert image.key == content_key(CELSIUS)
    np.testing.assert_array_equal(image.pixels, CELSIUS)
    told = read_image(text, groups=Groups(patient="mine", laboratory="here"))
    assert told.groups == Groups(patient="mine", laboratory="here")


def test_float_tiff_is_in_degrees_only_if_it_says_so(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / f"{NAME}.celsius.tif", CELSIUS)
    tifffile.imwrite(tmp_path / "noted.tif", CELSIUS, description='{"unit": "celsius"}')
    tifffile.imwrite(tmp_path / "plain.tif", CELSIUS)
    first = read_image(tmp_path / f"{NAME}.celsius.tif")
    assert (first.modality, first.name, first.groups.patient) == ("temperature", NAME, "0287")
    assert read_image(tmp_path / "noted.tif").key == first.key
    assert read_image(tmp_path / "plain.tif").modality == "colour"


def test_what_begins_like_a_matrix_is_an_image_and_other_text_is_none(
    text: Path, tmp_path: Path
) -> None:
    (tmp_path / "readme.txt").write_text("The exams of 2013.\n")
    (tmp_path / "cells.csv").write_text("label,class,row,col\n1,RBC,3.5,4.5\n")
    assert is_image(text)
    assert not is_image(tmp_path / "readme.txt")
    assert not is_image(tmp_path / "cells.csv")


def test_a_wrong_unit_or_a_series_is_one_sentence(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "kelvin.txt", CELSIUS + 273.15, fmt="%.2f")
    np.save(tmp_path / "series.npy", np.stack([CELSIUS, CELSIUS]))
    with pytest.raises(ImageError, match=r"subtract 273\.15"):
        read_image(tmp_path / "kelvin.txt")
    with pytest.raises(ImageError, match=r"series\.npy.*time series with 2 planes: choose one"):
        read_image(tmp_path / "series.npy")


def test_class_folders_hold_text_beside_pictures(tmp_path: Path) -> None:
    (tmp_path / "sick").mkdir()
    np.savetxt(tmp_path / "sick" / "a.txt", CELSIUS, fmt="%.2f")
    (tmp_path / "sick" / "notes.txt").write_text("Late.\n")
    assert list_class_folders(tmp_path) == {"sick": [tmp_path / "sick" / "a.txt"]}


def test_crops_of_degrees_are_floats_that_no_byte_has_rounded() -> None:
    rising = np.linspace(20, 36, 80 * 80, dtype=np.float32).reshape(80, 80)
    crop = from_picture(rising, CropSpec(size=80))
    assert (crop.shape, crop.dtype) == ((80, 80, 3), np.float32)
    np.testing.assert_allclose(crop[..., 0], rising * (255 / 40), rtol=1e-5)
    half = from_picture(rising, CropSpec(size=40))
    means = rising.reshape(40, 2, 40, 2).mean(axis=(1, 3)) * (255 / 40)
    np.testing.assert_allclose(half[2:-2, 2:-2, 1], means[2:-2, 2:-2], atol=0.02)
    assert len(np.unique(crop)) > 256
    assert to_bytes(crop).dtype == np.uint8
    np.testing.assert_allclose(to_bytes(crop), crop, atol=0.5)


def test_the_spec_says_how_degrees_become_a_picture() -> None:
    spec = CropSpec(size=60, degrees="range", palette="inferno")
    assert spec.to_dict() == {
        "size": 60, "context": 1.25, "degrees": "range", "palette": "inferno",
    }  # fmt: skip
    assert CropSpec().to_dict() == {"size": 128, "context": 1.25}
    crop = from_picture(CELSIUS, spec)
    assert np.ptp(crop, axis=-1).max() > 20  # a colormap
    assert from_picture(CELSIUS, CropSpec(size=60, degrees="range")).min() < 5


def test_regions_of_a_thermogram_are_cut_like_cells() -> None:
    import pandas as pd

    box = {"min_row": 20, "min_col": 30, "max_row": 40, "max_col": 50}
    table = pd.DataFrame(
        [{"label": 1, "class": "", "score": 1.0, "row": 30.0, "col": 40.0, **box}]
    )
    cells = Cells(np.zeros((60, 80), np.int32), table, 20.0)
    image = SmearImage(CELSIUS, content_key(CELSIUS), "exam", modality="temperature")
    (crop,) = extract_crops(image, cells, CropSpec(size=20, context=1.0))
    np.testing.assert_allclose(crop[..., 2], CELSIUS[20:40, 30:50] * (255 / 40), rtol=1e-5)


def test_a_whole_thermogram_is_cut_as_its_file_is_learned_from() -> None:
    image = SmearImage(CELSIUS, content_key(CELSIUS), "exam", modality="temperature")
    (crop,) = extract_crops(image, whole_frame(image.shape), CropSpec(size=80, context=1.6))
    np.testing.assert_array_equal(crop, from_picture(CELSIUS, CropSpec(size=80)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
@pytest.mark.parametrize("ending", ["png", "tif", "csv", "npy", "jpg"])
def test_a_pipe_or_a_device_is_refused_at_once(tmp_path, ending):
    pipe, zero = tmp_path / f"pipe.{ending}", tmp_path / f"zero.{ending}"
    os.mkfifo(pipe)
    zero.symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="is a pipe and no file"):
        read_image(pipe)
    with pytest.raises(ImageError, match="is a device and no file"):
        read_image(zero)
