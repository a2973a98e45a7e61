"""The odd ones of the open image as request and answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.session.likeness import load_saved_likeness

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.classify import Head, SupportSet
    from napari_hemacells.core.classify.odd_ones import OddOnes
    from napari_hemacells.core.types import Embeddings, Prediction
    from napari_hemacells.session.session import Session

NO_CLASSES = "Give a few cells a class first: odd is what is unlike all of these."


@dataclass(frozen=True, eq=False)
class OddRequest:
    """The cells of the image, what the classifier says of them, and what it learned from.

    Attributes
    ----------
    saved
        Folder of a learned likeness whose distance compares them; ``None`` for none.
    """

    embeddings: Embeddings
    prediction: Prediction
    head: Head
    support: SupportSet | None
    saved: Path | None = None

    def has_inputs_of(self, other: OddRequest) -> bool:
        """Whether the other request would be answered alike."""
        same = self.embeddings is other.embeddings and self.prediction is other.prediction
        return same and self.saved == other.saved


def request_odd_ones(session: Session) -> OddRequest | None:
    """Return what the odd ones are found from; ``None`` before the cells have classes."""
    live = session.live
    if live.latest is None or live.embeddings is None or session.history is None:
        return None
    saved = None if session.project is None else session.project.likeness
    known = live.latest
    return OddRequest(live.embeddings, known.prediction, known.head, session.support(), saved)


def answer_odd_ones(request: OddRequest) -> OddOnes:
    """Answer a request; this touches no shared state, so it may run in any thread."""
    from napari_hemacells.core.classify.odd_ones import find_odd_ones

    likeness = None
    if request.saved is not None:
        likeness, _ = load_saved_likeness(request.saved, request.embeddings.encoder)
    return find_odd_ones(
        request.embeddings, request.prediction, request.head, request.support, likeness
    )


FARTHEST = 20  # cells that are gone through where none is called odd


def odd_queue(session: Session, odd_ones: OddOnes) -> tuple[list[int], bool]:
    """Return the cells to go through, the oddest first, and whether they are called odd.

    Annotated cells are left out: their kind is known. Where no cell is called odd, the twenty
    with the highest scores.
    """
    cells = session.cells.position if session.cells is not None else {}
    annotated = session.annotated

    def waiting(ids: list[int]) -> list[int]:
        return [cell for cell in ids if cell in cells and cell not in annotated]

    queue = waiting(odd_ones.odd_ids.tolist())
    if queue:
        return queue, True
    return waiting(odd_ones.farthest(len(odd_ones.ids)).tolist())[:FARTHEST], False
