"""Text matrices: every way of writing them, the same degrees; every mistake, one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature import (
    find_thermograms,
    is_thermogram,
    read_celsius,
)

if TYPE_CHECKING:
    from pathlib import Path

CELSIUS = np.round(np.random.default_rng(0).uniform(22, 36, (12, 16)), 2)


def as_text(values: np.ndarray, separator: str = " ", decimal: str = ".", end: str = "\n") -> str:
    rows = (separator.join(f"{value:.2f}" for value in row) for row in values)
    return "".join(row.replace(".", decimal) + end for row in rows)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("separator", "decimal"),
    [
        (" ", "."), ("  ", "."), ("\t", "."), (",", "."), (", ", "."), (";", "."), ("; ", "."),
        (" ", ","), ("\t", ","), (";", ","), ("; ", ","),
    ],
)  # fmt: skip
def test_every_way_of_writing_gives_the_same_degrees(
    tmp_path: Path, separator: str, decimal: str, end: str, encoding: str
) -> None:
    text = as_text(CELSIUS, separator, decimal, end)
    read = read_celsius(write(tmp_path / "frame.txt", text, encoding))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, CELSIUS.astype(np.float32))


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
def test_separators_at_line_ends_blank_lines_and_comments_do_not_matter(
    tmp_path: Path, separator: str
) -> None:
    text = "# camera 3, °C\n\n" + as_text(CELSIUS, separator, end=f"{separator}\r\n") + "\n\n"
    read = read_celsius(write(tmp_path / "frame.csv", text))
    np.testing.assert_array_equal(read, CELSIUS.astype(np.float32))


def test_whole_degrees_separated_by_commas_are_no_decimals(tmp_path: Path) -> None:
    whole = np.full((9, 10), 31.0)
    text = "\n".join(",".join(f"{value:.0f}" for value in row) for row in whole)
    np.testing.assert_array_equal(read_celsius(write(tmp_path / "f.csv", text)), whole)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(2, 6),
    cols=st.integers(8, 12),
    digits=st.integers(0, 17),
    separator=st.sampled_from([" ", "\t", ";", ","]),
    seed=st.integers(0, 99),
)
def test_values_are_numpys_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int, cols: int, digits: int, separator: str, seed: int,
) -> None:  # fmt: skip
    values = np.random.default_rng(seed).uniform(20, 40, (rows, cols))
    file = tmp_path_factory.mktemp("digits") / "frame.txt"
    np.savetxt(file, values, fmt=f"%.{digits}f", delimiter=separator)
    theirs = np.loadtxt(file, delimiter=None if separator == " " else separator)
    np.testing.assert_array_equal(read_celsius(file), theirs.astype(np.float32))


def damaged(line: int, column: int, with_: str) -> str:
    lines = [row.split() for row in as_text(CELSIUS).splitlines()]
    lines[line - 1][column - 1] = with_
    return "\n".join(map(" ".join, lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (damaged(5, 3, "abc"), ["line 5, column 3", "“abc” is no number"]),
        (damaged(7, 2, "31,5"), ["line 7, column 2", "“31,5” is no number"]),
        (damaged(4, 16, ""), ["line 4: 15 numbers", "have 16"]),
        (damaged(4, 16, "30.0 30.0"), ["line 4: 17 numbers", "have 16"]),
        (damaged(6, 9, "nan"), ["line 6, column 9", "nan is no temperature"]),
        (damaged(6, 9, "-inf"), ["line 6, column 9", "-inf is no temperature"]),
        (damaged(3, 1, "-273.15"), ["line 3, column 1", "-273.15 °C is impossible"]),
        (as_text(CELSIUS + 273.15), ["line 1, column 1", "kelvin", "subtract 273.15"]),
        (as_text(CELSIUS * 1.8 + 32), ["line 1, column 1", "Fahrenheit", "subtract 32"]),
        (as_text(CELSIUS * 100), ["line 1, column 1", "hundredths of a degree", "by 100"]),
        (as_text(CELSIUS * 10), ["tenths of a degree", "by 10"]),
        (as_text((CELSIUS + 273.15) * 100), ["hundredths of a kelvin", "subtract 273.15"]),
        (as_text(CELSIUS * 777), ["no frame in °C", "raw counts"]),
        (as_text(CELSIUS[:1]), ["line 1", "all 16 numbers are on one line"]),
        ("row;col;celsius\n1;1;30\n", ["line 1", "without headings"]),
        ("", ["line 1", "does not begin like a matrix"]),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_line(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    file = write(tmp_path / "T0001.1.1.S.2013-01-01.00.txt", text)
    with pytest.raises(ThermogramError) as caught:
        read_celsius(file)
    for part in [file.name, *said]:
        assert part in str(caught.value)


def test_semicolons_with_a_missing_number_say_where(tmp_path: Path) -> None:
    text = as_text(CELSIUS, ";").replace(";", ";;", 1)
    with pytest.raises(ThermogramError, match="line 1, column 2: a number is missing"):
        read_celsius(write(tmp_path / "frame.csv", text))


def test_a_missing_file_and_a_strange_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ThermogramError, match="There is no file"):
        read_celsius(tmp_path / "none.txt")
    with pytest.raises(ThermogramError, match="no kind of file"):
        read_celsius(write(tmp_path / "frame.docx", "30 31"))


def test_only_what_begins_like_a_matrix_is_ours(tmp_path: Path) -> None:
    mine = [
        write(tmp_path / "a.txt", as_text(CELSIUS)),
        write(tmp_path / "b.csv", as_text(CELSIUS, ";", ",")),
        write(tmp_path / "kelvin.txt", as_text(CELSIUS + 273.15)),
    ]
    for name, text in {
        "readme.txt": "These are the exams of 2013.\nSee 1 2 3.\n",
        "points.csv": "index,axis-0,axis-1\n0,1.5,2.5\n1,3.5,4.5\n",
        "boxes.csv": "exam,x0,y0,x1,y1\n" + "T1,1,2,3,4\n" * 9,
        "empty.txt": "",
        ".hidden.txt": as_text(CELSIUS),
        "frame.log": as_text(CELSIUS),
    }.items():
        write(tmp_path / name, text)
    (tmp_path / "folder.txt").mkdir()
    assert find_thermograms(tmp_path) == sorted(mine)
    assert not is_thermogram(tmp_path / "folder.txt")
    assert find_thermograms(tmp_path / "readme.txt") == []


@pytest.mark.realdata
def test_real_exams_equal_numpy(shared_data: Path) -> None:
    files = find_thermograms(shared_data / "dmr_ir" / "txt")
    assert len(files) == 6
    with np.load(shared_data / "dmr_ir" / "exams_centidegrees.npz") as exams:
        for file in files:
            read = read_celsius(file)
            assert read.shape == (480, 640)
            np.testing.assert_array_equal(read, np.loadtxt(file, dtype=np.float32))
            np.testing.assert_array_equal(np.rint(read * 100).astype(int), exams[file.stem])
