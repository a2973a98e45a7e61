"""What has been said about the cells: the palette and every annotator's labels."""

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
    """One person's word about one cell.

    Attributes
    ----------
    class_id
        Id of the class given.
    row, col
        The cell's centroid in pixels when it was annotated: enough to find the cell again
        should its id be lost.
    annotator
        Who said so.
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
    """The present palette, annotations and corrections; two states are equal if these are.

    Attributes
    ----------
    palette
        The classes in order.
    by_annotator
        Annotations of each annotator apart; nobody is in it without an annotation.
    corrections
        What was done to the cells of each image by hand.
    annotator
        Whose word is shown and whose word the next click is. A view, not a fact: it takes no
        part in comparison and is not in the journal.
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
        """Cells of one image that anybody has annotated."""
        return {
            ref.cell
            for labels in self.by_annotator.values()
            for ref in labels
            if ref.image_key == image_key
        }

    def corrections_of(self, image_key: str) -> Corrections:
        """What was done to the cells of one image by hand; read only."""
        return self.corrections.get(image_key, {})

    def last_id(self, image_key: str) -> int:
        """The highest cell id of an image that anything here speaks of, 0 for none."""
        return max(self.cells_of(image_key) | self.corrections_of(image_key).keys(), default=0)

    def counts(self, image_key: str | None = None) -> dict[str, int]:
        """Cells the current annotator gave to each class, zeros included."""
        counts = Counter(
            annotation.class_id
            for ref, annotation in self.labels.items()
            if image_key is None or ref.image_key == image_key
        )
        return {class_id: counts[class_id] for class_id in self.palette.ids}

    def of_class(self, class_id: str) -> tuple[tuple[CellRef, Annotation], ...]:
        """Return what all annotators gave to one class."""
        return tuple(
            (ref, annotation)
            for labels in self.by_annotator.values()
            for ref, annotation in labels.items()
            if annotation.class_id == class_id
        )

    def put(self, ref: CellRef, annotator: str, annotation: Annotation | None) -> None:
        """Note or take back (``None``) one annotator's word; for actions only."""
        if annotation is not None:
            self.by_annotator.setdefault(annotator, {})[ref] = annotation
            return
        labels = self.by_annotator.get(annotator, {})
        labels.pop(ref, None)
        if not labels:
            self.by_annotator.pop(annotator, None)


def utc_now() -> str:
    """Return the present moment in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def default_annotator() -> str:
    """Return the name of the account, ``"annotator"`` where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "annotator"
