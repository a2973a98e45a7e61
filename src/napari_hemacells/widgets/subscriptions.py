"""Subscriptions of Qt objects to session events, which end with the object."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from psygnal import SignalInstance
    from qtpy.QtCore import QObject


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
