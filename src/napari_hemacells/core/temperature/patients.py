"""A table of patients: diagnosis, age, what speaks against using their frames."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.dmr_ir import normalise_patient_id

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd

ExclusionReason: TypeAlias = Literal["deodorant", "single breast", "excluded"]

EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls"})
ID_NAMES = ("patient", "patientid", "patientno", "patientnumber", "id", "record", "paciente")
LABEL_NAMES = ("diagnosis", "diagnostic", "label", "class", "status", "diagnostico", "diagnóstico")
AGE_NAMES = ("age", "ageyears", "years", "idade")
EXCLUSION_NAMES = (
    "exclusions",
    "exclusion",
    "exclude",
    "excluded",
    "remarks",
    "notes",
    "comments",
)
REASONS: dict[ExclusionReason, tuple[str, ...]] = {
    "deodorant": ("deodor", "desodor", "antiperspirant"),
    "single breast": ("singlebreast", "onebreast", "mastectom"),
}
LABELS = {
    "healthy": ("healthy", "normal", "negative", "saudavel", "saudável", "0", "0.0"),
    "sick": ("sick", "cancer", "malignant", "positive", "abnormal", "doente", "1", "1.0"),
}
DENIALS = ("no", "not", "without", "sem")  # before a reason, written together
NO_VALUES = frozenset({"", "0", "0.0", "no", "n", "none", "false", "-", "nao", "não", "nan"})
UNREADABLE = (OSError, ValueError, KeyError, csv.Error, zipfile.BadZipFile)


@dataclass(frozen=True)
class Patient:
    """One patient of the table.

    Attributes
    ----------
    id
        As the table writes it.
    label
        The diagnosis: ``"healthy"``, ``"sick"``, or the table's own word; empty where unknown.
    age
        In years, ``None`` where unknown.
    reasons
        What speaks against using the frames.
    """

    id: str
    label: str = ""
    age: float | None = None
    reasons: frozenset[ExclusionReason] = frozenset()


@dataclass(frozen=True)
class PatientRecords:
    """The patients of a table, found by id whatever zeros stand before it."""

    source: str
    items: Mapping[str, Patient] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Patient]:
        return iter(self.items.values())

    def get(self, patient: str) -> Patient | None:
        """Return the patient with this id, ``None`` where the table has none."""
        return self.items.get(normalise_patient_id(patient))


def read_patients(path: Path) -> PatientRecords:
    """Return the patients of a CSV or Excel table.

    Names of columns count without case, blanks and punctuation: ``Patient ID``, ``patient_id``,
    ``id``; ``diagnosis``, ``label`` or ``class``; ``age``; ``exclusions`` or ``remarks`` (words
    such as *deodorant*, *single breast*, *mastectomy*), or a yes/no column for each of these. A
    patient may have several rows, for several exams, as long as they agree on the diagnosis.

    Raises
    ------
    ThermogramError
        No such table, no column of patients, a row without a patient, or two rows that
        contradict each other: the sentence names the row.
    """
    table = _read(path)
    columns = {_plain(name): name for name in table.columns}
    of_id, of_label = _column(columns, ID_NAMES), _column(columns, LABEL_NAMES)
    if of_id is None:
        raise ThermogramError(
            f"{path.name} has no column with the patients' ids: call one “patient”. Its columns "
            f"are {', '.join(map(str, table.columns[:12]))}."
        )
    patients: dict[str, Patient] = {}
    first_row: dict[str, int] = {}
    for row, values in enumerate(table.to_dict("records"), start=2):
        patient = _patient(values, columns, of_id, of_label)
        if not patient.id:
            raise ThermogramError(f"{path.name}, row {row}: the patient's id is missing.")
        key = normalise_patient_id(patient.id)
        before = patients.get(key)
        if before is not None and before.label != patient.label:
            raise ThermogramError(
                f"{path.name}: patient {patient.id} is “{before.label}” in row {first_row[key]} "
                f"and “{patient.label}” in row {row}. Correct one of them, or remove it."
            )
        first_row.setdefault(key, row)
        patients[key] = patient if before is None else _merged(before, patient)
    if not patients:
        raise ThermogramError(f"{path.name} holds no patients.")
    return PatientRecords(path.name, patients)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise ThermogramError(f"There is no table {path}.")
    try:
        if path.suffix.lower() in EXCEL_SUFFIXES:
            return pd.read_excel(path, dtype=str).fillna("")
        data = path.read_bytes()
        text = data.decode("utf-8-sig" if _is_utf8(data) else "cp1252")
        return pd.read_csv(io.StringIO(text), dtype=str, sep=None, engine="python").fillna("")
    except ImportError as error:
        raise ThermogramError(
            f"To read the Excel table {path.name}, install openpyxl: "
            "pip install 'napari-hemacells[excel]'; or save the table as CSV."
        ) from error
    except UNREADABLE as error:
        raise ThermogramError(
            f"The table {path.name} cannot be read ({error}). Save it as CSV (UTF-8) or .xlsx."
        ) from error


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _patient(
    row: Mapping[Hashable, Any], columns: Mapping[str, str], of_id: str, of_label: str | None
) -> Patient:
    of_age = _column(columns, AGE_NAMES)
    return Patient(
        id=str(row[of_id]).strip().removesuffix(".0"),
        label=_label(str(row[of_label])) if of_label else "",
        age=_number(str(row[of_age])) if of_age else None,
        reasons=_reasons(row, columns),
    )


def _reasons(
    row: Mapping[Hashable, Any], columns: Mapping[str, str]
) -> frozenset[ExclusionReason]:
    reasons: set[ExclusionReason] = set()
    for plain, name in columns.items():
        text = str(row[name]).strip().casefold()
        if text in NO_VALUES:
            continue
        for reason, words in REASONS.items():
            if any(word in plain for word in words):
                reasons.add(reason)
        if plain in EXCLUSION_NAMES:
            reasons |= _reasons_in_text(text, is_reason=plain.startswith("exclu"))
    return frozenset(reasons)


def _reasons_in_text(text: str, *, is_reason: bool) -> set[ExclusionReason]:
    """What a sentence speaks of; a column of exclusions excludes whatever it says."""
    plain = _plain(text)
    for denial in DENIALS:
        for word in (word for words in REASONS.values() for word in words):
            plain = plain.replace(denial + word, "")
    reasons = {reason for reason, words in REASONS.items() if any(word in plain for word in words)}
    if not reasons and is_reason:
        return {"excluded"}
    return reasons


def _merged(before: Patient, after: Patient) -> Patient:
    age = before.age if after.age is None else after.age
    return Patient(before.id, before.label, age, before.reasons | after.reasons)


def _label(text: str) -> str:
    label = text.strip()
    known = (name for name, words in LABELS.items() if label.casefold() in words)
    return next(known, label)


def _number(text: str) -> float | None:
    match = re.search(r"\d+([.,]\d+)?", text)
    return float(match[0].replace(",", ".")) if match else None


def _plain(name: Any) -> str:
    """A name without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def _column(columns: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)
