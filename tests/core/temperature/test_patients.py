"""Tables of patients, however their columns are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature import read_patients

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


@pytest.mark.realdata
def test_the_real_exams_are_a_table_of_patients(shared_data: Path) -> None:
    patients = read_patients(shared_data / "dmr_ir" / "exams.csv")
    labels = [one.label for one in patients]
    assert (labels.count("healthy"), labels.count("sick"), len(patients)) == (50, 24, 74)
