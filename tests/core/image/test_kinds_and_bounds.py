"""Files of another kind than their name says, damaged, hostile, or too large: a sentence each."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.files.decoding import decoding
from napari_hemacells.core.image import is_large, picture_size, read_image
from napari_hemacells.core.image.labels import read_labels

COLOUR = np.random.default_rng(6).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def as_bytes(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, kind, **options)
    return stream.getvalue()


def png_header(rows, cols):
    """A PNG whose header states a size, and whose data are none."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", cols, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".svs"])
def test_the_content_says_what_a_file_is(tmp_path, kind, suffix):
    options = {"lossless": True} if kind == "WEBP" else {}
    file = tmp_path / f"field{suffix}"
    file.write_bytes(as_bytes(kind, **options))
    np.testing.assert_array_equal(read_image(file).pixels, COLOUR)
    assert picture_size(file) == (20, 30)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\xd7\xcd\xc6\x9a" + bytes(60), "WMF"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"", r"empty \(0 bytes\)"),
        (b"some words", "cannot be read as a picture"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_other_kinds_are_refused_by_name(tmp_path, monkeypatch, content, words, suffix):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    file = tmp_path / f"field{suffix}"
    file.write_bytes(content)
    with pytest.raises(ImageError, match=rf"field\{suffix}.*{words}"):
        read_image(file)
    assert picture_size(file) == (0, 0)


@pytest.mark.parametrize(
    ("suffix", "advice"), [(".czi", "ZEN"), (".nd2", "NIS-Elements"), (".lif", "readlif")]
)
def test_makers_own_kinds_say_what_to_do(tmp_path, suffix, advice):
    folder = tmp_path / "slides"
    folder.mkdir()
    (folder / f"a{suffix}").write_bytes(b"ZISRAWFILE")
    for path in (folder, folder / f"a{suffix}"):
        with pytest.raises(ImageError, match=rf"(?s)own kind.*{advice}|{advice}.*own kind"):
            read_image(path)


def test_folders_without_images(tmp_path):
    with pytest.raises(ImageError, match="holds no file"):
        read_image(tmp_path)
    (tmp_path / "a.docx").touch()
    with pytest.raises(ImageError, match=r"no image that is read here \(\.docx\)"):
        read_image(tmp_path)
    (tmp_path / "a.svs").touch()
    with pytest.raises(ImageError, match="a folder with 1 pictures: give one of its files"):
        read_image(tmp_path)


def test_frames_of_a_gif_are_not_one_picture(tmp_path):
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="time series with 2 planes"):
        read_image(tmp_path / "a.gif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in ("/dev/zero", tmp_path / "pipe.png"):
        with pytest.raises(ImageError, match=r"device|pipe"):
            read_image(path)
    with pytest.raises(ImageError):
        read_image(tmp_path / ("x" * 300 + ".png"))


@pytest.mark.parametrize("side", [13_300, 60_000, 2**31 - 1])
def test_a_huge_png_is_refused_by_its_header(tmp_path, monkeypatch, side):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    with pytest.raises(ImageError, match=r"a\.png.*(too large|no picture has)"):
        read_image(tmp_path / "a.png")


def test_a_tiff_of_one_huge_strip_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(
            iter([b"x" * 10]), shape=(30_000, 30_000, 3), dtype=np.uint8, rowsperstrip=30_000,
            compression="deflate", photometric="rgb", metadata=None,
        )  # fmt: skip
    with pytest.raises(ImageError, match=r"a\.tif: All of the image takes 2,700 MB"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_of_huge_tiles_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(
            iter([b"x" * 10]), shape=(64, 64, 3), dtype=np.uint8, tile=(16_000, 16_000),
            compression="deflate", photometric="rgb", metadata=None,
        )  # fmt: skip
    with pytest.raises(ImageError, match="A tile or strip of the image takes 768 MB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages_in_a_circle_come_to_an_end(tmp_path, bigtiff):
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff) as tiff:
        for _ in range(3):
            tiff.write(COLOUR, photometric="rgb", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        pages = list(tiff.pages)
    count, entry, form = (8, 20, "<Q") if bigtiff else (2, 12, "<I")
    place = pages[2].offset + count + entry * len(pages[2].tags)
    struct.pack_into(form, content, place, pages[1].offset)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif: The pages of the TIFF go round"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_header_that_speaks_of_more_than_the_file_holds(tmp_path, tile, compression):
    options = {"tile": tile, "compression": compression}
    if tile is None:
        options["rowsperstrip"] = 5
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb", **options)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(65_000)
    with pytest.raises(ImageError, match=r"a\.tif.*(cut short|cannot be read)"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(CellsError, match=r"a\.tif"):
        read_labels(tmp_path / "a.tif")


def test_labels_are_looked_at_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda *_, **__: pytest.fail("read"))
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as tiff:
        tiff.write(
            iter([b"x" * 10]), shape=(87_000, 87_000), dtype=np.uint32, rowsperstrip=87_000,
            compression="deflate", photometric="minisblack", metadata=None,
        )  # fmt: skip
    with pytest.raises(CellsError, match=r"measure 87,000 × 87,000 pixels, the image 30 × 20"):
        read_labels(tmp_path / "a.tif", (20, 30))
    with pytest.raises(CellsError, match="30,276 MB"):
        read_labels(tmp_path / "a.tif")
    header = (
        b"\x93NUMPY\x01\x00v\x00"
        + str({"descr": "<i4", "fortran_order": False, "shape": (87_000, 87_000)})
        .ljust(117)
        .encode()
        + b"\n"
    )
    (tmp_path / "a.npy").write_bytes(header)
    with pytest.raises(CellsError, match=r"a\.npy"):
        read_labels(tmp_path / "a.npy", (20, 30))


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_labels_are_read_by_their_content(tmp_path, kind, suffix):
    labels = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(labels).save(tmp_path / f"a{suffix}", kind)
    assert read_labels(tmp_path / f"a{suffix}", (20, 30)).tolist() == labels.tolist()


@pytest.mark.parametrize(
    "cause",
    [struct.error("x"), zlib.error(), AssertionError(), RecursionError("deep"), KeyError()],
)
def test_whatever_a_decoder_raises_names_the_file(tmp_path, cause):
    with (
        pytest.raises(CellsError, match=r"a\.tif cannot be read as a label image \(.+\)\. Is it"),
        decoding(tmp_path / "a.tif", "a label image", CellsError),
    ):
        raise cause
    with (
        pytest.raises(ImageError, match=r"a\.tif needs more memory"),
        decoding(tmp_path / "a.tif", "a picture"),
    ):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), decoding(tmp_path / "a.tif", "a picture"):
        raise KeyboardInterrupt


def tiff_bytes(data, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, data, **options)
    return stream.getvalue()


VALID = {
    "png": as_bytes("PNG"),
    "jpg": as_bytes("JPEG"),
    "bmp": as_bytes("BMP"),
    "gif": as_bytes("GIF"),
    "webp": as_bytes("WEBP"),
    "lzw": as_bytes("TIFF", compression="tiff_lzw"),
    "raw": tiff_bytes(COLOUR, photometric="rgb"),
    "ome": tiff_bytes(COLOUR, photometric="rgb", ome=True, tile=(16, 16), compression="zlib"),
    "imagej": tiff_bytes(COLOUR[..., 0], imagej=True, metadata={"unit": "um"}),
    "deep": tiff_bytes(COLOUR[..., 0].astype(np.uint16) * 4, compression="lzw"),
    "float": tiff_bytes(COLOUR[..., 0].astype(np.float32) / 255),
}


def refusal(read, error, file):
    """What the named error says; None where the file is read. Other errors get through."""
    try:
        read(file)
    except error as refused:
        return str(refused)
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


@pytest.mark.parametrize("kind", sorted(VALID))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_mutated_files_give_a_picture_or_the_named_error(folder, kind, data):
    content = bytearray(VALID[kind])
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        content[place] = value
    cut = data.draw(st.one_of(st.none(), places))
    file = folder / f"a.{kind if len(kind) == 3 and kind in {'png', 'jpg', 'bmp'} else 'tif'}"
    file.write_bytes(content[:cut])
    for read, error in ((read_image, ImageError), (read_labels, CellsError)):
        assert refusal(read, error, file) is None or file.name in refusal(read, error, file)
    is_large(file)
    picture_size(file)
