"""A label image that is painted only where it is looked at."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.cell_mask import CellMask, PackedMasks


class LazyLabels:
    """A label image of any size as the masks of its cells; painted where it is sliced.

    Reads like a ``(rows, cols)`` int32 array: ``labels[10:20, 5:50:2]``, ``labels[3, 4]``,
    ``np.asarray(labels)``; arrays of rows and columns give the labels at these points.

    Parameters
    ----------
    shape
        Rows and columns.
    ids
        ``(n,)`` the label of each mask.
    masks
        The masks. They should not overlap; where they do, the later one is on top.
    """

    dtype = np.dtype(np.int32)
    ndim = 2

    def __init__(
        self, shape: tuple[int, int], ids: NDArray[np.integer[Any]], masks: PackedMasks
    ) -> None:
        if len(ids) != len(masks):
            raise ValueError(f"{len(ids)} ids for {len(masks)} masks.")
        self.shape = (int(shape[0]), int(shape[1]))
        self.ids = np.asarray(ids, np.int32)
        self.masks = masks
        self._by_row = np.argsort(masks.boxes[:, 0], kind="stable")
        self._tops = masks.boxes[self._by_row, 0]
        heights = masks.boxes[:, 2] - masks.boxes[:, 0]
        self._tallest = int(heights.max(initial=0))

    @property
    def size(self) -> int:
        """Pixels of the image."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that are really held."""
        return int(self.masks.bits.nbytes + self.masks.boxes.nbytes + self.ids.nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole: NDArray[Any] = self[:, :]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        rows, cols = _two(key)
        if isinstance(rows, np.ndarray) or isinstance(cols, np.ndarray):
            return self.at(rows, cols)
        spans = [_span(one, side) for one, side in zip((rows, cols), self.shape, strict=True)]
        painted = self._paint(*(span for span, _ in spans))
        backwards = tuple(slice(None, None, step) for _, step in spans)
        keep = tuple(0 if _is_whole(one) else slice(None) for one in (rows, cols))
        return painted[backwards][keep]

    def at(self, rows: Any, cols: Any) -> NDArray[np.int32]:
        """Return the labels at points, given as arrays of rows and columns."""
        rows, cols = np.broadcast_arrays(rows, cols)
        values = [
            int(self[int(r), int(c)]) for r, c in zip(rows.ravel(), cols.ravel(), strict=True)
        ]
        return np.array(values, np.int32).reshape(rows.shape)

    def places_in(self, rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[np.int64]:
        """Return which masks have a box that reaches into a window, ascending."""
        first = np.searchsorted(self._tops, rows[0] - self._tallest, side="right")
        last = np.searchsorted(self._tops, rows[1], side="left")
        near = self._by_row[first:last]
        boxes = self.masks.boxes[near]
        inside = (boxes[:, 2] > rows[0]) & (boxes[:, 1] < cols[1]) & (boxes[:, 3] > cols[0])
        return np.sort(near[inside])

    @cached_property
    def _place(self) -> dict[int, int]:
        return {int(one): place for place, one in enumerate(self.ids)}

    def mask_of(self, cell: int) -> CellMask:
        """Return the pixels of one cell; KeyError for an id that is not there."""
        return self.masks[self._place[int(cell)]]

    def _paint(self, rows: range, cols: range) -> NDArray[np.int32]:
        """Return the labels at the crossings of ascending rows and columns."""
        labels = np.zeros((len(rows), len(cols)), np.int32)
        if not labels.size:
            return labels
        for place in self.places_in((rows[0], rows[-1] + 1), (cols[0], cols[-1] + 1)).tolist():
            top, left, bottom, right = self.masks.boxes[place].tolist()
            down, from_row = _overlap(rows, top, bottom)
            across, from_col = _overlap(cols, left, right)
            bits = self.masks.bits_of(place)[from_row, from_col]
            labels[down, across][bits] = self.ids[place]
        return labels


def _overlap(places: range, start: int, stop: int) -> tuple[slice, slice]:
    """Return where a mask's span falls among ascending places, and what is taken of the span."""
    step = places.step
    first = max(0, -(-(start - places.start) // step))
    last = min(len(places), -(-(stop - places.start) // step))
    offset = places.start + first * step - start
    count = max(0, last - first)
    return slice(first, first + count), slice(offset, offset + count * step, step)


def _two(key: Any) -> tuple[Any, Any]:
    """Return the index of rows and that of columns."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(one is Ellipsis for one in parts):
        parts = [one for one in parts if one is not Ellipsis] if len(parts) > 1 else []
    if len(parts) > 2:
        raise IndexError(f"A label image has two axes, this index has {len(parts)}.")
    parts += [slice(None)] * (2 - len(parts))
    return parts[0], parts[1]


def _is_whole(index: Any) -> bool:
    return isinstance(index, int | np.integer)


def _span(index: Any, side: int) -> tuple[range, int]:
    """Return the places of an index in ascending order, and −1 where they are wanted reversed."""
    if _is_whole(index):
        at = int(index) + (side if index < 0 else 0)
        if not 0 <= at < side:
            raise IndexError(f"{index} lies outside an axis of {side} pixels.")
        return range(at, at + 1), 1
    if not isinstance(index, slice):
        raise IndexError(f"A label image is read by whole numbers and slices, not by {index!r}.")
    places = range(side)[index]
    return (places, 1) if places.step > 0 else (places[::-1], -1)
