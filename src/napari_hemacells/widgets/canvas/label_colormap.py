"""A direct label colormap that stays fast for thousands of cells."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.layers import CellColourCodes, Rgba

_CLEAR = np.zeros(4, dtype=np.float32)
_MAX_LABEL = 2**20  # a table of one byte for each label up to there is small
_MAX_COLOURS = 255  # that napari keeps in one byte
_ROWS = 64  # of the image looked up at once: they stay in the processor's cache


class ClassColormap(DirectLabelColormap):  # type: ignore[misc]  # napari is not typed for us
    """A colour for each label, kept as tuples, which napari hashes faster than arrays.

    Labels are looked up in an array: napari's own dictionary takes ten times as long for an image
    of five megapixels, at every click.
    """

    _seams: Seams | None = PrivateAttr(None)

    def leave_free(self, seams: Seams | None) -> ClassColormap:
        """Leave these pixels free from now on; return this colormap."""
        self._seams = seams
        return self

    def map(self, values: Any) -> Any:
        """Return colours as arrays: napari's controls compute with the selected label's."""
        lookup = self._lookup
        if isinstance(values, np.ndarray) and lookup is not None and not self.use_selection:
            colours = self._label_mapping_and_color_dict[1]
            rows = np.array([colours[code] for code in range(len(colours))], dtype=np.float32)
            return rows[_looked_up(lookup, values)]
        return np.asarray(super().map(values), dtype=np.float32)

    def _map_without_cache(self, values: Any) -> Any:
        """The colours of all bytes without napari's loop, which is compiled for seconds first."""
        if self._lookup is None or self.use_selection:
            return super()._map_without_cache(values)
        return self.map(values)

    def _data_to_texture(self, values: Any) -> Any:
        """Leave a line free between cells that touch: two of one class would be one blot."""
        texture, seams = self._texture(values), self._seams
        if seams is None or values.shape != seams.shape or not len(seams.rows):
            return texture
        texture = np.array(texture)
        texture[seams.rows, seams.cols] = self._texture(np.zeros(1, values.dtype))[0]
        return texture

    def _texture(self, values: Any) -> Any:
        lookup = self._lookup
        small = not isinstance(values, np.ndarray) or values.itemsize <= 2
        if small or lookup is None or self.use_selection:
            return super()._data_to_texture(values)
        return _looked_up(lookup, values)

    @cached_property
    def _lookup(self) -> NDArray[np.uint8] | None:
        """Code of the colour of each label, as napari numbers them; ``None`` for too many."""
        codes = self._label_mapping_and_color_dict[0]
        labels = np.array([label for label in codes if label is not None], dtype=np.int64)
        last, first = labels.max(initial=0), labels.min(initial=0)
        if first < 0 or last > _MAX_LABEL or self._num_unique_colors + 2 > _MAX_COLOURS:
            return None
        lookup = np.zeros(last + 2, np.uint8)
        lookup[labels] = [code for label, code in codes.items() if label is not None]
        return lookup

    def _clear_cache(self) -> None:
        super()._clear_cache()
        self.__dict__.pop("_lookup", None)


def _looked_up(lookup: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Entries of the table for the labels; its last one, without colour, for those above it."""
    entries = np.empty(labels.shape, np.uint8)
    parts, found = np.atleast_1d(labels), np.atleast_1d(entries)
    for first in range(0, len(parts), _ROWS):
        part = slice(first, first + _ROWS)
        np.take(lookup, parts[part], mode="clip", out=found[part])
    return entries


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


def class_colormap(table: Mapping[int | None, Rgba]) -> ClassColormap:
    """The colormap of ``{label: RGBA}``, with the default colour under ``None``."""
    # Label 1 too, else napari takes an empty table for a wish for its random colours.
    colormap = ClassColormap(color_dict={None: _CLEAR, 0: _CLEAR, 1: _CLEAR})
    # The rest without validation: these are RGBA already, and checking thousands of them one by
    # one takes longer than drawing them.
    colormap.color_dict.update(table)
    return colormap


def coded_colormap(
    ids: NDArray[np.int64], shades: CellColourCodes, seams: Seams | None = None
) -> ClassColormap:
    """The colormap of labels whose colours are given as codes.

    Parameters
    ----------
    ids
        ``(n,)`` labels, above 0.
    shades
        The code of each label, and the colour of each code.
    seams
        Where cells touch, to leave a line free there.
    """
    labels, codes = ids.tolist(), shades.codes.tolist()
    colours = shades.table
    colormap = class_colormap(
        {None: colours[None], 0: colours[0]}
        | {label: colours[code] for label, code in zip(labels, codes, strict=True)}
    )
    # What napari would find out about these colours one by one, in its own numbers: 0 is the
    # colour of the rest, so that a code is one higher.
    listed_codes = shades.codes.astype(np.intp) + 1
    numbers = {None: 0, 0: 1} | dict(zip(labels, listed_codes.tolist(), strict=True))
    listed = {0: colours[None]} | {code + 1: colours[code] for code in range(len(colours) - 1)}
    last = int(ids.max(initial=0))
    if last <= _MAX_LABEL and len(listed) + 2 <= _MAX_COLOURS:
        lookup = np.zeros(last + 2, np.uint8)
        lookup[0], lookup[ids] = 1, listed_codes
        colormap.__dict__.update(
            _label_mapping_and_color_dict=(numbers, listed),
            _num_unique_colors=len(listed),
            _lookup=lookup,
        )
    return colormap.leave_free(seams)
