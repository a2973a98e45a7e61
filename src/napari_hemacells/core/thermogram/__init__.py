"""Thermograms: files → °C, what their names say, selecting, normalising.

Everything is float32 °C, ``(rows, cols)``; nothing here rounds or scales a temperature except
:mod:`~napari_hemacells.core.thermogram.normalise`, which makes pictures for a network.
"""

from napari_hemacells.core.thermogram.files import (
    SUFFIXES,
    find_thermograms,
    is_thermogram,
    read_celsius,
)
from napari_hemacells.core.thermogram.names import Frame, View, parse_name, same_patient
from napari_hemacells.core.thermogram.stack import FrameFiles, Group, by_size
from napari_hemacells.core.thermogram.text import read_text

__all__ = [
    "SUFFIXES",
    "Frame",
    "FrameFiles",
    "Group",
    "View",
    "by_size",
    "find_thermograms",
    "is_thermogram",
    "parse_name",
    "read_celsius",
    "read_text",
    "same_patient",
]
