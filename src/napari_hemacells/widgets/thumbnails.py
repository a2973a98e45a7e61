"""Crops of cells as Qt images, made when they are looked at and kept for a while."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from qtpy.QtGui import QImage

from napari_hemacells.core import crop
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from napari_hemacells.session import Session

KEPT = 1500
"""Thumbnails kept: at 96 px about 55 MB, many screens of scrolling back."""


class Thumbnails:
    """Pictures of the cells of the session's image, cut when asked for.

    Only the region around a cell is read from the image, so a lazy image stays lazy.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cached = lru_cache(maxsize=KEPT)(self._cut)

    def picture(self, cell: int, side: int, ratio: float = 1.0) -> QImage:
        """Return the crop of a cell, `side` logical pixels wide on a screen of that ratio."""
        return self._cached(cell, side, ratio)

    def clear(self) -> None:
        """Forget all: other cells, or another image."""
        self._cached.cache_clear()

    def _cut(self, cell: int, side: int, ratio: float) -> QImage:
        image, cells = self._session.image, self._session.cells
        if image is None or cells is None or cell not in cells.position:
            return QImage()
        size = max(round(side * ratio), 1)
        pixels = crop.to_bytes(crop.extract(image, cells, CropSpec(size=size), [cell]))[0]
        borrowed = QImage(pixels.tobytes(), size, size, 3 * size, QImage.Format.Format_RGB888)
        picture = borrowed.convertToFormat(QImage.Format.Format_RGB32)  # owns its pixels
        picture.setDevicePixelRatio(ratio)
        return picture
