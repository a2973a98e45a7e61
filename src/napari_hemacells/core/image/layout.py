"""Which axes of an array are rows, columns and colour, and which plane of the others is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.plane_selection import PlaneSelection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAMPLE_COUNTS = (1, 2, 3, 4)  # grey, grey + alpha, colour, colour + alpha
CHANNEL_COUNTS = (1, 3)  # of an axis before rows and columns, which never carries alpha
COLOUR_NAMES = ("red", "green", "blue")
NAMELESS = re.compile(r"(channel|ch|c)?[ _:\-]*\d*(:\d+)?", re.IGNORECASE)
FULL_SLICE = slice(None)
WHOLE_PICTURE = PlaneSelection()


@dataclass(frozen=True)
class Layout:
    """The places of rows, columns and colour among the axes, and the plane of all others.

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
        Which plane and which channels are used, where the file holds more.
    plane
        The index along each axis, counted from 0; those of rows, columns and colour are not used.
        Empty for 0 along all of them.
    """

    ndim: int
    rows: int
    cols: int
    channels: int | None = None
    picked: tuple[int, ...] = ()
    note: str = ""
    plane: tuple[int, ...] = ()

    @classmethod
    def of_shape(cls, shape: Sequence[int], selection: PlaneSelection = WHOLE_PICTURE) -> Layout:
        """Return the layout that a shape without axis names most likely has.

        Parameters
        ----------
        selection
            The plane of a stack, along the first axis, and the channels.

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
        if selection.channels and axes == 3:
            last = shape[-1] in SAMPLE_COUNTS or shape[-1] < shape[lead]
            rows, channels = (lead, lead + 2) if last else (lead + 1, lead)
            layout = cls(ndim, rows, rows + 1, channels)
            return layout.with_channels(shape, selection)
        if axes == 2:
            return cls(ndim, lead, lead + 1).with_channels(shape, selection)
        if axes == 3 and shape[-1] in SAMPLE_COUNTS:
            return cls(ndim, lead, lead + 1, lead + 2)
        if axes == 3 and shape[lead] in CHANNEL_COUNTS:
            return cls(ndim, lead + 1, lead + 2, lead)
        if selection.plane and axes in {3, 4}:
            names = "tyxs" if axes == 4 else "tyx"
            return cls.of_axes(shape, "q" * lead + names, selection=selection)
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
        selection: PlaneSelection = WHOLE_PICTURE,
    ) -> Layout:
        """Return the layout of an array whose axes are named, as those of a file are.

        ``y`` and ``x`` are rows and columns. ``s`` are samples of a pixel: grey or colour, and
        alpha where there is one. ``c`` are channels, grey or colour, never alpha. Of the rest
        one plane is read, the selected one where there are several.

        Parameters
        ----------
        samples
            Which samples are read, alpha last; by default all, of which 2 and 4 have an alpha.
        names
            Of the channels, where the file names them.
        selection
            The plane and the channels to read.

        Raises
        ------
        ImageError
            Axes that do not make one picture, or a plane or a channel that is not there: the
            sentence names them.
        """
        axis_names = _distinct([name.lower() for name in axes])
        if "y" not in axis_names or "x" not in axis_names:
            raise ImageError(f"The image has no rows and columns: its axes are {''.join(axes)}.")
        colour = None
        others: list[tuple[int, str, int]] = []
        for axis, (name, length) in enumerate(zip(axis_names, shape, strict=True)):
            if name in {"c", "s"} and (length == 1 or colour is None or shape[colour] == 1):
                colour = axis if length > 1 or colour is None else colour
            elif name not in {"y", "x"}:
                others.append((axis, name, int(length)))
        stack = [(name, length) for _, name, length in others]
        plane = [0] * len(axis_names)
        for (axis, _, _), index in zip(others, selection.indices(stack), strict=True):
            plane[axis] = index
        rows, cols = axis_names.index("y"), axis_names.index("x")
        layout = cls(len(axis_names), rows, cols, colour, samples, "", tuple(plane))
        if selection.channels:
            layout = layout.with_channels(shape, selection)
        elif colour is not None and axis_names[colour] == "c":
            picked, note = _pick_channels(int(shape[colour]), names)
            layout = replace(layout, picked=picked, note=note)
        elif colour is not None and not samples and shape[colour] not in SAMPLE_COUNTS:
            raise _too_many(int(shape[colour]), ())
        note = " ".join(filter(None, (selection.note(stack), layout.note)))
        return replace(layout, note=note)

    def with_channels(self, shape: Sequence[int], selection: PlaneSelection) -> Layout:
        """Return the layout that reads the selected channels, and no alpha; as it is for none.

        Raises
        ------
        ImageError
            A channel that an array of that shape does not have.
        """
        count = 1 if self.channels is None else int(shape[self.channels])
        places = selection.check_channels(count)
        if not places or self.channels is None:
            return self
        numbers = ", ".join(str(number) for number in selection.channels)
        used = f"channels {numbers} are used as red, green, blue"
        if len(places) == 1:
            used = f"channel {numbers} is used as grey"
        return replace(self, picked=places, note=f"Of {count} channels the {used}.")

    def without_plane(self) -> Layout:
        """Return the layout of an array that holds nothing but the plane."""
        return replace(self, plane=())

    def stack(self, shape: Sequence[int], axes: Sequence[str]) -> list[tuple[str, int]]:
        """Return names and lengths of the axes beside rows, columns and colour."""
        read = {self.rows, self.cols, self.channels}
        names = _distinct([name.lower() for name in axes])
        return [(names[axis], int(shape[axis])) for axis in range(self.ndim) if axis not in read]

    def fits(self, shape: Sequence[int], other: Sequence[int]) -> bool:
        """Whether the plane is the same in an array of another size, such as a pyramid's level."""
        read = {self.rows, self.cols, self.channels}
        return len(shape) == len(other) and all(
            shape[axis] == other[axis] for axis in range(self.ndim) if axis not in read
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
        return replace(self, picked=kept)

    def read(self, array: Any, rows: slice = FULL_SLICE, cols: slice = FULL_SLICE) -> NDArray[Any]:
        """``(rows, cols, channels)`` values of a part of the array."""
        where: list[slice | int] = list(self.plane or (0,) * self.ndim)
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


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names of axes with a number behind those that occur before: ``q``, ``q2``."""
    return [
        f"{name}{names[: index + 1].count(name)}" if name in names[:index] else name
        for index, name in enumerate(names)
    ]


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
        left = "; channel 4 is left out (choose others with --channels)" if count == 4 else ""
        return (0, 1, 2), f"The channels {which} are used as red, green, blue{left}."
    raise _too_many(count, () if nameless else named)


def _colours_by_name(names: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of red, green and blue among the names; empty unless each is once."""
    lower = [name.casefold() for name in names]
    indices = [
        [index for index, name in enumerate(lower) if name in {colour, colour[0]}]
        for colour in COLOUR_NAMES
    ]
    each_once = all(len(matches) == 1 for matches in indices)
    return tuple(matches[0] for matches in indices) if each_once else ()


def _too_many(count: int, names: Sequence[str]) -> ImageError:
    called = f" ({', '.join(names)})" if names else ""
    return ImageError(
        f"The image has {count} channels{called}; grey has 1 and colour 3. Choose the ones that "
        "show the stain: --channels 1 for a grey picture, or three as red, green and blue, such "
        "as --channels 3,2,1."
    )
