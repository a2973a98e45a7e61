"""A preview of the augmented training crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

GAP = 3


class AugmentationPreview(QLabel):
    """One row per cell: the original crop, then its augmented views.

    Parameters
    ----------
    views
        ``(n, m, size, size, 3)`` uint8.
    """

    def __init__(
        self, views: NDArray[np.uint8], width: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        sheet = contact_sheet(views)
        rows, cols = sheet.shape[:2]
        borrowed = QImage(sheet.tobytes(), cols, rows, 4 * cols, QImage.Format.Format_RGBA8888)
        mode = Qt.TransformationMode.SmoothTransformation
        picture = QPixmap.fromImage(borrowed.copy())
        self.setPixmap(picture.scaledToWidth(min(width, cols), mode))
        self.setAccessibleName("Augmented views of your cells; the first of each row is the cell")
        self.setToolTip("Left: your cell. To its right: augmented views for training")


def contact_sheet(views: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(rows, cols, 4)`` uint8: one row per crop; gaps are transparent, the first one wider."""
    n, m, size = views.shape[:3]
    step = size + GAP
    sheet = np.zeros((n * step - GAP, m * step, 4), np.uint8)
    for row, crops in enumerate(views):
        for col, crop in enumerate(crops):
            left = col * step + (GAP if col else 0)
            sheet[row * step : row * step + size, left : left + size, :3] = crop
            sheet[row * step : row * step + size, left : left + size, 3] = 255
    return sheet
