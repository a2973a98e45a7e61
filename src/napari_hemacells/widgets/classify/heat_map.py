"""The heat map over the chosen cell: where the fine-tuned model in use looked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.native_libraries import without_triton
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.cell_heat import CellHeat
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

NO_MODEL = (
    "Heat maps need a fine-tuned model in use: load one with Load model…, or fine-tune the "
    "classifier."
)
NO_CELL = "Choose a cell first: click it, or press N."
NOT_YET = "Wait until the cells are classified."


@dataclass(frozen=True, eq=False)
class HeatRequest:
    """A cell of the open image, and the class asked about."""

    bundle: Bundle
    head: Head
    image: SmearImage
    cells: Cells
    cell: int
    class_id: str
    encoder: Encoder | None = None


class HeatMapController(QObject):
    """Shows the heat of the current cell as a layer; asked again for the same cell, removes it.

    Parameters
    ----------
    current
        Returns the current cell; 0 for none.

    Signals
    -------
    said, warning_emitted
        A sentence for the message bar.
    """

    said = Signal(str)
    warning_emitted = Signal(str)

    def __init__(
        self,
        session: Session,
        bridge: ViewerBridge,
        current: Callable[[], int],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._bridge, self._current = session, bridge, current
        self.jobs = JobRunner(self)
        self._shown: tuple[str, int] | None = None
        self._loaded: tuple[Bundle, Encoder] | None = None
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._failed)
        self.jobs.failed.connect(self._failed)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (events.project, events.image, events.cells, events.model):
            self._subscriptions.add(signal, self.clear)

    def close(self) -> None:
        """Stop; a late answer is ignored."""
        self._subscriptions.drop()
        self.jobs.close()

    def clear(self, _what: object = None) -> None:
        """Remove the heat map: it was of another image or model."""
        self.jobs.cancel("heat")
        self._shown = None
        self._bridge.clear_heat()

    def toggle(self) -> None:
        """Show where the network looked at the current cell, or remove that."""
        image, cell = self._session.image, self._current()
        shown = self._shown
        self.clear()
        if image is not None and shown == (image.key, cell) and cell:
            return
        request, reason = self._request(cell)
        if request is None:
            self.warning_emitted.emit(reason)
            return
        self.said.emit("Looking where the network looked …")
        self.jobs.start("heat", partial(_heat_steps, request))

    def _request(self, cell: int) -> tuple[HeatRequest | None, str]:
        session = self._session
        model, image, cells = session.live.model, session.image, session.cells
        if model is None or not model.bundle.encoder_tensors:
            return None, NO_MODEL
        if image is None or cells is None or cell not in cells.position:
            return None, NO_CELL
        prediction = session.prediction
        rows = [] if prediction is None else (prediction.ids == cell).nonzero()[0].tolist()
        if prediction is None or not rows:
            return None, NOT_YET
        ranked = prediction.probabilities[rows[0]].argsort()[::-1].tolist()
        known = [prediction.class_ids[column] for column in ranked]
        class_id = next(
            (candidate for candidate in known if candidate in model.head.class_ids), None
        )
        if class_id is None:
            return None, NOT_YET
        kept = self._loaded
        encoder = kept[1] if kept is not None and kept[0] is model.bundle else None
        return (
            HeatRequest(model.bundle, model.head, image, cells, cell, class_id, encoder),
            "",
        )

    def _returned(self, _kind: str, answer: tuple[HeatRequest, CellHeat, Encoder]) -> None:
        request, found, encoder = answer
        session = self._session
        self._loaded = (request.bundle, encoder)
        if session.image is not request.image or session.cells is not request.cells:
            return
        self._shown = (request.image.key, request.cell)
        self._bridge.show_heat(found.heat, found.square, request.image.key)
        known = request.class_id in session.palette
        name = session.palette.by_id(request.class_id).name if known else request.class_id
        self.said.emit(f"Bright spoke most for “{name}”. H removes the heat map.")

    def _failed(self, _kind: str, error: Exception) -> None:
        known = isinstance(error, HemaCellsError)
        self.warning_emitted.emit(
            str(error) if known else f"The heat map could not be made ({error})."
        )


def _heat_steps(
    request: HeatRequest,
) -> Generator[Progress, None, tuple[HeatRequest, CellHeat, Encoder]]:
    yield Progress(0, 0, "Looking where the network looked")
    with without_triton():
        from napari_hemacells.core.train.classifier.cell_heat import heat_of_cell

        encoder = request.encoder or request.bundle.make_encoder("cpu")
        found = heat_of_cell(
            encoder,
            request.head,
            request.bundle.spec,
            image=request.image,
            cells=request.cells,
            cell=request.cell,
            class_id=request.class_id,
        )
    return request, found, encoder
