"""Reading several annotators' points: tables, Cell Spotting answers and PyBossa task runs.

Other people's files are read within bounds, and nothing in them is evaluated.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.consensus.points import points_from_rows
from napari_hemacells.core.errors import AnnotationError, StorageError
from napari_hemacells.core.files.text_tables import parse_table, read_text_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_hemacells.core.consensus.points import AnnotatorPoints
    from napari_hemacells.core.files.text_tables import TextTable

MAX_LIST_CHARACTERS = 1_000_000  # of the list in one cell; the longest of 999 real ones has 1,070
MAX_DEPTH = 4  # brackets within brackets: a list of points has two
DEFAULT_QUESTION = "alive"
_QUESTION = re.compile(r"(.+?)_array")
_COLUMNS = {
    "image": ("image", "frame", "file", "filename", "picture", "task"),
    "annotator": ("annotator", "user", "user_id", "observer", "rater", "expert"),
    "row": ("row", "y"),
    "column": ("column", "col", "x"),
    "class": ("class", "label", "state", "type"),
}
_IMAGE_KEYS = ("task", "image", "img", "link", "url", "url_b", "url_m", "frame")

Rows = list[tuple[str, str, float, float, str]]


def read_annotator_points(path: Path, question: str = DEFAULT_QUESTION) -> AnnotatorPoints:
    """Return the points of a file, whichever of the three kinds it is.

    - A table with the columns image, annotator, row, column and, if any, class. A row without row
      and column says that the annotator looked at the image and marked nothing. Without the
      column annotator, the file is that of one annotator, called as the file is.
    - Cell Spotting answers (CSV): a row for each answer, its points as a Python literal in
      ``alive_array`` and the like. Nobody is named: annotators are the first answer, the second …
    - PyBossa task runs (JSON): the same lists, with the user of each answer.

    Parameters
    ----------
    question
        Which list of an answer is read: ``alive``, ``release`` …

    Raises
    ------
    StorageError
        The file cannot be read.
    AnnotationError
        It is none of these, or something in it is no point.
    """
    try:
        text = read_text_file(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise AnnotationError(f"{path} cannot be read: {error}.") from error
    try:
        if text.lstrip()[:1] in {"[", "{"}:
            return _pybossa_points(_parse_json(text), question)
        table = parse_table(text)
        if any(_QUESTION.fullmatch(name) for name in table.columns):
            return _answer_points(table, question)
        return _table_points(table, path.stem)
    except ValueError as error:
        raise AnnotationError(f"{path.name} cannot be read: {error}.") from error
    except AnnotationError as error:
        raise AnnotationError(f"{path.name}: {error}") from error


def parse_literal_list(text: str) -> list[Any]:
    """Return the list that a Python literal says, without evaluating anything.

    Raises
    ------
    ValueError
        It is too long, too deep, or no list of plain values.

    Examples
    --------
    >>> parse_literal_list("[[u'alive', 97, 17]]")
    [['alive', 97, 17]]
    """
    if len(text) > MAX_LIST_CHARACTERS:
        raise ValueError(f"a list has more than {MAX_LIST_CHARACTERS:,} characters")
    depth = deepest = 0
    for character in text:
        depth += (character in "[({") - (character in "])}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ValueError(f"a list has more than {MAX_DEPTH} brackets within brackets")
    try:
        value = ast.literal_eval(text.strip() or "[]")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"“{_short(text)}” is no list of points") from error
    if not isinstance(value, list):
        raise ValueError(f"“{_short(text)}” is no list of points")  # noqa: TRY004 (a wrong file)
    return value


def _short(text: object, length: int = 60) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[:length]}…"


def _parse_points(value: object, where: str) -> list[tuple[float, float, str]]:
    """Row, column and class of each point of an answer, given as ``[class, x, y]``."""
    points = []
    for point in parse_literal_list(value) if isinstance(value, str) else value or ():  # type: ignore[attr-defined]
        if not isinstance(point, list | tuple) or len(point) != 3:
            raise ValueError(f"{where}: “{_short(point)}” is no point (class, x, y)")
        name, x, y = point
        if not isinstance(name, str) or not (_is_number(x) and _is_number(y)):
            raise ValueError(f"{where}: “{_short(point)}” is no point (class, x, y)")
        points.append((float(y), float(x), name))
    return points


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _question_column(columns: Iterable[str], question: str) -> str:
    """The column or key with the points of a question."""
    known = [match[1] for name in columns if (match := _QUESTION.fullmatch(name))]
    if not known:
        raise ValueError("it holds no points")
    for name in known:
        if name == question or name.startswith(f"{question}_"):
            return f"{name}_array"
    raise ValueError(f"it has no question “{question}”: choose one of {', '.join(sorted(known))}")


def _answer_points(table: TextTable, question: str) -> AnnotatorPoints:
    column = _question_column(table.columns, question)
    image_column = _column(table.columns, "image")
    if image_column is None:
        raise ValueError("no column “task” says which image an answer is about")
    rows: Rows = []
    looked: list[tuple[str, str]] = []
    answers: Counter[str] = Counter()
    for (line, _), record in zip(table.rows, table.records(), strict=True):
        image = _image_name(record[image_column])
        answers[image] += 1
        annotator = f"answer {answers[image]}"
        looked.append((image, annotator))
        for row, col, name in _parse_points(record[column], f"line {line}"):
            rows.append((image, annotator, row, col, name))
    return points_from_rows(rows, looked, anonymous=True)


def _image_name(text: str) -> str:
    """The last part of an address or path."""
    parts = [part for part in re.split(r"[\\/]", text.strip()) if part]
    return parts[-1] if parts else "image"


def _parse_json(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if isinstance(value, dict):
        value = next((part for part in value.values() if isinstance(part, list)), [value])
    return list(value)


def _pybossa_points(runs: list[Any], question: str) -> AnnotatorPoints:
    rows: Rows = []
    looked: list[tuple[str, str]] = []
    unnamed: Counter[str] = Counter()
    for number, run in enumerate(runs, start=1):
        where = f"answer {number}"
        if not isinstance(run, dict):
            raise ValueError(f"{where} is no task run")  # noqa: TRY004 (a wrong file)
        info = _info(run.get("info", run), where)
        value = info.get(_question_column(info, question))
        image = _image_of_run(run, info)
        annotator = next(
            (f"user {run[key]}" for key in ("user_id", "user_ip", "external_uid") if run.get(key)),
            "",
        )
        if not annotator:
            unnamed[image] += 1
            annotator = f"answer {unnamed[image]}"
        looked.append((image, annotator))
        if value is not None and not isinstance(value, str | list):
            raise ValueError(f"{where}: “{_short(value)}” is no list of points")
        rows += [(image, annotator, *point) for point in _parse_points(value, where)]
    return points_from_rows(rows, looked, anonymous=bool(unnamed))


def _info(value: object, where: str) -> Mapping[str, Any]:
    """What a task run says; PyBossa stores it as an object or as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: “{_short(value)}” is no answer") from error
    if not isinstance(value, dict):
        raise ValueError(f"{where}: “{_short(value)}” is no answer")  # noqa: TRY004 (a wrong file)
    return value


def _image_of_run(run: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    for source in (info, run):
        for key in _IMAGE_KEYS:
            if isinstance(source.get(key), str) and source[key].strip():
                return _image_name(source[key])
    return f"task {run.get('task_id', '?')}"


def _column(columns: Iterable[str], wanted: str) -> str | None:
    """The column of a table that holds this, whatever it is called."""
    by_name = {name.casefold(): name for name in reversed(list(columns))}
    return next((by_name[name] for name in _COLUMNS[wanted] if name in by_name), None)


def _table_points(table: TextTable, one_annotator: str) -> AnnotatorPoints:
    names = {wanted: _column(table.columns, wanted) for wanted in _COLUMNS}
    missing = [wanted for wanted in ("row", "column") if names[wanted] is None]
    if missing:
        raise ValueError(
            f"it has no column {' and no column '.join(missing)}. A table of points has the "
            "columns image, annotator, row, column and class"
        )
    rows: Rows = []
    looked: list[tuple[str, str]] = []
    for (line, _), record in zip(table.rows, table.records(), strict=True):
        cells = {wanted: record[name].strip() if name else "" for wanted, name in names.items()}
        image = _image_name(cells["image"]) if cells["image"] else "image"
        if names["annotator"] is None:
            cells["annotator"] = one_annotator
        elif not cells["annotator"]:
            raise ValueError(f"line {line} names no annotator")
        looked.append((image, cells["annotator"]))
        if not cells["row"] and not cells["column"]:
            continue
        try:
            row, column = float(cells["row"]), float(cells["column"])
        except ValueError as error:
            raise ValueError(
                f"line {line}: “{_short(cells['row'])}”, “{_short(cells['column'])}” is no row "
                "and column in pixels"
            ) from error
        rows.append((image, cells["annotator"], row, column, cells["class"]))
    return points_from_rows(rows, looked)
