"""What is known of one cell, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hemacells.session import Session


def cell_words(session: Session, cell: int) -> str:
    """Return ``Cell 12: Lymphocyte 87 %``; empty for no cell."""
    if session.cells is None or session.project is None or cell not in session.cells.position:
        return ""
    mine = session.annotated.get(cell)
    if mine is not None:
        return f"Cell {cell}: {session.palette.by_id(mine).name} (yours)"
    prediction = session.prediction
    if prediction is None or cell not in prediction.ids:
        return f"Cell {cell}: not classified yet"
    at = int(prediction.ids.searchsorted(cell))
    name = session.palette.by_id(prediction.class_ids[prediction.winner[at]]).name
    if prediction.verdict[at]:
        return f"Cell {cell}: unknown, like nothing annotated (nearest: {name})"
    return f"Cell {cell}: {name} {prediction.confidence[at]:.0%}"
