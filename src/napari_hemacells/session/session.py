"""The working session: annotations go in, predicted classes come out, and all is saved on disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core import annotate
from napari_hemacells.core.errors import BundleMismatchError
from napari_hemacells.core.types import UNKNOWN, CellRef
from napari_hemacells.session.annotating import SessionEditor
from napari_hemacells.session.bundles import (
    check_model,
    make_bundle,
    merged_palette,
    other_kind_notice,
    prepare_bundle,
)
from napari_hemacells.session.doubts import Doubts, find_doubts
from napari_hemacells.session.early_answers import (
    STEADY,
    STEADY_AFTER_CLICK,
    early_request,
    embedding_order,
    steady,
)
from napari_hemacells.session.review_queue import QueueRequest, rank_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.params import ClassifyParams, QueueOrder
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.session.domain_shift import ShiftMeasurement
    from napari_hemacells.session.live_classifier import (
        ClassifyRequest,
        ClassifyResult,
        LoadedModel,
    )


class Session(SessionEditor):
    """The session of one user on one project: annotations, live classes and review queue."""

    # --- live classification -----------------------------------------------------------------

    def request(self) -> ClassifyRequest | None:
        """What to compute now; ``None`` while there is nothing to classify with."""
        if self.history is None:
            return None
        labels, palette = self.class_of_cell(), self.palette
        if self.embeddings is None:
            request = early_request(self.live, labels, palette.ids, palette.parents)
        else:
            request = self.live.request(labels, palette.ids, palette.parents)
        return None if request is None else self._with_names(request)

    def _with_names(self, request: ClassifyRequest) -> ClassifyRequest:
        """Return the request with the names of the classes, for both questions."""
        names = {cell_class.id: cell_class.own_name for cell_class in self.palette}
        quick = None if request.quick is None else replace(request.quick, names=names)
        return replace(request, names=names, quick=quick)

    def accept(self, result: ClassifyResult) -> bool:
        """Accept an answer and return whether it is current; a late one changes nothing."""
        result, before = self._without_contradictions(result), self.live.latest
        if before is not None:
            same = self.embeddings is None and before.generation == result.generation
            margin = STEADY if same else STEADY_AFTER_CLICK
            shown = steady(before.prediction, result.prediction, margin)
            result = replace(result, prediction=shown)
        taken = self.live.accept(result)
        if taken:
            self.events.prediction.emit()
        return taken

    @property
    def doubts(self) -> Doubts:
        """Annotations that look unlike the others, and what contradicts the detector."""
        return self.derived("doubts", lambda: find_doubts(self))

    def confirm(self, cells: Iterable[int]) -> None:
        """Say once more that these cells' annotations are right, however unlike they look."""
        key = self._need_image().key
        said = [cell for cell in cells if cell in self.annotated]
        self.live.confirmed.update(CellRef(key, cell) for cell in said)
        self.live.invalidate()
        self.events.annotations.emit(tuple(said))

    def want_embedded(self, in_sight: NDArray[np.int64]) -> None:
        """Say which cells should be embedded next, while they are: annotated, in sight, rare."""
        growing, cells = self.live.growing, self.cells
        if growing is not None and cells is not None:
            growing.want(embedding_order(cells, self.annotated, in_sight, self.prediction))

    def _without_contradictions(self, result: ClassifyResult) -> ClassifyResult:
        """Drop what a single class says against the detector's kinds."""
        from napari_hemacells.core.classify import without_contradictions

        prediction, mine = result.prediction, self.annotated
        if len(prediction.class_ids) != 1 or self.cells is None:
            return result
        (only,) = prediction.class_ids
        if only not in self.palette:
            return result
        name = self.palette.by_id(only).name
        of_class = [cell for cell, class_id in mine.items() if class_id == only]
        kept = without_contradictions(prediction, self.cells, name, of_class)
        return replace(result, prediction=kept)

    def clear_prediction(self) -> None:
        """Clear the predicted classes, as after the last annotation was removed."""
        if self.live.latest is not None:
            self.live.latest = None
            self.events.prediction.emit()

    def set_params(self, params: ClassifyParams) -> None:
        """Set the parameters of the classifier; the cells may have to be embedded anew.

        Raises
        ------
        StorageError
            They cannot be saved in the project; nothing has changed then.
        """
        if self.project is not None and params != self.project.content.classify:
            self.project.update(classify=params)
        self._change_settings(partial(self.live.set_params, params))

    def set_encoder(self, name: str) -> None:
        """Set the encoder; the cells have to be embedded anew.

        Annotations do not change, and a loaded model keeps its own encoder.

        Raises
        ------
        StorageError
            The choice cannot be saved in the project; nothing has changed then.
        """
        if self.project is not None and name != self.project.content.encoder_name:
            self.project.update(encoder_name=name)
        self._change_settings(partial(self.live.set_encoder, name))

    def _change_settings(self, change: Callable[[], None]) -> None:
        embedded, classified = self.embeddings is not None, self.prediction is not None
        change()
        self._tell_notices()
        self.events.settings.emit()
        if embedded and self.embeddings is None:
            self.events.embeddings.emit()
        if classified and self.prediction is None:
            self.events.prediction.emit()

    def show_nearest(self, *, nearest: bool) -> None:
        """Show unknown cells in their nearest class, or as unknown."""
        if nearest != self.live.nearest:
            self.live.show_nearest(nearest=nearest)
            self.events.prediction.emit()

    # --- other slides ------------------------------------------------------------------------

    @property
    def measured(self) -> ShiftMeasurement | None:
        """The domain shift of the image; ``None`` until it is known."""
        return self.live.measured

    def accept_shift(self, measurement: ShiftMeasurement | None) -> None:
        """Accept the measured domain shift; one of other cells is dropped."""
        if self.live.accept_shift(measurement):
            self.events.shift.emit()

    @property
    def restandardised(self) -> bool:
        """Whether the image's embeddings are re-standardised onto the classifier's reference."""
        return self.live.restandardised

    def restandardise(self, *, moved: bool) -> None:
        """Re-standardise the image's embeddings onto the classifier's reference, or undo that."""
        if self.measured is not None and moved != self.restandardised:
            self.live.restandardise(moved=moved)
            self.events.shift.emit()
            self.events.embeddings.emit()

    # --- models ------------------------------------------------------------------------------

    def load_model(self, bundle: Bundle) -> None:
        """Classify with a saved model; adding its classes to the palette can be undone.

        Raises
        ------
        BundleMismatchError
            Where it does not fit the encoder or the scale in use here; nothing has changed then.
        """
        check_model(bundle, self)
        model = prepare_bundle(bundle, self.palette)
        used = {annotation.class_id for annotation in self._need_history().state.labels.values()}
        palette = merged_palette(bundle, self.palette, used)
        if palette != self.palette:
            self._execute(annotate.SetPalette(palette))
        self._use(model)
        if notice := other_kind_notice(bundle, self):
            self.events.noticed.emit(notice)

    def adopt_model(self, bundle: Bundle, learned: Mapping[CellRef, str]) -> None:
        """Classify with a model that was fine-tuned on this project; annotations do not change.

        Parameters
        ----------
        learned
            The cells it was trained or validated on, and the class ids they had then.

        Raises
        ------
        BundleMismatchError
            A class of it was deleted since, or it does not fit here; nothing has changed then.
        """
        model = prepare_bundle(bundle, self.palette)
        gone = [category.name for category in bundle.palette if category.id in model.head.class_ids
                and category.id not in self.palette]  # fmt: skip
        if gone:
            raise BundleMismatchError(
                f"The model knows the class “{gone[0]}”, which has been deleted. Undo the "
                "deletion, or fine-tune again."
            )
        check_model(bundle, self)
        self._use(replace(model, learned=dict(learned)))

    def drop_model(self) -> None:
        """Classify from the user's annotations alone again; annotations do not change."""
        if self.live.model is not None:
            self.live.drop_model()
            self.events.model.emit()
            self.events.embeddings.emit()

    def _use(self, model: LoadedModel) -> None:
        self.live.use_model(model)
        self.events.model.emit()
        if self.embeddings is None:
            self.events.embeddings.emit()

    def make_bundle(self, name: str | None = None) -> Bundle:
        """The current classifier; raises :class:`AnnotationError` before there is one."""
        return make_bundle(self, name or self._need_project().name)

    # --- what to show ------------------------------------------------------------------------

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each class: the numbers of annotated and of predicted cells of this image.

        Under ``UNKNOWN`` those that are too far from every class, if there are any. Read only.
        """
        return self.derived("counts", self._count)

    def _count(self) -> dict[str, tuple[int, int]]:
        annotated, prediction = self.annotated, self.prediction
        mine = Counter(annotated.values())
        theirs: Counter[str] = Counter()
        if prediction is not None:
            open_to_it = ~np.isin(prediction.ids, list(annotated))
            theirs[UNKNOWN] = int((open_to_it & prediction.verdict).sum())
            columns = Counter(
                prediction.predicted_column[open_to_it & ~prediction.verdict].tolist()
            )
            theirs.update(
                {prediction.class_ids[column]: count for column, count in columns.items()}
            )
        counts = {class_id: (mine[class_id], theirs[class_id]) for class_id in self.palette.ids}
        return counts | {UNKNOWN: (0, theirs[UNKNOWN])} if theirs[UNKNOWN] else counts

    def queue_request(self, order: QueueOrder, *, descending: bool = False) -> QueueRequest | None:
        """The ranking to make now; ``None`` while there are no cells."""
        if self.cells is None:
            return None
        return QueueRequest(
            order,
            descending,
            self.cells,
            self.prediction,
            self.embeddings,
            self.annotated,
            () if self.history is None else self.palette.ids,
        )

    def queue(self, order: QueueOrder, *, descending: bool = False) -> list[int]:
        """Ids of this image's cells in the order asked for."""
        request = self.queue_request(order, descending=descending)
        if request is None:
            return []
        return list(self.derived(("queue", order, descending), lambda: rank_cells(request)))
