"""Tools that correct a detection on the canvas: add, delete, split and merge cells."""

from __future__ import annotations

import sys
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.annotate import count_manual_edits
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import Progress
from napari_hemacells.session.annotating import NOT_EDITABLE
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.detect.edit_bar import EditState, Tool
from napari_hemacells.widgets.native_libraries import without_triton
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.training.steps import chosen_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_hemacells.core.detect.proposal import Point, Proposal
    from napari_hemacells.core.detect.split import Line
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import CellsChange, Session
    from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

_NO_POINT = "Point at the missed cell in the image, then press A."


class CellAdder(QObject):
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
        self.jobs = JobRunner(self)
        self.jobs.returned.connect(self._proposed)
        self.jobs.refused.connect(self._not_proposed)
        self.jobs.failed.connect(self._failed)

    def close(self) -> None:
        """Disconnect; a pending proposal is dropped."""
        self.jobs.close()

    def drop(self) -> None:
        """Drop pending positions: other cells are shown now."""
        self._waiting.clear()
        self.jobs.cancel("propose")

    def add(self) -> None:
        """Add the cell under the pointer."""
        if self._session.cells is None or self._bridge.pointer.place is None:
            self.refused.emit(_NO_POINT)
            return
        if not self._session.can_edit_cells:
            self.refused.emit(NOT_EDITABLE)
            return
        self._waiting.append(self._bridge.pointer.place)
        self._next()

    def _next(self) -> None:
        """Start the next proposal: each must know the cells added before it."""
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
            "propose", partial(proposal_steps, session.image, session.cells, point, weights)
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
            self.said.emit(format_added_cell(cell, proposal))
        self._next()

    def _not_proposed(self, _kind: str, error: HemaCellsError) -> None:
        self.refused.emit(str(error))
        self._next()

    def _failed(self, _kind: str, error: Exception) -> None:
        self.refused.emit(f"No cell could be proposed here ({error}).")
        self._next()


def proposal_steps(
    image: SmearImage, cells: Cells, point: Point, weights: Path | None
) -> Generator[Progress, None, Any]:
    """Return the proposal; torch is imported here, in the thread."""
    from napari_hemacells.core.detect.click_proposal import propose_cell

    yield Progress(0, 0)
    if image.modality != "colour":
        return propose_cell(image, cells, point)
    with without_triton():
        from napari_hemacells.core.detect.learned.model import model_for

        model = model_for(weights)
    return propose_cell(image, cells, point, model=model)


def format_added_cell(cell: int, proposal: Proposal) -> str:
    """Return a message on the added cell and how its outline was found."""
    if proposal.method == "network":
        return f"Cell {cell} added: {proposal.kind}. Ctrl+Z to undo."
    if proposal.method == "stain":
        return f"Cell {cell} added with the outline of the stained area. Ctrl+Z to undo."
    return f"Cell {cell} added as a disc: no outline was found here. Ctrl+Z to undo."


_NO_CELL = "Point at a cell, or choose some with Shift-click."


class CellEditor(QObject):
    """The tools that correct the cells of a session on a canvas.

    Signals
    -------
    changed
        The tool or the chosen cells changed: show :attr:`state`.
    said, refused
        What was done, or why it was not.
    """

    changed = Signal()
    said = Signal(str)
    refused = Signal(str)

    def __init__(
        self, session: Session, bridge: ViewerBridge, canvas: CellLayerController
    ) -> None:
        super().__init__()
        self._session, self._bridge, self._canvas = session, bridge, canvas
        self.tool: Tool = ""
        self.chosen: list[int] = []
        self.adder = CellAdder(session, bridge, self)
        self.adder.said.connect(self.said)
        self.adder.refused.connect(self.refused)
        canvas.tool_applied.connect(self._use_at)
        canvas.asked.connect(self.act)
        self._subscriptions = Subscriptions(self)
        events, pointer = session.events, bridge.pointer.events
        for signal, slot in (
            (events.image, self._start_over),
            (events.cells, self._start_over),
            (events.corrected, self._cells_corrected),
            (events.annotations, self._tell),
            (events.active_class, self._tell),
            (events.palette, self._tell),
            (pointer.added, self.adder.add),
            (pointer.picked, self.toggle_selection),
            (pointer.clicked, self._clicked),
            (pointer.drawing, bridge.draw_line),
            (pointer.drawn, self.split_along),
        ):
            self._subscriptions.add(signal, slot)

    def close(self) -> None:
        """Disconnect; a pending proposal is dropped."""
        self._subscriptions.drop()
        self.adder.close()

    @property
    def state(self) -> EditState:
        """The state to show on the buttons."""
        session = self._session
        active = session.active_class if session.history is not None else None
        return EditState(
            has_cells=session.cells is not None,
            tool=self.tool,
            chosen=len(self.chosen),
            with_class=self.adder.with_class,
            class_name="" if active is None else session.palette.by_id(active).name,
            tally="" if session.cells is None else format_edit_counts(session.cells),
            can_undo=session.can_undo,
        )

    # --- tools and chosen cells --------------------------------------------------------------

    def take(self, tool: Tool) -> None:
        """Select a tool; ``""`` for none."""
        self.tool = tool
        self._canvas.has_tool = bool(tool)
        self._bridge.set_line_drawing(tool == "split")
        self._choose([])

    def _put_down(self) -> None:
        self.take("")

    def toggle_selection(self, cell: int) -> None:
        """Add a cell to the chosen ones, or remove it from them."""
        if cell and cell in self.chosen:
            self._choose([chosen_cell for chosen_cell in self.chosen if chosen_cell != cell])
        elif cell:
            self._choose([*self.chosen, cell])

    def set_label_new_cells(self, with_class: bool) -> None:
        """Set whether added cells are given the active class."""
        self.adder.with_class = with_class
        self.changed.emit()

    def act(self, action: str) -> None:
        """Perform the action of a key or a button."""
        {
            "add": self.adder.add,
            "delete": self.delete,
            "split": self.split,
            "merge": self.merge,
            "undo": self._canvas.undo,
            "let go": self._put_down,
        }[action]()

    def _choose(self, cells: list[int]) -> None:
        self.chosen = cells
        all_cells = self._session.cells
        if all_cells is not None:
            boxes = [all_cells.boxes[all_cells.position[cell]].tolist() for cell in cells]
            self._bridge.choose([tuple(box) for box in boxes])
        self.changed.emit()

    def _clicked(self, cell: int) -> None:
        """Handle a click without a tool: choose one cell or none, where clicks do not annotate."""
        if not self.tool:
            self._choose([cell] if cell and not self._canvas.labelling else [])

    def targets(self) -> list[int]:
        """The chosen cells, else the cell under the pointer or last under it."""
        return list(self.chosen) or [cell for cell in [self._canvas.current] if cell]

    # --- what becomes of cells ---------------------------------------------------------------

    def delete(self) -> None:
        """There is no cell here: point at a cell."""
        cells = self.targets()
        self._try(
            cells, lambda: self._session.delete_cells(cells), _format_count(cells, "deleted")
        )

    def split(self) -> None:
        """Split each of these cells in two."""
        cells = self.targets()
        self._try(cells, lambda: [self._session.split_cell(cell) for cell in cells], "Split.")

    def merge(self) -> None:
        """Merge the chosen cells; with one chosen, that and the cell under the pointer."""
        cells = self.targets()
        if len(cells) == 1 and self._canvas.current not in {0, *cells}:
            cells.append(self._canvas.current)
        self._try(cells, lambda: self._session.merge_cells(cells), "Merged.")

    def split_along(self, line: Line) -> None:
        """Split the cell that a line crosses."""
        self._bridge.draw_line(None)
        cells = self._session.cells
        crossed = 0 if cells is None else most_crossed_cell(cells, line)
        if not crossed:
            self.refused.emit("The line crosses no cell: draw it right across a cell.")
            return
        self._try([crossed], lambda: self._session.split_cell(crossed, line), "Split.")

    def _use_at(self, cell: int) -> None:
        if self.tool == "add":
            self.adder.add()
        elif cell:
            self._try([cell], lambda: self._session.split_cell(cell), "Split.")

    def _try(self, cells: list[int], change: Callable[[], object], done: str) -> None:
        if not cells:
            self.refused.emit(_NO_CELL)
            return
        try:
            with without_triton():  # splitting may load the detector
                change()
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return
        self._choose([])
        self.said.emit(f"{done} Ctrl+Z to undo.")

    # --- what the session tells --------------------------------------------------------------

    def _start_over(self) -> None:
        self.adder.drop()
        self.take("")

    def _cells_corrected(self, change: CellsChange) -> None:
        self._choose([cell for cell in self.chosen if cell not in change.deleted])

    def _tell(self, _what: object = None) -> None:
        self.changed.emit()


def most_crossed_cell(cells: Cells, line: Line) -> int:
    """Return the cell that contains most of a line, 0 for none."""
    import numpy as np

    (row, col), (to_row, to_col) = line
    count = int(max(abs(to_row - row), abs(to_col - col))) + 2
    places = np.rint(np.linspace((row, col), (to_row, to_col), count)).astype(int)
    low = np.maximum(places.min(axis=0), 0)
    window = np.asarray(
        cells.labels[low[0] : places[:, 0].max() + 1, low[1] : places[:, 1].max() + 1]
    )
    at = places - low
    inside = ((at >= 0) & (at < window.shape)).all(axis=1)
    under = Counter(window[tuple(at[inside].T)].tolist())
    under.pop(0, None)
    return under.most_common(1)[0][0] if under else 0


def format_edit_counts(cells: Cells) -> str:
    """Return ``"By hand: 3 added, 2 split."``; empty if nothing was edited."""
    parts = [f"{count:,} {origin}" for origin, count in count_manual_edits(cells).items()]
    return f"By hand: {', '.join(parts)}." if parts else ""


def _format_count(cells: list[int], what: str) -> str:
    return f"{len(cells):,} cell{'' if len(cells) == 1 else 's'} {what}."
