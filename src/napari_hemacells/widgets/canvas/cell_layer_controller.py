"""The cells layer: shows the cells of the session and handles clicks and keys on them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells import layers as ours
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.widgets.canvas.cell_colors import CellColorizer
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.theme import settle_layouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.layers import DisplayMode
    from napari_hemacells.session import CellsChange, Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.gallery.review_queue import ReviewQueue


def format_cell_status(session: Session, cell: int) -> str:
    """Return a description such as ``Cell 12: Lymphocyte 87 %``; empty for no cell."""
    if session.cells is None or session.project is None or cell not in session.cells.position:
        return ""
    mine = session.annotated.get(cell)
    if mine is not None:
        return f"Cell {cell}: {session.palette.by_id(mine).name} (yours)"
    prediction = session.prediction
    if prediction is None or cell not in prediction.ids:
        return f"Cell {cell}: not classified yet"
    at = int(prediction.ids.searchsorted(cell))
    name = session.palette.by_id(prediction.class_ids[prediction.predicted_column[at]]).name
    if prediction.verdict[at]:
        return f"Cell {cell}: unknown (nearest {name})"
    if prediction.too_few:
        return f"Cell {cell}: {name}"
    return f"Cell {cell}: {name}{ours.format_confidence(float(prediction.confidence[at]))}"


LIKENESS_ACTIONS = {"compare", "similar", "similar everywhere", "odd", "odd before"}
_IDLE_MS = 250  # colours that hardly differ may wait until the hand rests
_PATIENCE_MS = 80  # the clicked cell waits that long for all others, so as to draw once


class CellLayerView(QObject):
    """The cells of a session in the viewer.

    Parameters
    ----------
    reclassify
        Requests new classes after an annotation; returns whether an answer is pending that
        will recolour all cells.
    """

    mode_changed = Signal(str)
    pointed_at = Signal(str)
    chosen = Signal(int)  # a cell that was clicked or gone to, not one just hovered over

    def __init__(
        self, session: Session, bridge: ViewerBridge, reclassify: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._session, self._bridge, self._reclassify = session, bridge, reclassify
        self.mode: DisplayMode = "class"
        self.current = 0
        self._told = 0  # the cell that the words below the panel are about
        self._colouring = CellColorizer(session, bridge, self)
        self._unmarked = QTimer(self)
        self._unmarked.setSingleShot(True)
        self._unmarked.setInterval(_PATIENCE_MS)
        self._unmarked.timeout.connect(self._mark)
        self._recolour_soon = QTimer(self)
        self._recolour_soon.setSingleShot(True)
        self._recolour_soon.setInterval(_IDLE_MS)
        self._recolour_soon.timeout.connect(self.recolour)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal, slot in (
            (events.project, self._image_changed),
            (events.image, self._image_changed),
            (events.cells, self._cells_changed),
            (events.corrected, self._cells_corrected),
            (events.annotations, self._annotations_changed),
            (events.palette, self.recolour),
            (events.prediction, self._prediction_changed),
            (events.odd_ones, self.recolour),
        ):
            self._subscriptions.add(signal, slot)

    def close(self) -> None:
        """Disconnect from the session and the viewer."""
        self._subscriptions.drop()

    # --- what is shown -----------------------------------------------------------------------

    def recolour(self) -> None:
        """Colour every cell, and draw a pending ring."""
        self._colouring.recolour(self.mode)
        if self._unmarked.isActive():
            self._mark()

    def show_mode(self, mode: DisplayMode) -> None:
        """Show the image, the classes or the confidence."""
        self.mode = mode
        self._bring_back()
        self.recolour()
        self._mark()
        self.mode_changed.emit(mode)

    def _bring_back(self) -> None:
        """Show the cells again after the user has removed their layer."""
        session = self._session
        if self._bridge.cells_layer is None and session.cells is not None and session.image:
            self._bridge.show_cells(session.cells, session.image.key)

    def choose(self, cell: int) -> None:
        """Set the current cell; 0 for none."""
        cells = self._session.cells
        chosen = cell if cells is not None and cell in cells.position else 0
        if chosen != self.current:
            self.current = chosen
            self._mark()
        self._tell(chosen)

    def go_to(self, cell: int) -> None:
        """Set the current cell and move it to the middle of the canvas."""
        cells = self._session.cells
        if cells is None or cell not in cells.position:
            return
        self.choose(cell)
        index = cells.position[cell]
        top, left, bottom, right = cells.boxes[index].tolist()
        row, col = cells.centres[index].tolist()
        self._bridge.centre_on(row, col, max(bottom - top, right - left))
        self.chosen.emit(cell)
        self._bridge.pointer.ignore_small_moves()

    def _tell(self, cell: int) -> None:
        self._told = cell
        self.pointed_at.emit(format_cell_status(self._session, cell))

    def _mark(self) -> None:
        """Draw the ring; it is filled if the user has annotated the current cell."""
        self._unmarked.stop()
        session = self._session
        if not self.current or session.cells is None:
            self._bridge.clear_marker()
            return
        mine = session.annotated.get(self.current) if self.mode == "class" else None
        colour = None if mine is None else session.palette.by_id(mine).colour
        box = session.cells.boxes[session.cells.position[self.current]].tolist()
        self._bridge.mark(tuple(box), colour)

    # --- what the session tells --------------------------------------------------------------

    def _image_changed(self) -> None:
        self._bridge.forget_cells()
        self._forget()

    def _forget(self) -> None:
        """Show the cells of another image or detection."""
        self.current = 0
        self._tell(0)

    def _cells_changed(self) -> None:
        session = self._session
        if session.cells is None or session.image is None:
            return
        self._forget()
        self._bridge.show_cells(session.cells, session.image.key)
        self.recolour()

    def _cells_corrected(self, change: CellsChange) -> None:
        """Update the cells that changed; an added cell becomes the current one."""
        session = self._session
        if session.cells is None:
            return
        self._bridge.change_cells(session.cells, change.windows)
        if self.current in change.deleted:
            self.current = 0
        if change.new:
            self.current = change.new[0]
            self._colour_new(change.new)
        self._mark()
        self._colouring.update_features_soon()
        self._tell(self.current)

    def _colour_new(self, cells: tuple[int, ...]) -> None:
        """Recolour all cells, once the user pauses unless the cells are not yet visible."""
        if self._bridge.colours(cells):
            self._recolour_soon.start()
        else:
            self.recolour()

    def _annotations_changed(self, cells: tuple[int, ...] = ()) -> None:
        """Recolour the current cell soon, and all others with the next answer."""
        if self.current in cells:
            self._unmarked.start()
        if not self._reclassify():
            self.recolour()
        self._tell(self.current)

    def _prediction_changed(self) -> None:
        self.recolour()
        self._tell(self._told)


class CellLayerController(CellLayerView):
    """Handles clicks and keys on the cells of a session.

    Parameters
    ----------
    upcoming
        The review queue, which proposes the next cell to annotate.
    """

    refused = Signal(str)
    tool_applied = Signal(int)  # a click on a cell, or 0 on glass, while a tool is in hand
    asked = Signal(str)  # a key that corrects cells
    help_requested = Signal()
    heat_requested = Signal()
    likeness_asked = Signal(str)  # a key that compares cells, or goes through the odd ones

    def __init__(
        self,
        session: Session,
        bridge: ViewerBridge,
        upcoming: ReviewQueue,
        reclassify: Callable[[], bool],
    ) -> None:
        super().__init__(session, bridge, reclassify)
        self._upcoming = upcoming
        self.labelling = False
        self.has_tool = False
        self._trail: list[int] = []
        pointer = bridge.pointer.events
        for signal, slot in (
            (pointer.clicked, self.click),
            (pointer.picked, self.choose),
            (pointer.cleared, self._cleared),
            (pointer.hovered, self._hovered),
            (bridge.events.key, self.act),
        ):
            self._subscriptions.add(signal, slot)

    def _forget(self) -> None:
        super()._forget()
        self._trail = []

    def act(self, action: str) -> None:
        """Perform the action of a key."""
        what, _, key = action.partition(" ")
        if what == "class" and key.isdigit():
            self._class_key(int(key))
            return
        actions: dict[str, Callable[[], object]] = {
            "remove": self._remove,
            "not a cell": self._mark_not_a_cell,
            "undo": self.undo,
            "redo": self.redo,
            "next": self.next,
            "previous": self.previous,
            "display": self._flip,
            "help": self.help_requested.emit,
            "heat": self.heat_requested.emit,
            "class before": partial(self._step_class, -1),
            "class after": partial(self._step_class, 1),
        }
        known = actions.get(action)
        if action in LIKENESS_ACTIONS:
            self.likeness_asked.emit(action)
        elif known is None:
            self.asked.emit(action)
        else:
            known()

    def _mark_not_a_cell(self) -> None:
        if self.current and self.labelling:
            self._try(lambda: self._session.mark_not_a_cell([self.current]))

    def undo(self) -> None:
        """Undo the last step."""
        self._try(self._session.undo)

    def redo(self) -> None:
        """Redo the last undone step."""
        self._try(self._session.redo)

    def next(self) -> None:
        """Go to the next cell of the review queue."""
        cell = self._upcoming.next_cell(self.current or None)
        if cell is None:
            self.refused.emit("Every cell is annotated already.")
            return
        if self.current:
            self._trail.append(self.current)
        self.go_to(cell)

    def previous(self) -> None:
        """Go back to the previous cell that still exists."""
        cells = self._session.cells
        self._trail = [cell for cell in self._trail if cells and cell in cells.position]
        if self._trail:
            self.go_to(self._trail.pop())

    def annotate(self, cell: int, class_id: str | None) -> None:
        """Annotate a cell (``None`` removes its class), if the open step allows that."""
        if not self.labelling:
            self.refused.emit("Open the step Annotate to give cells a class.")
            return
        if cell:
            self._try(lambda: self._session.annotate([cell], class_id))
            settle_layouts()

    def click(self, cell: int) -> None:
        """Choose a cell, and give it the active class if the open step is Annotate."""
        if self.has_tool:
            self.tool_applied.emit(cell)
            return
        if cell:
            self.chosen.emit(cell)
        active = self._session.active_class
        if cell and self.labelling and active is not None:
            if self._session.annotated.get(cell) == active:
                self.choose(cell)
                if cell in self._session.doubts.unlike:
                    self._session.confirm([cell])
            else:
                self.current = cell  # the ring comes with its colour, in one go
                self.annotate(cell, active)
            return
        self.choose(cell)
        if cell and self.labelling:
            self.refused.emit("Choose a class first, or add one under Annotate.")

    def _cleared(self, cell: int) -> None:
        self.choose(cell)
        if cell:
            self.annotate(cell, None)

    def _hovered(self, cell: int) -> None:
        if cell:
            self.choose(cell)
        else:
            self._tell(0)

    def _class_key(self, key: int) -> None:
        if self._session.project is None:
            return
        chosen = self._session.palette.by_key(key)
        if chosen is None:
            self.refused.emit(f"No class has the key {key}: add one under Annotate.")
            return
        self._session.active_class = chosen.id
        if self.current:
            self.annotate(self.current, chosen.id)

    def _step_class(self, step: int) -> None:
        """Make the class above or below the active one active; the last is followed by the first.

        With these, classes without a key of their own are reached too.
        """
        session = self._session
        if session.project is None or not len(session.palette):
            return
        ids, active = session.palette.ids, session.active_class
        at = ids.index(active) + step if active in ids else 0
        session.active_class = ids[at % len(ids)]
        self._tell(self.current)

    def _remove(self) -> None:
        self.annotate(self.current, None)

    def _flip(self) -> None:
        modes = ours.DISPLAY_MODES
        self.show_mode(modes[(modes.index(self.mode) + 1) % len(modes)])

    def _try(self, change: Callable[[], object]) -> None:
        try:
            change()
        except HemaCellsError as error:
            self.refused.emit(str(error))
