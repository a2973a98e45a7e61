"""Connections of a Qt object to the session that end with the object, and wait for eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakMethod

from qtpy.QtCore import QEvent, QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from psygnal import SignalInstance
    from qtpy.QtWidgets import QWidget


PLACING = "hemacells_placing"  # property of a widget that is being docked, soon behind another


class Subscriptions:
    """Slots of one Qt object on session signals, disconnected when Qt destroys the object.

    The owner keeps this in an attribute. Slots are held weakly, so a closed widget is not kept
    alive, and the session never calls an object that Qt has deleted.
    """

    def __init__(self, owner: QObject) -> None:
        self._pairs: list[tuple[SignalInstance, WeakMethod[Callable[..., Any]]]] = []
        owner.destroyed.connect(self.drop)

    def add(self, signal: SignalInstance, slot: Callable[..., Any]) -> None:
        """Call a bound method of the owner at each emission."""
        signal.connect(slot)
        self._pairs.append((signal, WeakMethod(slot)))

    def drop(self) -> None:
        """Disconnect every slot."""
        for signal, reference in self._pairs:
            slot = reference()
            if slot is not None:
                signal.disconnect(slot, missing_ok=True)
        self._pairs.clear()


def is_seen(widget: QWidget) -> bool:
    """Whether any of a widget is in sight: a dock behind another tab is "visible" to Qt."""
    return widget.isVisible() and not widget.visibleRegion().isEmpty()


class SeenUpdates(QObject):
    """Brings a widget up to date while it is seen; otherwise once, when it is seen again.

    Parameters
    ----------
    widget
        Keeps this in an attribute.
    update
        A bound method of the widget that shows the state as it is then.
    """

    def __init__(self, widget: QWidget, update: Callable[[], None]) -> None:
        super().__init__(widget)
        self._widget, self._update = widget, WeakMethod(update)
        self.due = False
        widget.installEventFilter(self)

    def ask(self, _what: object = None) -> None:
        """Update now if the widget is seen, otherwise when it is."""
        self.due = not is_seen(self._widget)
        if not self.due:
            self._run()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Catch up where the widget comes into sight: shown, or its tab brought to the front."""
        if self.due and watched is self._widget and event is not None:
            if event.type() == QEvent.Type.Show and not self._widget.property(PLACING):
                self._catch_up()
            elif event.type() == QEvent.Type.Paint:  # in which nothing may change
                QTimer.singleShot(0, self._catch_up)
        return False

    def _catch_up(self) -> None:
        if self.due:
            self.due = False
            self._run()

    def _run(self) -> None:
        update = self._update()
        if update is not None:
            update()
