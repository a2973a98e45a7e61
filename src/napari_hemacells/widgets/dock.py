"""The dock *HemaCells*: Detect → Annotate → Classify → Export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.settings import get_settings
from qtpy.QtCore import QEvent, QTimer

from napari_hemacells.session import Session
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.canvas.keys import qt_action
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
from napari_hemacells.widgets.dock_controller import DockController
from napari_hemacells.widgets.dock_view import DockView

if TYPE_CHECKING:
    import napari
    from napari.utils.events import Event
    from qtpy.QtGui import QKeyEvent


class HemaCellsWidget(DockView):
    """The dock widget that napari opens; it joins the view and its controller.

    Parameters
    ----------
    napari_viewer
        The viewer of the dock; napari passes it by this name.
    session
        The session to show; a new one if ``None``.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, *, session: Session | None = None
    ) -> None:
        super().__init__(session or Session())
        self.controller = DockController(self, self.session, ViewerBridge(napari_viewer))
        # Not a method of self: Qt calls nothing of an object that it is deleting. And nothing that
        # holds self, or it would never go.
        self.destroyed.connect(self.controller.close)
        get_settings().appearance.events.theme.connect(self.restyle)
        napari_viewer.events.theme.connect(self._viewer_restyled)
        theme.follow_viewer(napari_viewer.theme)
        self.restyle()

    def _viewer_restyled(self, event: Event) -> None:
        """Follow the viewer's own theme, which may not be that of the settings."""
        theme.follow_viewer(str(event.value))
        self.restyle()

    def event(self, event: QEvent | None) -> bool:
        """End the session when napari takes the dock out of its window (the button ✕)."""
        done = super().event(event)
        removed = event is not None and event.type() == QEvent.Type.ParentChange
        if removed and self.parent() is None:
            self.controller.leave()
            self.deleteLater()
        return bool(done)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Handle the canvas keys in the dock too, unless the focused widget uses them."""
        action = None if event is None else qt_action(event)
        if action is None:
            super().keyPressEvent(event)
        else:
            self.controller.canvas.act(action)


def open_result(project_folder: str | Path) -> None:
    """Open napari with the images of a project and the dock; return when it is closed."""
    import napari

    viewer = napari.Viewer(title="HemaCells")
    widget = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="HemaCells", area="right")
    widget.controller.project_controller.open_project(Path(project_folder))
    # Once the docks have their places: before that the canvas is larger than what will be seen.
    QTimer.singleShot(0, viewer.reset_view)
    napari.run()
