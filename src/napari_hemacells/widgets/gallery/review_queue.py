"""The review queue: rankings of the cells, computed in a thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.types import Progress
from napari_hemacells.session.review_queue import QueueRequest, rank_cells
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.native_libraries import single_blas_thread
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.session import Session

QueueKey: TypeAlias = "tuple[QueueOrder, bool]"  # an order, and whether it runs backwards

_REST_MS = 150  # a click is answered by the classifier first; the ranking can wait that long
_NEXT: QueueKey = ("active", False)


class RankedCells(NamedTuple):
    """Ranked cells, and whether the ranking is up to date."""

    cells: list[int]
    current: bool


class ReviewQueue(QObject):
    """Slow rankings, kept up to date while the user pauses.

    Signals
    -------
    ranked
        A ranking requested with :meth:`ask` is ready.
    failed
        Why the ranking failed, as a sentence.
    """

    ranked = Signal(str, bool)
    failed = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._known: dict[QueueKey, tuple[QueueRequest, list[int]]] = {}
        self._shown: QueueKey = _NEXT  # what the gallery shows is kept up to date as well
        self._asked = self._again = False  # somebody waits for the order shown, even longer
        self.jobs = JobRunner(self)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._failed)
        self.jobs.failed.connect(self._failed)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REST_MS)
        self._soon.timeout.connect(self._rank)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (events.project, events.image, events.cells):
            self._subscriptions.add(signal, self._start_over)
        for signal in (
            events.embeddings, events.prediction, events.annotations, events.corrected,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._rank_soon)

    def close(self) -> None:
        """Disconnect; a pending ranking is dropped."""
        self._subscriptions.drop()
        self.jobs.close()

    # --- what is asked -----------------------------------------------------------------------

    def ask(self, order: QueueOrder, *, descending: bool = False) -> None:
        """Request an up-to-date ranking; :attr:`rank_cells` reports it, maybe before this returns.

        An earlier request that is still pending is dropped.
        """
        self._shown = (order, descending)
        if self._stale(self._shown) is None:
            self._tell()
            return
        self._asked, self._again = True, False
        self._rank()

    def best(self, order: QueueOrder, *, descending: bool = False) -> RankedCells:
        """Return the best ranking known now, without cells that were removed."""
        now = self._session.queue_request(order, descending=descending)
        if now is None:
            return RankedCells([], current=True)
        if not now.slow:
            return RankedCells(self._session.queue(order, descending=descending), current=True)
        known = self._known.get((order, descending))
        if known is None:
            return RankedCells(rank_cells(now.without_embeddings), current=False)
        request, cells = known
        there, mine = now.cells.position, now.annotated
        waiting = [cell for cell in cells if cell in there and cell not in mine]
        return RankedCells(waiting, current=request.has_inputs_of(now))

    def next_cell(self, after: int | None = None) -> int | None:
        """Return the most informative cell except ``after``; ``None`` if all are annotated."""
        return next((cell for cell in self.best("active").cells if cell != after), None)

    # --- ranking -----------------------------------------------------------------------------

    def _start_over(self) -> None:
        self._known.clear()
        self._asked = False
        self.jobs.cancel("rank")
        self._soon.start()

    def _rank_soon(self, _what: object = None) -> None:
        self._soon.start()

    def _rank(self) -> None:
        """Start the next outdated ranking; one runs at a time."""
        if self.jobs.running("rank"):
            return
        stale = [
            request for key in {_NEXT, self._shown} if (request := self._stale(key)) is not None
        ]
        if stale:
            self.jobs.start("rank", partial(_rank_steps, stale))
        elif self._asked:
            self._tell()

    def _stale(self, key: QueueKey) -> QueueRequest | None:
        """The next ranking to compute; ``None`` if all are up to date or immediate."""
        order, descending = key
        now = self._session.queue_request(order, descending=descending)
        known, _ = self._known.get(key, (None, ()))
        if now is None or not now.slow:
            return None
        return None if known is not None and known.has_inputs_of(now) else now

    def _returned(self, _kind: str, rankings: list[tuple[QueueRequest, list[int]]]) -> None:
        for request, cells in rankings:
            self._known[(request.order, request.descending)] = (request, cells)
        if self._asked and not self._again and self._stale(self._shown) is not None:
            self._again = True  # it was under way before the question; but not for ever
            self._rank()
        elif self._asked:
            self._tell()
        self._soon.start()  # something may have changed meanwhile

    def _tell(self) -> None:
        self._asked = False
        self.ranked.emit(*self._shown)

    def _failed(self, _kind: str, error: Exception) -> None:
        if self._asked:
            self._asked = False
            self.failed.emit(f"The cells could not be compared with one another ({error}).")


def _rank_steps(
    requests: list[QueueRequest],
) -> Generator[Progress, None, list[tuple[QueueRequest, list[int]]]]:
    rankings = []
    for request in requests:
        yield Progress(0, 0)
        with single_blas_thread():
            rankings.append((request, rank_cells(request)))
    return rankings
