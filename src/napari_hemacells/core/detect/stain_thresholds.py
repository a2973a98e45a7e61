"""Stain levels and thresholds, measured once per image and used for all its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_hemacells.core.detect.stain import Glass


@dataclass(frozen=True)
class ErythrocyteThresholds:
    """Typical values of the red cells of an image; thresholds are relative to them.

    Attributes
    ----------
    usual
        Density where the levelled density flattens.
    steep
        Least gradient of an edge that may vote for a centre.
    votes
        Votes of the clearest centres.
    strong
        Fall of density per pixel across a strong edge.
    clear
        The same across a clear outline.
    """

    usual: float
    steep: float
    votes: float
    strong: float
    clear: float


@dataclass(frozen=True)
class StainThresholds:
    """Background, noise and thresholds of an image.

    Attributes
    ----------
    glass, noise, coloured
        See :class:`~.stain.Stain`.
    stained
        Least density of the foreground.
    plasma
        Least basophilia of cytoplasm.
    red
        Typical values of red cells; None if there are none.
    """

    glass: Glass
    noise: float
    coloured: bool
    stained: float
    plasma: float
    red: ErythrocyteThresholds | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)
