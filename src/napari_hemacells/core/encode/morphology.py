"""Morphology features: size, nucleus, colour and temperature of cells, which a crop does not show.

A crop is scaled to the cell, so platelets and red cells look equally large. The features are
additional columns of the embedding, for every method that works on embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.crop import estimate_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, Embeddings, EncoderInfo, SmearImage

KEY = "features"  # in an encoder's preprocessing
COLOUR_FEATURES = ("size", "nucleus", "red", "green", "blue")
TEMPERATURE_FEATURES = ("size", "mean", "warmest", "spread")
WEIGHT = 0.1  # of a vector's squared length that all of them together make up
LIMIT = 3.0  # robust standard deviations: a smudge of ten times the size counts as very large
NUCLEUS = 0.55  # of the darkest decile's absorbance of the image's cells: what counts as nucleus
STEP = 4.0  # the embedding's spread is taken in such steps, so that all images have the same


@dataclass(frozen=True, eq=False)
class CellFeatures:
    """Features that describe cells in addition to their embeddings.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    names
        Names of the f columns, in a fixed order.
    numbers
        ``(n, f)`` float32, comparable between images: no pixels, no raw intensities.
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    numbers: NDArray[np.float32]


def measure_cells(image: SmearImage, cells: Cells) -> CellFeatures:
    """Return size, part of the cell that is nucleus, and mean colour of every cell.

    ``size`` is the logarithm of the longer side of the box over the image's typical cell
    diameter; ``nucleus`` the part of the box's inner disc as dark as the image's nuclei; the
    colours are mean absorbances (Beer and Lambert) of the inner disc. Of a thermogram: size, and
    mean, 95th percentile and standard deviation of the temperature.
    """
    from napari_hemacells.core.crop import sort_by_tile

    size = np.log(np.maximum(_sides(cells.boxes), 1) / max(cells.diameter, 1e-6))
    discs: list[NDArray[np.float64]] = [np.empty(0)] * len(cells)
    for index in sort_by_tile(cells.boxes[:, :2], np.arange(len(cells))):
        discs[index] = _disc(image.pixels, cells.boxes[index], image.shape)
    if image.modality == "temperature":
        return _make_features(
            cells.ids, TEMPERATURE_FEATURES, size, _temperature_statistics(discs)
        )
    return _make_features(cells.ids, COLOUR_FEATURES, size, _stain(discs))


def measure_pictures(pictures: Iterable[NDArray[np.uint8]], count: int) -> CellFeatures:
    """Return the same of `count` pictures that show one cell each, in its centre.

    All of them show colours, or all of them degrees.
    """
    sides, discs, degrees = np.zeros(count), list["NDArray[np.float64]"](), False
    for index, pixels in enumerate(pictures):
        rows, cols = pixels.shape[:2]
        sides[index] = max(rows, cols) / estimate_context([pixels])
        corner = np.array([rows, cols]) / 2 - sides[index] / 2
        box = np.rint(np.concatenate([corner, corner + sides[index]])).astype(np.int64)
        discs.append(_disc(pixels, box, (rows, cols)))
        degrees = pixels.ndim == 2
    size = np.log(np.maximum(sides, 1) / max(float(np.median(sides)), 1.0)) if count else sides
    if degrees:
        return _make_features(
            np.arange(count), TEMPERATURE_FEATURES, size, _temperature_statistics(discs)
        )
    return _make_features(np.arange(count), COLOUR_FEATURES, size, _stain(discs))


def append_features(
    embeddings: Embeddings, features: CellFeatures, like: EncoderInfo | None = None
) -> Embeddings:
    """Return embeddings with the features as further columns, each image standardised by itself.

    The features are repeated so that they make up about a tenth of a standardised vector's squared
    length, whatever the encoder's dimension. The encoder's preprocessing names them, so that a
    model fitted with them refuses vectors without.

    Parameters
    ----------
    like
        A model's encoder with features: they are appended as they were there.

    Raises
    ------
    ValueError
        The features are of other cells.
    """
    if not np.array_equal(embeddings.ids, features.ids):
        raise ValueError("features and embeddings must be of the same cells, in the same order")
    how = None if like is None else feature_scaling_of(like)
    how = how or fit_feature_scaling(embeddings.vectors, features.names)
    return replace(
        embeddings,
        vectors=np.concatenate([embeddings.vectors, feature_columns(features, how)], axis=1),
        encoder=with_features(embeddings.encoder, how),
    )


def fit_feature_scaling(vectors: NDArray[np.float32], names: tuple[str, ...]) -> dict[str, Any]:
    """Return repetitions and factor of features for ``(n, dim)`` vectors."""
    times = max(1, round(WEIGHT / (1.0 - WEIGHT) * vectors.shape[1] / len(names)))
    spread = float(vectors.std(axis=0).mean()) if len(vectors) > 1 else 1.0
    level = float(STEP ** np.round(np.log(max(spread, 1e-9)) / np.log(STEP)))
    return {"names": list(names), "times": times, "spread": level}


def feature_columns(features: CellFeatures, how: dict[str, Any]) -> NDArray[np.float32]:
    """``(n, times * f)`` float32 columns to append to the vectors."""
    repeated = np.repeat(_standardised(features.numbers), how["times"], axis=1)
    return np.asarray(repeated * np.float32(how["spread"]), dtype=np.float32)


def with_features(encoder: EncoderInfo, how: dict[str, Any]) -> EncoderInfo:
    """Return the identity of an encoder with features."""
    return replace(
        encoder,
        dim=encoder.dim + how["times"] * len(how["names"]),
        preprocessing={**encoder.preprocessing, KEY: how},
    )


def feature_scaling_of(encoder: EncoderInfo) -> dict[str, Any] | None:
    """Return how features are appended by an encoder; ``None`` without features."""
    how: dict[str, Any] | None = encoder.preprocessing.get(KEY)
    return how


def without_features(encoder: EncoderInfo) -> EncoderInfo:
    """Return the identity of the encoder without features."""
    how = feature_scaling_of(encoder)
    if how is None:
        return encoder
    own = {name: value for name, value in encoder.preprocessing.items() if name != KEY}
    dim = encoder.dim - how["times"] * len(how["names"])
    return replace(encoder, dim=dim, preprocessing=own)


def _make_features(
    ids: NDArray[np.int64],
    names: tuple[str, ...],
    size: NDArray[np.floating],
    others: NDArray[np.float64],
) -> CellFeatures:
    return CellFeatures(ids, names, np.column_stack([size, others]).astype(np.float32))


def _standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values less their median, over their median deviation, within limits."""
    if len(values) == 0:
        return values
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    spread = np.where(spread > 0, spread, values.std(axis=0) + 1e-6)
    scaled = (values - middle) / spread
    return np.asarray(np.clip(scaled, -LIMIT, LIMIT), dtype=np.float32)


def _stain(discs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """``(n, 4)`` part that is nucleus, and mean absorbance in red, green and blue."""
    absorbed = [-np.log10((disc + 1.0) / 256.0) for disc in discs]
    darkest = _each(
        absorbed, lambda disc_absorbance: np.quantile(disc_absorbance.sum(axis=1), 0.9), 1
    )[:, 0]
    dark = NUCLEUS * float(np.quantile(darkest, 0.95)) if len(darkest) else 0.0
    nucleus = _each(
        absorbed, lambda disc_absorbance: (disc_absorbance.sum(axis=1) > dark).mean(), 1
    )
    return np.column_stack(
        [nucleus, _each(absorbed, lambda disc_absorbance: disc_absorbance.mean(axis=0), 3)]
    )


def _temperature_statistics(discs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """``(n, 3)`` mean, 95th percentile and standard deviation of the temperature."""
    return _each(discs, lambda disc: (disc.mean(), np.quantile(disc, 0.95), disc.std()), 3)


def _each(
    discs: list[NDArray[np.float64]], measure: Callable[[NDArray[np.float64]], Any], width: int
) -> NDArray[np.float64]:
    return np.array([measure(disc) for disc in discs], dtype=np.float64).reshape(-1, width)


def _sides(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1))


def _disc(pixels: Any, box: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """``(p, channels)`` pixels of the ellipse in a box, those of the image."""
    top, left = (
        int(np.clip(edge, 0, side - 1)) for edge, side in zip(box[:2], shape, strict=True)
    )
    bottom, right = max(int(box[2]), top + 1), max(int(box[3]), left + 1)
    region = np.asarray(pixels[top:bottom, left:right], dtype=np.float64)
    rows, cols = np.indices(region.shape[:2])
    down = (rows + 0.5) / region.shape[0] - 0.5
    across = (cols + 0.5) / region.shape[1] - 0.5
    inside = np.hypot(down, across) <= 0.5
    chosen = region[inside if inside.any() else np.ones_like(inside)]
    return np.asarray(chosen.reshape(len(chosen), -1))
