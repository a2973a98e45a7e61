"""Temperature matrices written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.matrix_format import (
    COMMENT,
    LEAST_COLUMNS,
    LEAST_ROWS,
    MAX_DIGITS,
    NUMBER,
    AmbiguousMatrixError,
    Dialect,
    data_lines,
    dialect_of,
    sniff_matrix,
)
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TEXT_SUFFIXES = frozenset({".txt", ".csv", ".tsv", ".asc", ".dat"})
IS_SEPARATOR = np.isin(np.arange(256), [ord(mark) for mark in " \t\n\v\f\r,;"])
MAX_BYTES = 64 * 2**20  # of a text matrix: 8 million temperatures of 8 characters


def read_text(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` float32 °C of a text matrix of any size up to 64 MB.

    Blanks, tabs, commas or semicolons may separate the numbers, with a decimal point or comma,
    with quotation marks or without; UTF-8, UTF-16 and the Windows code pages are read, with or
    without byte order mark. Blank lines and lines that start with ``#`` are skipped, and so are
    a first line that numbers the columns and a first column that numbers the rows. The values are
    those of :func:`numpy.loadtxt`: each number is read as float64 and then rounded to float32.

    Raises
    ------
    ThermogramError
        No such file, no matrix, rows of different lengths, something that is no number, commas
        that can be read in two ways, or temperatures that are impossible: the sentence names the
        line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ThermogramError(
                f"{path.name} is larger than {MAX_BYTES // 2**20} MB, which no frame is. Save a "
                "series as .npy, or each frame as a file."
            )
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
    lines = data_lines(text)
    if (start := _long_number_start(text)) is not None:
        line = text.count("\n", 0, start) + 1
        raise ThermogramError(
            f"{path.name}, line {line}: a number has more than {MAX_DIGITS} characters. Export "
            "the frame again."
        )
    try:
        dialect = dialect_of(lines)
    except AmbiguousMatrixError as error:
        raise ThermogramError(f"{path.name}, {error}") from error
    values = _parse(text, lines, dialect, path.name)
    values, header = _without_numbering(values)
    _check_rows(values, path.name)
    check_celsius(values, path.name, line=_first_line(text) + dialect.header + header)
    return values.astype(np.float32)


def _long_number_start(text: str) -> int | None:
    """Return the start of a run of characters too long to be a number; linear time."""
    codes = np.frombuffer(text.encode("latin-1", errors="replace"), np.uint8)
    ends = np.flatnonzero(IS_SEPARATOR[codes])
    bounds = np.concatenate([[-1], ends, [len(codes)]])
    long = np.flatnonzero(np.diff(bounds) > MAX_DIGITS + 1)
    return int(bounds[long[0]]) + 1 if len(long) else None


def _parse(text: str, lines: list[str], dialect: Dialect, name: str) -> NDArray[np.float64]:
    body = lines[dialect.header :]
    plain = dialect.decimal == "." or dialect.separator != ","
    if plain:
        separator = None if dialect.separator == " " else dialect.separator
        if separator and body and body[0].endswith(separator):
            body = [line.removesuffix(separator) for line in body]
        if dialect.decimal == ",":
            body = [line.replace(",", ".") for line in body]
    else:
        body, separator = [" ".join(dialect.fields(line)) for line in body], None
    try:
        values = np.loadtxt(body, delimiter=separator, comments=COMMENT, ndmin=2)
    except ValueError as error:
        raise ThermogramError(_parse_error_message(text, dialect, name)) from error
    return values[:, 1:] if dialect.numbered and plain else values


def _without_numbering(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """Return the temperatures without row and column numbers, and whether a line of them led.

    However they are written (``0.00``, ``1e0``): whole numbers that count upwards one by one,
    where those beside them do not.
    """
    header = values.shape[1] > LEAST_COLUMNS and len(values) > 2 and _counts(*values[:2])
    if not header and values.shape[1] > LEAST_COLUMNS + 1 and len(values) > 2:
        header = _counts(*values[:2, 1:]) and _counts(*values[1:, :2].T)  # with a corner
    if header:
        values = values[1:]
    if values.shape[1] > LEAST_COLUMNS and len(values) > 2 and _counts(*values[:, :2].T):
        values = values[:, 1:]
    return values, bool(header)


def _counts(line: NDArray[np.float64], beside: NDArray[np.float64]) -> bool:
    """Whether a row or column counts by ones: from 0 or 1, or for eight or more values."""
    whole = line[0] in {0.0, 1.0} or (len(line) >= LEAST_ROWS and line[0] % 1 == 0)
    return bool(whole and (np.diff(line) == 1).all() and not (np.diff(beside) == 1).all())


def _parse_error_message(text: str, dialect: Dialect, name: str) -> str:
    """Return the sentence about the first line that does not fit; slow, used for errors only."""
    width, header = 0, dialect.header
    for number, line in enumerate(text.splitlines(), start=1):
        cleaned = data_lines(line)
        if not cleaned:
            continue
        if header:
            header = False
            continue
        fields = dialect.fields(cleaned[0])
        for column, field in enumerate(fields, start=1):
            if not NUMBER.fullmatch(field[: MAX_DIGITS + 1]):
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
    """Line number of the first row of the matrix."""
    lines = text.splitlines()
    return next(number for number, line in enumerate(lines, start=1) if data_lines(line))
