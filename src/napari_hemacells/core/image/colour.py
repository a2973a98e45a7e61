"""Any picture-like array → colour bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.bit_depth import guess_depth, robust_range
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.types import BitDepth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

BYTES = BitDepth(8)
BAND_VALUES = 4_000_000  # values that are converted at once: floats take 8 times a byte's memory


def to_colour(array: ArrayLike) -> NDArray[np.uint8]:
    r"""``(rows, cols, 3)`` uint8 sRGB colour image of any picture-like array.

    Shape
        ``(r, c)`` and ``(r, c, 1)`` are grey and repeated; ``(r, c, 3)`` is colour; a last axis
        of 2 or 4 carries alpha, and the picture is laid on white, as the glass of a smear is;
        alpha that is 0 everywhere says nothing and is ignored.
        ``(k, r, c)`` with k 1 or 3 is channel-first, unless the last axis is itself 1 to 4
        long. Leading axes of length 1 beyond the third are dropped.
    Values
        *uint8* as they are; *bool* 0 and 255. Other integers that are not negative and fit in 16
        bits are divided by the full scale of the smallest depth among 8, 10, 12, 14 and 16 bits
        that holds all but one in a thousand of them (a 16-bit picture by 257, so that a 12-bit
        camera is not black); up to 14 bits may lie above 32768, as signed numbers stored as
        unsigned ones do. Floats between 0 and 1 are multiplied by 255. Everything else is
        stretched from its lowest to its highest value, but for one in a thousand at either end,
        one scale for all channels, so that the hue survives.

    Raises
    ------
    ImageError
        Empty array, NaN or infinity, not a number, or not the shape of one picture.

    Examples
    --------
    >>> to_colour(np.array([[0, 4095]], dtype=np.uint16))[0, 1].tolist()
    [255, 255, 255]
    """
    given = np.asarray(array)
    check_type(given)
    layout = Layout.of_shape(given.shape)
    values = layout.read(given)
    if is_clear([values]):
        values = values[..., :-1]
    return ValueScale.of([values]).colour(values)


def check_type(array: Any) -> None:
    """Refuse what is empty or holds no numbers; only shape and dtype are looked at."""
    if 0 in array.shape:
        raise ImageError(f"The image is empty: its shape is {tuple(array.shape)}.")
    if np.dtype(array.dtype).kind not in "buif":
        raise ImageError(f"The image holds {array.dtype}, not numbers.")


def is_clear(parts: Sequence[NDArray[Any]]) -> bool:
    """Whether parts ``(rows, cols, channels)`` have an alpha, and it is 0 in all of them."""
    return parts[0].shape[-1] in {2, 4} and not any(part[..., -1].any() for part in parts)


@dataclass(frozen=True)
class ValueScale:
    """Which value becomes 0 and which 255: one scale for the whole image.

    Attributes
    ----------
    offset
        The value that becomes 0.
    full
        The distance from it to the value that becomes 255.
    depth
        The bit depth it comes from; ``None`` where values are stretched.
    associated
        Whether the colours have been multiplied with alpha already.
    inverted
        Whether 0 is white.
    """

    offset: float = 0.0
    full: float = 255.0
    depth: BitDepth | None = BYTES
    associated: bool = False
    inverted: bool = False

    @classmethod
    def of(cls, parts: Iterable[NDArray[Any]], stated: BitDepth | None = None) -> ValueScale:
        """Return the scale of an image, from ``(rows, cols, channels)`` parts of it.

        Parameters
        ----------
        stated
            The depth that the file states; a guess where its values contradict it.

        Raises
        ------
        ImageError
            NaN or infinity in a part.
        """
        light = [_split(_finite(part))[0] for part in parts]
        dtype = light[0].dtype
        if dtype == np.bool_:
            return cls(full=1.0, depth=BitDepth(1))
        if dtype == np.uint8 and stated is None:
            return cls()
        low, high = robust_range(light)
        if dtype.kind == "f":
            if low >= 0 and high <= 1:
                return cls(full=1.0, depth=None)
            return cls(low, (high - low) or 1.0, None)
        if stated is not None and low >= 0 and high < 2**stated.bits:
            return cls.of_depth(stated)
        guess = BYTES if dtype == np.uint8 else guess_depth(low, high)
        return cls(low, (high - low) or 1.0, None) if guess is None else cls.of_depth(guess)

    @classmethod
    def of_depth(cls, depth: BitDepth) -> ValueScale:
        """Return the scale of a bit depth."""
        return cls(float(depth.offset), float(2**depth.bits - 1), depth)

    def of_run(self, depths: Sequence[BitDepth]) -> ValueScale:
        """Return the scale of a run where this one is guessed, and the run's holds it."""
        if self.depth is None or self.depth.source != "guessed":
            return self
        for depth in depths:
            if depth.offset == self.depth.offset and depth.bits >= self.depth.bits:
                scale = ValueScale.of_depth(depth)
                return replace(scale, associated=self.associated, inverted=self.inverted)
        return self

    def colour(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """``(rows, cols, 3)`` uint8 of ``(rows, cols, channels)``; beyond the scale is cut off.

        Raises
        ------
        ImageError
            NaN or infinity among the values.
        """
        if self._is_same(values):
            return np.ascontiguousarray(values)
        height = max(1, BAND_VALUES // max(1, values[:1].size))
        if values.shape[0] <= height:
            return self._converted(values)
        colour = np.empty((*values.shape[:2], 3), np.uint8)
        for start in range(0, values.shape[0], height):
            colour[start : start + height] = self._converted(values[start : start + height])
        return colour

    def _is_same(self, values: NDArray[Any]) -> bool:
        """Whether the values are the bytes that are wanted already."""
        plain = values.dtype == np.uint8 and values.shape[-1] == 3
        return plain and (self.offset, self.full) == (0.0, 255.0) and not self.inverted

    def _converted(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        light, alpha = _split(_finite(values))
        colour = self._bytes(light)
        if alpha is not None:
            opacity = _opacity(alpha, self)
            weighted = colour if self.associated else colour * opacity
            on_white = np.rint(weighted + 255.0 * (1.0 - opacity))
            colour = np.clip(on_white, 0.0, 255.0).astype(np.uint8)
        if colour.shape[-1] == 1:
            colour = np.repeat(colour, 3, axis=-1)
        return np.ascontiguousarray(colour)

    def _bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if values.dtype == np.uint8 and (self.offset, self.full) == (0.0, 255.0):
            return 255 - values if self.inverted else values
        scaled = (values.astype(np.float64) - self.offset) * (255.0 / self.full)
        whole: NDArray[np.uint8] = np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
        return 255 - whole if self.inverted else whole


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(
            "The image holds NaN or infinite values. Replace them first, in napari's console: "
            "layer = viewer.layers[0]; layer.data = numpy.nan_to_num(layer.data)."
        )
    return values


def _split(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Grey or colour, and alpha where there is one."""
    if values.shape[-1] in {2, 4}:
        return values[..., :-1], values[..., -1:]
    return values, None


def _opacity(alpha: NDArray[Any], scale: ValueScale) -> NDArray[np.float64]:
    """Alpha as 0 to 1: floats as they are, integers by the full scale of their type.

    Alpha that is associated has the depth of its colours, whose products with it they are.
    """
    full = 1.0 if alpha.dtype.kind in "bf" else float(np.iinfo(alpha.dtype).max)
    if scale.associated and scale.depth is not None and scale.depth.bits > 1:
        return np.clip((alpha.astype(np.float64) - scale.offset) / scale.full, 0.0, 1.0)
    return np.clip(alpha.astype(np.float64) / full, 0.0, 1.0)
