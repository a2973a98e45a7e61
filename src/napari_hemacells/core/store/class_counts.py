"""How many cells of each class a table holds: shares with intervals, the differential count.

Everything is counted from the column ``class`` of the table alone, so that whatever is printed,
written or drawn of it agrees with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.store.tables import UNCLASSIFIED
from napari_hemacells.core.store.white_cells import is_white_within
from napari_hemacells.core.types import NOT_A_CELL, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_Z95 = NormalDist().inv_cdf(0.975)


@lru_cache(maxsize=65536)
def wilson(count: int, total: int) -> tuple[float, float] | tuple[None, None]:
    """The 95 % Wilson interval of ``count`` out of ``total``; ``None`` twice out of nothing.

    Wilson 1927 (doi 10.1080/01621459.1927.10502953). Written out, as scipy.stats takes a second
    to import, of which an export of a slide would notice nothing else.
    """
    if total == 0:
        return None, None
    share, z = count / total, _Z95
    centre = share + z * z / (2 * total)
    reach = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    size = 1 + z * z / total
    low = 0.0 if count == 0 else (centre - reach) / size
    high = 1.0 if count == total else (centre + reach) / size
    return low, high


@dataclass(frozen=True)
class ClassCount:
    """Cells of a class, and their share with the 95 % interval of counting alone, 0 to 1.

    ``None`` where there is nothing to be a share of.
    """

    name: str
    cells: int
    share: float | None
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "class": self.name, "cells": self.cells, "share": self.share,
            "ci95": None if self.low is None else [self.low, self.high],
        }  # fmt: skip


@dataclass(frozen=True)
class Differential:
    """The differential count of white cells.

    Attributes
    ----------
    classes
        Their shares of all white cells that have a class.
    white
        How many white cells those are.
    excluded
        Cells of classes that are not counted as white, by class.
    unknown, unclassified
        Cells that are unlike every class, and cells without one: neither is in the shares.
    """

    classes: tuple[ClassCount, ...]
    white: int
    excluded: Mapping[str, int]
    unknown: int
    unclassified: int

    @property
    def left_out(self) -> str:
        """A sentence about the cells that are not in the shares."""
        parts = [f"{name} {count:,}" for name, count in self.excluded.items() if count]
        parts += [f"{UNKNOWN} {self.unknown:,}"] if self.unknown else []
        parts += [f"{UNCLASSIFIED} {self.unclassified:,}"] if self.unclassified else []
        return f"Not in the shares: {', '.join(parts)}." if parts else "All cells are in it."

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "white_cells": self.white,
            "classes": [entry.to_dict() for entry in self.classes],
            "excluded": dict(self.excluded),
            "unknown": self.unknown,
            "no_class": self.unclassified,
        }


@dataclass(frozen=True)
class Counts:
    """The cells of a table, or of an image or group of it.

    Attributes
    ----------
    classes
        Shares of the cells that have a class; those of a single known class have none.
    kinds
        The same by kind, where some classes are within others; otherwise empty.
    kind_of
        The name of each class's kind, by its name; otherwise empty.
    not_cells
        Things that were found and are no cells; they are not in ``cells``.
    """

    cells: int
    classes: tuple[ClassCount, ...]
    unknown: int
    unclassified: int
    kinds: tuple[ClassCount, ...] = ()
    kind_of: Mapping[str, str] = field(default_factory=dict)
    not_cells: int = 0

    def is_white(self, name: str) -> bool:
        """Whether a class is known as a white blood cell, by its name and its kind's."""
        return is_white_within(name, self.kind_of.get(name, name))

    @property
    def classified(self) -> int:
        """Cells that have a class."""
        return self.cells - self.unknown - self.unclassified

    def rows(self) -> list[tuple[str, int]]:
        """Return name and count of each class, of unknown cells and of those without a class."""
        rest = (
            (UNKNOWN, self.unknown),
            (UNCLASSIFIED, self.unclassified),
            (NOT_A_CELL, self.not_cells),
        )
        return [
            *((entry.name, entry.cells) for entry in self.classes),
            *(row for row in rest if row[1]),
        ]

    @property
    def differential(self) -> Differential | None:
        """The differential count; ``None`` where fewer than two classes are white cells."""
        white = [entry for entry in self.classes if self.is_white(entry.name)]
        if len(white) < 2:
            return None
        total = sum(entry.cells for entry in white)
        excluded = {entry.name: entry.cells for entry in self.classes if entry not in white}
        return Differential(
            tuple(_share(entry.name, entry.cells, total) for entry in white),
            total,
            excluded,
            self.unknown,
            self.unclassified,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        differential = self.differential
        return {
            "cells": self.cells,
            "classes": [entry.to_dict() for entry in self.classes],
            "unknown": self.unknown,
            "no_class": self.unclassified,
            "differential": None if differential is None else differential.to_dict(),
            **({"not_cells": self.not_cells} if self.not_cells else {}),
            **({"kinds": [entry.to_dict() for entry in self.kinds]} if self.kinds else {}),
        }


def count_classes(
    shown: Iterable[str],
    names: Sequence[str],
    *,
    shares: bool = True,
    kinds: Mapping[str, str] | None = None,
) -> Counts:
    """Return the counts of the classes shown for cells.

    Parameters
    ----------
    shown
        The column ``class``: a name, ``(unknown)``, or empty.
    names
        The classes in the user's order; others that occur follow.
    shares
        Whether shares say something; they do not where a model knows one class alone.
    kinds
        The name of each class's kind, by its name, where some are within others.
    """
    found = Counter(shown)
    unknown = found.pop(UNKNOWN, 0)
    unclassified = found.pop("", 0) + found.pop(UNCLASSIFIED, 0)
    not_cells = found.pop(NOT_A_CELL, 0)
    names = [name for name in names if name != NOT_A_CELL]
    ordered = [*names, *sorted(name for name in found if name not in set(names))]
    total, kind_of = sum(found.values()), dict(kinds or {})
    by_kind: Counter[str] = Counter()
    for name in ordered if kind_of else ():
        by_kind[kind_of.get(name, name)] += found[name]
    of = total if shares else 0
    return Counts(
        total + unknown + unclassified,
        tuple(_share(name, found[name], of) for name in ordered),
        unknown,
        unclassified,
        tuple(_share(kind, cells, of) for kind, cells in by_kind.items()),
        kind_of,
        not_cells,
    )


def _share(name: str, cells: int, total: int) -> ClassCount:
    low, high = wilson(cells, total)
    return ClassCount(name, cells, cells / total if total else None, low, high)


def counts_sentence(counts: Counts) -> str:
    """Return the counts as ``120 cells: RBC 100, WBC 15, (unknown) 5``."""
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.rows() if count)
    return f"{counts.cells:,} cells: {parts or 'none'}"


def differential_sentence(counts: Counts) -> str:
    """Return the differential count as one sentence for people; empty where there is none."""
    differential = counts.differential
    if differential is None or not differential.white:
        return ""
    parts = [
        f"{entry.name} {100 * entry.share:.1f} % ({100 * entry.low:.1f}–{100 * entry.high:.1f})"
        for entry in differential.classes
        if entry.share is not None and entry.low is not None and entry.high is not None
    ]
    return (
        f"Differential count of {differential.white:,} white cells (95 % interval of counting "
        f"alone): {', '.join(parts)}. {differential.left_out}"
    )
