"""One helper reads every table; what it writes is no formula, and comes back as it was."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hemacells.core.files.own_files import is_hidden, is_own_result
from napari_hemacells.core.files.text_tables import (
    csv_bytes,
    decode_text,
    frame_csv_bytes,
    neutralise_formula,
    parse_table,
    read_table,
    restore_formula,
    separator_of,
)

if TYPE_CHECKING:
    from pathlib import Path

CELL = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "'=1", "''@x", "'", "-3.5", "Ärzte"]
)


@given(cell=CELL)
def test_a_cell_is_no_formula_and_comes_back(cell: str) -> None:
    safe = neutralise_formula(cell)
    assert restore_formula(safe) == cell
    if safe[:1] in set("=+-@\t\r\n"):
        float(safe)  # only a number may begin so


@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_a_table_comes_back(rows: list[tuple[str, str]]) -> None:
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    back = parse_table(decode_text(csv_bytes(("class", "=name"), filled)))
    assert back.columns == ("class", "=name")
    assert [cells for _, cells in back.rows] == filled


def test_numbers_of_a_frame_are_as_pandas_writes_them() -> None:
    frame = pd.DataFrame({"=x": ["=1", "a", ""], "n": [-1.5, 2.0, float("nan")], "k": [-1, 2, 3]})
    data = frame_csv_bytes(frame)
    assert data.startswith(b"\xef\xbb\xbf")
    plain = frame.rename(columns={"=x": "'=x"}).replace("=1", "'=1")
    assert data.decode("utf-8-sig") == plain.to_csv(index=False, lineterminator="\n")
    assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1] == ["'=1", "-1.5", "-1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
                                      "utf-32", "cp1252"])  # fmt: skip
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_encoding_and_separator_gives_the_same_table(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    text = f"name{separator}größe{separator}\nMüller{separator}“1,5 a; b”{separator}\n".replace(
        "“", '"'
    ).replace("”", '"')
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert table.records() == [{"name": "Müller", "größe": "1,5 a; b"}]


def test_short_rows_are_known_and_long_ones_refused() -> None:
    table = parse_table("a,b,c\n1,2\n\n,,\n3,4,5,,\n")
    assert table.rows == ((2, ("1", "2", None)), (5, ("3", "4", "5")))
    assert table.incomplete() == [2]
    for text, said in (("a,b\n1,2,3\n", "line 2 has 3"), ("a,a\n", "called “a”"), ("", "empty")):
        with pytest.raises(ValueError, match=said):
            parse_table(text)


@pytest.mark.parametrize(
    ("text", "separator"),
    [("a;b\n1,5;2,5\n", ";"), ("a\tb,c\n", "\t"), ("path\n1;2\n", ","), ('"a;b",c\n1,2\n', ",")],
)
def test_what_the_lines_agree_on_separates(text: str, separator: str) -> None:
    if separator == "\t":
        text += "1\t2\n" * 3
    assert separator_of(text) == separator


def test_what_systems_and_we_leave_behind_is_known(tmp_path: Path) -> None:
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"):
        assert is_hidden(tmp_path / name)
    for name in ("A.cells.csv", "counts.csv", "a.labels.tif", "a.overlay.png"):
        assert is_own_result(tmp_path / name)
    assert not any(f(tmp_path / "a.png") for f in (is_hidden, is_own_result))
