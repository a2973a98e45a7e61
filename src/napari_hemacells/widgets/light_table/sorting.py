"""What lies in which bin of the light table: annotated pictures first, then predicted ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from napari_hemacells.session import Session

SHOWN = 240  # pictures that a bin shows; of more, those that matter most
RECENT = 60  # annotated ones among them


@dataclass
class BinContent:
    """The pictures of a bin.

    Attributes
    ----------
    cells
        Ids of those shown, in order.
    annotated, predicted
        How many there are of each kind, shown or not.
    """

    cells: list[int] = field(default_factory=list)
    annotated: int = 0
    predicted: int = 0


def sort_into_bins(
    session: Session, *, least_certain: bool = False
) -> dict[str | None, BinContent]:
    """Return what lies in the bin of each class, of unknown and (``None``) of unsorted cells.

    Parameters
    ----------
    least_certain
        Predicted cells with the lowest confidence first, to find mistakes; otherwise the highest.
    """
    cells = session.cells
    if cells is None or session.history is None:
        return {}
    bins: dict[str | None, BinContent] = {
        class_id: BinContent() for class_id in session.palette.ids
    }
    bins |= {UNKNOWN: BinContent(), None: BinContent()}
    annotated, known = session.annotated, session.known_classes
    words = session.annotations
    for cell in sorted(annotated, key=lambda cell: words[cell].when, reverse=True):
        if cell in cells.position:
            content = bins[annotated[cell]]
            content.annotated += 1
            if content.annotated <= RECENT:
                content.cells.append(cell)
    sure = np.nan_to_num(session.confidences, nan=0.0)
    order = np.argsort(sure if least_certain else -sure, kind="stable")
    for index in order.tolist():
        cell = int(cells.ids[index])
        if cell in annotated:
            continue
        content = bins.get(known[index], bins[None])
        content.predicted += 1
        if len(content.cells) < SHOWN:
            content.cells.append(cell)
    return bins
