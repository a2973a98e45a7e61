"""Temperatures in numpy files, float TIFF and radiometric JPEG."""

from __future__ import annotations

import io
import sys
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature import is_thermogram, read_celsius

if TYPE_CHECKING:
    from pathlib import Path

CELSIUS = np.random.default_rng(0).uniform(22, 36, (3, 12, 16)).astype(np.float32)


def radiometric(path: Path) -> Path:
    """A JPEG with the segment that a FLIR camera writes, its raw frame left out."""
    plain = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(plain, "JPEG")
    data = plain.getvalue()
    payload = b"FLIR\x00\x01\x00\x00" + bytes(64)
    segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
    exif = b"\xff\xe1" + (10).to_bytes(2, "big") + b"Exif\x00\x00  "
    path.write_bytes(data[:2] + exif + segment + data[2:])
    return path


def test_numpy_files_keep_every_bit(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", CELSIUS[0])
    np.save(tmp_path / "series.npy", CELSIUS.astype(np.float64))
    np.savez_compressed(tmp_path / "exams.npz", b=CELSIUS[1], a=CELSIUS[0])
    np.testing.assert_array_equal(read_celsius(tmp_path / "one.npy"), CELSIUS[0])
    np.testing.assert_array_equal(read_celsius(tmp_path / "series.npy"), CELSIUS)
    np.testing.assert_array_equal(read_celsius(tmp_path / "exams.npz"), CELSIUS[[1, 0]])
    assert all(is_thermogram(one) for one in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (CELSIUS[0] + 273.15, "kelvin"),
        (CELSIUS[0, 0], "has the shape"),
        (np.full((12, 16), np.nan), "row 1, column 1: nan is no temperature"),
        (np.array([["a"] * 9] * 9), "not temperatures"),
        (np.stack([CELSIUS[0], CELSIUS[0] * 100]), "frame 2, row 1, column 1"),
    ],
)
def test_numpy_files_of_something_else_are_refused(
    tmp_path: Path, values: np.ndarray, said: str
) -> None:
    np.save(tmp_path / "values.npy", values)
    with pytest.raises(ThermogramError, match=said):
        read_celsius(tmp_path / "values.npy")


def test_damaged_and_uneven_archives(tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    np.savez(tmp_path / "uneven.npz", a=CELSIUS[0], b=CELSIUS[0][:10])
    np.save(tmp_path / "object.npy", np.array([None, {}], dtype=object))
    for name in ("cut.npz", "cut.npy", "object.npy"):
        with pytest.raises(ThermogramError, match="cannot be read"):
            read_celsius(tmp_path / name)
        assert not is_thermogram(tmp_path / name)
    with pytest.raises(ThermogramError, match="different sizes"):
        read_celsius(tmp_path / "uneven.npz")


def test_float_tiff_is_degrees_and_a_picture_of_degrees_is_not(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", CELSIUS[0])
    tifffile.imwrite(tmp_path / "grey.tif", CELSIUS[0].astype(np.uint8))
    tifffile.imwrite(tmp_path / "series.tif", CELSIUS, photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes(b"II*\x00cut")
    np.testing.assert_array_equal(read_celsius(tmp_path / "one.tif"), CELSIUS[0])
    np.testing.assert_array_equal(read_celsius(tmp_path / "series.tif"), CELSIUS)
    with pytest.raises(ThermogramError, match="uint8, not degrees"):
        read_celsius(tmp_path / "grey.tif")
    with pytest.raises(ThermogramError, match="cannot be read as TIFF"):
        read_celsius(tmp_path / "cut.tif")
    found = {one.name for one in tmp_path.iterdir() if is_thermogram(one)}
    assert found == {"one.tif", "series.tif"}


def test_a_radiometric_jpeg_is_read_by_flyr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = radiometric(tmp_path / "FLIR0001.jpg")
    assert is_thermogram(file)
    flyr = SimpleNamespace(unpack=lambda path: SimpleNamespace(celsius=CELSIUS[0].astype("f8")))
    monkeypatch.setitem(sys.modules, "flyr", flyr)
    monkeypatch.setattr("napari_hemacells.core.temperature.flir._check_records", lambda path: None)
    read = read_celsius(file)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, CELSIUS[0])


def test_a_damaged_radiometric_jpeg_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("flyr")
    with pytest.raises(ThermogramError, match=r"The temperatures in FLIR0001\.jpg cannot be read"):
        read_celsius(radiometric(tmp_path / "FLIR0001.jpg"))


def test_without_flyr_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flyr", None)
    with pytest.raises(ThermogramError, match=r"napari-hemacells\[flir\]"):
        read_celsius(radiometric(tmp_path / "FLIR0001.jpg"))


def test_a_plain_jpeg_has_no_temperatures(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "smear.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("smear.jpg", "empty.jpg"):
        assert not is_thermogram(tmp_path / name)
        with pytest.raises(ThermogramError, match="plain picture"):
            read_celsius(tmp_path / name)


def npy(shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"") -> bytes:
    """A ``.npy`` whose header asks for a shape, whatever follows."""
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


@pytest.mark.parametrize("shape", [(300_000, 300_000), (1 << 40, 9), (30, 10_000), (-9, 9)])
def test_an_array_that_asks_for_more_than_it_holds_is_refused_by_its_header(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    (tmp_path / "huge.npy").write_bytes(npy(shape))
    with pytest.raises(ThermogramError, match=r"huge\.npy (asks for|was cut off|cannot be read)"):
        read_celsius(tmp_path / "huge.npy")
    assert not is_thermogram(tmp_path / "huge.npy")
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("a.npy", npy(shape))
    with pytest.raises(ThermogramError, match=r"huge\.npz"):
        read_celsius(tmp_path / "huge.npz")


def test_a_small_archive_of_a_large_array_is_refused_by_its_directory(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(npy((140, 1000, 1000)))
        for _ in range(140):
            stream.write(bytes(4_000_000))
    assert (tmp_path / "bomb.npz").stat().st_size < 1_000_000
    with pytest.raises(ThermogramError, match="asks for 534 MB"):
        read_celsius(tmp_path / "bomb.npz")


def test_a_float_tiff_that_asks_for_30_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    file = tmp_path / "huge.tif"
    tifffile.imwrite(file, CELSIUS[0], metadata=None)
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages[0].aspage().tags[name].overwrite(90_000)
    with pytest.raises(ThermogramError, match="asks for 30,899 MB"):
        read_celsius(file)


def test_a_float_tiff_whose_pages_go_round_in_a_circle_ends(tmp_path: Path) -> None:
    file = tmp_path / "ring.celsius.tif"
    tifffile.imwrite(file, CELSIUS[0], metadata=None)
    with tifffile.TiffFile(file) as tiff:
        first = tiff.pages.first.offset
    data = bytearray(file.read_bytes())
    entries = int.from_bytes(data[first : first + 2], "little")
    place = first + 2 + 12 * entries  # of the offset of the next page
    data[place : place + 4] = first.to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(ThermogramError, match="round in a circle"):
        read_celsius(file)


def test_a_jpeg_with_a_segment_of_no_length_ends(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x00" + b"\xff\xe0\x00\x00" * 9)
    assert not is_thermogram(tmp_path / "loop.jpg")
