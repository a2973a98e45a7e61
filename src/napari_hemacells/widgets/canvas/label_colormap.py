"""A direct label colormap that stays fast for thousands of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.layers import Rgba

_CLEAR = np.zeros(4, dtype=np.float32)


class ClassColormap(DirectLabelColormap):  # type: ignore[misc]  # napari is not typed for us
    """A colour for each label, stored as tuples, which napari hashes faster than arrays."""

    def map(self, values: Any) -> Any:
        """Return colours as arrays, as napari's controls need them."""
        return np.asarray(super().map(values), dtype=np.float32)

    _seams: Seams | None = PrivateAttr(None)

    def leave_free(self, seams: Seams | None) -> ClassColormap:
        """Leave these pixels free from now on; return this colormap."""
        self._seams = seams
        return self

    def _data_to_texture(self, values: Any) -> Any:
        """Leave a line free between cells that touch: two of one class would be one blot."""
        texture = super()._data_to_texture(values)
        seams = self._seams
        if seams is None or values.shape != seams.shape or not len(seams.rows):
            return texture
        glass = super()._data_to_texture(np.zeros(1, values.dtype))
        texture = np.array(texture)
        texture[seams.rows, seams.cols] = glass[0]
        return texture


class Seams(NamedTuple):
    """The pixels of a label image at which two cells touch.

    Attributes
    ----------
    shape
        Rows and columns of the label image.
    rows, cols
        ``(n,)`` where the pixels are.
    """

    shape: tuple[int, ...]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]


def find_seams(labels: NDArray[np.integer]) -> Seams:
    """Return the pixels of a label image that have another cell to the right, left, up or down."""
    touching = np.zeros(labels.shape, np.bool_)
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        one, other = labels[first], labels[second]
        touch = (one != other) & (one > 0) & (other > 0)
        touching[first] |= touch
        touching[second] |= touch
    rows, cols = np.nonzero(touching)
    return Seams(labels.shape, rows, cols)


def class_colormap(table: Mapping[int | None, Rgba], seams: Seams | None = None) -> ClassColormap:
    """The colormap of ``{label: RGBA}``, with the default colour under ``None``.

    Parameters
    ----------
    seams
        Where cells touch, to leave a line free there.
    """
    # Label 1 too, else napari takes an empty table for a wish for its random colours.
    colormap = ClassColormap(color_dict={None: _CLEAR, 0: _CLEAR, 1: _CLEAR})
    # The rest without validation: these are RGBA already, and checking thousands of them one by
    # one takes longer than drawing them.
    colormap.color_dict.update(table)
    return colormap.leave_free(seams)
