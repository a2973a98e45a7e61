"""Which plane of a stack, and which of its channels, are read as the picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

AXIS_NAMES = {
    "t": "a time series",
    "z": "a stack in depth",
    "i": "a file of several pages",
    "q": "a stack",  # tifffile's name of an axis that the file does not name
}
ANY_AXIS = ""  # of a plane that is given by its number alone
_PLANE = re.compile(r"(?:(?P<axis>[a-z]\w*)\s*=\s*)?(?P<number>\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True)
class PlaneSelection:
    """What to read of a stack, or of an image with more channels than a colour has.

    Attributes
    ----------
    plane
        Names of axes, in lower case, with the number of the plane along each, counted from 1. The
        name is empty where the number alone is given, for the only axis that has several planes.
    channels
        Numbers of the channels, counted from 1: one is grey, three are red, green and blue. Empty
        for those that the file itself names or implies.
    """

    plane: tuple[tuple[str, int], ...] = ()
    channels: tuple[int, ...] = ()

    @classmethod
    def parse(cls, plane: str | int | None = None, channels: str | None = None) -> PlaneSelection:
        """Return the selection that is written as ``"3"`` or ``"t=2,z=5"``, and as ``"3,2,1"``.

        Raises
        ------
        ValueError
            Another form: the text is the sentence to show.

        Examples
        --------
        >>> PlaneSelection.parse("t=2,z=5", "2").plane
        (('t', 2), ('z', 5))
        """
        return cls(_parse_plane(plane), _parse_channels(channels))

    def __bool__(self) -> bool:
        return bool(self.plane or self.channels)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: the plane as it is written, ``"3"`` or ``"t=2,z=5"``."""
        plane = ",".join(
            f"{axis}={number}" if axis else str(number) for axis, number in self.plane
        )
        return {"plane": plane, "channels": list(self.channels)}

    def indices(self, axes: Sequence[tuple[str, int]]) -> tuple[int, ...]:
        """Return the index of the plane along each axis of a stack, counted from 0.

        Parameters
        ----------
        axes
            Names and lengths of the axes beside rows, columns and colour.

        Raises
        ------
        ImageError
            A stack of which no plane is selected, an axis that it does not have, or a number
            beyond its length.
        """
        stacked = {name: length for name, length in axes if length > 1}
        if not stacked:
            return (0,) * len(axes)  # one plane is all there is
        chosen = dict(self.plane)
        if ANY_AXIS in chosen:
            if len(stacked) > 1:
                raise ImageError(
                    f"The image has planes along several axes ({_lengths(stacked)}): choose one "
                    f"along each, as in {_example(stacked)}."
                )
            chosen = dict.fromkeys(stacked, chosen[ANY_AXIS])
        if unknown := [name for name in chosen if name not in dict(axes)]:
            raise ImageError(
                f"The image has no axis “{unknown[0].upper()}”, but planes along "
                f"{_lengths(stacked)}: choose one as in {_example(stacked)}."
            )
        for name, number in chosen.items():
            if not 1 <= number <= dict(axes)[name]:
                raise ImageError(
                    f"The image has {dict(axes)[name]} planes along the axis “{name.upper()}”, "
                    f"counted from 1: there is no plane {number}."
                )
        if missing := [name for name in stacked if name not in chosen]:
            raise _no_plane_selected(missing, axes)
        return tuple(chosen.get(name, 1) - 1 for name, _ in axes)

    def note(self, axes: Sequence[tuple[str, int]]) -> str:
        """Return the sentence that says which plane is read; empty for a single picture.

        Parameters
        ----------
        axes
            As of :meth:`indices`.
        """
        read = [
            f"{name.upper()}={index + 1} of {length}"
            for (name, length), index in zip(axes, self.indices(axes), strict=True)
            if length > 1
        ]
        if not read:
            return ""
        return f"The plane {', '.join(read)} is read, counted from 1."

    def check_channels(self, count: int) -> tuple[int, ...]:
        """Return the places of the selected channels among `count`, from 0; empty for no choice.

        Raises
        ------
        ImageError
            A channel that the image does not have.
        """
        for number in self.channels:
            if not 1 <= number <= count:
                raise ImageError(
                    f"The image has {count} channel{'s' * (count != 1)}, counted from 1: there is "
                    f"no channel {number}."
                )
        return tuple(number - 1 for number in self.channels)


def _parse_plane(given: str | int | None) -> tuple[tuple[str, int], ...]:
    text = "" if given is None else str(given)
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    matches = [_PLANE.fullmatch(part) for part in parts]
    plane = tuple(
        ((match["axis"] or ANY_AXIS).lower(), int(match["number"])) for match in matches if match
    )
    names = [name for name, _ in plane]
    wrong = len(plane) < len(parts) or len(set(names)) < len(names)
    if wrong or any(number < 1 for _, number in plane) or (ANY_AXIS in names and len(names) > 1):
        raise ValueError(
            "a plane is a number from 1 on, such as 3, or one for each axis, such as t=2,z=5"
        )
    return plane


def _parse_channels(given: str | None) -> tuple[int, ...]:
    parts = [part.strip() for part in (given or "").split(",")] if (given or "").strip() else []
    if not all(part.isascii() and part.isdigit() and int(part[:9]) >= 1 for part in parts) or (
        len(parts) not in {0, 1, 3}
    ):
        raise ValueError(
            "channels are one number from 1 on, for a grey picture, or three for red, green and "
            "blue, such as 3,2,1"
        )
    return tuple(int(part[:9]) for part in parts)


def _lengths(axes: dict[str, int]) -> str:
    return " and ".join(f"{name.upper()} ({length})" for name, length in axes.items())


def _example(axes: Sequence[str] | dict[str, int]) -> str:
    return "--plane " + ",".join(f"{name}=1" for name in axes)


def _no_plane_selected(missing: Sequence[str], axes: Sequence[tuple[str, int]]) -> ImageError:
    name = missing[0]
    what = AXIS_NAMES.get(name, f"a stack along the axis “{name.upper()}”")
    stacked = [axis for axis, length in axes if length > 1]
    count = dict(axes)[name]
    how = (
        f"--plane NUMBER (1 to {count})" if len(stacked) == 1 else f"{_example(stacked)} (from 1)"
    )
    return ImageError(
        f"One picture is needed, and this is {what} with {count} planes: choose one plane with "
        f"{how} on the command line, or open the stack in napari."
    )
