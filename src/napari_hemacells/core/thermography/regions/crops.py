"""Square crops of the breasts in °C, the right one mirrored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.regions.pipeline import Side, ThermogramRegions


class Framing(NamedTuple):
    """Framing of a crop.

    Attributes
    ----------
    margin
        Side of the square, divided by the longer side of the breast's box.
    down, out
        How far its middle is moved down and away from the breastbone, in sides.
    """

    margin: float = 1.0
    down: float = 0.0
    out: float = 0.0


DEFAULT_FRAMING = Framing()


def mirrored_crops(
    regions: ThermogramRegions, size: int = 128, framing: Framing = DEFAULT_FRAMING
) -> dict[Side, NDArray[np.float32]]:
    """Return ``{side: (size, size)}`` float32 °C crops, the right one mirrored.

    Each is a square around the middle of the breast's box, resampled bilinearly; beyond the frame
    its border is repeated. For a picture or a network: measure on the frame, not on crops.
    """
    crops: dict[Side, NDArray[np.float32]] = {}
    for side, breast in regions.breasts.items():
        outwards = -1 if side == "right" else 1
        crop = _square(
            regions.celsius, breast.box, size, framing._replace(out=framing.out * outwards)
        )
        crops[side] = crop[:, ::-1].copy() if side == "right" else crop
    return crops


def _square(
    celsius: NDArray[np.float32], box: NDArray[np.float64], size: int, framing: Framing
) -> NDArray[np.float32]:
    from scipy import ndimage

    side = float((box[2:] - box[:2]).max()) * framing.margin
    middle = (box[:2] + box[2:]) / 2 - 0.5 + side * np.array([framing.down, framing.out])
    steps = (np.arange(size) + 0.5) / size * side - side / 2
    sigma = max(0.0, 0.5 * (side / size - 1))
    smooth = ndimage.gaussian_filter(celsius, sigma) if sigma else celsius
    places = np.stack(np.meshgrid(middle[0] + steps, middle[1] + steps, indexing="ij"))
    crop = ndimage.map_coordinates(smooth, places, order=1, mode="nearest")
    return np.asarray(crop, dtype=np.float32)
