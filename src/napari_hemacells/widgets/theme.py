"""Colours of napari's theme for widgets, and layout updates that avoid repeated redraws."""

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
    """The colour as ``#rrggbb`` for a style sheet."""
    return colour(role).name()


def mute_text(widget: QWidget) -> None:
    """Mute a widget's text: its colour is mixed with the background."""
    text, back = colour("text"), colour("background")
    mixed = QColor(
        *(round(0.72 * t + 0.28 * b) for t, b in zip(_rgb(text), _rgb(back), strict=True))
    )
    widget.setStyleSheet(f"color: {mixed.name()};")


def _rgb(qcolor: QColor) -> tuple[int, int, int]:
    return qcolor.red(), qcolor.green(), qcolor.blue()


_DEPTH = 6  # layouts one inside another, from a panel to the window


def settle_layouts() -> None:
    """Process all pending layout requests now, in every window.

    A changed text lays out its panel, then the dock, then the window, each in an event of its own,
    and the window is redrawn in between. With OpenGL in software each redraw takes a hundredth of
    a second in which no other Python thread runs.
    """
    for _ in range(_DEPTH):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
