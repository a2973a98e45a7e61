"""Colour histograms as an encoder: the baseline for every network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.types import EncoderInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOUR_HISTOGRAM = "colour-histogram"
JOINT, SINGLE = 4, 16  # bins a channel: of the joint histogram, of each channel's own
COLOUR_HISTOGRAM_DIM = JOINT**3 + 3 * SINGLE


class ColourHistogram:
    """Square roots of colour frequencies (Hellinger), joint and a channel at a time."""

    info = EncoderInfo(
        name=COLOUR_HISTOGRAM,
        sha256="0" * 64,
        dim=COLOUR_HISTOGRAM_DIM,
        preprocessing={"joint": JOINT, "single": SINGLE},
        seen="nothing: no network",
    )
    device = "cpu"

    def encode(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(n, dim)`` vectors of ``(n, size, size, 3)`` uint8 crops."""
        return np.array([_histogram(crop.reshape(-1, 3)) for crop in crops], np.float32).reshape(
            -1, COLOUR_HISTOGRAM_DIM
        )


def _histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    places = (pixels // (256 // JOINT)).astype(np.int64) @ [JOINT**2, JOINT, 1]
    parts = [np.bincount(places, minlength=JOINT**3)]
    parts += [np.bincount(channel // (256 // SINGLE), minlength=SINGLE) for channel in pixels.T]
    return np.asarray(np.sqrt(np.concatenate(parts) / len(pixels)))
