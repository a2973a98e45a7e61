"""What a microscopist measures and a crop does not show: size, nucleus, colour.

A crop is scaled to the cell, so that a platelet and a red cell fill it alike. These numbers stand
beside the embedding as more columns of the same vector: what works on embeddings works on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, Embeddings, SmearImage

NAMES = ("size", "nucleus", "red", "green", "blue")
WEIGHT = 0.1  # of a vector's squared length that all of them together make up
LIMIT = 3.0  # robust standard deviations: a smudge of ten times the size counts as very large
NUCLEUS = 0.55  # of the darkest decile's absorbance of the image's cells: what counts as nucleus


@dataclass(frozen=True, eq=False)
class CellFeatures:
    """Numbers that describe cells beside their embeddings.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    names
        What each of the f columns is, in a fixed order.
    values
        ``(n, f)`` float32, already comparable between images: no pixels, no raw intensities.
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float32]


def describe(image: SmearImage, cells: Cells) -> CellFeatures:
    """Return size, part of the cell that is nucleus, and mean colour of every cell.

    ``size`` is the logarithm of the longer side of the box over the image's typical cell
    diameter; ``nucleus`` the part of the box's inner disc as dark as the image's nuclei; the
    colours are mean absorbances (Beer and Lambert) of the inner disc.
    """
    side = (cells.boxes[:, 2:] - cells.boxes[:, :2]).max(axis=1)
    size = np.log(np.maximum(side, 1) / max(cells.diameter, 1e-6))
    discs = [_absorbance(image, box) for box in cells.boxes]
    colour = np.array([disc.mean(axis=0) for disc in discs]).reshape(-1, 3)
    darkest = [float(np.quantile(disc.sum(axis=1), 0.9)) for disc in discs]
    dark = NUCLEUS * float(np.quantile(darkest, 0.95)) if discs else 0.0
    nucleus = np.array([float((disc.sum(axis=1) > dark).mean()) for disc in discs])
    values = np.column_stack([size, nucleus.reshape(-1), colour]).astype(np.float32)
    return CellFeatures(cells.ids, NAMES, values)


def join(embeddings: Embeddings, features: CellFeatures, weight: float = WEIGHT) -> Embeddings:
    """Return embeddings with the features as further columns, each image standardised by itself.

    Together the features make up `weight` of a standardised vector's squared length, however many
    numbers the encoder gives: each is written as many times as that takes. The encoder's
    preprocessing names them, so that a model fitted with them refuses vectors without.

    Raises
    ------
    ValueError
        The features are of other cells.
    """
    if not np.array_equal(embeddings.ids, features.ids):
        raise ValueError("features and embeddings must be of the same cells, in the same order")
    dim, count = embeddings.vectors.shape[1], len(features.names)
    times = max(1, round(weight / (1.0 - weight) * dim / count))
    spread = float(embeddings.vectors.std(axis=0).mean()) if len(embeddings) else 1.0
    columns = np.repeat(_standardised(features.values), times, axis=1) * np.float32(spread)
    beside = {"names": list(features.names), "times": times}
    encoder = replace(
        embeddings.encoder,
        dim=dim + times * count,
        preprocessing={**embeddings.encoder.preprocessing, "features": beside},
    )
    vectors = np.concatenate([embeddings.vectors, columns], axis=1).astype(np.float32)
    return replace(embeddings, vectors=vectors, encoder=encoder)


def _standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values less their median, over their median deviation, within limits."""
    if len(values) == 0:
        return values
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    spread = np.where(spread > 0, spread, values.std(axis=0) + 1e-6)
    scaled = (values - middle) / spread
    return np.asarray(np.clip(scaled, -LIMIT, LIMIT), dtype=np.float32)


def _absorbance(image: SmearImage, box: NDArray[np.int64]) -> NDArray[np.float64]:
    """``(p, 3)`` absorbance of the pixels of the ellipse in a box, glass is 0."""
    shape = image.shape
    top, left = (
        int(np.clip(edge, 0, side - 1)) for edge, side in zip(box[:2], shape, strict=True)
    )
    bottom, right = max(int(box[2]), top + 1), max(int(box[3]), left + 1)
    pixels = np.asarray(image.pixels[top:bottom, left:right], dtype=np.float64)
    rows, cols = np.indices(pixels.shape[:2])
    down = (rows + 0.5) / pixels.shape[0] - 0.5
    across = (cols + 0.5) / pixels.shape[1] - 0.5
    inside = np.hypot(down, across) <= 0.5
    chosen = pixels[inside if inside.any() else np.ones_like(inside)]
    return np.asarray(-np.log10((chosen + 1.0) / 256.0))
