"""Colours of napari's theme for widgets, and layout updates that avoid repeated redraws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtGui import QColor

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class _ViewerTheme:
    """The theme that a viewer was given for itself (Ctrl+Shift+T), empty for that of the settings.

    One for all viewers of the program: a dock asks for its colours when its viewer changes.
    """

    name = ""


_of_viewer = _ViewerTheme()


def follow_viewer(name: str) -> None:
    """Use the theme of a viewer from now on; empty: that of napari's settings."""
    _of_viewer.name = "" if name == get_settings().appearance.theme else name


def colour(role: str) -> QColor:
    """A colour of napari's present theme.

    Parameters
    ----------
    role
        ``"background"``, ``"foreground"``, ``"primary"``, ``"secondary"``, ``"highlight"``,
        ``"text"``, ``"current"``, ``"warning"`` or ``"error"``.
    """
    theme = get_theme(_of_viewer.name or get_settings().appearance.theme)
    return QColor(getattr(theme, role).as_hex())


READABLE = 4.5  # contrast of text, WCAG 2.2, 1.4.3
VISIBLE = 3.0  # contrast of what is no text, WCAG 2.2, 1.4.11


def contrast(first: QColor, second: QColor) -> float:
    """The contrast of two colours, 1 to 21.

    Source: WCAG 2.2, contrast ratio, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
    """
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def readable(wanted: QColor, *behind: QColor) -> QColor:
    """The colour, moved towards white or black until text in it is read on these backgrounds."""
    return _with_contrast(wanted, READABLE, *behind)


def visible(wanted: QColor, *behind: QColor) -> QColor:
    """The colour, moved towards white or black until a mark in it is seen on these backgrounds."""
    return _with_contrast(wanted, VISIBLE, *behind)


def _with_contrast(wanted: QColor, least: float, *behind: QColor) -> QColor:
    ends = (QColor("white"), QColor("black"))
    end = max(ends, key=lambda colour: min(contrast(colour, back) for back in behind))
    for share in range(0, 101, 5):
        moved = _mixed(end, wanted, share / 100)
        if all(contrast(moved, back) >= least for back in behind):
            return moved
    return end


def ink_on(back: QColor) -> QColor:
    """Black or white, whichever is read better on a colour."""
    black, white = QColor("black"), QColor("white")
    return black if contrast(black, back) >= contrast(white, back) else white


def css(role: str) -> str:
    """The colour as ``#rrggbb`` for a style sheet."""
    return colour(role).name()


def text_css(role: str) -> str:
    """The colour of a role as ``#rrggbb``, made readable as text in the dock."""
    return readable(colour(role), colour("background"), colour("foreground")).name()


def muted() -> QColor:
    """The colour of muted text: that of the text, mixed with the background."""
    text, back = colour("text"), colour("background")
    return readable(_mixed(text, back, _MUTED), back)


def mute_text(widget: QWidget) -> None:
    """Mute a widget's text: its colour is mixed with the background."""
    widget.setStyleSheet(f"color: {muted().name()};")


def _mixed(start: QColor, end: QColor, share: float) -> QColor:
    """A colour of a share of one and the rest of another."""
    pairs = zip(_rgb(start), _rgb(end), strict=True)
    return QColor(*(round(share * first + (1 - share) * second) for first, second in pairs))


def _luminance(qcolor: QColor) -> float:
    """Relative luminance, 0 to 1."""
    linear = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _rgb(qcolor))
    )
    return sum(w * value for w, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _rgb(qcolor: QColor) -> tuple[int, int, int]:
    return qcolor.red(), qcolor.green(), qcolor.blue()


_MUTED = 0.72  # of the text's colour in muted text
_DEPTH = 6  # layouts one inside another, from a panel to the window


def settle_layouts() -> None:
    """Process all pending layout requests now, in every window.

    A changed text lays out its panel, then the dock, then the window, each in an event of its own,
    and the window is redrawn in between. With OpenGL in software each redraw takes a hundredth of
    a second in which no other Python thread runs.
    """
    for _ in range(_DEPTH):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
