"""The bit depth of images whose array type has room for more bits than the camera gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.types import BitDepth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

BIT_DEPTHS = (8, 10, 12, 14, 16)
OUTLIERS = 0.001  # of the values at either end: hot pixels and dust decide nothing
SIGNED_OFFSET = 32768  # signed 16 bits stored as unsigned ones: 0 is in the middle
MAX_SAMPLED = 4_000_000  # values that a guess looks at


def robust_range(parts: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the lowest and highest value without one in a thousand at either end."""
    together = sum(part.size for part in parts)
    step = max(1, together // MAX_SAMPLED)
    values = np.concatenate([part.reshape(-1)[::step] for part in parts])
    beyond = int(values.size * OUTLIERS)
    ordered = np.partition(values, (beyond, values.size - 1 - beyond))
    return float(ordered[beyond]), float(ordered[values.size - 1 - beyond])


def guess_depth(low: float, high: float) -> BitDepth | None:
    """Return the smallest usual depth that holds a range of whole numbers; ``None`` for none."""
    if low < 0 or high >= 2**16:
        return None
    if low >= SIGNED_OFFSET and high - SIGNED_OFFSET < 2**14:
        high, offset = high - SIGNED_OFFSET, SIGNED_OFFSET
    else:
        offset = 0
    bits = next(bits for bits in BIT_DEPTHS if high < 2**bits)
    return BitDepth(bits, offset, "guessed")


def depth_of_run(guessed: Iterable[BitDepth]) -> tuple[BitDepth, ...]:
    """Return the one depth that holds all guesses, of each offset among them."""
    most: dict[int, int] = {}
    for depth in guessed:
        most[depth.offset] = max(depth.bits, most.get(depth.offset, 0))
    return tuple(BitDepth(bits, offset, "run") for offset, bits in sorted(most.items()))
