"""Where words change often: their places found at once, so that the window is drawn once."""

from __future__ import annotations

from qtpy.QtCore import QCoreApplication, QEvent

_DEPTH = 6  # layouts one inside another, from a panel to the window


def settle_layouts() -> None:
    """Do now what is waiting to be laid out anew, in every window.

    A changed text lays out its panel, then the dock, then the window, each from an event of its
    own, and the window is drawn in between: where OpenGL is drawn in software each time takes a
    hundredth of a second in which no other thread of Python runs.
    """
    for _ in range(_DEPTH):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
