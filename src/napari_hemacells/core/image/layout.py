"""Which axes of an array are rows, columns and colour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAMPLE_COUNTS = (1, 2, 3, 4)  # grey, grey + alpha, colour, colour + alpha
CHANNEL_COUNTS = (1, 3)  # of an axis before rows and columns, which never carries alpha
AXIS_NAMES = {"t": "a time series", "z": "a stack in depth", "i": "a file of several pages"}
COLOUR_NAMES = ("red", "green", "blue")
NAMELESS = re.compile(r"(channel|ch|c)?[ _:\-]*\d*(:\d+)?", re.IGNORECASE)
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
    picked
        Which channels are read, in this order: grey or colour, then alpha where there is one;
        empty for all of them. After that 2 and 4 channels mean an alpha.
    note
        Which channels are used, where that is not all there are to say.
    """

    ndim: int
    rows: int
    cols: int
    channels: int | None = None
    picked: tuple[int, ...] = ()
    note: str = ""

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
        if axes == 3 and shape[-1] in SAMPLE_COUNTS:
            return cls(ndim, lead, lead + 1, lead + 2)
        if axes == 3 and shape[lead] in CHANNEL_COUNTS:
            return cls(ndim, lead + 1, lead + 2, lead)
        raise ImageError(
            "One picture is needed, (rows, columns) or (rows, columns, colour); "
            f"this array has the shape {tuple(shape)}. Choose one plane of it."
        )

    @classmethod
    def of_axes(
        cls,
        shape: Sequence[int],
        axes: Sequence[str],
        *,
        samples: tuple[int, ...] = (),
        names: Sequence[str] = (),
    ) -> Layout:
        """Return the layout of an array whose axes are named, as those of a file are.

        ``y`` and ``x`` are rows and columns. ``s`` are samples of a pixel: grey or colour, and
        alpha where there is one. ``c`` are channels, grey or colour, never alpha. The rest must
        have the length 1.

        Parameters
        ----------
        samples
            Which samples are read, alpha last; by default all, of which 2 and 4 have an alpha.
        names
            Of the channels, where the file names them.

        Raises
        ------
        ImageError
            Axes that do not make one picture: the sentence names them.
        """
        axis_names = [name.lower() for name in axes]
        if "y" not in axis_names or "x" not in axis_names:
            raise ImageError(f"The image has no rows and columns: its axes are {''.join(axes)}.")
        colour = None
        for axis, (name, length) in enumerate(zip(axis_names, shape, strict=True)):
            if name in {"y", "x"} or (length == 1 and name not in {"c", "s"}):
                continue
            if name in {"c", "s"} and (length == 1 or colour is None or shape[colour] == 1):
                colour = axis if length > 1 or colour is None else colour
                continue
            raise _not_one_picture(name, length, shape)
        picked, note = samples, ""
        if colour is not None and axis_names[colour] == "c":
            picked, note = _pick_channels(int(shape[colour]), names)
        elif colour is not None and not samples and shape[colour] not in SAMPLE_COUNTS:
            raise _too_many(int(shape[colour]), ())
        return cls(
            len(axis_names), axis_names.index("y"), axis_names.index("x"), colour, picked, note
        )

    def size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of an array of this layout and that shape."""
        return int(shape[self.rows]), int(shape[self.cols])

    def channel_count(self, shape: Sequence[int]) -> int:
        """How many channels :meth:`read` gives of an array of that shape."""
        if self.channels is None:
            return 1
        return len(self.picked) or int(shape[self.channels])

    def without_alpha(self, shape: Sequence[int]) -> Layout:
        """Return the layout without the alpha that it has."""
        kept = (self.picked or tuple(range(self.channel_count(shape))))[:-1]
        return Layout(self.ndim, self.rows, self.cols, self.channels, kept, self.note)

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
        if self.channels is None:
            return part[..., np.newaxis]
        in_order = self.picked == tuple(range(part.shape[-1]))
        return part if not self.picked or in_order else part[..., list(self.picked)]


def _pick_channels(count: int, names: Sequence[str]) -> tuple[tuple[int, ...], str]:
    """Return which channels are the picture's grey or colour, and the sentence about it."""
    if count == 1:
        return (0,), ""
    named = [name.strip() for name in names[:count]]
    by_name = _colours_by_name(named)
    if by_name:
        return by_name, "" if count == 3 else f"Of {count} channels red, green and blue are used."
    nameless = all(NAMELESS.fullmatch(name) for name in named)
    if count == 3 or (count == 4 and nameless):
        which = "1, 2, 3" if nameless else ", ".join(named[:3])
        left = "; channel 4 is left out" if count == 4 else ""
        return (0, 1, 2), f"The channels {which} are used as red, green, blue{left}."
    raise _too_many(count, () if nameless else named)


def _colours_by_name(names: Sequence[str]) -> tuple[int, ...]:
    """Return the places of red, green and blue among the names; empty unless each is once."""
    lower = [name.casefold() for name in names]
    places = [
        [place for place, name in enumerate(lower) if name in {colour, colour[0]}]
        for colour in COLOUR_NAMES
    ]
    return tuple(place[0] for place in places) if all(len(place) == 1 for place in places) else ()


def _too_many(count: int, names: Sequence[str]) -> ImageError:
    called = f" ({', '.join(names)})" if names else ""
    return ImageError(
        f"The image has {count} channels{called}; grey has 1 and colour 3. Save the ones that "
        "show the stain as a colour image."
    )


def _not_one_picture(name: str, length: int, shape: Sequence[int]) -> ImageError:
    what = AXIS_NAMES.get(name, f"a stack along the axis “{name.upper()}”")
    return ImageError(
        f"One picture is needed, and this is {what} with {length} planes, of the shape "
        f"{tuple(int(side) for side in shape)}: choose one plane in napari, or save it as a file "
        "of its own."
    )
