"""Colours from the palette that napari's theme gives to Qt; none of our own greys.

Where words change often: their places found at once, so that the window is drawn once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtGui import QColor

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def colour(role: str) -> QColor:
    """A colour of napari's present theme.

    Parameters
    ----------
    role
        ``"background"``, ``"foreground"``, ``"primary"``, ``"secondary"``, ``"highlight"``,
        ``"text"``, ``"current"``, ``"warning"`` or ``"error"``.
    """
    theme = get_theme(get_settings().appearance.theme)
    return QColor(getattr(theme, role).as_hex())


def css(role: str) -> str:
    """The same as ``#rrggbb`` for a style sheet."""
    return colour(role).name()


def mute_text(widget: QWidget) -> None:
    """Set a widget's text a little back: the same colour, part way to the background."""
    text, back = colour("text"), colour("background")
    mixed = QColor(
        *(round(0.72 * t + 0.28 * b) for t, b in zip(_rgb(text), _rgb(back), strict=True))
    )
    widget.setStyleSheet(f"color: {mixed.name()};")


def _rgb(qcolor: QColor) -> tuple[int, int, int]:
    return qcolor.red(), qcolor.green(), qcolor.blue()


_DEPTH = 6  # layouts one inside another, from a panel to the window


def settle_layouts() -> None:
    """Do now what is waiting to be laid out anew, in every window.

    A changed text lays out its panel, then the dock, then the window, each from an event of its
    own, and the window is drawn in between: where OpenGL is drawn in software each time takes a
    hundredth of a second in which no other thread of Python runs.
    """
    for _ in range(_DEPTH):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
