"""Masks of single cells: one as an array, many packed."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

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
        cut = self._shared(other)
        if cut is None:
            return self
        mine, theirs = cut
        bits = self.bits.copy()
        bits[mine] &= ~other.bits[theirs]
        return CellMask(self.box, bits)

    def touches(self, other: CellMask) -> bool:
        """Whether the two share a pixel."""
        cut = self._shared(other)
        return cut is not None and bool((self.bits[cut[0]] & other.bits[cut[1]]).any())

    def _shared(self, other: CellMask) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
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
        top, left, bottom, right = (int(edge) for edge in stored["box"])
        rows, cols = bottom - top, right - left
        if rows < 1 or cols < 1:
            raise ValueError(f"The box {stored['box']} has no area.")
        try:
            packed = zlib.decompress(base64.b64decode(stored["bits"], validate=True))
        except zlib.error as error:
            raise ValueError("The bits of a mask are damaged.") from error
        if len(packed) != -(-rows * cols // 8):
            raise ValueError(f"{len(packed)} bytes do not fill the box {stored['box']}.")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=rows * cols)
        return cls((top, left, bottom, right), bits.astype(bool).reshape(rows, cols))


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

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """``(n + 1,)`` where each mask begins in ``bits``."""
        sides = self.boxes[:, 2:].astype(np.int64) - self.boxes[:, :2]
        return np.concatenate([[0], np.cumsum(-(-sides.prod(axis=1) // 8))])

    def bits_of(self, place: int) -> NDArray[np.bool_]:
        """Return the bits of one mask, ``(rows, cols)``."""
        top, left, bottom, right = self.boxes[place].tolist()
        rows, cols = bottom - top, right - left
        packed = self.bits[self.starts[place] : self.starts[place + 1]]
        return np.unpackbits(packed, count=rows * cols).view(bool).reshape(rows, cols)

    def __getitem__(self, place: int) -> CellMask:
        top, left, bottom, right = self.boxes[place].tolist()
        return CellMask((top, left, bottom, right), self.bits_of(place))

    def __iter__(self) -> Iterator[CellMask]:
        return (self[place] for place in range(len(self)))

    def pick(self, which: NDArray[np.int64]) -> PackedMasks:
        """Return the masks at these places, in that order."""
        pieces = [self.bits[self.starts[one] : self.starts[one + 1]] for one in which.tolist()]
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
            labels[top:bottom, left:right] == one
            for one, (top, left, bottom, right) in zip(ids, boxes.tolist(), strict=True)
        ]
        return cls(
            boxes.astype(np.int32).reshape(-1, 4), _concatenated([*map(np.packbits, windows)])
        )

    @classmethod
    def joined(cls, parts: Sequence[PackedMasks]) -> PackedMasks:
        """Return all masks of several lists."""
        boxes = [np.empty((0, 4), np.int32), *(part.boxes for part in parts)]
        return cls(np.concatenate(boxes), _concatenated([part.bits for part in parts]))


def _concatenated(pieces: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint8)
