"""Interpreting file names of the DMR-IR database."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

View: TypeAlias = Literal["frontal", "right 45°", "right 90°", "left 45°", "left 90°"]
AcquisitionProtocol: TypeAlias = Literal["dynamic", "static"]

VIEWS: dict[int, View] = {
    1: "frontal", 2: "right 45°", 3: "right 90°", 4: "left 45°", 5: "left 90°",
}  # fmt: skip
PROTOCOLS: dict[str, AcquisitionProtocol] = {"D": "dynamic", "S": "static"}
PATTERN = re.compile(
    r"^T?(?P<patient>\d{1,6})\.(?P<visit>\d{1,3})\.(?P<view>[1-5])\.(?P<protocol>[DS])\."
    r"(?P<date>\d{4}-\d{2}-\d{2})\.(?P<frame>\d{1,4})(?=\.|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class DmrIrName:
    """The fields of a DMR-IR file name.

    Attributes
    ----------
    patient
        As it is written, with its leading zeros: ``"0287"``.
    visit
        1 for the first.
    view
        From where the camera looked; *right* and *left* are the patient's.
    protocol
        ``"dynamic"`` (a series while the skin warms up again) or ``"static"``.
    date
        Of the examination.
    frame
        Number in the series.
    """

    patient: str
    visit: int
    view: View
    protocol: AcquisitionProtocol
    date: dt.date
    frame: int

    @property
    def is_frontal(self) -> bool:
        """Whether both breasts are seen from the front."""
        return self.view == "frontal"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self) | {"date": self.date.isoformat()}


_BEFORE = r"(?:(?:copy of|copy|kopie von|kopie|copia de|copie de|cópia de)[ _-]+)*"
_AFTER = r"(?:[ _]*\(\d{1,3}\)|[ _]*-? ?(?:copy|kopie|copia|copie|cópia)(?: ?\(?\d{1,3}\)?)?)"
_COPY_BEFORE = re.compile(_BEFORE, re.IGNORECASE)
_COPY_AFTER = re.compile(rf"{_AFTER}$", re.IGNORECASE)


def original_name(name: str) -> str:
    """Return the original name of a file that an operating system named as a copy.

    Examples
    --------
    >>> original_name("a (1).txt"), original_name("Copy of a.txt"), original_name("a - Kopie.txt")
    ('a.txt', 'a.txt', 'a.txt')
    """
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 5 or " " in suffix:  # no suffix of a file
        stem, dot, suffix = name, "", ""
    start = _COPY_BEFORE.match(stem)
    stem = stem[start.end() :] if start else stem
    for _ in range(3):  # a copy of a copy of a copy
        mark = _COPY_AFTER.search(stem[-40:])
        if mark is None or mark.end() - mark.start() >= len(stem):
            break
        stem = stem[: len(stem) - (mark.end() - mark.start())]
    return f"{stem}{dot}{suffix}" if stem else name


def parse_dmr_ir_name(name: str | Path) -> DmrIrName | None:
    """Return the fields of a file name, ``None`` where it does not follow DMR-IR's pattern.

    What follows the frame number (``.txt``, ``.celsius.tif``) does not matter, nor does what a
    system writes into the name of a copy (`` (1)``, ``Copy of``).

    Examples
    --------
    >>> frame = parse_name("T0287.1.1.D.2015-07-20.18.txt")
    >>> frame.patient, frame.view, frame.protocol, frame.frame
    ('0287', 'frontal', 'dynamic', 18)
    >>> parse_name("smear 3.txt") is None
    True
    """
    match = PATTERN.match(original_name(re.split(r"[\\/]", str(name))[-1]))
    if match is None:
        return None
    try:
        date = dt.date.fromisoformat(match["date"])
    except ValueError:
        return None
    return DmrIrName(
        patient=match["patient"],
        visit=int(match["visit"]),
        view=VIEWS[int(match["view"])],
        protocol=PROTOCOLS[match["protocol"].upper()],
        date=date,
        frame=int(match["frame"]),
    )


def normalise_patient_id(patient_id: str) -> str:
    """Return a patient id for comparison: without ``T`` and leading zeros.

    Examples
    --------
    >>> same_patient("T0287") == same_patient("287") == same_patient("287.0")
    True
    """
    text = patient_id.strip()
    match = re.fullmatch(r"[Tt]?(\d+)(?:\.0+)?", text)
    return (match[1].lstrip("0") or "0") if match else text.casefold()
