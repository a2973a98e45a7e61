"""Annotations: palette, actions with an inverse, history, append-only journal."""

from napari_hemacells.core.annotate.actions import (
    Action,
    AddClass,
    DeleteClass,
    RecolourClass,
    RenameClass,
    RestoreClass,
    RestoreLabels,
    SetClassKey,
    SetLabels,
    SetPalette,
)
from napari_hemacells.core.annotate.correct_cells import CorrectCells, words_lost
from napari_hemacells.core.annotate.corrections import (
    DETECTED,
    ORIGIN,
    CellRecord,
    Correction,
    by_hand,
    corrected,
    exchanged,
    hand_made,
    record_of,
    refused,
    with_origin,
)
from napari_hemacells.core.annotate.history import History, open_history, replay
from napari_hemacells.core.annotate.journal import Journal, read_journal
from napari_hemacells.core.annotate.palette import (
    COLOURS,
    CellClass,
    Palette,
    default_palette,
    next_colour,
    next_key,
)
from napari_hemacells.core.annotate.records import from_record, to_record
from napari_hemacells.core.annotate.state import (
    Annotation,
    AnnotationState,
    default_annotator,
    now,
)

__all__ = [
    "COLOURS",
    "DETECTED",
    "ORIGIN",
    "Action",
    "AddClass",
    "Annotation",
    "AnnotationState",
    "CellClass",
    "CellRecord",
    "CorrectCells",
    "Correction",
    "DeleteClass",
    "History",
    "Journal",
    "Palette",
    "RecolourClass",
    "RenameClass",
    "RestoreClass",
    "RestoreLabels",
    "SetClassKey",
    "SetLabels",
    "SetPalette",
    "by_hand",
    "corrected",
    "default_annotator",
    "default_palette",
    "exchanged",
    "from_record",
    "hand_made",
    "next_colour",
    "next_key",
    "now",
    "open_history",
    "read_journal",
    "record_of",
    "refused",
    "replay",
    "to_record",
    "with_origin",
    "words_lost",
]
