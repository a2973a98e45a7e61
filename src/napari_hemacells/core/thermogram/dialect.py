"""How a text matrix is written: encoding, separator, decimal mark."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
        return [one.strip() for one in text.removesuffix(self.separator).split(self.separator)]


@dataclass(frozen=True)
class Peek:
    """What the beginning of a file tells."""

    encoding: str
    dialect: Dialect
    columns: int


def peek(path: Path) -> Peek | None:
    """Return how a file's matrix is written, ``None`` where it does not begin like a matrix.

    Only the first 64 KiB are read. A matrix may be damaged, even at its beginning, as long as
    most of what stands there are numbers: reading it says what is wrong.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    about = path.stat()
    return _peek(path, about.st_mtime_ns, about.st_size)


@lru_cache(REMEMBERED)
def _peek(path: Path, modified: int, size: int) -> Peek | None:  # noqa: ARG001  # the same file?
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
    looked_at = [one for line in fields for one in line[:LOOK_FIELDS]]
    numbers = sum(bool(NUMBER.fullmatch(one)) for one in looked_at)
    columns = max(map(len, fields))
    if columns < LEAST_COLUMNS or 2 * numbers < len(looked_at):
        return None
    return Peek(encoding, dialect, columns)


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
