"""Which axes of an array are rows, columns and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHANNEL_COUNTS = (1, 2, 3, 4)  # grey, grey + alpha, colour, colour + alpha
AXIS_NAMES = {"t": "a time series", "z": "a stack in depth"}
FULL_SLICE = slice(None)


@dataclass(frozen=True)
class Layout:
    """The places of rows, columns and colour among the axes; all others have length 1.

    Attributes
    ----------
    ndim
        Axes of the array.
    rows, cols, channels
        Places of these axes; ``channels`` is ``None`` for a grey image without such an axis.
    """

    ndim: int
    rows: int
    cols: int
    channels: int | None = None

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> Layout:
        """Return the layout that a shape without axis names most likely has.

        Raises
        ------
        ImageError
            Not the shape of one picture.
        """
        ndim = len(shape)
        lead = 0
        while ndim - lead > 3 and shape[lead] == 1:
            lead += 1
        axes = ndim - lead
        if axes == 2:
            return cls(ndim, lead, lead + 1)
        if axes == 3 and shape[-1] in CHANNEL_COUNTS:
            return cls(ndim, lead, lead + 1, lead + 2)
        if axes == 3 and shape[lead] in CHANNEL_COUNTS:
            return cls(ndim, lead + 1, lead + 2, lead)
        raise ImageError(
            "One picture is needed, (rows, columns) or (rows, columns, colour); "
            f"this array has the shape {tuple(shape)}. Choose one plane of it."
        )

    @classmethod
    def of_axes(cls, shape: Sequence[int], axes: Sequence[str]) -> Layout:
        """Return the layout of an array whose axes are named, as those of a file are.

        ``y`` and ``x`` are rows and columns; ``c`` (channels) and ``s`` (samples of a pixel) are
        colour where they are 1, 3 or 4 long; ``s`` may be 2, grey with alpha. The rest must have
        the length 1.

        Raises
        ------
        ImageError
            Axes that do not make one picture: the sentence names them.
        """
        names = [name.lower() for name in axes]
        if "y" not in names or "x" not in names:
            raise ImageError(f"The image has no rows and columns: its axes are {''.join(axes)}.")
        colour = None
        for axis, (name, length) in enumerate(zip(names, shape, strict=True)):
            if name in {"y", "x"} or (length == 1 and name not in {"c", "s"}):
                continue
            if name in {"c", "s"} and (length == 1 or colour is None or shape[colour] == 1):
                colour = axis if length > 1 or colour is None else colour
                continue
            raise _not_one_picture(name, length)
        layout = cls(len(names), names.index("y"), names.index("x"), colour)
        layout._check_channels(shape, names)
        return layout

    def size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of an array of this layout and that shape."""
        return int(shape[self.rows]), int(shape[self.cols])

    def read(self, array: Any, rows: slice = FULL_SLICE, cols: slice = FULL_SLICE) -> NDArray[Any]:
        """``(rows, cols, channels)`` values of a part of the array."""
        where: list[slice | int] = [0] * self.ndim
        where[self.rows], where[self.cols] = rows, cols
        kept = [self.rows, self.cols]
        if self.channels is not None:
            where[self.channels] = FULL_SLICE
            kept.append(self.channels)
        part = np.asarray(array[tuple(where)])
        order = sorted(kept)
        part = part.transpose([order.index(axis) for axis in kept])
        return part if self.channels is not None else part[..., np.newaxis]

    def _check_channels(self, shape: Sequence[int], names: Sequence[str]) -> None:
        count = 1 if self.channels is None else shape[self.channels]
        allowed = {1, 2, 3, 4} if "s" in names else {1, 3, 4}
        if count not in allowed:
            raise ImageError(
                f"The image has {count} channels; grey has 1 and colour 3. Save the ones that "
                "show the stain as a colour image."
            )


def _not_one_picture(name: str, length: int) -> ImageError:
    what = AXIS_NAMES.get(name, f"{length} pictures along the axis “{name}”")
    return ImageError(
        f"One picture is needed, and this is {what} with {length} planes: choose one plane in "
        "napari, or save it as a file of its own."
    )
