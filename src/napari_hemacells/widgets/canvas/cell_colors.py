"""The colours of the cells in the viewer, and the feature table for the status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_hemacells import layers as ours
from napari_hemacells.layers import CellColourCodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.layers import DisplayMode
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge

_OUTLINE = 0.07  # width of the outlines of cells just detected, in cell diameters
_FRAME = 0.08  # width of the frame of a whole picture, in its sides
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
        """Outlines in the colours of the detector's kinds."""
        shades = ours.detected_colour_codes(cells, self._session.palette)
        self._show(cells, shades, ours.rgba(_UNKNOWN))
        self._bridge.outline(outline_width(cells.diameter, self._session.image))

    def _show_known(self, cells: Cells, mode: DisplayMode) -> None:
        """Cells filled with the colour of what is known of them; whole pictures are framed."""
        coming = ours.rgba(_UNKNOWN, 0.0 if mode == "image" else _PENDING_OPACITY)
        framed = cells.source == "whole"  # a picture under a colour could not be looked at
        # Outlines go first: napari would compute them once more for the new colours.
        self._bridge.outline(frame_width(cells.diameter) if framed else 0)
        self._show(cells, self._session.colour_codes(mode), coming, filled=not framed)

    def _show(
        self, cells: Cells, shades: CellColourCodes, coming: ours.Rgba, *, filled: bool = False
    ) -> None:
        """Give the cells their colours, and one to those that may be added next."""
        if self._bridge.is_multiscale:
            self._bridge.set_shades(shades)
        else:
            self._bridge.colour_cells(*add_spare_ids(cells.ids, shades, coming), filled=filled)

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


def frame_width(side: float) -> int:
    """Width in pixels of the frame in which a whole picture of this side has its colour."""
    return max(2, round(side * _FRAME))


def add_spare_ids(
    ids: NDArray[np.int64], shades: CellColourCodes, colour: ours.Rgba
) -> tuple[NDArray[np.int64], CellColourCodes]:
    """Give the next ids a colour too, so that an added cell is seen before all are coloured."""
    last, spare = int(ids.max(initial=0)), len(shades.table) - 1
    codes = np.append(shades.codes, np.full(_SPARE_IDS, spare, shades.codes.dtype))
    more = np.arange(last + 1, last + 1 + _SPARE_IDS)
    return np.append(ids, more), CellColourCodes(codes, {**shades.table, spare: colour})
