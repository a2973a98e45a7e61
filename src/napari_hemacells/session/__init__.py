"""Evented state of one working session, free of Qt and napari.

User input calls a method of :class:`Session`; the session changes its state and emits an event.
Views update from events and never write back.
"""

from napari_hemacells.session.cell_edits import CellsChange
from napari_hemacells.session.early_answers import answer_request, warm_up
from napari_hemacells.session.kept_cells import CellsRequest, keep_cells
from napari_hemacells.session.live_classifier import (
    ClassifyRequest,
    ClassifyResult,
    run_classification,
)
from napari_hemacells.session.session import Session
from napari_hemacells.session.state import SessionEvents

__all__ = [
    "CellsChange",
    "CellsRequest",
    "ClassifyRequest",
    "ClassifyResult",
    "Session",
    "SessionEvents",
    "answer_request",
    "keep_cells",
    "run_classification",
    "warm_up",
]
