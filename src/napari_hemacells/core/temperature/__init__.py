"""Thermograms: files → °C, what their names say, selecting, normalising.

Everything is float32 °C, ``(rows, cols)``; nothing here rounds or scales a temperature except
:mod:`~napari_hemacells.core.temperature.normalise`, which makes pictures for a network.
"""

from napari_hemacells.core.temperature.arrays import is_celsius_tiff
from napari_hemacells.core.temperature.cohort import Selection, select, select_steps
from napari_hemacells.core.temperature.dmr_ir import Frame, View, parse_name, same_patient
from napari_hemacells.core.temperature.files import (
    SUFFIXES,
    find_thermograms,
    is_thermogram,
    read_celsius,
)
from napari_hemacells.core.temperature.flir import is_radiometric
from napari_hemacells.core.temperature.normalise import picture, scaled
from napari_hemacells.core.temperature.patients import Patient, Patients, read_patients
from napari_hemacells.core.temperature.quality import focus
from napari_hemacells.core.temperature.stack import FrameFiles, Group, by_size
from napari_hemacells.core.temperature.text import TEXT_SUFFIXES, read_text

__all__ = [
    "SUFFIXES",
    "TEXT_SUFFIXES",
    "Frame",
    "FrameFiles",
    "Group",
    "Patient",
    "Patients",
    "Selection",
    "View",
    "by_size",
    "find_thermograms",
    "focus",
    "is_celsius_tiff",
    "is_radiometric",
    "is_thermogram",
    "parse_name",
    "picture",
    "read_celsius",
    "read_patients",
    "read_text",
    "same_patient",
    "scaled",
    "select",
    "select_steps",
]
