"""Radiometric JPEG of FLIR cameras, read with flyr (an optional extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FLIR_SUFFIXES = frozenset({".jpg", ".jpeg", ".rjpg"})
START, APP1, SCAN, END = 0xD8, 0xE1, 0xDA, 0xD9  # markers of a JPEG
SIGNATURE = b"FLIR\x00"


def is_radiometric(path: Path) -> bool:
    """Whether a JPEG carries a FLIR camera's raw frame; segment headers are read, no pixels."""
    try:
        with path.open("rb") as stream:
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
    except OSError:
        return False
    return False


def forbid_ghostscript() -> None:
    """Keep Pillow from starting Ghostscript: flyr opens whatever picture a file embeds."""
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
        celsius = np.asarray(flyr.unpack(str(path)).celsius, dtype=np.float64)
    except Exception as error:
        raise ThermogramError(
            f"The temperatures in {path.name} cannot be read ({error}): the file is damaged, or "
            "of a camera that flyr does not know."
        ) from error
    check_celsius(celsius, path.name, line=0)
    return celsius.astype(np.float32)
