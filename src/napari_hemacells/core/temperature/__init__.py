"""Thermograms: reading files as °C, interpreting their names, normalising.

Everything is float32 °C, ``(rows, cols)``; nothing here rounds or scales a temperature except
:mod:`~napari_hemacells.core.temperature.normalise`, which makes pictures for a network.
"""

from napari_hemacells.core.temperature.arrays import is_celsius_tiff
from napari_hemacells.core.temperature.dmr_ir import (
    DmrIrName,
    View,
    normalise_patient_id,
    parse_dmr_ir_name,
)
from napari_hemacells.core.temperature.files import (
    THERMOGRAM_SUFFIXES,
    find_thermograms,
    is_thermogram,
    read_celsius,
)
from napari_hemacells.core.temperature.flir import is_radiometric
from napari_hemacells.core.temperature.normalise import celsius_to_rgb, scale_celsius
from napari_hemacells.core.temperature.quality import focus_measure
from napari_hemacells.core.temperature.stack import FrameFiles, FrameGroup, group_by_size
from napari_hemacells.core.temperature.text import TEXT_SUFFIXES, read_text

__all__ = [
    "TEXT_SUFFIXES",
    "THERMOGRAM_SUFFIXES",
    "DmrIrName",
    "FrameFiles",
    "FrameGroup",
    "View",
    "celsius_to_rgb",
    "find_thermograms",
    "focus_measure",
    "group_by_size",
    "is_celsius_tiff",
    "is_radiometric",
    "is_thermogram",
    "normalise_patient_id",
    "parse_dmr_ir_name",
    "read_celsius",
    "read_text",
    "scale_celsius",
]
