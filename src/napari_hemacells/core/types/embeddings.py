"""Crops of cells for an encoder, and its embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.types.learned_from import LearnedFrom

TemperatureScaling: TypeAlias = Literal["fixed", "range", "torso"]


@dataclass(frozen=True)
class CropSpec:
    """Size and margin of a cell's square crop; part of a model's identity.

    Attributes
    ----------
    size
        Side of the crop in pixels after resampling.
    context
        Side of the square cut from the image, divided by the longer side of the cell's box.
    degrees
        Of a thermogram: which degrees become black and white
        (:func:`~napari_hemacells.core.temperature.normalise.scale_celsius`).
    palette
        Of a thermogram: ``grey``, or the name of a colormap.
    """

    size: int = 128
    context: float = 1.25
    degrees: TemperatureScaling = "fixed"
    palette: str = "grey"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; settings of thermograms only where they are not the default."""
        settings: dict[str, Any] = {"size": self.size, "context": self.context}
        if self.degrees != "fixed" or self.palette != "grey":
            settings |= {"degrees": self.degrees, "palette": self.palette}
        return settings

    def with_context(self, context: float) -> CropSpec:
        """The same crops with another margin."""
        return replace(self, context=context)


@dataclass(frozen=True)
class EncoderInfo:
    """Identity of an encoder: name, hash of the weights, preprocessing."""

    name: str
    sha256: str
    dim: int
    preprocessing: dict[str, Any] = field(default_factory=dict)
    seen: str = ""  # what the weights were trained on, in words: no figure may hide it


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector for each cell.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    vectors
        ``(n, dim)`` float32, as the encoder gave them (not standardised).
    learned_from
        What a model of these cells learns from, where it is known.
    kinds
        ``(n,)`` the detector's kind of each cell, ``""`` where it has none; ``None`` where no
        detector found these cells.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    encoder: EncoderInfo
    spec: CropSpec
    image_key: str
    learned_from: LearnedFrom | None = None
    kinds: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Embeddings:
        """Return those of some cells, as copies."""
        kinds = None if self.kinds is None else self.kinds[rows]
        return replace(self, ids=self.ids[rows], vectors=self.vectors[rows], kinds=kinds)

    @cached_property
    def rows(self) -> dict[int, int]:
        """From a cell's id to its row."""
        return {cell: row for row, cell in enumerate(self.ids.tolist())}
