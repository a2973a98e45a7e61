"""Exporting selected thermograms as class folders of float TIFF, with a table for training."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import distinct_names, file_name, write_bytes
from napari_hemacells.core.files.text_tables import csv_bytes
from napari_hemacells.core.temperature import read_celsius
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.cohort import FrameSelection, SelectedFrame

TABLE = "examples.csv"
LEFT_OUT = "left_out.csv"
SUFFIX = ".celsius.tif"
COLUMNS = (
    "path", "label", "patient", "age", "visit", "view", "protocol", "date", "frame", "focus",
    "source",
)  # fmt: skip


def export_thermograms_steps(
    selection: FrameSelection, folder: Path
) -> Generator[Progress, None, Path]:
    """Write chosen frames as ``CLASS/NAME.celsius.tif``; yield after each, return the table.

    The files hold float32 °C, unchanged. ``examples.csv`` names each with its class and its
    patient, which is what ``hemacells train FOLDER`` keeps together in a split; ``left_out.csv``
    names every other file, with the reason.

    Raises
    ------
    StorageError
        The folder cannot be written, or holds frames of an earlier export.
    ThermogramError
        A frame cannot be read any more.
    """
    if (folder / TABLE).exists():
        raise StorageError(
            f"{folder} holds an export already ({TABLE}): choose another folder, so that no frame "
            "of an earlier selection stays among the new ones."
        )
    rows, total = [], len(selection.chosen)
    names = file_names(selection.chosen)
    for done, (selected, name) in enumerate(zip(selection.chosen, names, strict=True), start=1):
        celsius = read_celsius(selected.path)
        write_bytes(folder / name, _tiff(celsius, selected))
        rows.append(_row(name, selected))
        yield Progress(done, total, "Writing thermograms")
    write_bytes(folder / LEFT_OUT, csv_bytes(("path", "reason", "focus"), _left_out(selection)))
    write_bytes(folder / TABLE, csv_bytes(COLUMNS, rows))
    return folder / TABLE


def file_names(chosen: Sequence[SelectedFrame]) -> list[str]:
    """Return ``CLASS/NAME.celsius.tif`` for each frame, no two alike.

    Frames of one name, from different folders, get a number behind it; what a DMR-IR name says
    of the patient can still be read.
    """
    stems = [file_name(frame_stem(selected.path)) for selected in chosen]
    names = distinct_names(stems, mark=".")
    return [
        f"{file_name(selected.label)}/{name}{SUFFIX}"
        for selected, name in zip(chosen, names, strict=True)
    ]


def frame_stem(path: Path) -> str:
    """Return the name of a thermogram file without its suffixes."""
    return path.name.removesuffix(path.suffix).removesuffix(".celsius")


def _tiff(celsius: NDArray[np.float32], selected: SelectedFrame) -> bytes:
    import tifffile

    about = {"unit": "celsius", "patient": selected.frame.patient, "source": selected.path.name}
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        celsius,
        photometric="minisblack",
        compression="zlib",
        description=json.dumps(about),
        metadata=None,
    )
    return stream.getvalue()


def _row(name: str, selected: SelectedFrame) -> tuple[Any, ...]:
    frame, patient = selected.frame, selected.patient
    age = "" if patient.age is None else f"{patient.age:g}"
    return (
        name, selected.label, frame.patient, age, frame.visit, frame.view, frame.protocol,
        frame.date.isoformat(), frame.frame, f"{selected.focus:.3f}", str(selected.path),
    )  # fmt: skip


def _left_out(selection: FrameSelection) -> list[tuple[str, str, str]]:
    return [
        (
            str(excluded.path),
            excluded.reason,
            "" if excluded.focus is None else f"{excluded.focus:.3f}",
        )
        for excluded in selection.left_out
    ]
