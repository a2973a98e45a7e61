"""Actions on annotations, classes and detected cells: frozen, reversible and stored as JSON.

An action is checked before the journal or the state changes, so a refused action leaves no trace.
``action.inverse(state)`` must be called *before* the action is applied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

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
AnnotationEntry: TypeAlias = tuple[CellRef, str, Annotation | None]  # cell, annotator, annotation


@dataclass(frozen=True)
class Action(ABC):
    """A change of an :class:`AnnotationState` that can be undone."""

    @abstractmethod
    def check(self, state: AnnotationState) -> None:
        """Raise :class:`AnnotationError` if the action cannot be applied to this state."""

    @abstractmethod
    def apply(self, state: AnnotationState) -> None:
        """Check, then change the state."""

    @abstractmethod
    def inverse(self, state: AnnotationState) -> Action:
        """Return the action that undoes this one; call it before this one is applied."""

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells whose annotation changes; empty if only the palette changes."""
        return ()


@dataclass(frozen=True)
class SetLabels(Action):
    """Annotate cells with one class, or remove their annotations, as one undo step.

    Attributes
    ----------
    cells
        ``(CellRef, row, col)`` of each cell, centroids in pixels.
    class_id
        The class; ``None`` removes the annotations.
    annotator
        Who annotates.
    when
        ISO 8601 in UTC; now if not given.
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
        """Refuse an unknown class, an empty list of cells, and background."""
        if not self.cells:
            raise AnnotationError("No cell is selected: click a cell first.")
        if any(ref.cell < 1 for ref, _, _ in self.cells):
            raise AnnotationError("There is no cell at this place: click on a cell.")
        if self.class_id is not None:
            state.palette.by_id(self.class_id)

    def apply(self, state: AnnotationState) -> None:
        """Store the class, centroid and time for each cell."""
        self.check(state)
        for ref, row, col in self.cells:
            annotation = None
            if self.class_id is not None:
                annotation = Annotation(self.class_id, row, col, self.annotator, self.when)
            state.put(ref, self.annotator, annotation)

    def inverse(self, state: AnnotationState) -> RestoreLabels:
        """Return the action that restores this annotator's earlier annotations of the cells."""
        before = state.by_annotator.get(self.annotator, {})
        refs = dict.fromkeys(self.affected_cells())
        return RestoreLabels(tuple((ref, self.annotator, before.get(ref)) for ref in refs))

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells named."""
        return tuple(ref for ref, _, _ in self.cells)


@dataclass(frozen=True)
class RestoreLabels(Action):
    """Restore earlier annotations, each with its own class, annotator and time."""

    words: tuple[AnnotationEntry, ...]
    kind: Literal["restore_labels"] = "restore_labels"

    def check(self, state: AnnotationState) -> None:
        """Refuse annotations of a deleted class."""
        check_classes(self.words, state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Store each annotation; ``None`` removes it."""
        self.check(state)
        for ref, annotator, annotation in self.words:
            state.put(ref, annotator, annotation)

    def inverse(self, state: AnnotationState) -> RestoreLabels:
        """Return the action that restores the present annotations of the same cells."""
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
    """Delete a class and every annotator's annotations of it.

    The classes within it stay, with their annotations, and are within none then.
    """

    class_id: str
    kind: Literal["delete_class"] = "delete_class"

    def check(self, state: AnnotationState) -> None:
        """Refuse an unknown class, and one that leaves two classes of one name."""
        state.palette.remove(self.class_id)

    def apply(self, state: AnnotationState) -> None:
        """Remove the annotations, then the class."""
        self.check(state)
        for ref, annotation in state.of_class(self.class_id):
            state.put(ref, annotation.annotator, None)
        state.palette = state.palette.remove(self.class_id)

    def inverse(self, state: AnnotationState) -> RestoreClass:
        """Return the action that restores the class at its position, with its annotations."""
        words = tuple(
            (ref, annotation.annotator, annotation)
            for ref, annotation in state.of_class(self.class_id)
        )
        palette = state.palette
        within = tuple(one.id for one in palette.within(self.class_id))
        place = palette.place(self.class_id)
        return RestoreClass(palette.by_id(self.class_id), place, words, within)


@dataclass(frozen=True)
class RestoreClass(Action):
    """Restore a deleted class at its position, with its annotations and the classes within it."""

    cell_class: CellClass
    place: int
    words: tuple[AnnotationEntry, ...] = ()
    within: tuple[str, ...] = ()
    kind: Literal["restore_class"] = "restore_class"

    @model_serializer(mode="wrap")
    def _as_json(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave ``within`` out where it is empty: earlier versions do not know it."""
        values: dict[str, Any] = handler(self)
        if not self.within:
            values.pop("within", None)
        return values

    def check(self, state: AnnotationState) -> None:
        """Refuse a name that another class now has."""
        check_classes(self.words, self._restored(state.palette))

    def _restored(self, palette: Palette) -> Palette:
        palette = palette.insert(self.cell_class, self.place)
        for class_id in self.within:
            if class_id in palette:
                palette = palette.set_parent(class_id, self.cell_class.id)
        return palette

    def apply(self, state: AnnotationState) -> None:
        """Restore the class, then its annotations."""
        self.check(state)
        state.palette = self._restored(state.palette)
        for ref, annotator, annotation in self.words:
            state.put(ref, annotator, annotation)

    def inverse(self, state: AnnotationState) -> DeleteClass:
        """Delete it again."""
        self.check(state)
        return DeleteClass(self.cell_class.id)

    def affected_cells(self) -> tuple[CellRef, ...]:
        """Return the cells whose annotations are restored."""
        return tuple(ref for ref, _, _ in self.words)


@dataclass(frozen=True)
class PaletteAction(Action):
    """An action that changes the palette and no annotation."""

    @abstractmethod
    def changed(self, palette: Palette) -> Palette:
        """Return the palette after this action; an invalid one raises AnnotationError."""

    def check(self, state: AnnotationState) -> None:
        """Refuse a change that makes the palette invalid."""
        self.changed(state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Replace the palette."""
        self.check(state)
        state.palette = self.changed(state.palette)

    def inverse(self, state: AnnotationState) -> Action:
        """Return the action that restores the whole palette, reassigned keys included."""
        return SetPalette(state.palette)


@dataclass(frozen=True)
class AddClass(PaletteAction):
    """Add a class (see :meth:`Palette.new_class`), at the end by default."""

    cell_class: CellClass
    place: int | None = None
    kind: Literal["add_class"] = "add_class"

    def changed(self, palette: Palette) -> Palette:
        """Return the palette with the class added."""
        return palette.insert(self.cell_class, self.place)


@dataclass(frozen=True)
class RenameClass(PaletteAction):
    """Rename a class."""

    class_id: str
    name: str
    kind: Literal["rename_class"] = "rename_class"

    def changed(self, palette: Palette) -> Palette:
        """Return the palette with the new name."""
        return palette.rename(self.class_id, self.name)


@dataclass(frozen=True)
class RecolourClass(PaletteAction):
    """Change the colour of a class."""

    class_id: str
    colour: str
    kind: Literal["recolour_class"] = "recolour_class"

    def changed(self, palette: Palette) -> Palette:
        """Return the palette with the new colour."""
        return palette.recolour(self.class_id, self.colour)


@dataclass(frozen=True)
class SetClassKey(PaletteAction):
    """Assign a key to a class, or none; the key's previous class loses it."""

    class_id: str
    key: int | None
    kind: Literal["set_class_key"] = "set_class_key"

    def changed(self, palette: Palette) -> Palette:
        """Return the palette with the key reassigned."""
        return palette.set_key(self.class_id, self.key)


@dataclass(frozen=True)
class SetClassParent(PaletteAction):
    """Put a class within another one, its kind, or within none."""

    class_id: str
    parent_id: str | None
    kind: Literal["set_class_parent"] = "set_class_parent"

    def changed(self, palette: Palette) -> Palette:
        """Return the palette with the class below its new kind."""
        return palette.set_parent(self.class_id, self.parent_id)


@dataclass(frozen=True)
class SetPalette(PaletteAction):
    """Replace the whole palette: a new order, a model's classes, or an earlier state."""

    palette: Palette
    kind: Literal["set_palette"] = "set_palette"

    def changed(self, palette: Palette) -> Palette:  # noqa: ARG002
        """Return the new palette."""
        return self.palette

    def check(self, state: AnnotationState) -> None:
        """Refuse a palette that lacks an annotated class."""
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
    """Remove and add cells of an image, with their annotations, as one undo step.

    Attributes
    ----------
    image_key
        The image.
    removed, added
        Complete cells, so that the step can be undone after a new detection. A cell that is in
        both changes its shape and keeps its id.
    words
        Annotations after the step: ``None`` for a cell that loses them.
    refused
        The removed objects are not cells: a later detection there is ignored.
    annotator, when
        Who corrects; ISO 8601 in UTC.
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
        """Refuse an empty step, removing cells that do not exist and adding cells that do."""
        if not self.removed and not self.added:
            raise AnnotationError("No cell is selected: point at a cell first.")
        known = state.corrections.get(self.image_key, {})
        going = {record.cell for record in self.removed}
        for record in self.removed:
            if record.cell in known and known[record.cell].status != "there":
                raise AnnotationError(f"Cell {record.cell} no longer exists: select another cell.")
        for record in self.added:
            there = record.cell in known and known[record.cell].status == "there"
            if record.cell < 1 or (there and record.cell not in going):
                raise AnnotationError(f"There is a cell {record.cell} already.")
        check_classes(self.words, state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Store the correction of each cell, then the annotations."""
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
        """Return the reverse correction; cells it restores are kept in later detections."""
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
    """Return entries that remove every annotator's annotations of these cells."""
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
    | SetClassParent
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
        For a record of an unknown kind or with invalid values.
    """
    try:
        action: Action = _adapter().validate_python(record)
    except ValidationError as error:
        raise ProjectError(
            f"The journal holds a record of the kind “{record.get('kind')}” that this version of "
            "HemaCells cannot read: open the project with a newer version."
        ) from error
    return action
