"""Reading a table of patients: diagnosis, age, reasons for exclusion."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.temperature.dmr_ir import normalise_patient_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ExclusionReason: TypeAlias = Literal["deodorant", "single breast", "excluded"]

EXCEL_SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls"})
ID_NAMES = ("patient", "patientid", "patientno", "patientnumber", "id", "record", "paciente")
LABEL_NAMES = ("diagnosis", "diagnostic", "label", "class", "status", "diagnostico", "diagnóstico")
AGE_NAMES = ("age", "ageyears", "ageinyears", "ageatexam", "years", "idade", "edad", "alter")
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
# Words that take back what they stand beside, in English, Portuguese, Spanish, German, French.
DENIALS = frozenset(
    {"no", "not", "none", "nil", "without", "never", "false", "negative", "denies", "sem", "nao",
     "não", "nenhum", "nenhuma", "sin", "ninguno", "ninguna", "ohne", "kein", "keine", "nein",
     "sans", "aucun", "aucune", "non"}
)  # fmt: skip
NO_VALUES = frozenset({"", "0", "00", "n", "na", "nan", "null", "nothing", "ok", "f"}) | DENIALS
UNKNOWN_VALUES = frozenset({"unknown", "nk", "unk", "notknown", "notrecorded", "missing"})
CHECKS = re.compile("[✓✔☑✅]")  # signs that are an answer
# What a denial may stand beside without giving a reason of its own: "no exclusions known".
EMPTY_WORDS = frozenset(
    {"exclusion", "exclusions", "excluded", "exclude", "reason", "reasons", "known", "applicable",
     "remarks", "remark", "any", "to", "the", "of", "specified", "reported"}
)  # fmt: skip
CLAUSE = re.compile(r"[;,.|/\n()]|\b(?:but|and|with|e|und|et|y|mas|aber|mais|pero)\b")
BIRTH_NAMES = ("birth", "birthdate", "dateofbirth", "dob", "born", "datanascimento", "nascimento")
EXAM_NAMES = (
    "examdate",
    "dateofexam",
    "examinationdate",
    "dateofexamination",
    "visitdate",
    "date",
)
DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?:[ T].*)?")
MAX_AGE = 120.0  # years
MAX_EXCEL_BYTES = 16 * 2**20  # of all parts of a workbook, unpacked
MAX_ROWS, MAX_COLUMNS, EXCEL_ROWS = 100_000, 200, 1_048_576
Row: TypeAlias = "Mapping[str, str]"


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
    """The patients of a table, by id; leading zeros do not matter."""

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
    ``id``; ``diagnosis``, ``label`` or ``class``; ``age`` in years, or dates of birth and exam;
    ``exclusions`` or ``remarks`` (words such as *deodorant*, *single breast*, *mastectomy*;
    *none*, *no deodorant* and the like exclude nobody), or a yes/no column for each of these. A
    patient may have several rows, for several exams, as long as they agree on the diagnosis.

    Raises
    ------
    ThermogramError
        No such table, no column of patients, a row without a patient, an age that is none, or
        two rows that contradict each other: the sentence names the row.
    """
    names, rows = _read(path)
    columns = {_plain(name): name for name in names}
    if _column(columns, ID_NAMES) is None:
        raise ThermogramError(
            f"{path.name} has no column with the patients' ids: call one “patient”. Its columns "
            f"are {', '.join(names[:12])}."
        )
    patients: dict[str, Patient] = {}
    first_row: dict[str, int] = {}
    for row, values in rows:
        try:
            patient = _patient(values, columns)
        except ValueError as error:
            raise ThermogramError(f"{path.name}, row {row}: {error}") from error
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


def _read(path: Path) -> tuple[tuple[str, ...], list[tuple[int, Row]]]:
    """Return the columns of a table, and its rows with their numbers."""
    if not path.is_file():
        raise ThermogramError(f"There is no table {path}.")
    if path.suffix.lower() == ".xls":
        raise ThermogramError(f"{path.name} is of an old Excel: save it as .xlsx or CSV (UTF-8).")
    try:
        if path.suffix.lower() in EXCEL_SUFFIXES:
            return _read_excel(path)
        table = read_table(path)
        lines = [line for line, _ in table.rows]
        return table.columns, list(zip(lines, table.records(), strict=True))
    except Exception as error:
        raise ThermogramError(
            f"The table {path.name} cannot be read ({error}). Save it as CSV (UTF-8) or .xlsx."
        ) from error


def _read_excel(path: Path) -> tuple[tuple[str, ...], list[tuple[int, Row]]]:
    """Return the first sheet of a workbook as text; a huge one is refused unread."""
    import openpyxl  # type: ignore[import-untyped]

    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_EXCEL_BYTES:
        raise ValueError(
            f"unpacked it has {size / 2**20:,.0f} MB, at most {MAX_EXCEL_BYTES // 2**20} are read"
        )
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of them need not be so
        cells = sheet.iter_rows(max_row=EXCEL_ROWS, max_col=MAX_COLUMNS, values_only=True)
        filled: list[tuple[int, list[str]]] = []
        for number, values in enumerate(cells, start=1):
            if all(value is None for value in values):
                continue
            filled.append((number, [_cell_text(value) for value in values]))
            if len(filled) > MAX_ROWS:
                raise ValueError(f"it has more than {MAX_ROWS} rows")
    finally:
        book.close()
    if not filled:
        raise ValueError("it is empty")
    names = tuple(name.strip() for name in filled[0][1])
    rows: list[tuple[int, Row]] = [
        (number, dict(zip(names, values, strict=False)))
        for number, values in filled[1:]
        if any(value.strip() for value in values)
    ]
    return tuple(filter(None, names)), rows


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _patient(row: Row, columns: Mapping[str, str]) -> Patient:
    """Return the patient of a row; raises ValueError with a sentence about a value."""
    of_id, of_label = _column(columns, ID_NAMES), _column(columns, LABEL_NAMES)
    return Patient(
        id=row[of_id].strip().removesuffix(".0") if of_id else "",
        label=_label(row[of_label]) if of_label else "",
        age=_age(row, columns),
        reasons=_reasons(row, columns),
    )


def _age(row: Row, columns: Mapping[str, str]) -> float | None:
    """Return the age in years, computed from two dates where it is not given, else ``None``.

    Raises
    ------
    ValueError
        What stands there is no age.
    """
    of_age, of_birth = _column(columns, AGE_NAMES), _column(columns, BIRTH_NAMES)
    text = row[of_age].strip() if of_age else ""
    if not text and of_birth:
        of_exam = _column(columns, EXAM_NAMES)
        known = row[of_birth].strip() and of_exam and row[of_exam].strip()
        return _age_at(row[of_birth], row[of_exam]) if known and of_exam else None
    if DATE.fullmatch(text):
        of_exam = _column(columns, EXAM_NAMES)
        if of_exam is None or not row[of_exam].strip():
            raise ValueError(
                f"“{text}” is a date, no age: write the age in years, or add a column “exam date”."
            )
        return _age_at(text, row[of_exam])
    numbers = re.findall(r"[-−]?\d+(?:[.,]\d+)?", text)
    if not numbers:
        return None
    years = float(numbers[0].replace(",", ".").replace("−", "-"))
    shorter = re.search(r"month|week|day|mes|monat|tag|dia|mois|jour", text.casefold())
    if len(numbers) > 1 or shorter or not 0 <= years <= MAX_AGE:
        raise ValueError(f"“{text[:30]}” is no age in years: write one number from 0 to 120.")
    return years


def _age_at(birth: str, exam: str) -> float:
    """Return the completed years between two dates, in any supported notation."""
    ages = {
        day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        for born in _dates(birth)
        for day in _dates(exam)
    }
    if len(ages) != 1 or not 0 <= min(ages) <= MAX_AGE:
        raise ValueError(
            f"the age from “{birth}” to “{exam}” is not certain: write dates as 1970-05-12, or "
            "the age in years."
        )
    return float(ages.pop())


def _dates(text: str) -> set[dt.date]:
    """Return the possible dates of a text: day first and month first, where both are valid."""
    match = DATE.fullmatch(text.strip())
    if match is None:
        return set()
    first, middle, last = (int(part) for part in match.groups())
    orders = (
        [(first, middle, last)] if first > 31 else [(last, middle, first), (last, first, middle)]
    )
    dates = set()
    for year, month, day in orders:
        try:
            dates.add(dt.date(year, month, day))
        except ValueError:
            continue
    return dates


def _reasons(row: Row, columns: Mapping[str, str]) -> frozenset[ExclusionReason]:
    reasons: set[ExclusionReason] = set()
    for plain, name in columns.items():
        text = CHECKS.sub("yes", row[name].strip().casefold())
        named = {r for r, words in REASONS.items() if any(word in plain for word in words)}
        if named:
            opposite = bool(DENIALS & set(re.findall(r"\w+", name.casefold())))
            if _is_yes(text, opposite=opposite):
                reasons |= named
        elif plain in EXCLUSION_NAMES:
            reasons |= _reasons_in_text(text, is_reason=plain.startswith("exclu"))
    return frozenset(reasons)


def _is_yes(text: str, *, opposite: bool) -> bool:
    """Whether a yes/no column affirms the reason; unknown counts as no.

    Parameters
    ----------
    opposite
        The column asks for its absence, as “no deodorant” does.
    """
    plain = _plain(text)
    if not plain or plain in UNKNOWN_VALUES:
        return False
    denied = (
        not plain.strip("0") or plain in NO_VALUES or bool(DENIALS & set(re.findall(r"\w+", text)))
    )
    return denied == opposite


def _reasons_in_text(text: str, *, is_reason: bool) -> set[ExclusionReason]:
    """Return the reasons in a text; in a column of exclusions any but *none* excludes."""
    reasons: set[ExclusionReason] = set()
    other = False
    for clause in CLAUSE.split(text) if _plain(text) not in NO_VALUES | UNKNOWN_VALUES else ():
        plain, words = _plain(clause), set(re.findall(r"\w+", clause))
        if plain in NO_VALUES or not plain.strip("0"):
            continue
        named = {reason for reason, parts in REASONS.items() if any(p in plain for p in parts)}
        denied = bool(words & DENIALS)
        if named and not denied:
            reasons |= named
        elif not named:
            other |= not (denied and words <= DENIALS | EMPTY_WORDS)
    if other and not reasons and is_reason:
        return {"excluded"}
    return reasons


def _merged(before: Patient, after: Patient) -> Patient:
    age = before.age if after.age is None else after.age
    return Patient(before.id, before.label, age, before.reasons | after.reasons)


def _label(text: str) -> str:
    label = text.strip()
    known = (name for name, words in LABELS.items() if label.casefold() in words)
    return next(known, label)


def _plain(name: Any) -> str:
    """A name without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def _column(columns: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)
