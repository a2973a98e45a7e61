"""Docking of widgets below the canvas of a napari window."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_hemacells.widgets.subscriptions import PLACING

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

W = TypeVar("W", bound="QWidget")

_HEIGHT = 230


def dock_below(
    viewer: ViewerModel, widget: QWidget, name: str, *, behind: QWidget | None = None
) -> None:
    """Dock a widget below the canvas, if the viewer has a window.

    `behind` is a docked widget: the two share its place as tabs, and it stays in front.
    """
    window = getattr(viewer, "window", None)
    if window is None:
        return
    widget.setProperty(PLACING, behind is not None)
    window.add_dock_widget(widget, name=name, area="bottom")
    # From the widget up, as napari may hand out a proxy that Qt does not take.
    dock, main = _ancestor(widget, QDockWidget), _ancestor(widget, QMainWindow)
    if dock is None or main is None:
        return
    front = None if behind is None else _ancestor(behind, QDockWidget)
    if front is not None:
        main.tabifyDockWidget(front, dock)
        widget.setProperty(PLACING, False)
        front.raise_()
        return
    # Below the canvas only: the docks at the sides keep their height.
    main.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    main.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    main.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)


def remove_dock(viewer: ViewerModel, widget: QWidget) -> None:
    """Take a docked widget out of the window, and end it."""
    window = getattr(viewer, "window", None)
    if window is not None and _ancestor(widget, QDockWidget) is not None:
        window.remove_dock_widget(widget)
    widget.deleteLater()


def _ancestor(widget: QWidget, kind: type[W]) -> W | None:
    """The nearest parent of this class."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, kind):
        parent = parent.parentWidget()
    return parent


def raise_dock(widget: QWidget, *, tall: bool = False) -> None:
    """Raise the dock of a widget above others that share its place.

    Parameters
    ----------
    tall
        Give it half of the window's height at least.
    """
    dock, main = _ancestor(widget, QDockWidget), _ancestor(widget, QMainWindow)
    if dock is None:
        return
    dock.show()
    dock.raise_()
    if tall and main is not None and dock.height() < main.height() // 2:
        main.resizeDocks([dock], [main.height() // 2], Qt.Orientation.Vertical)


def canvas_widget(viewer: ViewerModel) -> QWidget | None:
    """The widget of the canvas, which gets its keys; ``None`` for a viewer without a window."""
    whole = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    window = getattr(whole, "window", None)
    shown = None if window is None else getattr(window, "_qt_viewer", None)
    return None if shown is None else shown.canvas.native
