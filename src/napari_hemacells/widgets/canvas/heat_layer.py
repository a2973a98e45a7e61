"""How the heat of a cell lies over its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.widgets.canvas.sight import plane_affine

if TYPE_CHECKING:
    from napari.layers import Layer


def heat_placement(
    pixels: int, square: tuple[float, float, float], on: Layer | None
) -> dict[str, Any]:
    """Return how an image layer of so many pixels a side is shown on a square of another layer.

    Parameters
    ----------
    square
        Top, left and side, in pixels of the layer `on`.
    """
    top, left, side = square
    scale = side / pixels
    placed: dict[str, Any] = {
        "scale": (scale, scale),
        # A pixel's place is its centre: the first one begins half a pixel before it.
        "translate": (top - 0.5 + scale / 2, left - 0.5 + scale / 2),
        "blending": "additive",
        "colormap": "inferno",
        "contrast_limits": (0.0, 1.0),
        "opacity": 0.7,
        "interpolation2d": "linear",
    }
    if on is not None:
        placed |= {"affine": plane_affine(on), "units": tuple(on.units[-2:])}
    return placed
