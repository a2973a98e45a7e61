"""What opening a file gives, before it is an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_hemacells.core.image.layout import Layout

PLAUSIBLE_PIXEL_UM = (0.001, 20.0)  # beyond it the tag speaks of print, not of a microscope
MICROMETRES = {
    "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4,
    "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3,
    "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture as its file has it.

    Attributes
    ----------
    levels
        Arrays or lazy sources, the largest first; one where there is no pyramid.
    layout
        Which axes are what, ``None`` to guess it from the shape.
    pixel_size_um
        Micrometres a pixel, ``None`` where the file does not say.
    """

    levels: tuple[Any, ...]
    layout: Layout | None = None
    pixel_size_um: float | None = None


def plausible(pixel_size_um: float | None) -> float | None:
    """Return the size if a microscope's camera may have it."""
    low, high = PLAUSIBLE_PIXEL_UM
    return pixel_size_um if pixel_size_um is not None and low <= pixel_size_um <= high else None
