"""A label image that is painted only where it is looked at.

Masks of single cells: one as an array, many packed.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

MAX_EDGE = 2**31  # pixels, of a box
MAX_MASK_PIXELS = 100_000_000  # of a cell's box; a field of view has some millions


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
        The masks, packed or whole boxes. They should not overlap; where they do, the later one
        is on top.
    """

    dtype = np.dtype(np.int32)
    ndim = 2

    def __init__(
        self,
        shape: tuple[int, int],
        ids: NDArray[np.integer[Any]],
        masks: PackedMasks | BoxMasks,
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
        bits = 0 if isinstance(self.masks, BoxMasks) else self.masks.bits.nbytes
        return int(bits + self.masks.boxes.nbytes + self.ids.nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole: NDArray[Any] = self[:, :]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        rows, cols = _split_index(key)
        if isinstance(rows, np.ndarray) or isinstance(cols, np.ndarray):
            return self.at(rows, cols)
        spans = [_span(index, side) for index, side in zip((rows, cols), self.shape, strict=True)]
        painted = self._paint(*(span for span, _ in spans))
        backwards = tuple(slice(None, None, step) for _, step in spans)
        keep = tuple(0 if _is_whole(index) else slice(None) for index in (rows, cols))
        return painted[backwards][keep]

    def at(self, rows: Any, cols: Any) -> NDArray[np.int32]:
        """Return the labels at points, given as arrays of rows and columns."""
        rows, cols = np.broadcast_arrays(rows, cols)
        values = [
            int(self[int(r), int(c)]) for r, c in zip(rows.ravel(), cols.ravel(), strict=True)
        ]
        return np.array(values, np.int32).reshape(rows.shape)

    def masks_in_window(self, rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[np.int64]:
        """Return which masks have a box that reaches into a window, ascending."""
        first = np.searchsorted(self._tops, rows[0] - self._tallest, side="right")
        last = np.searchsorted(self._tops, rows[1], side="left")
        near = self._by_row[first:last]
        boxes = self.masks.boxes[near]
        inside = (boxes[:, 2] > rows[0]) & (boxes[:, 1] < cols[1]) & (boxes[:, 3] > cols[0])
        return np.sort(near[inside])

    @cached_property
    def _place(self) -> dict[int, int]:
        return {int(cell): position for position, cell in enumerate(self.ids)}

    def mask_of(self, cell: int) -> CellMask:
        """Return the pixels of one cell; KeyError for an id that is not there."""
        return self.masks[self._place[int(cell)]]

    def _paint(self, rows: range, cols: range) -> NDArray[np.int32]:
        """Return the labels at the crossings of ascending rows and columns."""
        labels = np.zeros((len(rows), len(cols)), np.int32)
        if not labels.size:
            return labels
        for position in self.masks_in_window(
            (rows[0], rows[-1] + 1), (cols[0], cols[-1] + 1)
        ).tolist():
            top, left, bottom, right = self.masks.boxes[position].tolist()
            down, from_row = _overlap(rows, top, bottom)
            across, from_col = _overlap(cols, left, right)
            bits = self.masks.bits_of(position)[from_row, from_col]
            labels[down, across][bits] = self.ids[position]
        return labels


def _overlap(places: range, start: int, stop: int) -> tuple[slice, slice]:
    """Return where a mask's span falls among ascending places, and what is taken of the span."""
    step = places.step
    first = max(0, -(-(start - places.start) // step))
    last = min(len(places), -(-(stop - places.start) // step))
    offset = places.start + first * step - start
    count = max(0, last - first)
    return slice(first, first + count), slice(offset, offset + count * step, step)


def _split_index(key: Any) -> tuple[Any, Any]:
    """Return the index of rows and that of columns."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in parts):
        parts = [part for part in parts if part is not Ellipsis] if len(parts) > 1 else []
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


Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class CellMask:
    """The pixels of one cell.

    Attributes
    ----------
    box
        Half-open ``(min_row, min_col, max_row, max_col)`` in the image; holds every pixel.
    bits
        ``(rows, cols)`` bool, of the box's size.
    """

    box: Box
    bits: NDArray[np.bool_]

    def __post_init__(self) -> None:
        top, left, bottom, right = self.box
        if self.bits.shape != (bottom - top, right - left):
            raise ValueError(f"A mask of shape {self.bits.shape} does not fit the box {self.box}.")

    @property
    def area(self) -> int:
        """Pixels of the cell."""
        return int(np.count_nonzero(self.bits))

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as slices of the image."""
        return slice(self.box[0], self.box[2]), slice(self.box[1], self.box[3])

    def without(self, other: CellMask) -> CellMask:
        """Return the mask less the pixels of another."""
        cut = self._overlap_windows(other)
        if cut is None:
            return self
        mine, theirs = cut
        bits = self.bits.copy()
        bits[mine] &= ~other.bits[theirs]
        return CellMask(self.box, bits)

    def touches(self, other: CellMask) -> bool:
        """Whether the two share a pixel."""
        cut = self._overlap_windows(other)
        return cut is not None and bool((self.bits[cut[0]] & other.bits[cut[1]]).any())

    def _overlap_windows(
        self, other: CellMask
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Return the windows of both masks' bits where their boxes overlap."""
        (top, left, bottom, right), (up, near, down, far) = self.box, other.box
        low, high = (max(top, up), max(left, near)), (min(bottom, down), min(right, far))
        if low[0] >= high[0] or low[1] >= high[1]:
            return None
        mine, theirs = (
            (slice(low[0] - box[0], high[0] - box[0]), slice(low[1] - box[1], high[1] - box[1]))
            for box in (self.box, other.box)
        )
        return mine, theirs

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: the box, and the bits row by row, packed, deflated, in base 64."""
        packed = zlib.compress(np.packbits(self.bits).tobytes())
        return {"box": list(self.box), "bits": base64.b64encode(packed).decode("ascii")}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> CellMask:
        """Return what :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            For a box without an area, or bits that do not fill it.
        """
        (top, left, bottom, right), packed = unpack_mask(stored)
        rows, cols = bottom - top, right - left
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=rows * cols)
        return cls((top, left, bottom, right), bits.astype(bool).reshape(rows, cols))


def unpack_mask(stored: Mapping[str, Any]) -> tuple[tuple[int, int, int, int], bytes]:
    """Return box and packed bits of what :meth:`CellMask.to_dict` wrote; no more is unpacked.

    Raises
    ------
    ValueError
        For a box without an area or larger than any cell, or bits that do not fill it.
    """
    box, text = stored.get("box"), stored.get("bits")
    if (
        not isinstance(box, list | tuple)
        or len(box) != 4
        or not all(type(edge) is int and abs(edge) < MAX_EDGE for edge in box)
    ):
        raise ValueError("A mask has no box of four whole numbers.")
    top, left, bottom, right = box
    rows, cols = bottom - top, right - left
    if rows < 1 or cols < 1 or rows * cols > MAX_MASK_PIXELS:
        raise ValueError(f"The box {box} has no area, or that of no cell.")
    size = -(-rows * cols // 8)
    try:
        unpacker = zlib.decompressobj()
        packed = unpacker.decompress(base64.b64decode(text or "", validate=True), size + 1)
    except (zlib.error, TypeError) as error:
        raise ValueError("The bits of a mask are damaged.") from error
    if len(packed) != size or not unpacker.eof:
        raise ValueError(f"The bits of a mask do not fill the box {box}.")
    return (top, left, bottom, right), packed


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """Masks of many cells, an eighth of a byte a pixel of their boxes.

    Attributes
    ----------
    boxes
        ``(n, 4)`` int32 half-open boxes in the image.
    bits
        uint8, one mask after the other, each padded to a whole byte (:func:`numpy.packbits`).
    """

    boxes: NDArray[np.int32]
    bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.boxes)

    def check(self) -> None:
        """Raise ValueError where boxes and bits cannot be masks of cells."""
        boxes, bits = self.boxes, self.bits
        if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind != "i":
            raise ValueError("the masks have no boxes")
        sides = boxes[:, 2:].astype(np.int64) - boxes[:, :2]
        fits = (sides > 0).all() and (sides.prod(axis=1) <= MAX_MASK_PIXELS).all()
        fits = fits and bits.ndim == 1 and bits.dtype == np.uint8
        if not fits or self.starts[-1] != len(bits):
            raise ValueError("the masks do not fill their boxes")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """``(n + 1,)`` where each mask begins in ``bits``."""
        sides = self.boxes[:, 2:].astype(np.int64) - self.boxes[:, :2]
        return np.concatenate([[0], np.cumsum(-(-sides.prod(axis=1) // 8))])

    def bits_of(self, position: int) -> NDArray[np.bool_]:
        """Return the bits of one mask, ``(rows, cols)``."""
        top, left, bottom, right = self.boxes[position].tolist()
        rows, cols = bottom - top, right - left
        packed = self.bits[self.starts[position] : self.starts[position + 1]]
        return np.unpackbits(packed, count=rows * cols).view(bool).reshape(rows, cols)

    def __getitem__(self, position: int) -> CellMask:
        top, left, bottom, right = self.boxes[position].tolist()
        return CellMask((top, left, bottom, right), self.bits_of(position))

    def __iter__(self) -> Iterator[CellMask]:
        return (self[position] for position in range(len(self)))

    def pick(self, which: NDArray[np.int64]) -> PackedMasks:
        """Return the masks at these places, in that order."""
        pieces = [
            self.bits[self.starts[position] : self.starts[position + 1]]
            for position in which.tolist()
        ]
        return PackedMasks(self.boxes[which], _concatenated(pieces))

    @classmethod
    def of(cls, masks: Sequence[CellMask]) -> PackedMasks:
        """Return masks packed."""
        boxes = np.array([mask.box for mask in masks], np.int32).reshape(-1, 4)
        return cls(boxes, _concatenated([np.packbits(mask.bits) for mask in masks]))

    @classmethod
    def of_labels(
        cls, labels: NDArray[np.int32], ids: Sequence[int], boxes: NDArray[np.int64]
    ) -> PackedMasks:
        """Return the masks of the cells of a label image, cut out by their boxes."""
        windows = [
            labels[top:bottom, left:right] == cell
            for cell, (top, left, bottom, right) in zip(ids, boxes.tolist(), strict=True)
        ]
        return cls(
            boxes.astype(np.int32).reshape(-1, 4), _concatenated([*map(np.packbits, windows)])
        )

    @classmethod
    def concatenate(cls, parts: Sequence[PackedMasks]) -> PackedMasks:
        """Return all masks of several lists."""
        boxes = [np.empty((0, 4), np.int32), *(part.boxes for part in parts)]
        return cls(np.concatenate(boxes), _concatenated([part.bits for part in parts]))


@dataclass(frozen=True, eq=False)
class BoxMasks:
    """Masks that fill their boxes, as pictures on a contact sheet do; no bits are kept.

    Reads like :class:`PackedMasks`.

    Attributes
    ----------
    boxes
        ``(n, 4)`` int32 half-open boxes in the image.
    """

    boxes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def bits(self) -> NDArray[np.uint8]:
        """What :class:`PackedMasks` would keep, made when it is asked for."""
        return PackedMasks.of(list(self)).bits

    def bits_of(self, position: int) -> NDArray[np.bool_]:
        """Return the bits of one mask, ``(rows, cols)``."""
        top, left, bottom, right = self.boxes[position].tolist()
        return np.ones((bottom - top, right - left), np.bool_)

    def __getitem__(self, position: int) -> CellMask:
        top, left, bottom, right = self.boxes[position].tolist()
        return CellMask((top, left, bottom, right), self.bits_of(position))

    def __iter__(self) -> Iterator[CellMask]:
        return (self[position] for position in range(len(self)))

    def pick(self, which: NDArray[np.int64]) -> PackedMasks:
        """Return the masks at these places, in that order, packed."""
        return PackedMasks.of([self[position] for position in which.tolist()])


def _concatenated(pieces: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint8)


HIGH_ID = 1_000_000  # a table of all ids up to the highest takes 8 MB for that


def look_up(
    labels: NDArray[Any], ids: NDArray[np.int64], values: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the value of each pixel's cell, 0 on glass and for ids that are not listed.

    Costs nothing by how high an id is: people call cells 100 million too.

    Parameters
    ----------
    labels
        Ids of cells, any shape.
    ids, values
        ``(n,)``: a value for each id; the ids need no order.
    """
    if not len(ids):
        return np.zeros(labels.shape, np.int64)
    highest = int(ids.max())
    if highest <= HIGH_ID:
        table = np.zeros(highest + 2, np.int64)
        table[ids] = values
        numbers: NDArray[np.int64] = table[np.minimum(labels, highest + 1)]
        return numbers
    order = np.argsort(ids)
    places = np.minimum(np.searchsorted(ids[order], labels), len(ids) - 1)
    return np.where(ids[order][places] == labels, values[order][places], 0)
