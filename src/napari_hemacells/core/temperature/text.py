"""Temperature matrices written as text.

How a text matrix is written: encoding, separator, decimal mark.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PEEK_BYTES = 1 << 16
LOOK_LINES, LOOK_FIELDS = 5, 24
REMEMBERED = 4096  # files whose beginning is not looked at again while they are the same
LEAST_COLUMNS = 8  # narrower is a table, not a camera's frame
COMMENT = "#"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Dialect:
    r"""The way in which a matrix is written.

    Attributes
    ----------
    separator
        ``" "`` (any run of blanks), ``"\t"``, ``","`` or ``";"``.
    decimal
        ``"."`` or ``","``.
    """

    separator: str = " "
    decimal: str = "."

    def fields(self, line: str) -> list[str]:
        """Return the numbers of a line as they are written, with a decimal point.

        A separator behind the last number starts no further field.
        """
        text = line.strip().replace(self.decimal, ".")
        if self.separator == " ":
            return text.split()
        return [field.strip() for field in text.removesuffix(self.separator).split(self.separator)]


@dataclass(frozen=True)
class MatrixFormat:
    """What the beginning of a file tells."""

    encoding: str
    dialect: Dialect
    columns: int


def sniff_matrix(path: Path) -> MatrixFormat | None:
    """Return how a file's matrix is written, ``None`` where it does not begin like a matrix.

    Only the first 64 KiB are read. A matrix may be damaged, even at its beginning, as long as
    most of what stands there are numbers: reading it says what is wrong.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    about = path.stat()
    return _sniff_cached(path, about.st_mtime_ns, about.st_size)


@lru_cache(REMEMBERED)
def _sniff_cached(path: Path, modified: int, size: int) -> MatrixFormat | None:  # noqa: ARG001  # the same file?
    with path.open("rb") as stream:
        start = stream.read(PEEK_BYTES)
    encoding = encoding_of(start)
    lines = data_lines(start.decode(encoding, errors="replace"))
    if len(start) == PEEK_BYTES and len(lines) > 1:
        lines = lines[:-1]  # cut off in the middle
    lines = lines[:LOOK_LINES]
    if not lines:
        return None
    dialect = dialect_of(lines)
    fields = [dialect.fields(line) for line in lines]
    looked_at = [field for line in fields for field in line[:LOOK_FIELDS]]
    numbers = sum(bool(NUMBER.fullmatch(field)) for field in looked_at)
    columns = max(map(len, fields))
    if columns < LEAST_COLUMNS or 2 * numbers < len(looked_at):
        return None
    return MatrixFormat(encoding, dialect, columns)


def encoding_of(start: bytes) -> str:
    """Return the encoding that the first bytes of a text file speak for."""
    for mark, name in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return name
    zeros = start[:200].count(0)
    if zeros > len(start[:200]) // 3:  # every other byte: UTF-16 without a mark
        return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
    return "latin-1"  # numbers are ASCII in every other one, and this one never fails


def data_lines(text: str) -> list[str]:
    """Return the lines that hold numbers: neither blank nor a comment."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(COMMENT)]


def dialect_of(lines: list[str]) -> Dialect:
    """Return separator and decimal mark of some lines of a matrix.

    A comma is the decimal mark where something else separates and no point is to be seen;
    otherwise it separates.
    """
    text = "\n".join(lines)
    comma_is_decimal = "," in text and "." not in text
    for separator in (";", "\t"):
        if separator in text:
            return Dialect(separator, "," if comma_is_decimal else ".")
    blanks = any(len(line.split()) > 1 for line in lines)
    if "," not in text:
        return Dialect(" ", ".")
    if not blanks or not comma_is_decimal or re.search(r",(\s|$)", text):
        return Dialect(",", ".")
    return Dialect(" ", ",")


TEXT_SUFFIXES = frozenset({".txt", ".csv", ".tsv", ".asc", ".dat"})


def read_text(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` float32 °C of a text matrix of any size.

    Blanks, tabs, commas or semicolons may separate the numbers, with a decimal point or comma;
    UTF-8, UTF-16 and the Windows code pages are read, with or without byte order mark. Blank
    lines and lines that start with ``#`` are skipped. The values are those of
    :func:`numpy.loadtxt`: each number is read as float64 and then rounded to float32.

    Raises
    ------
    ThermogramError
        No such file, no matrix, rows of different lengths, something that is no number, or
        temperatures that are impossible: the sentence names the line.
    """
    try:
        matrix_format = sniff_matrix(path)
        text = "" if matrix_format is None else path.read_bytes().decode(matrix_format.encoding)
    except OSError as error:
        raise ThermogramError(f"{path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ThermogramError(
            f"{path.name} is damaged: from byte {error.start} on it is no text. Copy it again."
        ) from error
    if matrix_format is None:
        raise ThermogramError(
            f"{path.name}, line 1: this does not begin like a matrix of temperatures, a row of "
            "numbers on each line. Export the frame as text without headings."
        )
    values = _parse(text, matrix_format.dialect, path.name)
    _check_rows(values, path.name)
    check_celsius(values, path.name, line=_first_line(text))
    return values.astype(np.float32)


def _parse(text: str, dialect: Dialect, name: str) -> NDArray[np.float64]:
    lines = data_lines(text)
    separator = None if dialect.separator == " " else dialect.separator
    if separator and lines[0].endswith(separator):
        lines = [line.removesuffix(separator) for line in lines]
    if dialect.decimal == ",":
        lines = [line.replace(",", ".") for line in lines]
    try:
        return np.loadtxt(lines, delimiter=separator, comments=COMMENT, ndmin=2)
    except ValueError as error:
        raise ThermogramError(_parse_error_message(text, dialect, name)) from error


def _parse_error_message(text: str, dialect: Dialect, name: str) -> str:
    """Return the sentence about the first line that does not fit; slow, and only then needed."""
    width = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not data_lines(line):
            continue
        fields = dialect.fields(line)
        for column, field in enumerate(fields, start=1):
            if not NUMBER.fullmatch(field):
                problem = f"“{field[:20]}” is no number" if field else "a number is missing"
                return (
                    f"{name}, line {number}, column {column}: {problem}. Correct the line, or "
                    "export the frame again."
                )
        width = width or len(fields)
        if len(fields) != width:
            return (
                f"{name}, line {number}: {len(fields)} numbers, where the lines before have "
                f"{width}; the file was cut off or damaged. Copy or export it again."
            )
    return f"{name}: the numbers cannot be read. Export the frame again."


def _check_rows(values: NDArray[np.float64], name: str) -> None:
    if len(values) < 2:
        raise ThermogramError(
            f"{name}, line 1: all {values.shape[1]} numbers are on one line; a frame needs a line "
            "for each of its rows. Export it again as a matrix."
        )


def _first_line(text: str) -> int:
    """The number of the line that the first row of the matrix is on."""
    lines = text.splitlines()
    return next(number for number, line in enumerate(lines, start=1) if data_lines(line))
