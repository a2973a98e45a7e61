"""Files that others make, of every kind that the program reads: a small one, its reader.

For ``mutated_files.py``.
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr
from PIL import Image

import mutations as change
from napari_hemacells.cli.evaluate import _listed
from napari_hemacells.cli.read_cells import read_cells as read_own_cells
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.evaluate.class_folders import list_class_folders
from napari_hemacells.core.evaluate.detection_datasets import read_fields
from napari_hemacells.core.files.decoding import decoding
from napari_hemacells.core.image.files import (
    guess_run_depths,
    picture_size,
    read_image,
    read_pixels,
)
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.temperature import is_thermogram, read_celsius
from napari_hemacells.core.thermography.patients import read_patients
from napari_hemacells.core.thermography.study import ExamData, read_exams
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.types import (
    SmearImage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mutations import Change

KEY = "a" * 16
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
CELSIUS = RNG.uniform(20, 36, (10, 12)).astype(np.float32)
LABELS = np.kron(np.arange(1, 7, dtype=np.int32).reshape(2, 3), np.ones((20, 20), np.int32))
LABELS[::7] = 0
BYTES = change.change_bytes


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    make
        Given an empty folder, writes small valid files in it.
    read
        Given the folder, reads them as the program does.
    changes
        How the files of a pattern are changed, besides their bytes.
    weight
        Share of the files, 1 where one is read in some milliseconds.
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    changes: tuple[tuple[str, Change], ...]
    weight: float = 1.0


def of_file(
    name: str, file: str, data: Callable[[], bytes], read: Callable[[Path], object], *ways: Change
) -> Kind:
    """A kind that is one file."""
    return Kind(
        name,
        lambda folder: (folder / file).write_bytes(data()),
        lambda folder: read(folder / file),
        tuple((file, way) for way in (BYTES, *ways)),
    )


def look(file: Path) -> None:
    """Read a picture as the commands do: its size, its run's depth, its pixels."""
    picture_size(file)
    guess_run_depths([file])
    image = read_image(file)
    if image.is_lazy:
        with decoding(file, "a picture"):
            np.asarray(image.pixels[:64, :64])
    else:
        read_pixels(file)


def degrees(file: Path) -> None:
    """Read temperatures as the commands do."""
    is_thermogram(file)
    read_celsius(file)


def labels_of(file: Path) -> None:
    """Read a label image and make cells of it, alone and for an image."""
    cells_from_labels(read_labels(file), LABELS.shape)
    image = SmearImage(COLOUR, KEY, "field")
    read_own_cells(file, "a", image)


def own_cells(file: Path) -> None:
    """Read the user's cells for an image."""
    read_own_cells(file, "a", SmearImage(COLOUR, KEY, "field"))


def annotations(file: Path) -> None:
    """Read annotations of the picture beside them."""
    read_fields([file.with_name("a.png")], file)


def picture(form: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    """Bytes of a picture that Pillow writes."""

    def write() -> bytes:
        stream = io.BytesIO()
        Image.fromarray(COLOUR).convert(mode).save(stream, form, **options)
        return stream.getvalue()

    return write


def tiff(array: Any = COLOUR, **options: Any) -> Callable[[], bytes]:
    """Bytes of a TIFF that tifffile writes."""

    def write() -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **options)
        return stream.getvalue()

    return write


def npy(array: Any) -> bytes:
    """Bytes of an array."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    """Bytes of arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def degrees_text(separator: str, comma: str = ".") -> bytes:
    """Temperatures as text."""
    lines = (
        separator.join(f"{value:.2f}".replace(".", comma) for value in row) for row in CELSIUS
    )
    return "\n".join(lines).encode()


def flir() -> bytes:
    """A radiometric JPEG with a raw frame of 10 × 12 and a camera's numbers."""
    raw = bytearray(struct.pack("<HHH", 2, 12, 10)).ljust(32, b"\0")
    raw += RNG.integers(14000, 15000, 120).astype("<u2").tobytes()
    camera = bytearray(900)
    for at, value in {
        32: 0.95, 36: 1.0, 40: 293.15, 44: 293.15, 48: 293.15, 52: 1.0, 60: 0.5, 88: 17000.0,
        92: 1428.0, 96: 1.0, 112: 0.0066, 116: 0.0126, 120: -0.0023, 124: -0.0067, 128: 1.9,
        780: 0.0125,
    }.items():  # fmt: skip
        struct.pack_into("<f", camera, at, value)
    struct.pack_into("<i", camera, 776, -6000)
    head = b"FFF\0".ljust(20, b"\0") + struct.pack(">III", 100, 64, 4)
    entries, at = b"", 128
    for number, data in ((1, raw), (32, camera)):
        entries += struct.pack(">H10xII12x", number, at, len(data))
        at += len(data)
    content = head.ljust(64, b"\0") + entries + raw + camera
    payload = b"FLIR\0\1\0\0" + content
    plain = picture("JPEG")()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + plain[2:]


def workbook() -> bytes:
    """A patients' table of Excel."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["patient", "age", "diagnosis", "exclusions"])
    book.active.append([1, 40, "sick", "no"])
    book.active.append([2, "12", "healthy", ""])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def make_zarr(version: int) -> Callable[[Path], None]:
    """An OME-Zarr of two levels."""

    def make(folder: Path) -> None:
        group = zarr.open_group(folder / "a.ome.zarr", mode="w", zarr_format=version)
        for level, step in enumerate((1, 2)):
            array = np.ascontiguousarray(np.moveaxis(COLOUR[::step, ::step], 2, 0))
            stored = group.create_array(
                str(level), shape=array.shape, chunks=(3, 32, 32), dtype=array.dtype
            )
            stored[:] = array
        axes = [{"name": name, "type": "space"} for name in "yx"]
        scales = [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            for level, scale in enumerate(([1, 0.1, 0.1], [1, 0.2, 0.2]))
        ]
        sets = [
            {
                "version": "0.4",
                "axes": [{"name": "c", "type": "channel"}, *axes],
                "datasets": scales,
            }
        ]
        about: dict[str, Any] = {"multiscales": sets}
        group.attrs.update(about if version == 2 else {"ome": {"version": "0.5", **about}})

    return make


class Quiet:
    """A reporter that says nothing."""

    def warn(self, _said: str) -> None:
        """Say nothing."""


def only(file: Path) -> None:
    """Read a list of images."""
    _listed([Path("a.png"), Path("b c.png")], file, Quiet())  # type: ignore[arg-type]


def make_class_folders(folder: Path) -> None:
    """Pictures in class folders."""
    for name in ("RBC", "WBC"):
        (folder / name).mkdir()
        Image.fromarray(COLOUR[:16, :16]).save(folder / name / "1.png")


def class_folders(folder: Path) -> None:
    """Read crops for training and for the few-shot commands."""
    read_examples(folder)
    for files in list_class_folders(folder).values():
        for file in files:
            read_pixels(file)


VOC = (
    b"<annotation><size><width>60</width><height>40</height></size><object><name>RBC</name><bndbox>"
    b"<xmin>1</xmin><ymin>2</ymin><xmax>11</xmax><ymax>22</ymax></bndbox></object></annotation>"
)
COCO = json.dumps(
    {
        "categories": [{"id": 1, "name": "RBC"}],
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "iscrowd": 0}],
    }
).encode()
PATIENTS = b"patient;age;diagnosis;exclusions;deodorant\n1;40;sick;no;yes\n2;33,5;healthy;nil;no\n"
EXAMS = b"exam,patient,label,date\n" + b"".join(
    b"a%d,%d,%s,2013-01-0%d\n" % (n, n, (b"sick", b"healthy")[n % 2], n + 1) for n in range(4)
)
CROPS = b"path,label,group,split\na.png,a,p1,train\nb.png,b,p2,test\nc.png,a,p3,validation\n"
BOXES = b"label,class,min_row,min_col,max_row,max_col\n1,RBC,1,2,13,14\n2,NA,5,6,17,28\n"


def annotated(name: str, file: str, data: bytes, *ways: Change) -> Kind:
    """Annotations beside their picture."""

    def make(folder: Path) -> None:
        (folder / "a.png").write_bytes(picture("PNG")())
        (folder / file).write_bytes(data)

    return Kind(
        name,
        make,
        lambda folder: annotations(folder / file),
        tuple((file, way) for way in (BYTES, *ways)),
    )


def exam(file: Path) -> None:
    """Read an archive of thermograms whole, and one of its exams."""
    degrees(file)
    ExamData.of(file).celsius("a")


def kinds_of_others() -> list[Kind]:
    """All of them."""
    lines, values, zipped = change.change_lines, change.change_json, change.change_zip
    ome = {"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}
    frame = {"description": '{"unit": "celsius"}'}
    small = LABELS.astype(np.uint16)
    return [
        of_file("PNG", "a.png", picture("PNG"), look, change.change_png, change.change_png),
        of_file("PNG, palette", "a.png", picture("PNG", "P"), look, change.change_png),
        of_file("JPEG", "a.jpg", picture("JPEG"), look),
        of_file("BMP", "a.bmp", picture("BMP"), look),
        of_file("GIF", "a.gif", picture("GIF"), look),
        of_file("WebP", "a.webp", picture("WEBP"), look),
        of_file("TIFF", "a.tif", tiff(), look, change.change_tiff),
        of_file("TIFF, LZW", "a.tif", tiff(compression="lzw"), look, change.change_tiff),
        of_file("TIFF, tiled", "a.tif", tiff(tile=(16, 16), compression="zlib"), look,
                change.change_tiff),
        of_file("TIFF, JPEG", "a.tif", tiff(compression="jpeg"), look, change.change_tiff),
        of_file("BigTIFF", "a.tif", tiff(bigtiff=True), look, change.change_tiff),
        of_file("OME-TIFF", "a.ome.tif", tiff(**ome), look, change.change_tiff),
        of_file("ImageJ TIFF", "a.tif", tiff(COLOUR[..., 0], imagej=True), look,
                change.change_tiff),
        Kind("OME-Zarr 0.4", make_zarr(2), lambda folder: look(folder / "a.ome.zarr"),
             (("**/.z*", values), ("**/.z*", values), ("**/*", BYTES)), 0.5),
        Kind("OME-Zarr 0.5", make_zarr(3), lambda folder: look(folder / "a.ome.zarr"),
             (("**/zarr.json", values), ("**/zarr.json", values), ("**/*", BYTES)), 0.5),
        of_file("labels, TIFF", "a.tif", tiff(small), labels_of, change.change_tiff),
        of_file("labels, PNG", "a.png", picture("PNG", "L"), labels_of, change.change_png),
        of_file("labels, NPY", "a.npy", lambda: npy(small), labels_of, change.change_array),
        of_file("°C, text", "a.txt", lambda: degrees_text(" "), degrees, lines),
        of_file("°C, CSV", "a.csv", lambda: degrees_text(";", ","), degrees, lines),
        of_file("°C, NPY", "a.npy", lambda: npy(CELSIUS), degrees, change.change_array),
        of_file("°C, NPZ", "a.npz", lambda: npz(a=CELSIUS, b=CELSIUS), exam, zipped),
        of_file("°C, TIFF", "a.tif", tiff(CELSIUS, **frame), degrees, change.change_tiff),
        of_file("°C, FLIR JPEG", "a.jpg", flir, degrees),
        of_file("cells, CSV", "a.csv", lambda: BOXES, own_cells, lines),
        of_file("patients, CSV", "a.csv", lambda: PATIENTS, read_patients, lines),
        of_file("patients, UTF-16", "a.csv", lambda: PATIENTS.decode().encode("utf-16"),
                read_patients),
        of_file("patients, XLSX", "a.xlsx", workbook, read_patients, zipped),
        of_file("exams, CSV", "a.csv", lambda: EXAMS, read_exams, lines),
        annotated("annotations, VOC", "a.xml", VOC, lines),
        annotated("annotations, COCO", "a.json", COCO, values),
        annotated("annotations, YOLO", "a.txt", b"0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n", lines),
        annotated("annotations, points", "a.txt", b"10 20 RBC\n30 10 WBC\n", lines),
        of_file("list --only", "a.txt", lambda: b"a.png\nb c.png\n", only, lines),
        of_file("training table", "a.csv", lambda: CROPS, read_examples, lines),
        Kind("class folders", make_class_folders, class_folders,
             (("*/*.png", BYTES), ("*/*.png", change.change_png))),
    ]  # fmt: skip
