"""A direct label colormap that stays fast for thousands of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.layers import Rgba

_CLEAR = np.zeros(4, dtype=np.float32)


class ClassColormap(DirectLabelColormap):  # type: ignore[misc]  # napari is not typed for us
    """A colour for each label, stored as tuples, which napari hashes faster than arrays."""

    def map(self, values: Any) -> Any:
        """Return colours as arrays, as napari's controls need them."""
        return np.asarray(super().map(values), dtype=np.float32)


def class_colormap(table: Mapping[int | None, Rgba]) -> ClassColormap:
    """The colormap of ``{label: RGBA}``, with the default colour under ``None``."""
    # Label 1 too, else napari takes an empty table for a wish for its random colours.
    colormap = ClassColormap(color_dict={None: _CLEAR, 0: _CLEAR, 1: _CLEAR})
    # The rest without validation: these are RGBA already, and checking thousands of them one by
    # one takes longer than drawing them.
    colormap.color_dict.update(table)
    return colormap
