"""A joint table as an Excel workbook: the cells, and their counts in total, by group and image."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from napari_hemacells import __version__
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.text_tables import frame_csv_bytes, neutralise_formula
from napari_hemacells.core.store.tables import UNCLASSIFIED
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from openpyxl import Workbook  # type: ignore[import-untyped]

    from napari_hemacells.core.store.class_counts import ClassCount, Counts
    from napari_hemacells.core.store.joint_table import JointTable

TABLE_NAME, WORKBOOK_NAME = "cells.csv", "cells.xlsx"
MAX_ROWS = 1_048_575  # of a sheet, below its heading
_OF_WHITE = ("share of white cells", "95 % from", "95 % to")
_HEADING = ("Class", "Cells", "Share", "95 % from", "95 % to")
# Characters that XML does not allow, and halves of pairs that are no characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Row = tuple[Any, ...]


def write_joint_table(folder: Path, joint: JointTable) -> tuple[Path, Path]:
    """Write ``cells.csv`` and ``cells.xlsx`` into a folder, each whole or not at all.

    Raises
    ------
    StorageError
        One of them cannot be written.
    """
    csv, workbook = folder / TABLE_NAME, folder / WORKBOOK_NAME
    write_bytes(csv, frame_csv_bytes(joint.frame))
    write_bytes(workbook, workbook_bytes(joint))
    return csv, workbook


def workbook_bytes(joint: JointTable) -> bytes:
    """Return the workbook: the sheets Summary, Groups and Images where they say more, Cells."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    _write(book, "Summary", _summary(joint), widths=(34, 12, 12, 12, 12))
    if groups := joint.by_group():
        _write(book, "Groups", _table_of(joint, "group", groups), widths=(24,))
    if len(joint.frame) != len(joint.images):  # else every picture is one cell
        _write(book, "Images", _table_of(joint, "image", joint.by_image()), widths=(34,))
    heading = tuple(joint.frame.columns)
    for number, start in enumerate(range(0, max(len(joint.frame), 1), MAX_ROWS), start=1):
        part = joint.frame.iloc[start : start + MAX_ROWS]
        rows = zip(*(_plain(part[name]) for name in heading), strict=True)
        title = "Cells" if number == 1 else f"Cells {number}"
        sheet = _write(book, title, [heading], widths=(30,), freeze=True)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _summary(joint: JointTable) -> Iterator[Row]:
    total = joint.total
    yield ("Counts of all images",)
    yield _HEADING
    yield from map(_count_row, total.classes)
    yield (UNKNOWN, total.unknown)
    yield (UNCLASSIFIED, total.unclassified)
    yield ("Total", total.cells)
    yield (f"Shares are of the {total.classified:,} cells that have a class.",)
    if not joint.knows_shares:
        yield ("The model knows one class alone: there are no shares.",)
    yield ()
    if total.kinds:
        yield ("Counts by kind (the classes within each together)",)
        yield _HEADING
        yield from map(_count_row, total.kinds)
        yield ()
    yield from _differential(total)
    yield ()
    for note in joint.notes:
        yield (note,)
    yield (f"napari-hemacells {__version__}. Research software; nothing here is a diagnosis.",)


def _differential(total: Counts) -> Iterator[Row]:
    yield ("Differential count of white cells",)
    differential = total.differential
    if differential is None:
        yield ("None: fewer than two classes have the name of a white cell.",)
        return
    yield _HEADING
    yield from map(_count_row, differential.classes)
    yield ("White cells", differential.white)
    yield ("Not in the shares:",)
    yield from differential.excluded.items()
    yield (UNKNOWN, differential.unknown)
    yield (UNCLASSIFIED, differential.unclassified)


def _count_row(entry: ClassCount) -> Row:
    return (entry.name, entry.cells, *map(_rounded, (entry.share, entry.low, entry.high)))


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _table_of(joint: JointTable, what: str, counts: Mapping[str, Counts]) -> Iterator[Row]:
    """A row for each image or group: counts, then the differential count with its intervals."""
    names = [entry.name for entry in joint.total.classes]
    white = [name for name in names if joint.total.is_white(name)]
    white = white if len(white) > 1 else []
    first = ("image", "group") if what == "image" else ("group",)
    of_white = [f"{name}, {word}" for name in white for word in _OF_WHITE]
    last = ("white cells", *of_white) if white else ()
    yield (*first, "cells", *names, UNKNOWN, UNCLASSIFIED, *last)
    for key, counted in counts.items():
        cells_of = {entry.name: entry.cells for entry in counted.classes}
        group = (joint.images[key],) if what == "image" else ()
        row = (key, *group, counted.cells, *(cells_of.get(name, 0) for name in names))
        yield (
            *row,
            counted.unknown,
            counted.unclassified,
            *(_white_row(counted, white) if white else ()),
        )


def _white_row(counted: Counts, white: list[str]) -> Row:
    differential = counted.differential
    if differential is None:
        return ()
    by_name = {entry.name: entry for entry in differential.classes}
    shares = (
        _rounded(value)
        for name in white
        for value in (by_name[name].share, by_name[name].low, by_name[name].high)
    )
    return (differential.white, *shares)


def _plain(column: Any) -> list[Any]:
    """Return a column as Python's own safe values; ``None`` where there is no number."""
    if column.dtype.kind in "iub":
        return column.tolist()  # type: ignore[no-any-return]  # a list of numbers
    if column.dtype.kind != "f":
        known: dict[Any, Any] = {}
        return [known.setdefault(value, _safe(value)) for value in column.tolist()]
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124  # NaN


def _write(
    book: Workbook,
    title: str,
    *parts: Iterable[Row],
    widths: tuple[int, ...] = (),
    freeze: bool = False,
) -> Any:
    sheet = book.create_sheet(title)
    for number, width in enumerate(widths):
        sheet.column_dimensions["ABCDEFGH"[number]].width = width
    if freeze:
        sheet.freeze_panes = "A2"
    for rows in parts:
        for row in rows:
            sheet.append([_safe(value) for value in row])
    return sheet


def _safe(value: Any) -> Any:
    """Return a value that is no formula and that XML can hold."""
    if not isinstance(value, str):
        return value
    return neutralise_formula(_FORBIDDEN.sub(lambda match: f"\\x{ord(match[0]):02x}", value))
