"""What the names of DMR-IR files say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from napari_hemacells.core.temperature import normalise_patient_id, parse_dmr_ir_name


def test_every_part_of_a_name_is_typed() -> None:
    frame = parse_dmr_ir_name("T0287.2.4.D.2015-07-20.18.txt")
    assert frame is not None
    assert (frame.patient, frame.visit, frame.view) == ("0287", 2, "left 45°")
    assert (frame.protocol, frame.date, frame.frame) == ("dynamic", dt.date(2015, 7, 20), 18)
    assert not frame.is_frontal
    assert frame.to_dict()["date"] == "2015-07-20"


@pytest.mark.parametrize(
    ("code", "view"),
    [(1, "frontal"), (2, "right 45°"), (3, "right 90°"), (4, "left 45°"), (5, "left 90°")],
)
def test_views_in_words(code: int, view: str) -> None:
    frame = parse_dmr_ir_name(Path(f"some/T0001.1.{code}.S.2013-01-01.00.celsius.tif"))
    assert frame is not None
    assert frame.view == view
    assert frame.protocol == "static"


@pytest.mark.parametrize(
    "name",
    [
        "smear 3.txt",
        "T0287.1.6.D.2015-07-20.18.txt",  # no such view
        "T0287.1.1.X.2015-07-20.18.txt",
        "T0287.1.1.D.2015-13-40.18.txt",  # no such day
        "T0287.1.1.D.2015-07-20.txt",
        "",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_dmr_ir_name(name) is None


def test_zeros_before_a_patients_number_do_not_matter() -> None:
    assert {normalise_patient_id(one) for one in ("T0287", "0287", "287", " 287 ", "287.0")} == {
        "287"
    }
    assert normalise_patient_id("0000") == "0"
    assert (
        normalise_patient_id("A-17") == normalise_patient_id("a-17") != normalise_patient_id("17")
    )
