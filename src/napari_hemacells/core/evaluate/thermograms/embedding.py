"""What a network that has never seen a thermogram makes of the breasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.thermogram.crops import Framing, mirrored_crops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.thermogram.regions import ThermogramRegions
    from napari_hemacells.core.encode import Encoder

BELOW, SPAN = 5.0, 9.0  # °C from the body's median that is black, and from there to white
SIDE = 128
FRAMINGS = (
    Framing(),
    Framing(1.15),
    Framing(0.9),
    Framing(1.0, 0.06, 0.04),
    Framing(1.0, -0.06, -0.04),
)


def embedding_of(regions: ThermogramRegions, encoder: Encoder) -> NDArray[np.float32]:
    """``(2 · dim,)`` float32, length 1: the mean of both breasts' vectors, and how they differ.

    Crops are mirrored so that both face one way, counted from the body's median temperature (so
    that the camera's offset does not matter), and averaged over five framings (test-time
    augmentation). Degrees go to the network as floats.

    A thermogram on which only one breast was outlined has no difference.
    """
    middle = float(np.median(regions.celsius[regions.body]))
    crops = [
        _picture(crop, middle)
        for framing in FRAMINGS
        for crop in mirrored_crops(regions, SIDE, framing).values()
    ]
    vectors = encoder.encode(np.stack(crops))  # floats: no degree is rounded
    breasts = vectors.reshape(len(FRAMINGS), -1, vectors.shape[1]).mean(axis=0)
    both = np.concatenate([breasts.mean(axis=0), np.abs(breasts[0] - breasts[-1])])
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-12), dtype=np.float32)


def _picture(celsius: NDArray[np.float32], middle: float) -> NDArray[np.float32]:
    """``(rows, cols, 3)`` float32 from 0 to 255."""
    shown = np.clip((celsius - middle + BELOW) / SPAN, 0, 1) * 255
    return np.repeat(shown[..., None], 3, axis=-1).astype(np.float32)
