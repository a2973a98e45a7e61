"""The annotation state: the palette, every annotator's annotations and the corrections."""

from __future__ import annotations

import getpass
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.palette import Palette
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.cell_edits import Corrections


@dataclass(frozen=True)
class Annotation:
    """One annotator's class for one cell.

    Attributes
    ----------
    class_id
        Id of the class.
    row, col
        The cell's centroid in pixels at that time, to find the cell again if its id is lost.
    annotator
        Who annotated it.
    when
        ISO 8601 in UTC.
    """

    class_id: str
    row: float
    col: float
    annotator: str
    when: str


Labels = dict[CellRef, Annotation]


@dataclass
class AnnotationState:
    """The present palette, annotations and corrections; states are compared by these.

    Attributes
    ----------
    palette
        The classes in order.
    by_annotator
        Annotations of each annotator who has any.
    corrections
        Manual corrections of the cells of each image.
    annotator
        Whose annotations are shown and who makes the next one. Not compared and not in the
        journal.
    """

    palette: Palette = field(default_factory=Palette)
    by_annotator: dict[str, Labels] = field(default_factory=dict)
    corrections: dict[str, Corrections] = field(default_factory=dict)
    annotator: str = field(default="", compare=False)

    @property
    def labels(self) -> Labels:
        """Annotations of the current annotator; read only."""
        return self.by_annotator.get(self.annotator, {})

    def annotations_of_image(self, image_key: str) -> dict[int, Annotation]:
        """Annotations of the current annotator on one image, by cell id."""
        return {
            ref.cell: annotation
            for ref, annotation in self.labels.items()
            if ref.image_key == image_key
        }

    def cells_of(self, image_key: str) -> set[int]:
        """Cells of one image annotated by anyone."""
        return {
            ref.cell
            for labels in self.by_annotator.values()
            for ref in labels
            if ref.image_key == image_key
        }

    def corrections_of(self, image_key: str) -> Corrections:
        """Manual corrections of the cells of one image; read only."""
        return self.corrections.get(image_key, {})

    def last_id(self, image_key: str) -> int:
        """The highest cell id of an image in annotations and corrections, 0 without any."""
        return max(self.cells_of(image_key) | self.corrections_of(image_key).keys(), default=0)

    def counts(self, image_key: str | None = None) -> dict[str, int]:
        """Number of the current annotator's cells in each class, zeros included."""
        counts = Counter(
            annotation.class_id
            for ref, annotation in self.labels.items()
            if image_key is None or ref.image_key == image_key
        )
        return {class_id: counts[class_id] for class_id in self.palette.ids}

    def of_class(self, class_id: str) -> tuple[tuple[CellRef, Annotation], ...]:
        """Return all annotators' annotations with one class."""
        return tuple(
            (ref, annotation)
            for labels in self.by_annotator.values()
            for ref, annotation in labels.items()
            if annotation.class_id == class_id
        )

    def put(self, ref: CellRef, annotator: str, annotation: Annotation | None) -> None:
        """Store or remove (``None``) one annotation; for actions only."""
        if annotation is not None:
            self.by_annotator.setdefault(annotator, {})[ref] = annotation
            return
        labels = self.by_annotator.get(annotator, {})
        labels.pop(ref, None)
        if not labels:
            self.by_annotator.pop(annotator, None)


def utc_now() -> str:
    """Return the current time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def default_annotator() -> str:
    """Return the name of the user account, ``"annotator"`` if there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "annotator"
