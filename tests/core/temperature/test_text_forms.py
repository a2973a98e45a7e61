"""Text matrices with commas, numbered rows, quotation marks: read rightly or refused.

Tables of other things are no thermograms; a long run of digits takes no long time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature import find_thermograms, is_thermogram, read_celsius
from napari_hemacells.core.temperature.dmr_ir import normalise_patient_id
from napari_hemacells.core.temperature.matrix_format import NUMBER, dialect_of

if TYPE_CHECKING:
    from pathlib import Path

FRAME = np.round(np.random.default_rng(1).uniform(20, 40, (60, 80)), 1)


def written(
    values: np.ndarray, separator: str = ",", decimal: str = ",", digits: int = 1, quote: str = ""
) -> list[str]:
    return [
        separator.join(f"{quote}{value:.{digits}f}{quote}".replace(".", decimal) for value in row)
        for row in values
    ]


def numbered(
    lines: list[str], separator: str, *, rows: int | None, header: int | None, corner: str = ""
) -> list[str]:
    columns = 1 + min(line.count(separator) for line in lines)
    if rows is not None:
        lines = [f"{rows + index}{separator}{line}" for index, line in enumerate(lines)]
    if header is not None:
        names = [str(header + index) for index in range(columns)]
        first = [corner, *names] if rows is not None else names
        lines = [separator.join(first), *lines]
    return lines


def read(folder: Path, lines: list[str]) -> np.ndarray:
    file = folder / "frame.csv"
    file.write_text("\n".join(lines))
    return read_celsius(file)


@pytest.mark.parametrize("digits", [1, 2, 3])
@pytest.mark.parametrize("rows", [None, 0, 1])
def test_a_decimal_comma_between_commas_is_a_decimal_comma(
    tmp_path: Path, digits: int, rows: int | None
) -> None:
    lines = numbered(written(FRAME, digits=digits), ",", rows=rows, header=None)
    np.testing.assert_array_equal(read(tmp_path, lines), FRAME.astype(np.float32))


@pytest.mark.parametrize("corner", ["", "0", "row", "y\\x"])
@pytest.mark.parametrize("header", [None, 0, 1])
@pytest.mark.parametrize("rows", [None, 0, 1])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), ("\t", "."), (";", ".")]
)
def test_numbers_of_rows_and_columns_are_no_temperatures(
    tmp_path: Path, separator: str, decimal: str, rows: int | None, header: int | None, corner: str
) -> None:
    lines = written(FRAME, separator, decimal)
    lines = numbered(lines, separator, rows=rows, header=header, corner=corner)
    np.testing.assert_array_equal(read(tmp_path, lines), FRAME.astype(np.float32))


@pytest.mark.parametrize("form", ["%.2f", "%.18e", "%g"])
@pytest.mark.parametrize(
    ("start", "header"), [(0, 0), (1, None), (100, None), (50, 7), (None, 200)]
)
def test_numbers_of_rows_count_however_they_are_written(
    tmp_path: Path, form: str, start: int | None, header: int | None
) -> None:
    values = FRAME
    if start is not None:
        values = np.hstack([np.arange(start, start + 60)[:, None], values])
    if header is not None:
        numbers = np.arange(header, header + 80)
        values = np.vstack([numbers if start is None else [0, *numbers], values])
    np.savetxt(tmp_path / "frame.txt", values, fmt=form)
    np.testing.assert_allclose(read_celsius(tmp_path / "frame.txt"), FRAME, atol=1e-5)


@pytest.mark.parametrize("step", [1, -1])
def test_a_gradient_of_whole_degrees_is_no_numbering(tmp_path: Path, step: int) -> None:
    gradient = np.tile(np.arange(20, 32)[::step, None], (1, 20)).astype(np.float32)
    for values in (gradient, gradient.T):
        np.savetxt(tmp_path / "frame.txt", values, fmt="%d")
        np.testing.assert_array_equal(read_celsius(tmp_path / "frame.txt"), values)


def test_the_table_that_pandas_writes_is_the_frame(tmp_path: Path) -> None:
    pd.DataFrame(FRAME).to_csv(tmp_path / "frame.csv")
    np.testing.assert_array_equal(read_celsius(tmp_path / "frame.csv"), FRAME.astype(np.float32))


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize(
    ("separator", "decimal"),
    [(",", "."), (",", ","), (";", ","), ("\t", ",")],
)
def test_numbers_in_quotation_marks_are_read(
    tmp_path: Path, separator: str, decimal: str, quote: str
) -> None:
    lines = written(FRAME, separator, decimal, quote=quote)
    np.testing.assert_array_equal(read(tmp_path, lines), FRAME.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(3, 9), cols=st.integers(9, 14), digits=st.integers(1, 3),
    form=st.sampled_from(
        [(",", ","), (";", ","), ("\t", ","), (",", "."), (" ", ","), (" ", ".")]
    ),
    number=st.sampled_from([None, 0, 1]), seed=st.integers(0, 9999),
)  # fmt: skip
def test_any_frame_in_any_form_is_read_rightly_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int, cols: int, digits: int, form: tuple[str, str], number: int | None, seed: int,
) -> None:  # fmt: skip
    values = np.round(np.random.default_rng(seed).uniform(15, 42, (rows, cols)), digits)
    lines = numbered(written(values, *form, digits=digits), form[0], rows=number, header=None)
    try:
        found = read(tmp_path_factory.mktemp("form"), lines)
    except ThermogramError as error:
        assert form == (",", ",")  # nothing else can be read in two ways
        assert "may be their decimal marks" in str(error)  # noqa: PT017
        return
    np.testing.assert_array_equal(found, values.astype(np.float32))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["33,30,33,31,33,32,33,33,33,34"] * 9, "decimal marks too"),  # 33.30 or 33 and 30
        (["33,5,33,60,33,33,7,34,9,33"[: 26 - n % 2 * 3] for n in range(9)], "decimal marks too"),
        (
            ["33.5;33,6;33.5;33,6;33.5;33,6;33.5;33,6;33.5"] * 9,
            "decimal points and decimal commas",
        ),
        (["9" * 65 + " 33" * 10] * 9, "more than 64 characters"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    with pytest.raises(ThermogramError, match=said):
        read(tmp_path, lines)


@pytest.mark.parametrize("start", ["1" * 440_000, "1" * 440_000 + "x", "+" * 440_000])
def test_a_long_run_of_digits_is_no_number_and_takes_no_time(tmp_path: Path, start: str) -> None:
    assert NUMBER.fullmatch(start + "y") is None
    with pytest.raises(ThermogramError):
        read(tmp_path, [start + " 33" * 9, "33 " * 10])
    assert normalise_patient_id("0" * 200_000 + "x") == "0" * 200_000 + "x"


@pytest.mark.timeout(60)
def test_the_whole_file_decides_and_not_its_first_lines(tmp_path: Path) -> None:
    lines = written(np.full((9, 10), 33.0), ";", ",", digits=0) + written(FRAME[:9, :10], ";")
    assert read(tmp_path, lines)[9:].tolist() == FRAME[:9, :10].astype(np.float32).tolist()
    assert dialect_of(lines).decimal == ","


TABLES = {
    "field.cells.csv": "label,row,col,min_row,min_col,max_row,max_col,area,score,class\n"
    + "".join(f"{n},20.5,30.5,20,30,31,40,33,0.9,RBC\n" for n in range(1, 30)),
    "numeric.csv": "\n".join(
        ",".join(map(str, row))
        for row in np.random.default_rng(0).integers(0, 5000, (40, 9)).tolist()
    ),
    "features.csv": "a,b,c,d,e,f,g,h\n" + "0.1,0.5,0.2,0.9,120,5000,0.3,2\n" * 40,
    "labels.txt": "0 0 0 1 1 1 2 2\n" * 40,
    "short.csv": ",".join(["33.5"] * 10) + "\n" + ",".join(["33.5"] * 10),
}


def test_tables_own_results_and_hidden_files_are_no_thermograms(tmp_path: Path) -> None:
    frame = tmp_path / "frame.csv"
    frame.write_text("\n".join(written(FRAME, ";")))
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
        assert not is_thermogram(tmp_path / name), name
    for name in ("._frame.csv", ".DS_Store.txt", "Thumbs.db", "other.cells.csv", "counts.csv"):
        (tmp_path / name).write_bytes(frame.read_bytes())
    assert find_thermograms(tmp_path) == [frame]


@pytest.mark.parametrize(
    "fill", [b"\x00", b"\xff", b"\x93NUMPY", b"II*\x00", b"PK\x03\x04", b"9,"]
)
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".npy", ".npz", ".tif", ".jpg"])
def test_no_damaged_file_escapes_the_sentence(tmp_path: Path, fill: bytes, suffix: str) -> None:
    file = tmp_path / f"damaged{suffix}"
    for size in (1, 9, 200):
        file.write_bytes(fill * size)
        assert not is_thermogram(file)
        with pytest.raises(ThermogramError, match=r"damaged\."):
            read_celsius(file)
