"""The state of one working session and the signals that tell of its changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal, SignalGroup

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import AnnotationError, CellsError, ImageError, ProjectError
from napari_hemacells.core.types import CellRef
from napari_hemacells.session.live import LiveClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_hemacells.core.params import ClassifyParams, QueueOrder
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import Cells, Embeddings, Prediction, SmearImage
    from napari_hemacells.session.live import ClassifyAnswer, ClassifyRequest


class SessionEvents(SignalGroup):
    """What a view may listen to; each is emitted after the state has changed."""

    project = Signal()
    image = Signal()
    cells = Signal()
    palette = Signal()
    annotations = Signal(tuple)  # ids of the cells of this image whose annotation changed
    embeddings = Signal()
    prediction = Signal()
    active_class = Signal(object)


class Session:
    """One user at work on one project: images, cells, annotations, live classes.

    Every change of an annotation goes through the project's history, which writes the journal
    first and changes the state after: what is seen is on disk.

    Parameters
    ----------
    annotator
        Whose annotations these are; kept with each click.
    """

    def __init__(self, annotator: str = "") -> None:
        self.events = SessionEvents()
        self.annotator = annotator
        self.project: Project | None = None
        self.image: SmearImage | None = None
        self.cells: Cells | None = None
        self.live = LiveClassifier()
        self._active: str | None = None

    # --- project and image -------------------------------------------------------------------

    def use_project(self, project: Project) -> None:
        """Work on this project from now on; the one before is closed, all of it on disk."""
        if self.project is not None and self.project is not project:
            self.project.close()
        self.project = project
        self.image = self.cells = None
        self.live.forget_project()
        self.events.project.emit()
        self.events.palette.emit()
        self.active_class = self.palette.ids[0] if self.palette.ids else None

    def show_image(self, image: SmearImage) -> None:
        """Show an image of the open project, adding it where it is new, with its saved cells."""
        project = self._need_project()
        if self.live.embeddings is not None:
            self.live.remember(self.live.embeddings, self.annotated)
        project.add_image(image)
        self.image, self.cells = image, None
        self.live.forget_cells()
        self.events.image.emit()
        saved = project.load_cells(image.key)
        if saved is not None:
            self._put_cells(saved)

    def close(self) -> None:
        """Let go of the project; nothing is left to save."""
        if self.project is not None:
            self.project.close()
        self.project = None

    # --- cells -------------------------------------------------------------------------------

    def set_cells(self, cells: Cells) -> None:
        """Take these cells for the image; annotated cells of before survive with their ids."""
        project, image = self._need_project(), self._need_image()
        if self.cells is not None and self.annotated:
            from napari_hemacells.core.detect import keep_annotated

            cells = keep_annotated(self.cells, sorted(self.annotated), cells)
        project.save_cells(image.key, cells)
        self._put_cells(cells)

    def _put_cells(self, cells: Cells) -> None:
        self.cells = cells
        self.live.forget_cells()
        self.events.cells.emit()

    # --- annotations -------------------------------------------------------------------------

    @property
    def palette(self) -> annotate.Palette:
        """The classes, in order."""
        return self._need_project().history.state.palette

    @property
    def annotated(self) -> dict[int, str]:
        """Class id of each annotated cell of this image."""
        if self.project is None or self.image is None:
            return {}
        labels = self.project.history.state.labels
        key = self.image.key
        return {ref.cell: one.class_id for ref, one in labels.items() if ref.image_key == key}

    @property
    def active_class(self) -> str | None:
        """The class that a click gives."""
        return self._active

    @active_class.setter
    def active_class(self, class_id: str | None) -> None:
        if class_id is not None:
            self.palette.by_id(class_id)
        if class_id != self._active:
            self._active = class_id
            self.events.active_class.emit(class_id)

    def annotate(self, cells: Iterable[int], class_id: str | None) -> None:
        """Give these cells a class; ``None`` takes their annotation away. One undoable step."""
        image, table = self._need_image(), self._need_cells()
        places = []
        for cell in cells:
            if cell not in table.position:
                raise AnnotationError(f"There is no cell {cell} in this image any more.")
            row, col = table.centres[table.position[cell]]
            places.append((CellRef(image.key, int(cell)), float(row), float(col)))
        if places:
            self._do(annotate.SetLabels(tuple(places), class_id, self.annotator))

    def add_class(self, name: str, colour: str | None = None) -> str:
        """The id of a new class with the next free colour and key; it becomes the active one."""
        new = self.palette.new_class(name, colour)
        self._do(annotate.AddClass(new))
        self.active_class = new.id
        return new.id

    def rename_class(self, class_id: str, name: str) -> None:
        """Another name for the class; annotations hang on its id and stay."""
        self._do(annotate.RenameClass(class_id, name))

    def recolour_class(self, class_id: str, colour: str) -> None:
        """Another colour (``#rrggbb``) for the class."""
        self._do(annotate.RecolourClass(class_id, colour))

    def set_class_key(self, class_id: str, key: int | None) -> None:
        """Another key (1 to 9) for the class."""
        self._do(annotate.SetClassKey(class_id, key))

    def delete_class(self, class_id: str) -> None:
        """Remove the class and its annotations; undo brings both back."""
        self._do(annotate.DeleteClass(class_id))

    def undo(self) -> bool:
        """Whether there was a step to take back."""
        return self._tracked(self._need_project().history.undo)

    def redo(self) -> bool:
        """Whether there was a step to take again."""
        return self._tracked(self._need_project().history.redo)

    def _do(self, action: annotate.Action) -> None:
        history = self._need_project().history
        self._tracked(lambda: history.do(action))

    def _tracked(self, change: Callable[[], object]) -> bool:
        """Make a change through the history, then tell exactly what it changed."""
        palette, before = self.palette, self.annotated
        happened = change() is not None
        if self.palette is not palette:
            if self._active not in self.palette:
                self._active = self.palette.ids[0] if self.palette.ids else None
                self.events.active_class.emit(self._active)
            self.events.palette.emit()
        after = self.annotated
        changed = [cell for cell in before | after if before.get(cell) != after.get(cell)]
        if changed or self.palette.ids != palette.ids:
            self.live.invalidate()
            self.events.annotations.emit(tuple(changed))
        return happened

    # --- live classification -----------------------------------------------------------------

    @property
    def embeddings(self) -> Embeddings | None:
        """Vectors of the cells shown, once they are there."""
        return self.live.embeddings

    @property
    def prediction(self) -> Prediction | None:
        """Class probabilities of the cells shown."""
        return self.live.prediction

    def set_embeddings(self, embeddings: Embeddings) -> bool:
        """Whether the embeddings belong to the cells shown now; late ones are dropped."""
        if self.image is None or self.cells is None:
            return False
        if not self.live.put(embeddings, self.cells, self.image.key):
            return False
        self.events.embeddings.emit()
        return True

    def request(self) -> ClassifyRequest | None:
        """What to compute now; ``None`` while there is nothing to classify with."""
        if self.project is None:
            return None
        return self.live.request(self._labels(), self.palette.ids)

    def accept(self, found: ClassifyAnswer) -> bool:
        """Whether the answer is still asked for; a late one changes nothing."""
        taken = self.live.accept(found)
        if taken:
            self.events.prediction.emit()
        return taken

    def clear_prediction(self) -> None:
        """Show no predicted classes, as when the last click was taken back."""
        if self.live.latest is not None:
            self.live.latest = None
            self.events.prediction.emit()

    def set_params(self, params: ClassifyParams) -> None:
        """Classify with these parameters from now on."""
        self.live.params = params
        self.live.invalidate()

    def _labels(self) -> dict[CellRef, str]:
        labels = self._need_project().history.state.labels
        return {ref: one.class_id for ref, one in labels.items()}

    # --- what to show ------------------------------------------------------------------------

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each class: cells of this image that the user gave it, and that it is predicted."""
        annotated = self.annotated
        tally = {class_id: [0, 0] for class_id in self.palette.ids}
        for class_id in annotated.values():
            tally[class_id][0] += 1
        if self.prediction is not None:
            for cell, column in zip(self.prediction.ids, self.prediction.winner, strict=True):
                class_id = self.prediction.class_ids[column]
                if int(cell) not in annotated and class_id in tally:
                    tally[class_id][1] += 1
        return {class_id: (mine, theirs) for class_id, (mine, theirs) in tally.items()}

    def queue(self, order: QueueOrder, *, descending: bool = False) -> list[int]:
        """Cell ids of this image in the order asked for."""
        if self.cells is None:
            return []
        from napari_hemacells.core.classify import review_queue

        return review_queue(
            self.cells.ids,
            self.prediction,
            self.embeddings,
            order,
            annotated=set(self.annotated),
            descending=descending,
        )

    def next_cell(self, after: int | None = None) -> int | None:
        """The cell most worth labelling now, another one than ``after``; ``None`` if all are."""
        waiting = (cell for cell in self.queue("uncertain") if cell != after)
        return next(waiting, None)

    # --- what must be there ------------------------------------------------------------------

    def _need_project(self) -> Project:
        if self.project is None:
            raise ProjectError("No project is open: choose an image first.")
        return self.project

    def _need_image(self) -> SmearImage:
        if self.image is None:
            raise ImageError("No image is chosen: open a smear and choose it under Detect.")
        return self.image

    def _need_cells(self) -> Cells:
        if self.cells is None:
            raise CellsError("No cells yet: press Detect, or choose a layer that holds them.")
        return self.cells
