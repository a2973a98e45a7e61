"""What a detection that still runs has found so far, on the canvas."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_hemacells import layers as ours
from napari_hemacells.widgets.colouring import outline_width

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells, PartCells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge

_SHARE = 0.25  # of the time goes into showing what was found, at most
_LONGEST = 3.0  # seconds between two looks, if parts come that fast
_TYPICAL = 40.0  # diameter in pixels where no cell tells it


class Finding(QObject):
    """Cells appear on the canvas part by part while a detection runs.

    Parameters
    ----------
    session, bridge
        Whose image is looked at, and where the cells are shown.
    """

    def __init__(self, session: Session, bridge: ViewerBridge) -> None:
        super().__init__()
        self._session, self._bridge = session, bridge
        self._parts: list[PartCells] = []
        self._cost = self._shown = 0.0

    @property
    def count(self) -> int:
        """Cells found so far."""
        return sum(map(len, self._parts))

    def add(self, found: PartCells) -> None:
        """Show what one more part of the image holds."""
        self._parts.append(found)
        image = self._session.image
        waited = time.monotonic() - self._shown
        if image is None or not self.count or waited < min(self._cost / _SHARE, _LONGEST):
            return
        started = time.monotonic()
        self._show(image)
        self._shown = time.monotonic()
        self._cost = self._shown - started

    def forget(self) -> None:
        """Show nothing more: it ended, however it did."""
        self._parts, self._cost, self._shown = [], 0.0, 0.0
        self._bridge.forget_found()

    def _show(self, image: SmearImage) -> None:
        cells = together(self._parts, image.shape)
        shades = ours.detected_shades(cells, self._session.palette)
        self._bridge.show_found(cells, image.key, shades, outline_width(cells.diameter))


def together(parts: list[PartCells], shape: tuple[int, int]) -> Cells:
    """Return the cells of some parts as they are, those on borders not yet joined."""
    import pandas as pd

    from napari_hemacells.core.masks import LazyLabels, PackedMasks
    from napari_hemacells.core.types import Cells

    table = pd.concat([part.table for part in parts if len(part)], ignore_index=True)
    ids = np.arange(1, len(table) + 1)
    masks = PackedMasks.joined([part.masks for part in parts])
    sides = (table["max_row"] - table["min_row"])[table["class"] == "RBC"]
    diameter = float(sides.median()) if len(sides) else _TYPICAL
    return Cells(LazyLabels(shape, ids, masks), table.assign(label=ids), diameter)
