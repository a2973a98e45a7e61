"""Size, nucleus and colour of the cells on pictures of single cells, beside their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from napari_hemacells.core.encode.features import (
    columns,
    describe_pictures,
    how_beside,
    joined_in,
    with_features,
)
from napari_hemacells.core.image import read_image

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.types import EncoderInfo


def measured_beside(
    vectors: NDArray[np.float32], files: Sequence[Path], encoder: EncoderInfo
) -> tuple[NDArray[np.float32], EncoderInfo]:
    """Return the vectors with what is measured on their pictures, and what to call both."""
    features = describe_pictures(_pictures(files), len(files))
    how = how_beside(vectors, features.names)
    joined = np.concatenate([vectors, columns(features, how)], axis=1)
    return joined, with_features(encoder, how)


def measured_columns(files: Sequence[Path], encoder: EncoderInfo) -> NDArray[np.float32]:
    """``(n, m)`` what a model's encoder wants measured on pictures; m is 0 if it wants nothing."""
    how = joined_in(encoder)
    if how is None:
        return np.zeros((len(files), 0), dtype=np.float32)
    return columns(describe_pictures(_pictures(files), len(files)), how)


def _pictures(files: Sequence[Path]) -> Generator[NDArray[np.uint8], None, None]:
    for file in files:
        yield cast("NDArray[np.uint8]", read_image(file).pixels)
