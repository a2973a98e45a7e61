"""Temperature matrices written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.thermogram.dialect import (
    COMMENT,
    NUMBER,
    Dialect,
    data_lines,
    peek,
)
from napari_hemacells.core.thermogram.plausible import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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
        found = peek(path)
        text = "" if found is None else path.read_bytes().decode(found.encoding)
    except OSError as error:
        raise ThermogramError(f"{path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ThermogramError(
            f"{path.name} is damaged: from byte {error.start} on it is no text. Copy it again."
        ) from error
    if found is None:
        raise ThermogramError(
            f"{path.name}, line 1: this does not begin like a matrix of temperatures, a row of "
            "numbers on each line. Export the frame as text without headings."
        )
    values = _parse(text, found.dialect, path.name)
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
        raise ThermogramError(_what_is_wrong(text, dialect, name)) from error


def _what_is_wrong(text: str, dialect: Dialect, name: str) -> str:
    """Return the sentence about the first line that does not fit; slow, and only then needed."""
    width = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not data_lines(line):
            continue
        fields = dialect.fields(line)
        for column, one in enumerate(fields, start=1):
            if not NUMBER.fullmatch(one):
                said = f"“{one[:20]}” is no number" if one else "a number is missing"
                return (
                    f"{name}, line {number}, column {column}: {said}. Correct the line, or export "
                    "the frame again."
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
