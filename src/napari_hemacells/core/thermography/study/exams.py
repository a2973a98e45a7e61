"""Tables of exams and access to their temperatures."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.temperature import (
    THERMOGRAM_SUFFIXES,
    normalise_patient_id,
    read_celsius,
)
from napari_hemacells.core.temperature.arrays import check_archive

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SICK, HEALTHY = "sick", "healthy"
CENTI = 100.0
FRONTAL = {"", "1", "frontal"}
REQUIRED_COLUMNS = ("exam", "patient", "label")


@dataclass(frozen=True)
class ThermogramExam:
    """One thermogram of a patient.

    Attributes
    ----------
    name
        By which its temperatures are found.
    patient
        Whose it is, without leading zeros.
    sick
        What is to be told.
    date
        ``None`` where the table has none; never used to classify.
    frontal
        Whether both breasts are seen from the front.
    """

    name: str
    patient: str
    sick: bool
    date: dt.date | None = None
    frontal: bool = True


@dataclass(frozen=True)
class ExamData:
    """Temperatures by the names of exams: an ``.npz``, or a folder of files.

    Attributes
    ----------
    source
        The file or the folder.
    files
        The files of a folder by the names of their exams, several where they have one name.
    """

    source: Path
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Path) -> ExamData:
        """Return the data of a file or folder, not read yet.

        Raises
        ------
        ThermogramError
            It is neither an ``.npz`` file nor a folder with thermograms.
        """
        if source.is_dir():
            paths = [
                path
                for path in without_clutter(source.rglob("*"))
                if path.suffix.lower() in THERMOGRAM_SUFFIXES and path.is_file()
            ]
            if not paths:
                raise ThermogramError(f"The folder {source} holds no file with temperatures.")
            files: dict[str, tuple[Path, ...]] = {}
            for path in paths:
                name = _strip_suffix(path.name)
                files[name] = (*files.get(name, ()), path)
            return cls(source, files)
        if source.suffix.lower() != ".npz" or not source.is_file():
            raise ThermogramError(
                f"{source} is neither an .npz file nor a folder: name where the temperatures are."
            )
        return cls(source)

    @cached_property
    def _archive(self) -> Any:
        try:
            check_archive(self.source)
            return np.load(self.source, allow_pickle=False)
        except ThermogramError:
            raise
        except Exception as error:
            raise ThermogramError(f"{self.source} cannot be read as .npz ({error}).") from error

    @cached_property
    def _entries(self) -> dict[str, str]:
        """Names of the arrays by exam."""
        return {_strip_suffix(name): name for name in self._archive.files}

    def celsius(self, name: str) -> NDArray[np.float32] | None:
        """``(rows, cols)`` float32 °C of an exam, ``None`` where there is none.

        Whole numbers in an ``.npz`` are hundredths of °C. Of a file with several frames the first
        is taken.

        Raises
        ------
        ThermogramError
            What is there cannot be read, or is not one plane.
        """
        if self.files:
            paths = self.files.get(_strip_suffix(name), ())
            if len(paths) > 1:
                raise ThermogramError(
                    f"{len(paths)} files are called {name} ({paths[0]}, {paths[1]}): keep one."
                )
            return _plane(read_celsius(paths[0]), name) if paths else None
        entry = self._entries.get(_strip_suffix(name))
        if entry is None:
            return None
        try:
            values = self._archive[entry]
        except Exception as error:
            raise ThermogramError(
                f"The array {name} in {self.source} is damaged ({error})."
            ) from error
        if values.dtype.kind not in "fiu":
            raise ThermogramError(f"{name} in {self.source} holds {values.dtype}, not degrees.")
        scale = CENTI if values.dtype.kind in "iu" else 1.0
        return _plane((values / scale).astype(np.float32), name)


def read_exams(table: Path) -> list[ThermogramExam]:
    """Return the exams of a CSV with the columns exam, patient, label; date if there is one.

    Raises
    ------
    ThermogramError
        The table cannot be read, lacks a column, holds another label than healthy and sick, or
        calls one patient both.
    """
    try:
        read = read_table(table)
    except (OSError, ValueError) as error:
        raise ThermogramError(f"The table {table} cannot be read ({error}).") from error
    columns = [column.casefold() for column in read.columns]
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise ThermogramError(f"The table {table.name} needs the columns {', '.join(missing)}.")
    exams = [
        _exam({name: cell or "" for name, cell in zip(columns, cells, strict=True)}, line)
        for line, cells in read.rows
    ]
    _check(exams, table)
    return exams


def _exam(row: dict[str, str], line: int) -> ThermogramExam:
    label = row["label"].strip().casefold()
    if label not in {SICK, HEALTHY}:
        raise ThermogramError(
            f"Line {line}: the label is “{row['label']}”, it has to be healthy or sick."
        )
    if not row["exam"].strip() or not row["patient"].strip():
        raise ThermogramError(f"Line {line}: every exam needs a name and a patient.")
    when = row.get("date", "").strip()
    try:
        date = dt.date.fromisoformat(when) if when else None
    except ValueError:
        date = None
    frontal = row.get("view", "").strip().casefold() in FRONTAL
    name, patient = row["exam"].strip(), normalise_patient_id(row["patient"])
    return ThermogramExam(name, patient, label == SICK, date, frontal)


def _check(exams: list[ThermogramExam], table: Path) -> None:
    labels: dict[str, bool] = {}
    for exam in exams:
        if labels.setdefault(exam.patient, exam.sick) != exam.sick:
            raise ThermogramError(f"Patient {exam.patient} is both healthy and sick in {table}.")
    for name, wanted in ((HEALTHY, False), (SICK, True)):
        if sum(is_sick == wanted for is_sick in labels.values()) < 2:
            raise ThermogramError(f"Two {name} patients or more are needed in {table.name}.")


def _plane(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    array = values[0] if values.ndim == 3 else values
    if array.ndim != 2:
        raise ThermogramError(f"{name} is not one plane of temperatures ({array.shape}).")
    return array


def _strip_suffix(name: str) -> str:
    """Return the name of a file or exam without its suffix; DMR-IR names have other dots too."""
    ending = "." + name.rpartition(".")[2]
    bare = name[: -len(ending)] if ending.lower() in THERMOGRAM_SUFFIXES else name
    return bare.removesuffix(".celsius")
