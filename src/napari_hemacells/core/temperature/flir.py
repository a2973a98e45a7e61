"""Radiometric JPEG of FLIR cameras, read with flyr (an optional extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import StorageError, ThermogramError
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLIR_SUFFIXES = frozenset({".jpg", ".jpeg", ".rjpg"})
START, APP1, SCAN, END = 0xD8, 0xE1, 0xDA, 0xD9  # markers of a JPEG
SIGNATURE = b"FLIR\x00"
PNG = b"\x89PNG"
RECORD_COUNT_AT, RAW_HEADER = 28, 32  # bytes, in the frame and in its raw data
MAX_RECORDS = 1000  # a camera writes some dozen
MAX_PIXELS = 4_000_000  # the largest detectors have 1.3 million


def is_radiometric(path: Path) -> bool:
    """Whether a JPEG carries a FLIR camera's raw frame; segment headers are read, no pixels."""
    try:
        with open_stream(path, follow=True) as stream:
            if stream.read(2) != bytes((0xFF, START)):
                return False
            while (head := stream.read(4)) and len(head) == 4 and head[0] == 0xFF:
                if head[1] in {SCAN, END}:
                    return False
                length = int.from_bytes(head[2:], "big") - 2
                if length < 0:  # damaged; a step back would go round for ever
                    return False
                signature = stream.read(min(length, len(SIGNATURE)))
                if head[1] == APP1 and signature == SIGNATURE:
                    return True
                stream.seek(length - len(signature), 1)
    except (OSError, StorageError):
        return False
    return False


def _check_records(path: Path) -> None:
    """Refuse a frame with more records or pixels than a camera has: flyr allocates them all.

    Raises
    ------
    ValueError
        With what it states; also for any damage on the way there.
    """
    from flyr.records import RecordIndex, extract_flir_app1, parse_flir_records

    with open_stream(path, follow=True) as stream:
        frame = extract_flir_app1(stream)
    frame.seek(RECORD_COUNT_AT)
    count = int.from_bytes(frame.read(4), "big")
    if count > MAX_RECORDS:
        raise ValueError(f"it states {count:,} records")
    frame.seek(0)
    raw = parse_flir_records(frame)[RecordIndex.RAW_DATA.value]
    frame.seek(raw[2] + 2)
    cols, rows = (int.from_bytes(frame.read(2), "little") for _ in range(2))
    frame.seek(raw[2] + RAW_HEADER)
    head = frame.read(24)
    sizes = [(cols, rows)]
    if head[:4] == PNG:
        sizes.append((int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")))
    for wide, high in sizes:
        if wide * high > MAX_PIXELS:
            raise ValueError(f"it states {wide:,} × {high:,} pixels")


def forbid_ghostscript() -> None:
    """Keep Pillow from starting Ghostscript: flyr opens any embedded picture."""
    from PIL import EpsImagePlugin

    EpsImagePlugin.gs_binary = False


def read_flir(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` float32 °C, by the camera's own calibration in the file.

    Raises
    ------
    ThermogramError
        flyr is not installed, the JPEG has no temperatures, or they are damaged or impossible.
    """
    if not is_radiometric(path):
        raise ThermogramError(
            f"{path.name} is a plain picture: the camera's temperatures are not in it. Take the "
            "camera's own file, not one that a mail program or an editor has saved."
        )
    forbid_ghostscript()
    try:
        import flyr
    except ImportError as error:
        raise ThermogramError(
            f"{path.name} is a radiometric FLIR picture; to read its temperatures, install flyr: "
            "pip install 'napari-hemacells[flir]'."
        ) from error
    try:
        _check_records(path)
        celsius = np.asarray(flyr.unpack(str(path)).celsius, dtype=np.float64)
    except Exception as error:
        raise ThermogramError(
            f"The temperatures in {path.name} cannot be read ({error}): the file is damaged, or "
            "of a camera that flyr does not know."
        ) from error
    check_celsius(celsius, path.name, line=0)
    return celsius.astype(np.float32)
