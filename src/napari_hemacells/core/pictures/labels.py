"""A table that says the class of pictures: read, and matched with the pictures of a folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.text_tables import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

IMAGE_NAMES = ("image", "path", "file", "filename", "file_name", "picture", "name")
CLASS_NAMES = ("class", "label", "class_name")  # `label` last: in our tables it is a number
GROUP_NAMES = ("group", "patient", "slide")
PART_NAMES = ("split", "part", "subset")
_NAMED = 3  # files that a sentence names


@dataclass(frozen=True)
class LabelRow:
    """What a table says of one picture."""

    line: int
    image: str
    label: str
    group: str = ""
    part: str = ""


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table of labels that name a picture."""

    path: Path
    rows: tuple[LabelRow, ...]


@dataclass(frozen=True)
class MatchedLabels:
    """Which rows of a table belong to which pictures.

    Attributes
    ----------
    rows
        The row of each picture, by its number.
    sentences
        What did not match: rows without a picture, pictures without a row.
    """

    rows: Mapping[int, LabelRow] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def read_labels(table: Path) -> LabelTable:
    """Return the labels in a CSV: columns ``image``, ``class``, and ``group``, ``split`` if known.

    ``path``, ``file`` or ``filename`` may stand for ``image``, ``label`` for ``class``,
    ``patient`` or ``slide`` for ``group``. Rows without a class are kept for their group.

    Raises
    ------
    ImageError
        It cannot be read, or lacks one of the two columns.
    """
    try:
        read = read_table(table)
    except (OSError, ValueError) as error:
        raise ImageError(f"The table {table} cannot be read ({error}).") from error
    columns = {name.casefold(): name for name in read.columns}
    image, label = _column(columns, IMAGE_NAMES), _column(columns, CLASS_NAMES)
    if image is None or label is None:
        raise ImageError(
            f"The table {table} needs the columns image and class; it has "
            f"{', '.join(read.columns[:12])}."
        )
    group, part = _column(columns, GROUP_NAMES), _column(columns, PART_NAMES)
    rows = [
        LabelRow(
            line,
            record[image].strip().replace("\\", "/"),
            record[label].strip(),
            record[group].strip() if group else "",
            record[part].strip() if part else "",
        )
        for (line, _), record in zip(read.rows, read.records(), strict=True)
    ]
    return LabelTable(table, tuple(row for row in rows if row.image))


def match_labels(table: LabelTable, names: Sequence[str], numbers: Sequence[int]) -> MatchedLabels:
    """Return the row of each picture: by its path, else by a file name that is the only one.

    A row may name its picture by the path from the folder, by any end of that path, or without
    the suffix.

    Raises
    ------
    ImageError
        Two rows give one picture different classes.
    """
    places = _Places(names)
    rows, unmatched, ambiguous = dict[int, LabelRow](), list[str](), list[str]()
    for row in table.rows:
        indices = places.find(row.image)
        if len(indices) != 1:
            (ambiguous if indices else unmatched).append(row.image)
            continue
        number = int(numbers[indices[0]])
        before = rows.setdefault(number, row)
        if before.label != row.label:
            raise ImageError(
                f"{table.path.name} gives {names[indices[0]]} two classes: {before.label} in line "
                f"{before.line}, {row.label} in line {row.line}. Keep one of the rows."
            )
    bare = [
        name for name, number in zip(names, numbers, strict=True)
        if int(number) not in rows or not rows[int(number)].label
    ]  # fmt: skip
    sentences = [
        _sentence(unmatched, "row names no picture of the folder", "rows name no picture of the "
                  "folder"),
        _sentence(ambiguous, "row could be several pictures: give the path from the folder",
                  "rows could each be several pictures: give the path from the folder"),
        _sentence(bare, "picture has no class in the table",
                  "pictures have no class in the table"),
    ]  # fmt: skip
    return MatchedLabels(rows, tuple(text for text in sentences if text))


class _Places:
    """Finds pictures by what a table calls them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._by_path = {name: index for index, name in enumerate(names)}
        self._by_name: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            path = PurePosixPath(name)
            self._by_name.setdefault(path.name, []).append(index)
            self._by_stem.setdefault(path.stem, []).append(index)

    def find(self, image: str) -> list[int]:
        """Return the places of the pictures that a name may mean."""
        name = image.removeprefix("./")
        if name in self._by_path:
            return [self._by_path[name]]
        parts = PurePosixPath(name).parts
        if not parts:
            return []
        candidates = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1], [])
        return [index for index in candidates if self._ends_alike(index, parts)]

    def _ends_alike(self, index: int, parts: Sequence[str]) -> bool:
        """Whether the folders of the shorter path are the last ones of the longer."""
        own = PurePosixPath(self._names[index]).parts
        shared = min(len(own), len(parts))
        return own[-shared:-1] == tuple(parts[-shared:-1])


def _sentence(names: Sequence[str], singular: str, plural: str) -> str:
    if not names:
        return ""
    repeated = Counter(names)
    listed = ", ".join(list(repeated)[:_NAMED]) + (" …" if len(repeated) > _NAMED else "")
    return (
        f"1 {singular} ({listed})." if len(names) == 1 else f"{len(names):,} {plural} ({listed})."
    )


def _column(columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)
