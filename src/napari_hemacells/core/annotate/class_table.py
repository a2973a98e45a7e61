"""The classes of a project as a table: ``class``, ``parent``, ``colour``, ``key``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.palette import WITHIN, Palette
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.files.text_tables import read_table, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

COLUMNS = ("class", "parent", "colour", "key")
CLASS_NAMES, PARENT_NAMES, COLOUR_NAMES = (
    ("class", "label", "name"), ("parent", "within", "kind"), ("colour", "color"),
)  # fmt: skip


@dataclass(frozen=True)
class ListedClass:
    """A class of a table; what is empty in it is empty here.

    Attributes
    ----------
    name
        Its own name, without that of the class it is within.
    parent
        Name of the class that it is within.
    """

    name: str
    parent: str = ""
    colour: str = ""
    key: int | None = None

    @property
    def full_name(self) -> str:
        """The name with that of the kind in front."""
        return f"{self.parent}{WITHIN}{self.name}" if self.parent else self.name


def read_class_table(path: Path) -> list[ListedClass]:
    """Return the classes in a CSV: ``class``, and ``parent``, ``colour``, ``key`` where known.

    Raises
    ------
    AnnotationError
        It cannot be read, lacks the column ``class``, or has a key that is no digit.
    """
    try:
        table = read_table(path)
    except (OSError, ValueError) as error:
        raise AnnotationError(f"The table {path} cannot be read ({error}).") from error
    columns = {name.casefold(): name for name in table.columns}
    found = [
        next((columns[name] for name in names if name in columns), None)
        for names in (CLASS_NAMES, PARENT_NAMES, COLOUR_NAMES, ("key",))
    ]
    if found[0] is None:
        raise AnnotationError(
            f"The table {path} needs the column class, and parent for the class that each is "
            f"within; it has {', '.join(table.columns[:12])}."
        )
    rows = []
    for (line, _), record in zip(table.rows, table.records(), strict=True):
        name, parent, colour, key = (
            (record[column] or "").strip() if column else "" for column in found
        )
        if key and not (key.isdigit() and len(key) == 1 and key != "0"):
            raise AnnotationError(f"Line {line} of {path}: the key {key} is none of 1 to 9.")
        if name:
            rows.append(ListedClass(name, parent, colour, int(key) if key else None))
    if not rows:
        raise AnnotationError(f"The table {path} names no class.")
    return rows


def write_class_table(path: Path, palette: Palette) -> None:
    """Write the classes in their order, whole or not at all.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    rows = (
        (
            one.own_name,
            "" if one.parent is None else palette.by_id(one.parent).name,
            one.colour,
            "" if one.key is None else one.key,
        )
        for one in palette
    )
    write_table(path, COLUMNS, rows)


def with_class_table(palette: Palette, rows: Sequence[ListedClass]) -> Palette:
    """Return a palette with the classes of a table: those of the same name changed, others added.

    No class goes; those that the table does not name keep what they have.

    Raises
    ------
    AnnotationError
        A class within one that is within another, or two of one name.
    """
    for name in dict.fromkeys(row.parent for row in rows if row.parent):
        if palette.by_name(name) is None:
            palette = palette.add(name)
    for row in rows:
        kind = palette.by_name(row.parent) if row.parent else None
        parent = None if kind is None else kind.id
        there = palette.by_name(row.full_name) or palette.by_name(row.name)
        if there is None or (row.parent and there.parent not in {None, parent}):
            palette = palette.insert(
                replace(palette.new_class(row.name, row.colour or None), parent=parent)
            )
            there = palette.by_name(row.full_name)
        elif row.parent and there.parent != parent:
            palette = palette.set_parent(there.id, parent)
        if there is not None and row.colour:
            palette = palette.recolour(there.id, row.colour)
        if there is not None and row.key is not None:
            palette = palette.set_key(there.id, row.key)
    return palette


def palette_of_names(names: Iterable[str], rows: Sequence[ListedClass] = ()) -> Palette:
    """Return a palette of classes, with their kinds as the names or a table say.

    Parameters
    ----------
    names
        Names such as ``monocyte``, or ``lymphocyte ▸ abnormal`` of a class within a kind.
    rows
        A table: the kinds of the classes named, and their colours and keys; others are left out.

    Examples
    --------
    >>> palette = palette_of_names(["lymphocyte ▸ healthy", "monocyte"])
    >>> [cell_class.name for cell_class in palette]
    ['lymphocyte', 'healthy', 'monocyte']
    """
    wanted = dict.fromkeys(names)
    palette, unnamed = Palette(), set[str]()
    for name in wanted:
        kind, _, own = name.rpartition(WITHIN)
        if kind and palette.by_name(kind) is None:
            palette = palette.add(kind)
            unnamed.add(kind)
        above = palette.by_name(kind) if kind else None
        if name not in unnamed:
            palette = palette.add(own, parent=None if above is None else above.id)
    known = {name.casefold() for name in wanted}
    used = [row for row in rows if {row.name.casefold(), row.full_name.casefold()} & known]
    kinds = {row.parent.casefold() for row in used}
    above_all = [row for row in rows if row.name.casefold() in kinds and row not in used]
    return with_class_table(palette, [*above_all, *used])


def parents_by_name(palette: Palette, names: Iterable[str]) -> Mapping[str, str]:
    """Return the name of the kind of each class named that is within one, by the name given."""
    found = {}
    for name in names:
        cell_class = palette.by_name(name)
        if cell_class is not None and cell_class.parent is not None:
            found[name] = palette.by_id(cell_class.parent).name
    return found
