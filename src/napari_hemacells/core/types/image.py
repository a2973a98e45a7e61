"""Images and their origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Modality: TypeAlias = Literal["colour", "temperature"]
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True)
class Groups:
    """Groups (patient, slide) of an image, which a split must not divide.

    Every field is optional; ``None`` means unknown, which a report has to say.
    """

    patient: str | None = None
    slide: str | None = None
    laboratory: str | None = None


@dataclass(frozen=True)
class BitDepth:
    """Black and white level of an image whose data type has a wider range.

    Attributes
    ----------
    bits
        White is ``offset + 2**bits - 1``.
    offset
        The value that is black.
    source
        ``"type"``: the array's type; ``"file"``: the file says so; ``"guessed"``: from the
        image's values; ``"run"``: one guess for all images of a run or folder.
    """

    bits: int
    offset: int = 0
    source: Literal["type", "file", "guessed", "run"] = "type"

    def to_dict(self) -> dict[str, int | str]:
        """As plain JSON."""
        return {"bits": self.bits, "offset": self.offset, "source": self.source}

    @property
    def words(self) -> str:
        """A sentence for people; empty where nothing was guessed."""
        if self.source in {"type", "file"}:
            return ""
        whose = "the values of all images together" if self.source == "run" else "its values"
        offset = f" above {self.offset}" if self.offset else ""
        return f"{self.bits} bits{offset}, guessed from {whose}."


class CropSource(Protocol):
    """Gives the crops of an image whose cells are pictures of their own, by their numbers."""

    def crops(self, numbers: Iterable[int], spec: Any) -> NDArray[Any]:
        """``(n, size, size, 3)`` crops by a CropSpec: uint8 of colours, float32 of degrees."""

    def framing(self, spec: Any) -> float:
        """Side of the square of a crop, divided by the longer side of its picture."""

    def thumbnail_now(self, number: int, side: int) -> tuple[NDArray[np.uint8], bool]:
        """``(side, side, 3)`` uint8 the whole picture, and whether it is sharp; never waits."""

    def preview(self) -> NDArray[np.uint8]:
        """``(rows, cols, 3)`` uint8: some of the pictures, for a list of images."""

    def display_levels(self) -> Sequence[Any]:
        """What a viewer shows, uint8 colours, the finest first; reading it never waits."""


@dataclass(frozen=True, eq=False)
class SmearImage:
    """An image in the form that all steps work on.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8 for ``modality="colour"`` (sRGB, 0 to 255), ``(rows, cols)``
        float32 for ``modality="temperature"`` (°C). May be lazy (anything with ``shape``,
        ``dtype`` and slicing) where an image does not fit in memory.
    key
        Hash of the pixel content: 16 hexadecimal digits, the image's identity everywhere.
    name
        What the user knows it by: the file's stem or the layer's name.
    path
        The file it was read from; ``None`` for a layer without a file.
    pixel_size_um
        Micrometres a pixel, ``None`` where unknown.
    overview
        The whole image at a lower resolution, where one can be had cheaply (a pyramid's low
        level); as `pixels`, may be lazy.
    bit_depth
        Which values of the source are black and white; ``None`` where they were stretched, and
        for temperatures.
    notes
        What was decided about the source and is worth knowing: sentences.
    sheet
        Where the image is a contact sheet of pictures that show one cell each: what gives their
        crops. ``None``: crops are cut from the pixels.
    """

    pixels: Pixels
    key: str
    name: str
    modality: Modality = "colour"
    path: Path | None = None
    pixel_size_um: float | None = None
    groups: Groups = field(default_factory=Groups)
    overview: Pixels | None = None
    bit_depth: BitDepth | None = None
    notes: tuple[str, ...] = ()
    sheet: CropSource | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def is_lazy(self) -> bool:
        """Whether the pixels are read when they are sliced, and not in memory."""
        return not isinstance(self.pixels, np.ndarray)
