"""Tables of patients, however their columns are called."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import openpyxl
import pandas as pd
import pytest

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.thermography.patients import read_patients

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pd.DataFrame(
    {
        "Patient ID": ["0007", "0012", "0101", "0140"],
        "Diagnosis": ["Healthy", "cancer", "normal", "Sick"],
        "Age (years)": ["41", "", "63 anos", "58,5"],
        "Exclusions": ["", "Deodorant", "single breast", "motion"],
    }
)


@pytest.mark.parametrize("kind", ["csv", "semicolon", "tab", "cp1252", "xlsx"])
def test_a_table_is_joined_by_patient_whatever_its_form(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ("patients.xlsx" if kind == "xlsx" else "patients.csv")
    if kind == "xlsx":
        ROWS.to_excel(file, index=False)
    elif kind == "cp1252":
        ROWS.replace("normal", "Saudável").to_csv(file, index=False, encoding="cp1252")
    else:
        ROWS.to_csv(file, index=False, sep={"semicolon": ";", "tab": "\t"}.get(kind, ","))
    patients = read_patients(file)
    assert [one.label for one in patients] == ["healthy", "sick", "healthy", "sick"]
    assert [one.age for one in patients] == [41.0, None, 63.0, 58.5]
    assert [sorted(one.reasons) for one in patients] == [
        [], ["deodorant"], ["single breast"], ["excluded"],
    ]  # fmt: skip
    for spelt in ("7", "0007", "T0007", "00007"):
        assert patients.get(spelt) is next(iter(patients))
    assert patients.get("8") is None


def test_numbers_that_excel_made_of_ids_are_ids_still(tmp_path: Path) -> None:
    pd.DataFrame({"id": [7.0, 12.0], "label": [0, 1]}).to_excel(tmp_path / "p.xlsx", index=False)
    patients = read_patients(tmp_path / "p.xlsx")
    found = patients.get("0007")
    assert found is not None
    assert (found.id, found.label) == ("7", "healthy")
    assert patients.get("T0012").label == "sick"


def test_yes_and_no_columns_and_remarks(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "patient,class,used deodorant?,Mastectomy,remarks\n"
        "1,healthy,no,,came late\n"
        "2,healthy,yes,no,\n"
        "3,sick,,x,\n"
        "4,sick,0,0,had a mastectomy in 2011\n"
        "5,healthy,,,no deodorant\n"
    )
    reasons = [sorted(one.reasons) for one in read_patients(tmp_path / "p.csv")]
    assert reasons == [[], ["deodorant"], ["single breast"], ["single breast"], []]


def test_rows_of_one_patient_are_joined(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "exam,patient,label,age,exclusions\na,0007,sick,,\nb,7,sick,50,deodorant\n"
    )
    (patient,) = read_patients(tmp_path / "p.csv")
    assert (patient.id, patient.age, patient.reasons) == ("0007", 50.0, {"deodorant"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,label\n7,sick\n8,healthy\n0007,healthy\n", ["“sick” in row 2", "row 4"]),
        ("patient,label\n7,sick\n,healthy\n", ["row 3", "id is missing"]),
        ("name,label\nAnna,sick\n", ["no column", "call one “patient”", "name, label"]),
        ("patient,label\n", ["holds no patients"]),
        ("", ["cannot be read"]),
    ],
)
def test_a_mistake_in_the_table_is_one_sentence(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    (tmp_path / "patients.csv").write_text(text)
    with pytest.raises(ThermogramError) as caught:
        read_patients(tmp_path / "patients.csv")
    for part in ["patients.csv", *said]:
        assert part in str(caught.value)


def test_a_missing_table_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(ThermogramError, match="There is no table"):
        read_patients(tmp_path / "none.csv")
    (tmp_path / "p.xlsx").write_bytes(b"no Excel")
    with pytest.raises(ThermogramError, match=r"p\.xlsx cannot be read"):
        read_patients(tmp_path / "p.xlsx")


NOTHING = ["nil", "none", "None", "—", "–", "-", "no", "NO", "n", "0", "0.0", "", "nan", "N/A",
           "nein", "no deodorant", "deodorant: no", "Deodorant = No; mastectomy: no", "unknown",
           "without deodorant", "no exclusions", "not excluded", "none known",
           "no deodorant and no mastectomy"]  # fmt: skip


@pytest.mark.parametrize("value", NOTHING)
def test_what_says_none_excludes_nobody(tmp_path: Path, value: str) -> None:
    frame = pd.DataFrame({"patient": ["1"], "label": ["sick"], "exclusions": [value]})
    frame.to_csv(tmp_path / "p.csv", index=False, sep=";")
    (patient,) = read_patients(tmp_path / "p.csv")
    assert patient.reasons == frozenset()


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("deodorant: yes", {"deodorant"}), ("no mastectomy; deodorant", {"deodorant"}),
        ("deodorant, no mastectomy", {"deodorant"}), ("no consent", {"excluded"}),
        ("motion", {"excluded"}), ("x", {"excluded"}), ("✓", {"excluded"}),
        ("used deodorant but no mastectomy", {"deodorant"}),
        ("Mastectomy 2011.", {"single breast"}),
    ],
)  # fmt: skip
def test_what_gives_a_reason_excludes(tmp_path: Path, value: str, reasons: set[str]) -> None:
    frame = pd.DataFrame({"patient": ["1"], "label": ["sick"], "exclusions": [value]})
    frame.to_csv(tmp_path / "p.csv", index=False)
    (patient,) = read_patients(tmp_path / "p.csv")
    assert patient.reasons == reasons


@pytest.mark.parametrize(
    ("column", "value", "excluded"),
    [
        ("deodorant", "yes", True), ("deodorant", "not used", False), ("deodorant", "—", False),
        ("deodorant", "unknown", False), ("deodorant", "✓", True), ("deodorant", "1", True),
        ("deodorant", "0", False), ("deodorant", "false", False), ("deodorant", "x", True),
        ("no deodorant", "yes", False), ("no deodorant", "no", True),
        ("no deodorant", "", False), ("Used deodorant?", "Não", False),
        ("deodorant", "nil", False), ("deodorant", "none", False),
    ],
)  # fmt: skip
def test_a_yes_or_no_column_is_read_by_its_value(
    tmp_path: Path, column: str, value: str, *, excluded: bool
) -> None:
    frame = pd.DataFrame({"patient": ["1"], "label": ["sick"], column: [value]})
    frame.to_csv(tmp_path / "p.csv", index=False)
    (patient,) = read_patients(tmp_path / "p.csv")
    assert ("deodorant" in patient.reasons) == excluded


@pytest.mark.parametrize(
    ("columns", "age"),
    [
        ({"age": "12/05/1970", "exam date": "2013-05-11"}, 42.0),
        ({"age": "31/12/1970", "exam date": "30.12.2013"}, 42.0),
        ({"date of birth": "1970-05-12", "date": "2013-05-12"}, 43.0),
        ({"date of birth": "1970-05-12"}, None), ({"age": "unknown"}, None), ({"age": "—"}, None),
        ({"age": "about 50"}, 50.0), ({"Age (years)": "58,5"}, 58.5),
    ],
)  # fmt: skip
def test_an_age_is_a_number_or_comes_from_two_dates(
    tmp_path: Path, columns: dict[str, str], age: float | None
) -> None:
    pd.DataFrame({"patient": ["1"], **{k: [v] for k, v in columns.items()}}).to_csv(
        tmp_path / "p.csv", index=False
    )
    (patient,) = read_patients(tmp_path / "p.csv")
    assert patient.age == age


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"age": "12/05/1970"}, "row 2: “12/05/1970” is a date, no age"),
        ({"age": "1970-05-12T00:00:00"}, "is a date, no age"), ({"age": "1970"}, "is no age"),
        ({"age": "40-50"}, "is no age"), ({"age": "8 months"}, "is no age"),
        ({"age": "-4"}, "is no age"),
        ({"age": "05/06/1970", "exam date": "2013-05-20"}, "is not certain"),
    ],
)  # fmt: skip
def test_what_is_no_age_is_refused(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    pd.DataFrame({"patient": ["1"], **{k: [v] for k, v in columns.items()}}).to_excel(
        tmp_path / "p.xlsx", index=False
    )
    with pytest.raises(ThermogramError, match=said):
        read_patients(tmp_path / "p.xlsx")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_table_of_any_encoding_with_semicolons_is_read(tmp_path: Path, encoding: str) -> None:
    text = "patient;diagnóstico;age\n7;saudável;41,5\n"
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    (patient,) = read_patients(tmp_path / "p.csv")
    assert (patient.label, patient.age) == ("healthy", 41.5)


def test_a_small_workbook_of_huge_content_is_refused_by_its_directory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(40 * 2**20))
    assert (tmp_path / "bomb.xlsx").stat().st_size < 100_000
    with pytest.raises(ThermogramError, match="unpacked it has 40 MB"):
        read_patients(tmp_path / "bomb.xlsx")


@pytest.mark.timeout(60)
def test_a_cell_at_the_end_of_a_sheet_costs_no_time(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["patient", "label"])
    sheet.append([7, "sick"])
    sheet.cell(1_048_576, 1, 8)
    sheet.cell(2, 16_384, "far away")
    book.save(tmp_path / "far.xlsx")
    assert [patient.id for patient in read_patients(tmp_path / "far.xlsx")] == ["7", "8"]


@pytest.mark.realdata
def test_the_real_exams_are_a_table_of_patients(shared_data: Path) -> None:
    patients = read_patients(shared_data / "dmr_ir" / "exams.csv")
    labels = [one.label for one in patients]
    assert (labels.count("healthy"), labels.count("sick"), len(patients)) == (50, 24, 74)
