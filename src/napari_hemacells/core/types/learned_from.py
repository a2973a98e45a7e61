"""What kind of pictures a model learned its classes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from napari_hemacells.core.types.image import Modality  # noqa: TC001 (stored: pydantic reads it)

LearnedKind: TypeAlias = Literal["pictures", "cells", "both"]


@dataclass(frozen=True)
class LearnedFrom:
    """Whether a model learned from whole pictures or from detected cells, and at which scale.

    Attributes
    ----------
    kind
        ``"pictures"``: each picture counted as one cell; ``"cells"``: cells detected in images,
        or marked there by the user; ``"both"``.
    diameter
        Of cells in images: their typical diameter in pixels, ``None`` where unknown.
    context
        Of whole pictures: longer side divided by the extent of the cell in it, a typical one;
        ``None`` where unknown.
    side
        Of whole pictures: their typical longer side in pixels, ``None`` where unknown.
    modality
        Colours or temperatures.
    """

    kind: LearnedKind
    diameter: float | None = None
    context: float | None = None
    side: int | None = None
    modality: Modality = "colour"

    def joined(self, other: LearnedFrom) -> LearnedFrom:
        """What a model of both has learned from; this one's scales count first."""
        return LearnedFrom(
            self.kind if self.kind == other.kind else "both",
            self.diameter or other.diameter,
            self.context or other.context,
            self.side or other.side,
            self.modality,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, without what is unknown."""
        values = vars(self)
        return {name: value for name, value in values.items() if value is not None}
