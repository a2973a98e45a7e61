"""Any picture-like array → colour bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

BIT_DEPTHS = (8, 10, 12, 14, 16)


def to_colour(array: ArrayLike) -> NDArray[np.uint8]:
    r"""``(rows, cols, 3)`` uint8 sRGB colour image of any picture-like array.

    Shape
        ``(r, c)`` and ``(r, c, 1)`` are grey and repeated; ``(r, c, 3)`` is colour; a last axis
        of 2 or 4 carries alpha, and the picture is laid on white, as the glass of a smear is.
        ``(k, r, c)`` with k from 1 to 4 is channel-first, unless the last axis is itself 1 to 4
        long. Leading axes of length 1 beyond the third are dropped.
    Values
        *uint8* as they are; *bool* 0 and 255. Other integers that are not negative and fit in 16
        bits are divided by the full scale of the smallest depth among 8, 10, 12, 14 and 16 bits
        that holds their maximum (a 16-bit picture by 257, so that a 12-bit camera is not black).
        Floats between 0 and 1 are multiplied by 255. Everything else is stretched from its
        minimum to its maximum, one scale for all channels, so that the hue survives.

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
    values = Layout.of_shape(given.shape).read(given)
    return ValueScale.of([values]).colour(values)


def check_type(array: Any) -> None:
    """Refuse what is empty or holds no numbers; only shape and dtype are looked at."""
    if 0 in array.shape:
        raise ImageError(f"The image is empty: its shape is {tuple(array.shape)}.")
    if np.dtype(array.dtype).kind not in "buif":
        raise ImageError(f"The image holds {array.dtype}, not numbers.")


@dataclass(frozen=True)
class ValueScale:
    """Which value becomes 0 and which 255: one scale for the whole image.

    Attributes
    ----------
    offset
        The value that becomes 0.
    full
        The distance from it to the value that becomes 255.
    """

    offset: float = 0.0
    full: float = 255.0

    @classmethod
    def of(cls, parts: Iterable[NDArray[Any]]) -> ValueScale:
        """Return the scale of an image, from ``(rows, cols, channels)`` parts of it.

        Raises
        ------
        ImageError
            NaN or infinity in a part.
        """
        light = [_split(_finite(part))[0] for part in parts]
        dtype = light[0].dtype
        if dtype == np.uint8:
            return cls()
        if dtype == np.bool_:
            return cls(full=1.0)
        low = min(float(part.min()) for part in light)
        high = max(float(part.max()) for part in light)
        return cls(*_scale(low, high, is_float=dtype.kind == "f"))

    def colour(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """``(rows, cols, 3)`` uint8 of ``(rows, cols, channels)``; beyond the scale is cut off.

        Raises
        ------
        ImageError
            NaN or infinity among the values.
        """
        light, alpha = _split(_finite(values))
        colour = self._bytes(light)
        if alpha is not None:
            opacity = _opacity(alpha)
            colour = np.rint(colour * opacity + 255.0 * (1.0 - opacity)).astype(np.uint8)
        if colour.shape[-1] == 1:
            colour = np.repeat(colour, 3, axis=-1)
        return np.ascontiguousarray(colour)

    def _bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if values.dtype == np.uint8:
            return values
        scaled = (values.astype(np.float64) - self.offset) * (255.0 / self.full)
        return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


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


def _scale(low: float, high: float, *, is_float: bool) -> tuple[float, float]:
    """Value that becomes 0, and the distance from it to the value that becomes 255."""
    if is_float and low >= 0 and high <= 1:
        return 0.0, 1.0
    if not is_float and low >= 0:
        for bits in BIT_DEPTHS:
            if high < 2**bits:
                return 0.0, float(2**bits - 1)
    return low, (high - low) or 1.0


def _opacity(alpha: NDArray[Any]) -> NDArray[np.float64]:
    """Alpha as 0 to 1: floats as they are, integers by the full scale of their type."""
    full = 1.0 if alpha.dtype.kind in "bf" else float(np.iinfo(alpha.dtype).max)
    return np.clip(alpha.astype(np.float64) / full, 0.0, 1.0)
