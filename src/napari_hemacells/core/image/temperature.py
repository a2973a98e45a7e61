"""Files with temperatures → :class:`SmearImage` in °C."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.image.key import content_key
from napari_hemacells.core.thermogram import (
    TEXT_SUFFIXES,
    is_celsius_tiff,
    is_radiometric,
    is_thermogram,
    parse_name,
    read_celsius,
)
from napari_hemacells.core.types import Groups, SmearImage

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = frozenset({".npy"})
TIFF = frozenset({".tif", ".tiff"})
JPEG = frozenset({".jpg", ".jpeg", ".rjpg"})


def is_temperature(file: Path) -> bool:
    """Whether a file holds one frame of temperatures and is no picture; its beginning is read.

    Text and numpy files that begin like a frame, float TIFF that says it is in °C (as
    ``hemacells thermograms export`` writes them), radiometric FLIR JPEG.
    """
    suffix = file.suffix.lower()
    if suffix in TEXT_SUFFIXES | ARRAYS:
        return is_thermogram(file)
    if suffix in TIFF:
        return is_celsius_tiff(file)
    return suffix in JPEG and is_radiometric(file)


def read_temperature(file: Path, groups: Groups | None = None) -> SmearImage:
    """Return the thermogram in a file; its patient is that of the DMR-IR name, if not given.

    Raises
    ------
    ThermogramError
        Damaged, not in °C, or several frames in one file.
    """
    celsius = read_celsius(file)
    if celsius.ndim != 2:
        raise ThermogramError(
            f"{file.name} holds {len(celsius)} frames, and one is needed: save each as a file."
        )
    groups, frame = groups or Groups(), parse_name(file.name)
    if groups.patient is None and frame is not None:
        groups = replace(groups, patient=frame.patient)
    name = file.name.removesuffix(file.suffix).removesuffix(".celsius")
    return SmearImage(
        pixels=celsius,
        key=content_key(celsius),
        name=name,
        modality="temperature",
        path=file,
        groups=groups,
    )
