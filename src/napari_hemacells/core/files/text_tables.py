"""Text and tables that other programs wrote, read by one rule; our own, safe to open in Excel.

Encoding by byte order mark or content, separator by what the lines agree on, every cell as text.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.safe_files import open_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pandas as pd

MAX_TABLE_BYTES = 128 * 2**20
LOOK_LINES = 20  # of a table, that tell what separates
SEPARATORS = ",;\t|"
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What makes a spreadsheet take a cell for a formula, after any apostrophes in front.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def utf16_without_mark(start: bytes) -> str | None:
    """Return ``utf-16-le`` or ``utf-16-be`` where every other byte is zero, else ``None``."""
    look = start[:200]
    if look.count(0) <= len(look) // 3:
        return None
    return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"


def decode_text(data: bytes) -> str:
    r"""Return bytes as text without its byte order mark.

    UTF-8, UTF-16 (with a mark or without), UTF-32 with a mark; what is none of these is taken
    for the Windows code page of western Europe.

    Raises
    ------
    ValueError
        The bytes begin as UTF-16 or UTF-32 and are cut off, or are no text.

    Examples
    --------
    >>> decode_text("age".encode("utf-16")), decode_text(b"\xef\xbb\xbfage")
    ('age', 'age')
    """
    marked = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    encoding = marked or utf16_without_mark(data)
    if encoding is not None and encoding != "utf-8-sig":
        return data.decode(encoding).removeprefix("\ufeff")
    if b"\0" in data:
        raise ValueError("it is no text")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def read_text_file(path: Path, limit: int = MAX_TABLE_BYTES) -> str:
    """Return a text file's content; see :func:`decode_text`.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is larger than `limit` bytes, or no text.
    """
    with open_stream(path, follow=True) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit // 2**20} MB")
    return decode_text(data)


@dataclass(frozen=True)
class TextTable:
    """A table as it is written.

    Attributes
    ----------
    columns
        Their names, without blanks around them.
    rows
        Of each row the line it ends on and its cells, as many as there are columns; ``None``
        where the row is too short to have the cell.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str | None, ...]], ...]

    def records(self) -> list[dict[str, str]]:
        """Return a row each by the names of the columns; a missing cell is empty."""
        return [
            {name: cell or "" for name, cell in zip(self.columns, cells, strict=True)}
            for _, cells in self.rows
        ]

    def incomplete(self) -> list[int]:
        """Return the lines of the rows that lack cells."""
        return [line for line, cells in self.rows if None in cells]

    def to_frame(self) -> pd.DataFrame:
        """Return it with text in every cell; a missing one is empty."""
        import pandas as pd

        cells = [[cell or "" for cell in row] for _, row in self.rows]
        return pd.DataFrame(cells, columns=list(self.columns), dtype="str")


def read_table(path: Path, limit: int = MAX_TABLE_BYTES) -> TextTable:
    """Return the table in a CSV of any usual encoding and separator; its first line names columns.

    Rows without any text are passed over; what :func:`csv_bytes` made safe is as it was.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no table: empty, no text, a quotation mark that never closes, a row longer than
        the heading, two columns of one name.
    """
    return parse_table(read_text_file(path, limit))


def parse_table(text: str) -> TextTable:
    """Return the table in a text; see :func:`read_table`."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text))
        filled = [
            (reader.line_num, [restore_formula(cell) for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not filled:
        raise ValueError("it is empty")
    columns = tuple(name.strip() for name in filled[0][1])
    while columns and not columns[-1] and all(not any(r[len(columns) - 1 :]) for _, r in filled):
        columns = columns[:-1]  # a separator at the end of every line
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise ValueError(f"two columns are called “{twice[0]}”")
    rows: list[tuple[int, tuple[str | None, ...]]] = []
    for line, cells in filled[1:]:
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise ValueError(
                f"line {line} has {len(cells)} cells, the heading {len(columns)}: is a cell with "
                "a separator in it not in quotation marks?"
            )
        missing = (None,) * (len(columns) - len(cells))
        rows.append((line, (*cells[: len(columns)], *missing)))
    return TextTable(columns, tuple(rows))


def separator_of(text: str) -> str:
    r"""Return what separates the cells of a table: the one that the most lines agree on.

    Examples
    --------
    >>> separator_of("path;label\n1,5;RBC"), separator_of("one\ntwo")
    (';', ',')
    """
    lines = [_without_quoted(line) for line in io.StringIO(text[: 1 << 16]) if line.strip()]
    lines = lines[:LOOK_LINES]
    if not lines:
        return ","

    def agreement(separator: str) -> tuple[int, int]:
        first = lines[0].count(separator)
        same = sum(line.count(separator) == first for line in lines) if first else 0
        return same, first

    best = max(SEPARATORS, key=agreement)
    return best if agreement(best)[1] else ","


def _without_quoted(line: str) -> str:
    return re.sub(r'"[^"\n]*"', "", line)


def neutralise_formula(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; numbers are as they were.

    Source: https://owasp.org/www-community/attacks/CSV_Injection

    Examples
    --------
    >>> neutralise_formula("=1+2"), neutralise_formula("-3.5"), neutralise_formula(-3.5)
    ("'=1+2", '-3.5', -3.5)
    """
    if not isinstance(cell, str) or _NUMBER.fullmatch(cell) or not _FORMULA.match(cell):
        return cell
    return f"'{cell}"


def restore_formula(cell: str) -> str:
    """Return a cell as it was before :func:`neutralise_formula`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_bytes(columns: Sequence[Any], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return a table as UTF-8 CSV with the mark by which Excel knows it, safe from formulas."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(neutralise_formula, columns))
    lines.writerows(map(neutralise_formula, row) for row in rows)
    return text.getvalue().encode("utf-8-sig", errors="backslashreplace")


def frame_csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a frame as :func:`csv_bytes` does, without its index; numbers as pandas writes."""
    safe = table.copy()
    for number in range(safe.shape[1]):
        column = safe.iloc[:, number]
        if column.dtype.kind not in "iufb":
            safe.isetitem(number, [neutralise_formula(cell) for cell in column])
    safe.columns = [neutralise_formula(name) for name in safe.columns]
    text = safe.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8-sig", errors="backslashreplace")


def write_table(path: Path, columns: Sequence[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Write :func:`csv_bytes`, whole or not at all.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    write_bytes(path, csv_bytes(columns, rows))
