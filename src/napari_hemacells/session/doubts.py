"""What the user should look at: odd annotations, and what contradicts the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_hemacells.core.classify.contradictions import Contradiction
    from napari_hemacells.session.state import SessionState

NAMED = 3  # cells that a sentence names


@dataclass(frozen=True, eq=False)
class Doubts:
    """What is doubtful about the present annotations and classes.

    Attributes
    ----------
    unlike
        Cells of this image whose annotation looks unlike the others of its class.
    unlike_sentence
        The same in words; empty where there are none.
    contradictions
        Where classifier and detector disagree about many cells.
    contradiction_sentence
        The same in words; empty where they agree.
    """

    unlike: tuple[int, ...] = ()
    unlike_sentence: str = ""
    contradictions: tuple[Contradiction, ...] = ()
    contradiction_sentence: str = ""


def find_doubts(state: SessionState) -> Doubts:
    """Return what is doubtful now; nothing before there is a classifier."""
    latest, image, cells = state.live.latest, state.image, state.cells
    if latest is None or image is None or cells is None or state.history is None:
        return Doubts()
    mine = state.annotated
    unlike = tuple(
        ref.cell for ref in latest.unlike if ref.image_key == image.key and ref.cell in mine
    )
    contradicting = _contradictions(state)
    words = [
        contradiction.sentence(_name(state, contradiction.class_id))
        for contradiction in contradicting
    ]
    return Doubts(unlike, _unlike_sentence(state, unlike), contradicting, " ".join(words))


def _contradictions(state: SessionState) -> tuple[Contradiction, ...]:
    from napari_hemacells.core.classify.contradictions import contradictions

    latest, cells = state.live.latest, state.cells
    if latest is None or cells is None or cells.kinds is None:
        return ()
    prediction, kinds = latest.prediction, cells.kinds
    if len(prediction.class_ids) < 2:
        return ()
    rows = np.searchsorted(cells.ids, prediction.ids).clip(0, max(len(cells) - 1, 0))
    names = {one.id: one.own_name for one in state.palette}
    contradicting = contradictions(
        prediction, kinds[rows], names, latest.head.detector, state.annotated
    )
    return tuple(one for one in contradicting if one.class_id in state.palette)


def _unlike_sentence(state: SessionState, unlike: tuple[int, ...]) -> str:
    if not unlike:
        return ""
    named = ", ".join(f"{cell} ({_name(state, state.annotated[cell])})" for cell in unlike[:NAMED])
    if len(unlike) == 1:
        return (
            f"This annotation looks unlike your others: cell {named}. It counts less until you "
            "confirm it, or annotate a second cell like it."
        )
    more = " …" if len(unlike) > NAMED else ""
    return (
        f"{len(unlike)} annotations look unlike your others: cells {named}{more}. They count less "
        "until you confirm them."
    )


def _name(state: SessionState, class_id: str) -> str:
    return state.palette.by_id(class_id).name if class_id in state.palette else class_id
