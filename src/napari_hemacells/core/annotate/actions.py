"""What can be done to annotations: frozen actions, each with an inverse and a journal record.

An action is checked against the state before anything is written or changed, so a refused action
leaves no trace. ``action.inverse(state)`` is asked *before* the action is applied.

The action that corrects a detection: some cells go, others come, in one step to undo.

Actions as plain JSON records, and back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from napari_hemacells.core.annotate.cell_edits import CellRecord, Correction
from napari_hemacells.core.annotate.palette import (  # noqa: TC001 (pydantic reads them)
    CellClass,
    Palette,
)
from napari_hemacells.core.annotate.state import Annotation, utc_now
from napari_hemacells.core.errors import AnnotationError, ProjectError
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.cell_edits import CorrectionStatus
    from napari_hemacells.core.annotate.state import AnnotationState

Target: TypeAlias = tuple[CellRef, float, float]  # a cell and its centroid, (row, column)
AnnotationEntry: TypeAlias = tuple[
    CellRef, str, Annotation | None
]  # cell, annotator, what is noted


@dataclass(frozen=True)
class Action(ABC):
    """Something done to an :class:`AnnotationState`, with an inverse."""

    @abstractmethod
    def check(self, state: AnnotationState) -> None:
        """Raise :class:`AnnotationError` where the action cannot be applied to this state."""

    @abstractmethod
    def apply(self, state: AnnotationState) -> None:
        """Check, then change the state."""

    @abstractmethod
    def inverse(self, state: AnnotationState) -> Action:
        """Return the action that brings this state back after this one was applied to it."""

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells whose annotation changes; none where only the palette does."""
        return ()


@dataclass(frozen=True)
class SetLabels(Action):
    """Give any number of cells one class, or none (``class_id=None``): one step to undo.

    Attributes
    ----------
    cells
        ``(CellRef, row, col)`` of each cell, centroids in pixels.
    class_id
        The class, ``None`` to take the annotations back.
    annotator
        Whose word this is.
    when
        ISO 8601 in UTC; the present moment if not given.
    """

    cells: tuple[Target, ...]
    class_id: str | None
    annotator: str
    when: str = field(default_factory=utc_now)
    kind: Literal["set_labels"] = "set_labels"

    def __post_init__(self) -> None:
        # NumPy's integers are not JSON; a reference made from a label image holds them.
        plain = (
            (CellRef(str(k), int(c)), float(row), float(col)) for (k, c), row, col in self.cells
        )
        object.__setattr__(self, "cells", tuple(plain))

    def check(self, state: AnnotationState) -> None:
        """Refuse an unknown class, no cells, and the glass between them."""
        if not self.cells:
            raise AnnotationError("No cell is chosen: click a cell first.")
        if any(ref.cell < 1 for ref, _, _ in self.cells):
            raise AnnotationError("There is no cell at this place: click on a cell.")
        if self.class_id is not None:
            state.palette.by_id(self.class_id)

    def apply(self, state: AnnotationState) -> None:
        """Note the class for each cell, centroid and moment included."""
        self.check(state)
        for ref, row, col in self.cells:
            annotation = None
            if self.class_id is not None:
                annotation = Annotation(self.class_id, row, col, self.annotator, self.when)
            state.put(ref, self.annotator, annotation)

    def inverse(self, state: AnnotationState) -> RestoreLabels:
        """Return what the annotator had said of these cells before."""
        before = state.by_annotator.get(self.annotator, {})
        refs = dict.fromkeys(self.affected_cells())
        return RestoreLabels(tuple((ref, self.annotator, before.get(ref)) for ref in refs))

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells named."""
        return tuple(ref for ref, _, _ in self.cells)


@dataclass(frozen=True)
class RestoreLabels(Action):
    """Put annotations back as they were, each with its own class, annotator and moment."""

    words: tuple[AnnotationEntry, ...]
    kind: Literal["restore_labels"] = "restore_labels"

    def check(self, state: AnnotationState) -> None:
        """Refuse annotations of a class that is gone."""
        check_classes(self.words, state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Note each word, ``None`` included."""
        self.check(state)
        for ref, annotator, annotation in self.words:
            state.put(ref, annotator, annotation)

    def inverse(self, state: AnnotationState) -> RestoreLabels:
        """Return what is noted at present in the same places."""
        return RestoreLabels(
            tuple(
                (ref, annotator, state.by_annotator.get(annotator, {}).get(ref))
                for ref, annotator, _ in self.words
            )
        )

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells named."""
        return tuple(ref for ref, _, _ in self.words)


@dataclass(frozen=True)
class DeleteClass(Action):
    """Remove a class and with it every annotator's annotations of it."""

    class_id: str
    kind: Literal["delete_class"] = "delete_class"

    def check(self, state: AnnotationState) -> None:
        """Refuse an unknown class."""
        state.palette.by_id(self.class_id)

    def apply(self, state: AnnotationState) -> None:
        """Take annotations and class away."""
        self.check(state)
        for ref, annotation in state.of_class(self.class_id):
            state.put(ref, annotation.annotator, None)
        state.palette = state.palette.remove(self.class_id)

    def inverse(self, state: AnnotationState) -> RestoreClass:
        """Return the class at its place in the order, with its annotations."""
        words = tuple(
            (ref, annotation.annotator, annotation)
            for ref, annotation in state.of_class(self.class_id)
        )
        palette = state.palette
        return RestoreClass(palette.by_id(self.class_id), palette.place(self.class_id), words)


@dataclass(frozen=True)
class RestoreClass(Action):
    """Bring a deleted class back at its place, with its annotations."""

    cell_class: CellClass
    place: int
    words: tuple[AnnotationEntry, ...] = ()
    kind: Literal["restore_class"] = "restore_class"

    def check(self, state: AnnotationState) -> None:
        """Refuse a name that another class has taken meanwhile."""
        check_classes(self.words, state.palette.insert(self.cell_class, self.place))

    def apply(self, state: AnnotationState) -> None:
        """Bring back the class, then its annotations."""
        self.check(state)
        state.palette = state.palette.insert(self.cell_class, self.place)
        for ref, annotator, annotation in self.words:
            state.put(ref, annotator, annotation)

    def inverse(self, state: AnnotationState) -> DeleteClass:
        """Delete it again."""
        self.check(state)
        return DeleteClass(self.cell_class.id)

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells that had been annotated with it."""
        return tuple(ref for ref, _, _ in self.words)


@dataclass(frozen=True)
class PaletteAction(Action):
    """An action that gives another palette and touches no annotation."""

    @abstractmethod
    def changed(self, palette: Palette) -> Palette:
        """Return the palette after this action; raises where it cannot be had."""

    def check(self, state: AnnotationState) -> None:
        """Refuse what the palette refuses."""
        self.changed(state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Put the changed palette in place."""
        self.check(state)
        state.palette = self.changed(state.palette)

    def inverse(self, state: AnnotationState) -> Action:
        """Return the palette as it is now: exact even where a key changed hands."""
        return SetPalette(state.palette)


@dataclass(frozen=True)
class AddClass(PaletteAction):
    """Add a class (:meth:`Palette.new_class` makes one that fits), at the end by default."""

    cell_class: CellClass
    place: int | None = None
    kind: Literal["add_class"] = "add_class"

    def changed(self, palette: Palette) -> Palette:
        """With the class added."""
        return palette.insert(self.cell_class, self.place)


@dataclass(frozen=True)
class RenameClass(PaletteAction):
    """Give a class another name."""

    class_id: str
    name: str
    kind: Literal["rename_class"] = "rename_class"

    def changed(self, palette: Palette) -> Palette:
        """With the new name."""
        return palette.rename(self.class_id, self.name)


@dataclass(frozen=True)
class RecolourClass(PaletteAction):
    """Give a class another colour."""

    class_id: str
    colour: str
    kind: Literal["recolour_class"] = "recolour_class"

    def changed(self, palette: Palette) -> Palette:
        """With the new colour."""
        return palette.recolour(self.class_id, self.colour)


@dataclass(frozen=True)
class SetClassKey(PaletteAction):
    """Give a class a key, or none; a class that had the key goes without."""

    class_id: str
    key: int | None
    kind: Literal["set_class_key"] = "set_class_key"

    def changed(self, palette: Palette) -> Palette:
        """With the key reassigned."""
        return palette.set_key(self.class_id, self.key)


@dataclass(frozen=True)
class SetPalette(PaletteAction):
    """Take a whole palette: a new order, a model's classes, or an earlier state."""

    palette: Palette
    kind: Literal["set_palette"] = "set_palette"

    def changed(self, palette: Palette) -> Palette:  # noqa: ARG002
        """Return the palette given."""
        return self.palette

    def check(self, state: AnnotationState) -> None:
        """Refuse a palette without a class that has annotations."""
        for class_id in state.palette.ids:
            if class_id not in self.palette and state.of_class(class_id):
                name = state.palette.by_id(class_id).name
                raise AnnotationError(
                    f"The class “{name}” has annotations and is not among the new classes: "
                    "delete it first, or add it to them."
                )


def check_classes(words: tuple[AnnotationEntry, ...], palette: Palette) -> None:
    """Refuse annotations of a class that is not in the palette."""
    for _, _, annotation in words:
        if annotation is not None:
            palette.by_id(annotation.class_id)


@dataclass(frozen=True)
class CorrectCells(Action):
    """Take cells of an image away and put others there, with what is said of all of them.

    Attributes
    ----------
    image_key
        The image.
    removed, added
        Whole cells, so that the step can be undone whatever was detected meanwhile. A cell that
        is in both changes its shape and keeps its id.
    words
        Annotations after the step: ``None`` for a cell that loses them.
    refused
        The removed cells are none: a later detection that finds them is not believed.
    annotator, when
        Whose correction this is; ISO 8601 in UTC.
    """

    image_key: str
    removed: tuple[CellRecord, ...] = ()
    added: tuple[CellRecord, ...] = ()
    words: tuple[AnnotationEntry, ...] = ()
    refused: bool = False
    annotator: str = ""
    when: str = field(default_factory=utc_now)
    kind: Literal["correct_cells"] = "correct_cells"

    def check(self, state: AnnotationState) -> None:
        """Refuse a step that does nothing, and cells that are gone, or there, already."""
        if not self.removed and not self.added:
            raise AnnotationError("No cell is chosen: point at a cell first.")
        known = state.corrections.get(self.image_key, {})
        going = {record.cell for record in self.removed}
        for record in self.removed:
            if record.cell in known and known[record.cell].status != "there":
                raise AnnotationError(f"Cell {record.cell} is not there any more.")
        for record in self.added:
            there = record.cell in known and known[record.cell].status == "there"
            if record.cell < 1 or (there and record.cell not in going):
                raise AnnotationError(f"There is a cell {record.cell} already.")
        check_classes(self.words, state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Note what became of each cell, then what is said of them."""
        self.check(state)
        entries = state.corrections.setdefault(self.image_key, {})
        left: CorrectionStatus = "refused" if self.refused else "gone"
        for record in self.removed:
            entries[record.cell] = Correction(record, left)
        for record in self.added:
            entries[record.cell] = Correction(record, "there")
        for ref, annotator, annotation in self.words:
            state.put(ref, annotator, annotation)

    def inverse(self, state: AnnotationState) -> CorrectCells:
        """Return the step back: cells that it brings back stay whatever a detector says."""
        words = tuple(
            (ref, annotator, state.by_annotator.get(annotator, {}).get(ref))
            for ref, annotator, _ in self.words
        )
        return CorrectCells(
            self.image_key, self.added, self.removed, words, annotator=self.annotator
        )

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells whose annotation changes."""
        return tuple(ref for ref, _, _ in self.words)


def removed_annotations(
    state: AnnotationState, image_key: str, cells: set[int]
) -> tuple[AnnotationEntry, ...]:
    """Return what takes every annotator's word about these cells away."""
    return tuple(
        (CellRef(image_key, cell), annotator, None)
        for annotator, labels in state.by_annotator.items()
        for cell in sorted(cells)
        if CellRef(image_key, cell) in labels
    )


AnyAction: TypeAlias = Annotated[
    AddClass
    | CorrectCells
    | DeleteClass
    | RecolourClass
    | RenameClass
    | RestoreClass
    | RestoreLabels
    | SetClassKey
    | SetLabels
    | SetPalette,
    Field(discriminator="kind"),
]


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(AnyAction)


def to_record(action: Action) -> dict[str, Any]:
    """Return the action as plain JSON values; its ``kind`` says which it is."""
    record: dict[str, Any] = _adapter().dump_python(action, mode="json")
    return record


def from_record(record: dict[str, Any]) -> Action:
    """Return the action of a record that :func:`to_record` made.

    Raises
    ------
    ProjectError
        For a record of no known kind or with values that do not belong in it.
    """
    try:
        action: Action = _adapter().validate_python(record)
    except ValidationError as error:
        raise ProjectError(
            f"The journal holds a record of the kind “{record.get('kind')}” that this version of "
            "HemaCells cannot read: open the project with a newer version."
        ) from error
    return action
