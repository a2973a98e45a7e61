"""What the report of a classifier shows, ready for its template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hemacells.core.train.page import Table


@dataclass(frozen=True)
class Shot:
    """A crop with what is written under it.

    Attributes
    ----------
    uri, heat
        ``data:`` addresses; ``heat`` is empty where there is no heat map.
    given, said
        The given class, and what the network (or the heads) say instead.
    figure
        How sure.
    """

    uri: str
    name: str
    given: str
    said: str
    figure: str
    heat: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Gallery:
    """Crops under a heading."""

    title: str
    note: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class MatrixRow:
    """A row of the confusion matrix: counts, and shares of the row for shade and second table."""

    name: str
    counts: tuple[int, ...]
    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class ReportPage:
    """The page, from its head to its foot.

    Attributes
    ----------
    verdict
        The result in one sentence, with its interval.
    stands_on
        What the figures stand on: a word and a sentence each.
    plots
        ``<svg>`` elements: curves, then others by name; empty where there is none.
    """

    title: str
    created: str
    verdict: str
    facts: tuple[tuple[str, str, str], ...]
    stands_on: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    classes: Table
    names: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    pairs: Table
    curves: str
    finder: str
    reliability: str
    roc: str
    calibration: str
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]
    suspects: Gallery
    provenance: tuple[tuple[str, str], ...]
    command: str
