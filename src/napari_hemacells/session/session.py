"""One user at work: clicks in, classes out, everything that is seen already on disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.types import CellRef
from napari_hemacells.layers import known_classes
from napari_hemacells.session.models import check_model, make_bundle, merged_palette, ready
from napari_hemacells.session.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_hemacells.core.annotate import Action
    from napari_hemacells.core.params import ClassifyParams, QueueOrder
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.session.live import ClassifyAnswer, ClassifyRequest


class Session(Workspace):
    """One user at work on one project: annotations, live classes, what to look at next.

    Every change of an annotation goes through the project's history, which writes the journal
    first and changes the state after: what is seen is on disk.
    """

    # --- annotations -------------------------------------------------------------------------

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
            annotator = self._need_history().state.annotator
            self._do(annotate.SetLabels(tuple(places), class_id, annotator))

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

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self.history is not None and self.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to take again."""
        return self.history is not None and self.history.can_redo

    def undo(self) -> bool:
        """Whether there was a step to take back."""
        return self._tracked(self._need_history().undo)

    def redo(self) -> bool:
        """Whether there was a step to take again."""
        return self._tracked(self._need_history().redo)

    def _do(self, action: Action) -> None:
        history = self._need_history()
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

    def request(self) -> ClassifyRequest | None:
        """What to compute now; ``None`` while there is nothing to classify with."""
        if self.history is None:
            return None
        return self.live.request(self.class_of_cell(), self.palette.ids)

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

    # --- models ------------------------------------------------------------------------------

    def load_model(self, bundle: Bundle) -> None:
        """Classify with a saved model; clicks add to it. Its classes join the palette, undoably.

        Raises
        ------
        BundleMismatchError
            Where it does not fit the encoder or the scale in use here; nothing has changed then.
        """
        check_model(bundle, self)
        model = ready(bundle, self.palette)
        used = {one.class_id for one in self._need_history().state.labels.values()}
        palette = merged_palette(bundle, self.palette, used)
        if palette != self.palette:
            self._do(annotate.SetPalette(palette))
        self.live.use_model(model)
        self.events.model.emit()
        if self.embeddings is None:
            self.events.embeddings.emit()

    def make_bundle(self, name: str | None = None) -> Bundle:
        """The classifier as it stands; raises :class:`AnnotationError` before there is one."""
        return make_bundle(self, name or self._need_project().name)

    # --- what to show ------------------------------------------------------------------------

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each class: cells of this image that the user gave it, and that it is predicted."""
        annotated, prediction = self.annotated, self.prediction
        mine = Counter(annotated.values())
        theirs: Counter[str] = Counter()
        if prediction is not None:
            open_to_it = ~np.isin(prediction.ids, list(annotated))
            columns = Counter(prediction.winner[open_to_it].tolist())
            theirs.update({prediction.class_ids[one]: count for one, count in columns.items()})
        return {class_id: (mine[class_id], theirs[class_id]) for class_id in self.palette.ids}

    def queue(self, order: QueueOrder, *, descending: bool = False) -> list[int]:
        """Cell ids of this image in the order asked for."""
        if self.cells is None:
            return []
        from napari_hemacells.core.classify import review_queue

        queue = review_queue(
            self.cells.ids,
            self.prediction,
            self.embeddings,
            order,
            annotated=set(self.annotated),
            descending=descending,
        )
        if order == "class":  # the user's word counts here, of which the classifier knows nothing
            known = known_classes(self.cells, self.annotated, self.prediction)
            place = {class_id: rank for rank, class_id in enumerate(self.palette.ids)}
            ranks = [place.get(class_id or "", len(place)) for class_id in known]
            position = self.cells.position
            queue.sort(key=lambda cell: ranks[position[cell]], reverse=descending)
        return queue

    def next_cell(self, after: int | None = None) -> int | None:
        """The cell most worth labelling now, another one than ``after``; ``None`` if all are."""
        waiting = (cell for cell in self.queue("uncertain") if cell != after)
        return next(waiting, None)
