"""The colours of the cells in the viewer, and the feature table for the status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_hemacells import layers as ours

if TYPE_CHECKING:
    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.layers import DisplayMode
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

_OUTLINE = 0.07  # width of the outlines of cells just detected, in cell diameters
_REGION_OUTLINE = 1 / 320  # of the regions of a thermogram, in its longer sides
_UNKNOWN = "#ffffff"
_IDLE_MS = 250  # status bar and list of layers may wait until the clicking pauses
_PENDING_OPACITY = 0.28  # opacity of a cell that is not there yet
_SPARE_IDS = 64  # ids that have a colour before there is such a cell


class CellColorizer(QObject):
    """Colours the cells of a session by detected kind, class or confidence."""

    def __init__(self, session: Session, bridge: ViewerBridge, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._bridge = session, bridge
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(_IDLE_MS)
        self._idle.timeout.connect(self._catch_up)

    def recolour(self, mode: DisplayMode) -> None:
        """Colour every cell in a display mode."""
        session = self._session
        if session.cells is None or session.project is None:
            return
        fresh = session.prediction is None and not session.annotated
        if mode == "class" and fresh:
            self._show_detected(session.cells)
        else:
            self._show_known(session.cells, mode)
        self._idle.start()

    def update_features_soon(self) -> None:
        """Update the feature table for the status bar once the user pauses."""
        self._idle.start()

    def _show_detected(self, cells: Cells) -> None:
        """Outline the cells in the colours of the detector's kinds."""
        palette, bridge = self._session.palette, self._bridge
        if bridge.is_multiscale:
            bridge.set_shades(ours.detected_colour_codes(cells, palette))
        else:
            bridge.recolour(
                add_spare_colours(detected_colours(cells, palette), ours.rgba(_UNKNOWN))
            )
        bridge.outline(outline_width(cells.diameter, self._session.image))

    def _show_known(self, cells: Cells, mode: DisplayMode) -> None:
        """Fill the cells with the colours of their classes."""
        session, bridge = self._session, self._bridge
        known = (cells, session.annotated, session.prediction, session.palette, mode)
        if bridge.is_multiscale:
            bridge.set_shades(ours.colour_codes(*known))
        else:
            coming = ours.rgba(_UNKNOWN, 0.0 if mode == "image" else _PENDING_OPACITY)
            bridge.recolour(add_spare_colours(ours.label_colours(*known), coming), filled=True)
        bridge.outline(0)

    def _catch_up(self) -> None:
        """Update the feature table that napari shows for the cell under the pointer."""
        session = self._session
        self._bridge.show_thumbnail()
        if session.cells is None or session.project is None or self._bridge.is_multiscale:
            return  # the status bar knows nothing of many cells; the dock does
        self._bridge.set_features(
            ours.layer_features(
                session.cells, session.annotated, session.prediction, session.palette
            )
        )


def outline_width(diameter: float, image: SmearImage | None = None) -> int:
    """Width in pixels of the outlines of newly detected cells.

    The regions of a thermogram, which are large, have thin outlines.
    """
    if image is not None and image.modality == "temperature":
        return max(1, round(max(image.shape) * _REGION_OUTLINE))
    return max(1, round(diameter * _OUTLINE))


def add_spare_colours(
    table: dict[int | None, ours.Rgba], colour: ours.Rgba
) -> dict[int | None, ours.Rgba]:
    """Give the next ids a colour too, so that an added cell is visible at once."""
    last = max((cell for cell in table if cell is not None), default=0)
    return {**table, **dict.fromkeys(range(last + 1, last + 1 + _SPARE_IDS), colour)}


def detected_colours(cells: Cells, palette: Palette) -> dict[int | None, Any]:
    """The colour of each cell's detected kind, to check the detection by eye."""
    known = {cell_class.name: ours.rgba(cell_class.colour) for cell_class in palette}
    other = ours.rgba(_UNKNOWN)
    kinds = cells.table["class"].tolist()
    return {
        cell: known.get(kind, other) for cell, kind in zip(cells.ids.tolist(), kinds, strict=True)
    }
