"""Format of a text matrix: encoding, separator, decimal mark, row and column numbers.

All lines are considered together; a file that can be read in two ways is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.files.text_tables import BYTE_ORDER_MARKS, utf16_without_mark
from napari_hemacells.core.temperature.quality import ROOM, TYPICAL, UNIT_CONVERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PEEK_BYTES = 1 << 16
LOOK_LINES, LOOK_FIELDS = 5, 24
REMEMBERED = 4096  # files whose beginning is not looked at again while they are the same
LEAST_COLUMNS = 8  # narrower is a table, not a camera's frame
LEAST_ROWS = 8  # lower is not found by itself; who names such a file has it read
LEAST_NUMBERED = 3  # lines that count upwards before they are taken for row numbers
COMMENT = "#"
MAX_DIGITS = 64  # characters of one number
# Each alternative can match in one way only, so that a long run of digits takes linear time.
NUMBER = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE
)
WHOLE = re.compile(r"\d{1,9}")
QUOTED = re.compile(r"([\"'])([^\"'\n]*)\1")
PLAUSIBLE_SHARE = 0.8  # of the numbers at the beginning that a frame has in a person's range


class AmbiguousMatrixError(ValueError):
    """A matrix that can be read in two ways; the message says which.

    Attributes
    ----------
    separator
        What separates its numbers, whatever the decimal mark is.
    """

    def __init__(self, message: str, separator: str) -> None:
        super().__init__(message)
        self.separator = separator


@dataclass(frozen=True)
class Dialect:
    r"""Separator, decimal mark and numbering of a text matrix.

    Attributes
    ----------
    separator
        ``" "`` (any run of blanks), ``"\t"``, ``","`` or ``";"``.
    decimal
        ``"."`` or ``","``; where both are commas, every second one separates.
    header
        Whether the first line numbers the columns.
    numbered
        Whether the first field of each line is the number of its row.
    """

    separator: str = " "
    decimal: str = "."
    header: bool = False
    numbered: bool = False

    def fields(self, line: str) -> list[str]:
        """Return the numbers of a line as text, with a decimal point.

        A separator behind the last number starts no further field, and a row's number is none.
        """
        fields = self._split(line)
        return fields[1:] if self.numbered else fields

    def _split(self, line: str) -> list[str]:
        text = line.strip(" \r\n")
        if self.separator == " ":
            return text.replace(self.decimal, ".").split()
        fields = [part.strip() for part in text.removesuffix(self.separator).split(self.separator)]
        if self.decimal == ".":
            return fields
        if self.separator != ",":
            return [field.replace(",", ".") for field in fields]
        first = [fields.pop(0)] if self.numbered and len(fields) % 2 else []
        pairs = zip(fields[::2], [*fields[1::2], ""], strict=False)
        return first + [f"{whole}.{part}" if part else whole for whole, part in pairs]


@dataclass(frozen=True)
class MatrixFormat:
    """The format, as recognised from the beginning of a file."""

    encoding: str
    dialect: Dialect
    columns: int
    plausible: bool  # whether it begins like a frame of a person, in whatever unit


def sniff_matrix(path: Path) -> MatrixFormat | None:
    """Return the format of a file's matrix, ``None`` where the file does not begin like one.

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
    with open_stream(path, follow=True) as stream:
        start = stream.read(PEEK_BYTES)
    encoding = encoding_of(start)
    lines = data_lines(start.decode(encoding, errors="replace"))
    if len(start) == PEEK_BYTES and len(lines) > 1:
        lines = lines[:-1]  # cut off in the middle
    enough = len(lines) >= LEAST_ROWS or len(start) == PEEK_BYTES
    if not lines:
        return None
    try:
        dialect = dialect_of(lines)
    except AmbiguousMatrixError as error:  # a matrix all the same: reading it says what is wrong
        dialect = Dialect(error.separator, "." if error.separator == "," else ",")
    looked = lines[dialect.header :][:LOOK_LINES]
    fields = [dialect.fields(line) for line in looked]
    looked_at = [[field[: MAX_DIGITS + 1] for field in line[:LOOK_FIELDS]] for line in fields]
    are_numbers = [[bool(NUMBER.fullmatch(field)) for field in line] for line in looked_at]
    total = sum(map(len, are_numbers))
    columns = max(map(len, fields), default=0)
    numbers = sum(map(sum, are_numbers))
    headed = bool(are_numbers) and 2 * sum(are_numbers[0]) < len(are_numbers[0])  # words: a table
    if columns < LEAST_COLUMNS or 2 * numbers < total or headed:
        return None
    values = [
        float(field)
        for line, known in zip(looked_at, are_numbers, strict=True)
        for field, is_number in zip(line, known, strict=True)
        if is_number
    ]
    return MatrixFormat(encoding, dialect, columns, enough and _is_plausible(np.array(values)))


def _is_plausible(values: NDArray[np.float64]) -> bool:
    """Whether most of the numbers are a person's temperatures in one of the usual units."""
    units = [(1.0, 0.0, TYPICAL), *((scale, zero, ROOM) for _, scale, zero, _ in UNIT_CONVERSIONS)]
    with np.errstate(all="ignore"):
        return any(
            np.mean((values * scale + zero >= low) & (values * scale + zero <= high))
            >= PLAUSIBLE_SHARE
            for scale, zero, (low, high) in units
        )


def encoding_of(start: bytes) -> str:
    """Return the encoding suggested by the first bytes of a text file."""
    for mark, name in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return name
    # Numbers are ASCII in every other encoding, and Latin-1 never fails.
    return utf16_without_mark(start) or "latin-1"


def data_lines(text: str) -> list[str]:
    """Return the lines with numbers, without quotation marks, blank lines and comments.

    A decimal comma between quotation marks becomes a point: it is certain there.
    """
    if '"' in text or "'" in text:
        text = QUOTED.sub(_unquoted, text)
    lines = (line.strip(" \r\n\f\v\ufeff\xa0") for line in text.splitlines())
    return [line for line in lines if line.strip() and not line.startswith(COMMENT)]


def _unquoted(match: re.Match[str]) -> str:
    inner = match[2].strip()
    decimal = inner.count(",") == 1 and NUMBER.fullmatch(inner[:MAX_DIGITS].replace(",", "."))
    return inner.replace(",", ".") if decimal else inner


def dialect_of(lines: list[str]) -> Dialect:
    """Return the dialect of the lines of a matrix.

    Raises
    ------
    AmbiguousMatrixError
        Decimal points and decimal commas stand side by side, or commas may be both.
    """
    text = "\n".join(lines)
    dialect = _marks_of(text, lines)
    plain = _numbering(lines, dialect)
    if dialect != Dialect(",", ".") or "." in text:
        return plain
    return _commas_of(lines, plain)


def _marks_of(text: str, lines: list[str]) -> Dialect:
    """Return separator and decimal mark, from the characters that occur."""
    commas, points = text.count(","), text.count(".")
    for separator in (";", "\t"):
        if separator in text:
            if commas and points:
                raise AmbiguousMatrixError(_both_marks(lines, text), separator)
            return Dialect(separator, "," if commas else ".")
    if not commas:
        return Dialect(" ", ".")
    spaced = len(re.findall(r",(?=\s|$)", text))
    blanks = any(len(line.split(None, 2)) > 1 for line in lines)
    if not blanks or 2 * spaced >= commas:
        return Dialect(",", ".")
    if not points:
        return Dialect(" ", ",")
    if commas < points:
        return Dialect(" ", ".")  # the comma is the mistake, and reading says where it is
    raise AmbiguousMatrixError(_both_marks(lines, text), " ")


def _both_marks(lines: list[str], text: str) -> str:
    rarer = "," if text.count(",") < text.count(".") else "."
    line = next(number for number, line in enumerate(lines, start=1) if rarer in line)
    return (
        f"row {line}: decimal points and decimal commas stand in one file. Export it again with "
        "one of them."
    )


def _numbering(lines: list[str], dialect: Dialect) -> Dialect:
    """Return the dialect with its column and row numbers recognised."""
    if len(lines) < 2:
        return dialect
    first = replace(dialect, decimal=".").fields(lines[0])
    head = first if first and WHOLE.fullmatch(first[0]) else first[1:]
    numbers = [_first_field(line, dialect.separator) for line in lines[1:]]
    header = len(first) > LEAST_COLUMNS and (_counts(head) or _counts(first[1:]))
    if not header:
        numbers.insert(0, first[0] if first else "")
    labelled = header and (
        not WHOLE.fullmatch(first[0]) or len(first) == len(dialect.fields(lines[1])) - 1
    )
    enough = len(numbers) >= LEAST_NUMBERED or header
    return replace(dialect, header=header, numbered=labelled or (enough and _counts(numbers)))


def _first_field(line: str, separator: str) -> str:
    parts = line.split(None if separator == " " else separator, 1)
    return parts[0].strip() if parts else ""


def _counts(fields: list[str]) -> bool:
    """Whether fields are the whole numbers from 0 or 1 on, as no temperatures are."""
    if len(fields) < 2 or not all(WHOLE.fullmatch(field.removesuffix(".0")) for field in fields):
        return False
    values = [int(field.removesuffix(".0")) for field in fields]
    return values[0] in {0, 1} and values == list(range(values[0], values[0] + len(values)))


def _commas_of(lines: list[str], dialect: Dialect) -> Dialect:
    """Return whether commas between whole numbers are separators only, or decimal marks too.

    Where every second comma is a decimal mark, every second field is a fraction and no degree.

    Raises
    ------
    AmbiguousMatrixError
        The fields can be either.
    """
    body = [dialect.fields(line) for line in lines[dialect.header :]]
    widths = {len(fields) for fields in body}
    numbers = all(re.fullmatch(r"[+-]?\d{1,20}", field) for fields in body for field in fields)
    if len(widths) != 1 or not numbers:
        # Zeros behind the comma left out make lines of unequal length.
        least, most = min(widths), max(widths)
        if numbers and least < most <= 2 * least and _fractions(body):
            raise AmbiguousMatrixError(_unclear("the rows are of different lengths"), ",")
        return dialect
    (width,) = widths
    commas = "".join(lines).count(",")
    if width % 2 or len(re.findall(r",(?=\s|$)", "\n".join(lines))) >= commas > 0:
        return dialect  # behind a decimal mark there is no blank
    table = np.array([[float(field) for field in fields] for fields in body])
    whole, parts = table[:, ::2], table[:, 1::2]
    signed = any(not field.isdigit() for fields in body for field in fields[1::2])
    leading = any(
        len(field) > 1 and field.startswith("0") for fields in body for field in fields[1::2]
    )
    pairs = replace(dialect, decimal=",")
    low, high = TYPICAL
    if signed or not low <= float(np.median(whole)) <= high:
        return dialect
    beyond = float(np.mean((parts < low) | (parts > high)))
    apart = parts.max() < whole.min() or parts.min() > whole.max()
    if leading or apart or beyond >= 0.25:
        return pairs
    steps = np.abs(np.diff(whole, axis=1))
    smooth = steps.size > 0 and float(np.median(steps)) <= 1.0
    unlike = float(np.mean(np.abs(parts - whole))) > 1.0 + 1.5 * float(np.mean(steps))
    if beyond > 0.02 or (smooth and unlike):
        raise AmbiguousMatrixError(_unclear(f"“{body[0][0]},{body[0][1]}” can be one number"), ",")
    return dialect


def _fractions(body: list[list[str]]) -> bool:
    """Whether implausible temperatures follow plausible ones, in lines of unequal length."""
    values = np.array([float(field) for fields in body for field in fields])
    low, high = TYPICAL
    return float(np.mean((values < low) | (values > high))) >= 0.1


def _unclear(why: str) -> str:
    return (
        f"commas separate the numbers and may be their decimal marks too ({why}). Export it with "
        "semicolons or decimal points."
    )
