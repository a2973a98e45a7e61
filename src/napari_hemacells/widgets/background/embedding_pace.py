"""Which cells are embedded next: those in sight, and those that matter for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks

_LOOK_MS = 500  # between two looks at what is in sight
_MOST_IN_SIGHT = 600  # cells: with more of them on the canvas none is looked at


class Sight(Protocol):
    """What the canvas shows."""

    def window_in_sight(self) -> tuple[float, float, float, float] | None:
        """The part of the image on the canvas: top, left, bottom, right in pixels."""


class EmbeddingPace(QObject):
    """Says which cells are wanted next while cells are being embedded."""

    def __init__(self, session: Session, sight: Sight, tasks: BackgroundTasks) -> None:
        super().__init__()
        self._session, self._sight, self._tasks = session, sight, tasks
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)
        tasks.progressed.connect(self._begin)

    def close(self) -> None:
        """Say no more."""
        self._timer.stop()

    def look(self) -> None:
        """Say what is wanted now; stop once all is embedded."""
        if not self._tasks.jobs.running("embed"):
            self._timer.stop()
            return
        self._session.want_embedded(self._cells_in_sight())

    def _begin(self) -> None:
        if not self._timer.isActive() and self._tasks.jobs.running("embed"):
            self._timer.start()

    def _cells_in_sight(self) -> NDArray[np.int64]:
        cells, window = self._session.cells, self._sight.window_in_sight()
        if cells is None or window is None:
            return np.zeros(0, np.int64)
        inside = (cells.centres >= window[:2]).all(axis=1)
        inside &= (cells.centres <= window[2:]).all(axis=1)
        return cells.ids[inside] if inside.sum() <= _MOST_IN_SIGHT else cells.ids[:0]
