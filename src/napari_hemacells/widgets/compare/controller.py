"""What the keys C, L and O do: compare cells, order all by likeness, go through the odd ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import CellRef, Progress
from napari_hemacells.session.annotating import NOT_EMBEDDED
from napari_hemacells.session.likeness import (
    IndexRequest,
    LikeThis,
    ProjectIndex,
    compare_cells,
    index_steps,
    learn_likeness,
    order_cells,
    pick_cell,
    request_index,
    request_likeness,
)
from napari_hemacells.session.odd_ones import (
    NO_CLASSES,
    OddRequest,
    answer_odd_ones,
    odd_queue,
    request_odd_ones,
)
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.native_libraries import single_blas_thread
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_hemacells.core.classify.odd_ones import OddOnes
    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.session import Session
    from napari_hemacells.session.likeness import LikenessRequest, PickedCell
    from napari_hemacells.widgets.compare.panel import ComparePanel

_IDLE_MS = 800  # odd ones follow new classes once the hand rests
CHOOSE_ONE = "Choose a cell first: click it in the gallery, or point at it in the image."


class LikenessController(QObject):
    """Compare, *More like this* and *Odd ones out* of one session.

    Signals
    -------
    said, refused
        A sentence for the user; why something was not done.
    compared
        Two cells, or the first one, are in the panel, which should be seen.
    ordered
        Cells of the open image in the order of their likeness: their ids, how many were picked.
    project_ordered
        Cells of the whole project in that order, a :class:`~.likeness.LikeThis`.
    odd_found
        The odd cells to go through, the oddest first, and whether they are called odd.
    go_to
        An odd cell to show in the image.
    """

    said = Signal(str)
    refused = Signal(str)
    compared = Signal()
    ordered = Signal(list, int)
    project_ordered = Signal(object)
    odd_found = Signal(list, bool)
    go_to = Signal(int)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.panel: ComparePanel | None = None
        self.picked: tuple[PickedCell, ...] = ()
        self.jobs = JobRunner(self)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(lambda _kind, error: self.refused.emit(str(error)))
        self.jobs.failed.connect(
            lambda _kind, error: self.refused.emit(f"That failed unexpectedly ({error}).")
        )
        self.jobs.progressed.connect(self._progressed)
        self._likeness: tuple[LikenessRequest, Likeness] | None = None
        self._indices: dict[bool, tuple[IndexRequest, ProjectIndex]] = {}
        self._wanted: tuple[CellRef, ...] = ()
        self._odd: tuple[OddRequest, OddOnes] | None = None
        self._queue: list[int] = []
        self._at = -1
        self._follow = False  # whether odd ones are found anew for the colours alone
        self.shows_odd = False
        self._coloured = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_IDLE_MS)
        self._soon.timeout.connect(self._follow_classes)
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.project, self._project_changed)
        self._subscriptions.add(events.cells, self._cells_changed)
        self._subscriptions.add(events.prediction, self._classes_changed)

    def close(self) -> None:
        """Disconnect from the session; pending answers are dropped."""
        self._soon.stop()
        self._subscriptions.drop()
        self.jobs.close()

    # --- compare -----------------------------------------------------------------------------

    def compare(self, cells: Sequence[int]) -> None:
        """Pick the last two of these cells, or one beside the one picked before."""
        if not cells:
            self.refused.emit(CHOOSE_ONE)
            return
        try:
            fresh = tuple(pick_cell(self._session, cell) for cell in list(cells)[-2:])
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return
        if len(fresh) == 1 and len(self.picked) == 1 and self.picked[0].ref == fresh[0].ref:
            self.refused.emit("This cell is picked already: choose another one, then press C.")
            return
        self.picked = fresh if len(fresh) == 2 or len(self.picked) != 1 else (*self.picked, *fresh)
        self._show_picked()
        if len(self.picked) == 2:
            self._ask_likeness()
        self.compared.emit()

    def clear(self) -> None:
        """Let the picked cells go."""
        self.picked = ()
        self._show_picked()

    def _show_picked(self) -> None:
        if self.panel is not None:
            first, second = (*self.picked, None, None)[:2]
            self.panel.show_cells(first, second)

    def _ask_likeness(self) -> None:
        request = request_likeness(self._session)
        if request is None:
            self.refused.emit(NOT_EMBEDDED)
            return
        if self._likeness is not None and request.has_inputs_of(self._likeness[0]):
            self._compare()
            return
        self.jobs.start("compare", partial(_likeness_steps, request))

    def _compare(self) -> None:
        if self._likeness is None or len(self.picked) != 2:
            return
        try:
            comparison = compare_cells(self._likeness[1], *self.picked)
        except HemaCellsError as error:
            self.clear()
            self.refused.emit(str(error))
            return
        if self.panel is not None:
            self.panel.show_comparison(comparison)

    # --- more like this ----------------------------------------------------------------------

    def order(self, cells: Sequence[int], *, whole_project: bool = False) -> None:
        """Order all cells of the image, or of the project, by their likeness to these."""
        session = self._session
        if not cells or session.image is None:
            self.refused.emit(CHOOSE_ONE)
            return
        self._wanted = tuple(CellRef(session.image.key, int(cell)) for cell in cells)
        request = request_index(session, whole_project=whole_project)
        if request is None:
            self.refused.emit(NOT_EMBEDDED)
            return
        known = self._indices.get(whole_project)
        if known is not None and request.has_cells_of(*known):
            self._tell_order(known[1], whole_project=whole_project)
            return
        self.jobs.start("propose", partial(_index_steps, request, whole_project=whole_project))

    def _tell_order(self, known: ProjectIndex, *, whole_project: bool) -> None:
        try:
            found = order_cells(known, self._wanted)
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return
        if whole_project:
            self._tell_project(found)
            return
        cells = self._session.cells
        there = {} if cells is None else cells.position
        ids = [cell for cell in found.cells.ids[found.order].tolist() if cell in there]
        self.ordered.emit(ids, len(self._wanted))

    def _tell_project(self, found: LikeThis) -> None:
        self.project_ordered.emit(found)
        if found.waiting:
            images = "1 image has" if found.waiting == 1 else f"{found.waiting} images have"
            self.said.emit(
                f"{images} cells that are not embedded yet: open each once, and they are here too."
            )

    # --- odd ones ----------------------------------------------------------------------------

    def next_odd(self, step: int = 1) -> None:
        """Show the next odd cell; the first time, find them and show them all."""
        request = request_odd_ones(self._session)
        if request is None:
            self.refused.emit(NO_CLASSES)
            return
        if self._queue and self._odd is not None and self.shows_odd:
            self._step(step)
            return
        if self._odd is not None and request.has_inputs_of(self._odd[0]):
            self._show_odd()
            return
        self._follow = False
        self.jobs.start("rate", partial(_odd_steps, request))

    def show_colours(self, *, shown: bool) -> None:
        """Keep the colour of odd cells on the image up to date, or let it be."""
        self._coloured = shown
        if shown:
            self._follow_classes()
        else:
            self.leave_odd()

    def leave_odd(self) -> None:
        """Go through the odd ones from the start, the next time they are asked for."""
        self.shows_odd, self._at = False, -1

    def _show_odd(self) -> None:
        if self._odd is None:
            return
        self._session.set_odd_ones(self._odd[1])
        self._queue, called = odd_queue(self._session, self._odd[1])
        self._at, self.shows_odd = -1, bool(self._queue)
        self.odd_found.emit(self._queue, called)
        count = len(self._queue)
        if not count:
            self.said.emit("Every cell is annotated: none is left to go through.")
            return
        cells = "1 cell" if count == 1 else f"{count:,} cells"
        if called:
            text = f"{cells} unlike every annotated kind."
        elif self._odd[1].can_tell:
            text = f"No cell is called odd. These {cells} are the farthest."
        else:
            text = (
                f"These {cells} are the farthest from your annotations. To call cells odd, "
                "annotate eight or more, at least two of each kind."
            )
        self.said.emit(f"{text} O shows the next one, Shift+O the one before.")
        self._step(1)

    def _step(self, step: int) -> None:
        """Go to the next cell of the queue that nobody has annotated meanwhile."""
        cells = self._session.cells
        there = {} if cells is None else cells.position
        left = [
            place for place, cell in enumerate(self._queue)
            if cell in there and cell not in self._session.annotated
        ]  # fmt: skip
        if not left:
            self.said.emit("You have been through all odd cells.")
            self.leave_odd()
            return
        ahead = [place for place in left if (place - self._at) * step > 0]
        self._at = ahead[0 if step > 0 else -1] if ahead else left[0 if step > 0 else -1]
        self.go_to.emit(self._queue[self._at])

    def _classes_changed(self) -> None:
        if self._coloured:
            self._soon.start()

    def _follow_classes(self) -> None:
        """Find the odd ones anew for the colours; the queue stays as it is."""
        request = request_odd_ones(self._session)
        if request is None or self.jobs.running("rate"):
            return
        if self._odd is not None and request.has_inputs_of(self._odd[0]):
            return
        self._follow = True
        self.jobs.start("rate", partial(_odd_steps, request))

    def _progressed(self, _kind: str, progress: Progress) -> None:
        if progress.total > 1 and progress.done:
            self.said.emit(f"{progress.message}: image {progress.done} of {progress.total} …")

    # --- answers -----------------------------------------------------------------------------

    def _returned(self, kind: str, result: Any) -> None:
        if kind == "compare":
            self._likeness = result
            self._compare()
        elif kind == "propose":
            request, known, whole_project = result
            self._indices[whole_project] = (request, known)
            self.said.emit("")
            self._tell_order(known, whole_project=whole_project)
        elif kind == "rate":
            self._odd = result
            if result[0].embeddings is not self._session.embeddings:
                return
            if self._follow:
                self._session.set_odd_ones(result[1])
            else:
                self._show_odd()

    def forget(self) -> None:
        """Ask anew: another likeness is in use. Two cells that are shown are compared again."""
        self._indices.clear()
        self._likeness = self._odd = None
        self.leave_odd()
        if len(self.picked) == 2:
            self._ask_likeness()

    def _project_changed(self) -> None:
        self._indices.clear()
        self._likeness = None
        self.clear()

    def _cells_changed(self) -> None:
        self._indices.pop(False, None)
        self._odd, self._queue = None, []
        self.leave_odd()


def _likeness_steps(
    request: LikenessRequest,
) -> Generator[Progress, None, tuple[LikenessRequest, Likeness]]:
    yield Progress(0, 0)
    with single_blas_thread():
        return request, learn_likeness(request)


def _index_steps(
    request: IndexRequest, *, whole_project: bool
) -> Generator[Progress, None, tuple[IndexRequest, ProjectIndex, bool]]:
    with single_blas_thread():
        known = yield from index_steps(request)
    return request, known, whole_project


def _odd_steps(request: OddRequest) -> Generator[Progress, None, tuple[OddRequest, OddOnes]]:
    yield Progress(0, 0)
    with single_blas_thread():
        return request, answer_odd_ones(request)
