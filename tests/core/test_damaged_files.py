"""Files with the right form and wrong content: each is refused with a sentence."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_hemacells.core.annotate import Journal, SetPalette, default_palette, open_history
from napari_hemacells.core.annotate.actions import to_record
from napari_hemacells.core.annotate.journal import encode, read_journal
from napari_hemacells.core.cell_masks import MAX_MASK_PIXELS, CellMask, PackedMasks
from napari_hemacells.core.detect.cell_table import cell_table, check_cells
from napari_hemacells.core.errors import (
    BundleError,
    HemaCellsError,
    ImageError,
    ProjectError,
    TrainingError,
)
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.tiff_files import check_pages, check_segments
from napari_hemacells.core.image.files import picture_size, read_image
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.image.tiff_pages import check_complete
from napari_hemacells.core.store import Project, load_bundle
from napari_hemacells.core.store.cells_file import read_ids, read_masks
from napari_hemacells.core.temperature import read_celsius
from napari_hemacells.core.train.detector.config import LEFT_OUT_FILE, read_left_out
from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome

KEY = "a" * 16
HEADER = encode(0, {"format": "napari-hemacells journal", "version": 1})
PALETTE = encode(1, to_record(SetPalette(default_palette())))


def sealed(body):
    """Return a journal's line with the right checksum."""
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body)


@pytest.mark.parametrize(
    "body",
    [
        b'"n":2,"record":',
        b'"n":2,"record":"text"}',
        b'"n":[2],"record":{}}',
        b'"n":1e999,"record":{}}',
        b'"record":{}}',
        b'"n":2,"record":{"a":"\xff"}}',
        b'"n":2,"record":' + b"[" * 100_000 + b"}",
    ],
)
def test_a_line_with_the_right_checksum_and_wrong_content_is_named(tmp_path, body):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(HEADER + PALETTE + sealed(body))
    with pytest.raises(ProjectError, match=re.escape(f"Line 3 of “{path}” is damaged")):
        list(read_journal(path))
    with pytest.raises(ProjectError, match="Nothing was changed"):
        Journal(path)
    assert path.read_bytes() == HEADER + PALETTE + sealed(body)


@pytest.mark.parametrize(
    "mask",
    [
        {},
        {"box": 3, "bits": ""},
        {"box": [0, 0, 10, 10.5], "bits": ""},
        {"box": [0, 0, 10, 10], "bits": None},
        {"box": [0, 0, 10, 10], "bits": "AAAA"},
        {"box": [0, 0, 2**30, 2**30], "bits": ""},
    ],
)
def test_a_cell_with_a_damaged_mask_is_refused_when_the_project_opens(tmp_path, mask):
    cell = {
        "cell": 1, "kind": "RBC", "score": 1.0, "centre": [1, 1], "box": [0, 0, 2, 2], "area": 4,
        "mask": mask, "origin": "added",
    }  # fmt: skip
    record = {"kind": "correct_cells", "image_key": KEY, "added": [cell], "when": "x"}
    path = tmp_path / "journal.jsonl"
    path.write_bytes(HEADER + PALETTE + encode(2, record))
    with pytest.raises(ProjectError, match="cannot read"):
        open_history(path, "anna")


def test_a_mask_unpacks_no_more_than_its_box_holds():
    bomb = CellMask((0, 0, 9000, 9000), np.ones((9000, 9000), bool)).to_dict()
    with pytest.raises(ValueError, match="do not fill the box"):
        CellMask.from_dict({**bomb, "box": [0, 0, 4, 4]})
    side = int(MAX_MASK_PIXELS**0.5) + 1
    with pytest.raises(ValueError, match="that of no cell"):
        CellMask.from_dict({**bomb, "box": [0, 0, side, side]})


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return stream


def array_of(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_arrays_come_back_as_numpy_wrote_them():
    stream = io.BytesIO()
    given = {"a": np.arange(6).reshape(2, 3), "b": np.array("text"), "c": np.empty((0, 4), "f4")}
    np.savez_compressed(stream, **given)
    read = load_arrays(stream)
    assert list(read) == list(given)
    assert all(np.array_equal(read[name], value) for name, value in given.items())


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }",
        "{'descr': '<U99999999', 'fortran_order': False, 'shape': (9,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }",
        "(" * 100,
    ],
)
def test_an_array_that_states_more_than_it_holds_is_not_made(tmp_path, header):
    with pytest.raises(ValueError, match="no whole archive of numpy"):
        load_arrays(archive(a=array_of(header)))
    (tmp_path / "a.masks.npz").write_bytes(archive(about=array_of(header)).getvalue())
    with pytest.raises(ProjectError, match="cannot be read"):
        read_masks(tmp_path / "a.masks.npz")


def test_arrays_beyond_the_limit_are_not_read():
    with pytest.raises(ValueError, match="too many or too large"):
        load_arrays(archive(a=bytes(2000)), most=1000)


ROW = (1, "RBC", 1.0, 2.0, 2.0, 0, 0, 5, 5, 25)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("row", np.nan, "numbers that no cell has"),
        ("area", 2**40, "numbers that no cell has"),
        ("label", 0, "have none"),
        ("label", 2, "share an id"),
        ("max_row", -3, "ends before it begins"),
        ("score", "x", "holds no numbers"),
    ],
)
def test_a_table_of_no_cells_is_refused(column, value, said):
    table = cell_table([ROW, (2, *ROW[1:])])
    check_cells(table)
    table[column] = [value, *table[column][1:]]
    with pytest.raises(ValueError, match=said):
        check_cells(table)


@pytest.mark.parametrize(
    ("boxes", "bits"),
    [
        ([[0, 0, 2, 2]], [255, 0]),
        ([[2, 2, 0, 0]], [255]),
        ([[0, 0, 2]], [255]),
        ([[0, 0, 2**30, 2**30]], [255]),
    ],
)
def test_masks_that_do_not_fill_their_boxes_are_refused(boxes, bits):
    masks = PackedMasks(np.array(boxes, np.int32), np.array(bits, np.uint8))
    with pytest.raises(ValueError, match="the masks"):
        check_cells(pd.DataFrame({"label": [1]}), masks)


def test_a_strip_larger_than_its_file_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((20, 20), np.uint8), compression="zlib")
    with tifffile.TiffFile(file) as tiff:
        check_segments(tiff.pages[0], tiff.filehandle.size)
        place = tiff.pages[0].tags["StripByteCounts"].valueoffset
    data = bytearray(file.read_bytes())
    data[place : place + 4] = b"\xff" * 4
    file.write_bytes(data)
    with pytest.raises(ImageError, match="speaks of more bytes than the file"):
        read_image(file)


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("subifds", [0, 1])
def test_a_negative_size_is_refused_before_pages_are_counted(tmp_path, pages, subifds):
    file = tmp_path / "a.tif"
    picture = np.zeros((20, 30), np.uint8)
    with tifffile.TiffWriter(file) as writer:
        for _ in range(pages):
            writer.write(picture, subifds=subifds, contiguous=False)
            for _ in range(subifds):
                writer.write(picture[::2, ::2], subfiletype=1)
    with tifffile.TiffFile(file) as tiff:
        check_pages(tiff)
        page = tiff.pages[pages - 1]
        page = page.pages[0] if subifds else page
        tag = page.tags["ImageWidth"]
        places = tag.offset, tag.valueoffset
    data = bytearray(file.read_bytes())
    data[places[0] + 2 : places[0] + 4] = (9).to_bytes(2, "little")  # signed
    data[places[1] : places[1] + 4] = b"\xff" * 4
    file.write_bytes(data)
    with tifffile.TiffFile(file) as tiff, pytest.raises(ImageError, match="no picture has"):
        check_pages(tiff)
    for read in (read_image, read_labels, read_celsius):
        with pytest.raises(HemaCellsError, match="no picture has"):
            read(file)
    assert picture_size(file) == (0, 0)


def test_unequal_bits_are_no_arithmetic_with_a_tuple():
    page = SimpleNamespace(
        databytecounts=(10,), dataoffsets=(8,), shape=(100_000, 100_000), bitspersample=(5, 6, 5),
        compression=SimpleNamespace(name="NONE"), photometric=SimpleNamespace(name="RGB"),
    )  # fmt: skip
    with pytest.raises(ImageError, match="speaks of more pixels"):
        check_complete(page, 1000)


@pytest.mark.parametrize(("records", "size"), [(2**32 - 1, (12, 10)), (4, (65535, 65535))])
def test_a_camera_frame_that_states_too_much_is_refused_at_once(tmp_path, records, size):
    pytest.importorskip("flyr")
    head = b"FFF\0".ljust(24, b"\0") + (64).to_bytes(4, "big") + records.to_bytes(4, "big")
    raw = b"".join(number.to_bytes(2, "little") for number in (2, *size)).ljust(272, b"\0")
    entry = b"\0\1".ljust(12, b"\0") + (128).to_bytes(4, "big") + len(raw).to_bytes(4, "big")
    payload = b"FLIR\0\1\0\0" + head.ljust(64, b"\0") + entry.ljust(64, b"\0") + raw
    file = tmp_path / "a.jpg"
    file.write_bytes(
        b"\xff\xd8\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload + b"\xff\xd9"
    )
    with pytest.raises(HemaCellsError, match="it states"):
        read_celsius(file)


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'["a"', b"\xff", b"null"])
def test_damaged_notes_of_a_detector_training_are_named(tmp_path, content):
    (tmp_path / LEFT_OUT_FILE).write_bytes(content)
    with pytest.raises(TrainingError, match="damaged"):
        read_left_out(tmp_path)


@pytest.mark.parametrize(
    "change", [{"crops": "many"}, {"leave_one_out_before": []}, {"notes": 3}, {"losses": [None]}]
)
def test_an_outcome_that_says_something_else_is_refused(change):
    told = AdaptOutcome(None, "", "bundled", 0.5, 0.6, 100, 20, 50, 1.5, (2.0,), ("a",))
    values = json.loads(json.dumps(told.to_dict()))
    assert AdaptOutcome.from_dict(values, None) == told
    with pytest.raises(ValueError, match="validation error"):
        AdaptOutcome.from_dict(values | change, None)


@pytest.mark.parametrize(
    "values",
    [
        {"schema_version": float("inf")},
        {"schema_version": 1, "encoder": {"name": "x", "sha256": "0", "dim": 2**62}},
    ],
)
def test_a_project_with_impossible_numbers_is_damaged(tmp_path, values):
    content = {"format": "napari-hemacells project", "name": "x", **values}
    (tmp_path / "project.json").write_text(json.dumps(content))
    with pytest.raises(ProjectError, match="is damaged"):
        Project.open(tmp_path)


def test_a_model_of_an_infinite_version_is_damaged(tmp_path):
    content = '{"format": "napari-hemacells model", "version": 1e999}'
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path)


def test_a_cell_whose_id_no_label_image_holds_is_refused(tmp_path):
    mask = CellMask((0, 0, 2, 2), np.ones((2, 2), bool)).to_dict()
    cell = {
        "cell": 2**31, "kind": "RBC", "score": 1.0, "centre": [1, 1], "box": [0, 0, 2, 2],
        "area": 4, "mask": mask, "origin": "added",
    }  # fmt: skip
    record = {"kind": "correct_cells", "image_key": KEY, "added": [cell], "when": "x"}
    path = tmp_path / "journal.jsonl"
    path.write_bytes(HEADER + PALETTE + encode(2, record))
    with pytest.raises(ProjectError, match="cannot read"):
        open_history(path, "anna")
    cell["cell"] = 7
    path.write_bytes(HEADER + PALETTE + encode(2, record))
    open_history(path, "anna").close()


@pytest.mark.parametrize("heading", ["label," * 50_000, "label,label"])
def test_a_table_with_columns_of_one_name_is_refused_at_once(tmp_path, heading):
    about = {"diameter": 9.0, "source": "detector", "table": heading}
    file = tmp_path / "a.labels.tif"
    tifffile.imwrite(file, np.zeros((4, 4), np.int32), description=json.dumps(about))
    with pytest.raises(ProjectError, match="cannot be read"):
        read_ids(file)
