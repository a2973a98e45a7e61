"""One table for many images: a row a cell, as ``cells.csv``; with summaries, ``cells.xlsx``."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.store.class_counts import Counts, count_classes
from napari_hemacells.core.store.tables import add_kinds
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_hemacells.core.types import Groups

FIRST_COLUMNS = ("image", "label", "class", "confidence", "unknown", "group")
LAST_COLUMNS = ("is_unknown", "annotated", "predicted", "score", "row", "col", "area", "file")
_TEXTS = frozenset({"image", "class", "group", "annotated", "predicted", "file"})
_DIGITS = 6  # decimals of a probability: more than any of them is worth


@dataclass(frozen=True, eq=False)
class ImageRows:
    """The cells of one image in a joint table.

    Attributes
    ----------
    image
        What the image is called in the table: see :func:`image_labels`.
    table
        From :func:`~napari_hemacells.core.store.tables.cells_table`, or as read back from its
        CSV; at least ``label`` and ``class``.
    group
        What its cells belong to (:func:`group_name`).
    file
        Its path as the user knows it; ``""`` for a layer without one.
    """

    image: str
    table: pd.DataFrame
    group: str = ""
    file: str = ""


@dataclass(frozen=True, eq=False)
class JointTable:
    """All cells of all images, and what they are counted by.

    Attributes
    ----------
    frame
        A row a cell: ``image``, ``label``, ``class`` (as displayed: ``(unknown)`` included),
        ``confidence``, ``unknown`` (how far from everything the model learned from), ``group``,
        ``p_<class>`` for each class, then ``is_unknown`` and where the cell lies, as far as given.
    classes
        Names of the classes, in the user's order.
    images, groups
        Of every image its group, those without a cell included.
    notes
        Sentences for the summary: which model, what it has seen.
    kinds
        The name of each class's kind, by its name; empty where no class is within another. With
        it, the frame has ``kind`` and ``kind_confidence`` (:func:`~.tables.add_kinds`).
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    images: dict[str, str]
    notes: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def knows_shares(self) -> bool:
        """Whether there is more than one class: of one alone everything is in it."""
        return sum(str(name).startswith("p_") for name in self.frame.columns) != 1

    @property
    def total(self) -> Counts:
        """The counts of all images together."""
        return self._count(self.frame["class"])

    def by_image(self) -> dict[str, Counts]:
        """Return the counts of each image, those without a cell included."""
        return self._by("image", list(self.images))

    def by_group(self) -> dict[str, Counts]:
        """Return the counts of each group; empty where no image has one."""
        groups = sorted({group for group in self.images.values() if group})
        return self._by("group", groups)

    def _by(self, column: str, keys: Sequence[str]) -> dict[str, Counts]:
        shown: dict[str, list[str]] = {key: [] for key in keys}
        for key, name in zip(self.frame[column], self.frame["class"], strict=True):
            if key in shown:
                shown[key].append(name)
        return {key: self._count(names) for key, names in shown.items()}

    def _count(self, shown: Sequence[str] | pd.Series) -> Counts:
        return count_classes(shown, self.classes, shares=self.knows_shares, kinds=self.kinds)


def join_tables(
    parts: Sequence[ImageRows],
    classes: Sequence[str],
    notes: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> JointTable:
    """Return the table of all cells.

    Parameters
    ----------
    parts
        The images in the order of the table, no two of one name.
    classes
        Names of the classes in the user's order; probabilities come in the same.
    kinds
        The name of each class's kind (:attr:`.Palette.kind_names`) where some are within others.
    """
    given = {str(name) for part in parts for name in part.table.columns}
    chances = [f"p_{name}" for name in classes if f"p_{name}" in given]
    last = [name for name in LAST_COLUMNS if name in given or name == "file"]
    columns = [*FIRST_COLUMNS, *chances, *last]
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for part in parts:  # lists, not frames: of 20,000 pictures each is a row
        for name in columns:
            values[name].extend(_values_of(part, name))
    frame = pd.DataFrame({name: _column(name, values[name]) for name in columns})
    if kinds:
        add_kinds(frame, kinds)
    groups = {part.image: part.group for part in parts}
    return JointTable(frame, tuple(classes), groups, tuple(notes), dict(kinds or {}))


def joint_of_pictures(
    table: pd.DataFrame,
    classes: Sequence[str],
    notes: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> JointTable:
    """Return the table of pictures of one cell each.

    Parameters
    ----------
    table
        From :func:`~napari_hemacells.core.store.picture_classes.pictures_table`.
    """
    one = join_tables([ImageRows("", table)], classes, notes, kinds)
    own = ("image", "group", "file")
    frame = one.frame.assign(**{name: _column(name, table[name].tolist()) for name in own})
    images = dict(zip(frame["image"], frame["group"], strict=True))
    return JointTable(frame, one.classes, images, one.notes, one.kinds)


def _values_of(part: ImageRows, name: str) -> list[Any]:
    if name in {"image", "group", "file"}:
        return [getattr(part, name)] * len(part.table)
    if name not in part.table.columns:
        return [""] * len(part.table)
    return part.table[name].tolist()


def _column(name: str, values: list[Any]) -> pd.Series:
    """Return a column of the values, be they numbers or the text of a CSV."""
    if name in _TEXTS:
        return pd.Series(
            ["" if _is_missing(value) else str(value) for value in values], dtype="str"
        )
    if name == "label":
        return pd.Series([int(value) for value in values], dtype="int64")
    if name == "is_unknown":
        if all(map(_is_missing, values)):
            return pd.Series(np.full(len(values), np.nan))  # the model cannot tell
        return pd.Series([str(value) == "True" for value in values], dtype="bool")
    numbers = [math.nan if _is_missing(value) else float(value) for value in values]
    return pd.Series(np.round(np.array(numbers, dtype=np.float64), _DIGITS))


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # noqa: PLR0124  # NaN


def read_rows(csv: Path) -> pd.DataFrame:
    """Return the table of one image as :func:`~.cells_file.write_csv` wrote it, as text.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    try:
        return read_table(csv, limit=2**31).to_frame()
    except (OSError, ValueError) as error:
        raise StorageError(
            f"The table {csv} cannot be read ({error}): run the command again without --skip-done."
        ) from error


def image_labels(paths: Sequence[Path | str]) -> list[str]:
    """Return what images are called in one table: file names, no two alike.

    Those of one name have as many folders before it as tell them apart.

    Examples
    --------
    >>> image_labels(["a/1/f.png", "a/2/f.png", "a/2/g.png"])
    ['1/f.png', '2/f.png', 'g.png']
    """
    parts = [Path(path).parts for path in paths]
    depths = [1] * len(parts)
    while True:
        labels = ["/".join(own[-depth:]) for own, depth in zip(parts, depths, strict=True)]
        counts = Counter(labels)
        short = [
            place
            for place, label in enumerate(labels)
            if counts[label] > 1 and depths[place] < len(parts[place])
        ]
        if not short:
            return _numbered(labels)
        for place in short:
            depths[place] += 1


def _numbered(labels: Sequence[str]) -> list[str]:
    """Return names of which no two are alike: one file given twice gets a number behind it."""
    taken: set[str] = set()
    names = []
    for label in labels:
        tries = (label if number == 1 else f"{label} ({number})" for number in count(1))
        names.append(next(name for name in tries if name not in taken))
        taken.add(names[-1])
    return names


def group_name(groups: Groups) -> str:
    """Return what cells of an image belong together by: patient, else slide, else laboratory."""
    return groups.patient or groups.slide or groups.laboratory or ""


def model_notes(name: str, counts: dict[str, int], seen: str) -> tuple[str, ...]:
    """Return the sentences about the model that gave the classes.

    Parameters
    ----------
    counts
        Cells that it learned each class from, by the name of the class.
    seen
        What its encoder was trained on, in words.
    """
    learned = ", ".join(f"{label} {number:,}" for label, number in counts.items())
    return (
        f"Classes by the model “{name}”, which learned from: {learned}.",
        f"Its network has seen: {seen or 'not stated'}.",
        f"{UNKNOWN}: unlike everything the model learned from; such cells are in no share.",
        "Intervals (95 %, Wilson) are of counting alone; wrong classes come on top of them.",
    )
