"""A direct label colormap that stays fast for thousands of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap, _accelerated_cmap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.layers import Rgba

_CLEAR = np.zeros(4, dtype=np.float32)
_LARGEST = 2**15  # label with a colour of its own: the look-up table is that long


class ClassColormap(DirectLabelColormap):  # type: ignore[misc]  # napari is not typed for us
    """A colour for each label, stored as tuples, which napari hashes faster than arrays.

    Looked up with numpy: napari's own look-up is compiled by numba when the first cells are
    drawn, for which the window stands still for seconds (13 s on a busy computer).
    """

    def map(self, values: Any) -> Any:
        """Return colours as arrays, as napari's controls need them; ``(…, 4)`` float32."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
            return self._colours(values)
        return np.asarray(super().map(values), dtype=np.float32)

    def _colours(self, values: NDArray[Any]) -> NDArray[np.float32]:
        labels, places = np.unique(values, return_inverse=True)
        default = np.asarray(self.default_color, dtype=np.float32)
        shown = [not self.use_selection or label == self.selection for label in labels.tolist()]
        colours = [
            np.asarray(self.color_dict.get(label, default), np.float32) if visible else _CLEAR
            for label, visible in zip(labels.tolist(), shown, strict=True)
        ]
        table = np.array(colours, dtype=np.float32).reshape(-1, 4)
        return table[places].reshape(*values.shape, 4)

    # napari's, private: should it be called otherwise one day, that one works as well, slowly.
    def _map_without_cache(self, values: Any) -> Any:
        return self._colours(np.asarray(values))

    def _data_to_texture(self, values: Any) -> Any:
        fast = getattr(_accelerated_cmap, "_labels_raw_to_texture_direct_numpy", None)
        wide = isinstance(values, np.ndarray) and values.ndim > 0 and values.itemsize > 2
        largest = max((label for label in self.color_dict if label is not None), default=0)
        if fast is None or not wide or largest > _LARGEST:
            return super()._data_to_texture(values)
        return fast(values, self)


def class_colormap(table: Mapping[int | None, Rgba]) -> ClassColormap:
    """The colormap of ``{label: RGBA}``, with the default colour under ``None``."""
    # Label 1 too, else napari takes an empty table for a wish for its random colours.
    colormap = ClassColormap(color_dict={None: _CLEAR, 0: _CLEAR, 1: _CLEAR})
    # The rest without validation: these are RGBA already, and checking thousands of them one by
    # one takes longer than drawing them.
    colormap.color_dict.update(table)
    return colormap
