"""Postprocessing: cells with box, kind and score from the network's maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """Detected cells, in no particular order.

    Attributes
    ----------
    boxes
        ``(n, 4)`` float64 (min_row, min_col, max_row, max_col), half-open, in pixels.
    kinds
        ``(n,)`` int64 index into :data:`~napari_hemacells.core.detect.learned.metadata.KINDS`.
    scores
        ``(n,)`` float64 in 0 to 1.
    """

    boxes: NDArray[np.float64]
    kinds: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def centres(self) -> NDArray[np.float64]:
        """``(n, 2)`` middles of the boxes."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def pick(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Detections:
        """Return some of them."""
        return Detections(self.boxes[which], self.kinds[which], self.scores[which])

    def moved(self, origin: tuple[float, float], scale: float) -> Detections:
        """Return them with `origin` added to the boxes, then divided by `scale`."""
        return Detections((self.boxes + np.tile(origin, 2)) / scale, self.kinds, self.scores)


def empty_detections() -> Detections:
    """Return no cells."""
    return Detections(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0))


def concatenate_detections(parts: Sequence[Detections]) -> Detections:
    """Return all cells of several lists."""
    parts = [*parts, empty_detections()]
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def find_peaks(
    heat: NDArray[np.float32], boxes: NDArray[np.float32], limits: Sequence[float]
) -> Detections:
    """Return a cell for every local maximum of the heat.

    Parameters
    ----------
    heat
        ``(kinds, rows, cols)`` probability of a centre, 0 to 1.
    boxes
        ``(kinds, 4, rows, cols)`` the box proposed at each element.
    limits
        Least heat of each kind.
    """
    top = heat == ndi.maximum_filter(heat, size=(1, 3, 3))
    kinds, rows, cols = np.nonzero(top & (heat > np.asarray(limits)[:, None, None]))
    return Detections(
        boxes[kinds, :, rows, cols].astype(np.float64),
        kinds.astype(np.int64),
        heat[kinds, rows, cols].astype(np.float64),
    )


def non_maximum_suppression(
    detections: Detections, overlap: float, overlap_of_kinds: float
) -> Detections:
    """Return the cells without duplicates, best first (greedy non-maximum suppression).

    Parameters
    ----------
    overlap
        Intersection over union above which the weaker of two cells of one kind is removed.
    overlap_of_kinds
        The same for cells of different kinds.
    """
    import torch
    from torchvision.ops import batched_nms, nms

    boxes = torch.from_numpy(detections.boxes)
    kept = batched_nms(
        boxes, torch.from_numpy(detections.scores), torch.from_numpy(detections.kinds), overlap
    )
    detections = detections.pick(kept.numpy())
    kept = nms(
        torch.from_numpy(detections.boxes), torch.from_numpy(detections.scores), overlap_of_kinds
    )
    return detections.pick(kept.numpy())
