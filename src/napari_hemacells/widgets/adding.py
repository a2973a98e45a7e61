"""Adding a cell that the detector missed: a proposal from a thread becomes a cell."""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.graphics import triton_kept_out
from napari_hemacells.widgets.train_run import chosen_weights
from napari_hemacells.widgets.workers import Jobs

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.detect.propose import Point, Proposal
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge

_NO_POINT = "Point at the missed cell in the image, then press A."


class Adder(QObject):
    """Adds cells where the user points, one after another.

    Attributes
    ----------
    with_class
        Whether added cells are given the active class.

    Signals
    -------
    said, refused
        What was added, or why nothing was.
    """

    said = Signal(str)
    refused = Signal(str)

    def __init__(
        self, session: Session, bridge: ViewerBridge, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._bridge = session, bridge
        self.with_class = False
        self._waiting: deque[Point] = deque()
        self._asked: tuple[str, Point] | None = None
        self.jobs = Jobs(self)
        self.jobs.returned.connect(self._proposed)
        self.jobs.refused.connect(self._not_proposed)
        self.jobs.failed.connect(self._failed)

    def close(self) -> None:
        """Hear nothing more; a proposal under way is dropped."""
        self.jobs.close()

    def drop(self) -> None:
        """Add nothing of what was pointed at before: other cells are shown now."""
        self._waiting.clear()
        self.jobs.cancel("propose")

    def add(self) -> None:
        """Add the cell that the pointer is on."""
        if self._session.cells is None or self._bridge.pointer.place is None:
            self.refused.emit(_NO_POINT)
            return
        self._waiting.append(self._bridge.pointer.place)
        self._next()

    def _next(self) -> None:
        """One proposal at a time: each has to know the cells added before it."""
        session = self._session
        if self.jobs.running("propose") or not self._waiting:
            return
        if session.cells is None or session.image is None:
            self._waiting.clear()
            return
        point = self._waiting.popleft()
        self._asked = (session.image.key, point)
        if "torch" not in sys.modules:
            self.said.emit("Loading the detector…")
        weights = chosen_weights(session.project)
        self.jobs.start(
            "propose", partial(proposing_steps, session.image, session.cells, point, weights)
        )

    def _proposed(self, _kind: str, proposal: Proposal) -> None:
        session = self._session
        if session.image is None or self._asked is None or self._asked[0] != session.image.key:
            return
        row, col = self._asked[1]
        class_id = session.active_class if self.with_class else None
        try:
            cell = session.add_cell(row, col, class_id, proposal)
        except HemaCellsError as error:
            self.refused.emit(str(error))
        else:
            self.said.emit(added_words(cell, proposal))
        self._next()

    def _not_proposed(self, _kind: str, error: HemaCellsError) -> None:
        self.refused.emit(str(error))
        self._next()

    def _failed(self, _kind: str, error: Exception) -> None:
        self.refused.emit(f"No cell could be proposed here ({error}).")
        self._next()


def proposing_steps(
    image: SmearImage, cells: Cells, point: Point, weights: Path | None
) -> Generator[Progress, None, Any]:
    """Return the proposal; torch is imported here, in the thread."""
    from napari_hemacells.core.detect.propose import propose_cell

    yield Progress(0, 0)
    if image.modality != "colour":
        return propose_cell(image, cells, point)
    with triton_kept_out():
        from napari_hemacells.core.detect.learned.model import model_for

        model = model_for(weights)
    return propose_cell(image, cells, point, model=model)


def added_words(cell: int, proposal: Proposal) -> str:
    """Return what was added, and how sure one can be of it."""
    if proposal.how == "network":
        return f"Cell {cell} added: {proposal.kind}. Ctrl+Z takes it back."
    if proposal.how == "stain":
        return f"Cell {cell} added: what is stained here. Ctrl+Z takes it back."
    return f"Cell {cell} added: nothing is seen here, so it is a disc. Ctrl+Z takes it back."
