"""Canvas → session: what clicks and keys on the cells do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal

from napari_hemacells import layers as ours
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.widgets.cell_view import CellView
from napari_hemacells.widgets.layouts import settle_layouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.upcoming import Upcoming


class Canvas(CellView):
    """The cells of a session on the canvas of a viewer, to be clicked.

    Parameters
    ----------
    upcoming
        Knows what is worth labelling next.
    """

    refused = Signal(str)
    used = Signal(int)  # a click on a cell, or 0 on glass, while a tool is in hand
    asked = Signal(str)  # a key that corrects cells

    def __init__(
        self,
        session: Session,
        bridge: ViewerBridge,
        upcoming: Upcoming,
        reclassify: Callable[[], bool],
    ) -> None:
        super().__init__(session, bridge, reclassify)
        self._upcoming = upcoming
        self.labelling = False
        self.holds_tool = False
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
        """Do what a key stands for."""
        if action.startswith("class "):
            self._class_key(int(action.removeprefix("class ")))
            return
        known = {
            "remove": self._remove,
            "undo": self.undo,
            "redo": self.redo,
            "next": self.next,
            "previous": self.previous,
            "display": self._flip,
        }.get(action)
        if known is None:
            self.asked.emit(action)
        else:
            known()

    def undo(self) -> None:
        """Take the last step back."""
        self._try(self._session.undo)

    def redo(self) -> None:
        """Do the step taken back once more."""
        self._try(self._session.redo)

    def next(self) -> None:
        """Go to the cell most worth labelling."""
        cell = self._upcoming.next_cell(self.current or None)
        if cell is None:
            self.refused.emit("Every cell has your word already.")
            return
        if self.current:
            self._trail.append(self.current)
        self.go_to(cell)

    def previous(self) -> None:
        """Go back to the cell before, of those that are there still."""
        cells = self._session.cells
        self._trail = [cell for cell in self._trail if cells and cell in cells.position]
        if self._trail:
            self.go_to(self._trail.pop())

    def annotate(self, cell: int, class_id: str | None) -> None:
        """Give a cell a class (``None``: take it away), if this step is for that."""
        if not self.labelling:
            self.refused.emit("Open the step Annotate to give cells a class.")
            return
        if cell:
            self._try(lambda: self._session.annotate([cell], class_id))
            settle_layouts()

    def click(self, cell: int) -> None:
        """Choose a cell, and give it the active class if this step is for that."""
        if self.holds_tool:
            self.used.emit(cell)
            return
        if cell:
            self.chosen.emit(cell)
        active = self._session.active_class
        if cell and self.labelling and active is not None:
            if self._session.annotated.get(cell) == active:
                self.choose(cell)
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
