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
    "Action",
    "AddClass",
    "Annotation",
    "AnnotationState",
    "CellClass",
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
    "default_annotator",
    "default_palette",
    "from_record",
    "next_colour",
    "next_key",
    "now",
    "open_history",
    "read_journal",
    "replay",
    "to_record",
]
