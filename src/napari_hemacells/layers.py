"""Core objects to napari layer data and back: plain arrays, tables, colours and metadata.

Nothing here imports napari: the only class that touches the viewer
(:mod:`napari_hemacells.widgets.canvas.viewer_bridge`) passes these to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.types import Cells, Prediction

METADATA_KEY = "napari-hemacells"
"""Everything of ours that a layer carries is under this one metadata key."""

Role: TypeAlias = Literal[
    "image", "cells", "found", "marker", "heat", "annotators", "consensus", "disagreements"
]  # fmt: skip
DisplayMode: TypeAlias = Literal["image", "class", "confidence", "odd"]
DISPLAY_MODES: tuple[DisplayMode, ...] = ("image", "class", "confidence", "odd")
ODD_COLOUR = "#00e5ff"
"""Colour of odd cells: a cyan that no stain and no class of ours has."""

# A tuple, not an array: napari hashes the colour of every cell at each change of the colormap,
# and turning 5,000 small arrays into tuples takes longer than all the rest of a click.
Rgba: TypeAlias = tuple[float, float, float, float]

_CLEAR: Rgba = (0.0, 0.0, 0.0, 0.0)
_UNCLASSIFIED: Rgba = (1.0, 1.0, 1.0, 0.28)
_ANNOTATED_ALPHA, _PREDICTED_ALPHA, _UNKNOWN_ALPHA = 0.95, 0.5, 0.85
_WHITE: Rgba = (1.0, 1.0, 1.0, 1.0)
_CONFIDENCE_STEPS = 64
_ODD_ALPHA = 0.6
_NOT_ODD: Rgba = (1.0, 1.0, 1.0, 0.1)


def role_metadata(role: Role, image_key: str) -> dict[str, Any]:
    """Metadata that marks a layer as ours, whatever the user calls it."""
    return {METADATA_KEY: {"role": role, "image_key": image_key}}


def claimed_metadata(metadata: Mapping[str, Any], image_key: str) -> dict[str, Any]:
    """The metadata of the image layer in use; the layer's other metadata of ours is kept."""
    mine = metadata.get(METADATA_KEY)
    known = mine if isinstance(mine, dict) else {}
    return {**metadata, METADATA_KEY: {**known, "role": "image", "image_key": image_key}}


def released_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of an image layer no longer in use; that it shows °C is kept."""
    mine = metadata[METADATA_KEY]
    rest = {name: value for name, value in mine.items() if name != "image_key"}
    others = {name: value for name, value in metadata.items() if name != METADATA_KEY}
    return {**others, METADATA_KEY: rest} if rest.get("modality") else others


def role_of(metadata: Mapping[str, Any]) -> Role | None:
    """The role of a layer for this plugin; ``None`` for any other layer."""
    ours = metadata.get(METADATA_KEY)
    return ours.get("role") if isinstance(ours, dict) else None


def known_classes(
    cells: Cells, annotated: Mapping[int, str], prediction: Prediction | None
) -> list[str | None]:
    """The class id of each cell, in table order: the annotation, else the prediction.

    ``UNKNOWN`` if the classifier finds a cell too far from all classes. Exports then fall back on
    the detector's class, as the outlines after detection do
    (:func:`napari_hemacells.core.store.tables.shown_classes`).
    """
    shown: list[str | None] = [None] * len(cells)
    if prediction is not None:
        places, known = _places(cells, prediction.ids)
        columns = np.zeros(len(cells), np.intp)
        columns[places] = prediction.predicted_column[known] + 2
        columns[places[prediction.verdict[known]]] = 1
        shown = np.array([None, UNKNOWN, *prediction.class_ids], object)[columns].tolist()
    for cell, class_id in annotated.items():
        position = cells.position.get(cell)
        if position is not None:
            shown[position] = class_id
    return shown


def confidences(
    cells: Cells, annotated: Mapping[int, str], prediction: Prediction | None
) -> NDArray[np.float32]:
    """``(n,)`` confidence of each cell in table order; 1 if annotated, NaN if there is none."""
    values = np.full(len(cells), np.nan, dtype=np.float32)
    if prediction is not None:
        places, known = _places(cells, prediction.ids)
        values[places] = prediction.confidence[known]
    places, _ = _places(cells, np.fromiter(annotated, dtype=np.int64, count=len(annotated)))
    values[places] = 1.0
    return values


def _places(cells: Cells, ids: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows in the table of those ids that exist, and which ids these are."""
    if len(ids) == len(cells) and np.array_equal(ids, cells.ids):  # as after every fit
        return np.arange(len(ids)), np.ones(len(ids), dtype=np.bool_)
    places = np.searchsorted(cells.ids, ids)
    known = np.zeros(len(ids), dtype=np.bool_)
    inside = places < len(cells)
    known[inside] = cells.ids[places[inside]] == ids[inside]
    return places[known], known


def layer_features(
    cells: Cells,
    annotated: Mapping[int, str],
    prediction: Prediction | None,
    palette: Palette,
) -> pd.DataFrame:
    """One row per cell for ``layer.features``: napari joins it to the labels by ``index``.

    Columns: ``index`` (the cell's id), ``class`` (as shown, ``(unknown)`` for no known class),
    ``confidence`` (0 to 1, NaN where nothing was predicted, or from too few annotations to show
    it), ``annotated`` and ``predicted`` (names, ``""`` for none; the nearest class of an unknown
    cell), ``detected_as`` (the detector's class), ``area`` (px).
    """
    names = {cell_class.id: cell_class.name for cell_class in palette.classes} | {UNKNOWN: UNKNOWN}
    nearest = None if prediction is None else replace(prediction, nearest=True)
    predicted = known_classes(cells, {}, nearest)
    shown = known_classes(cells, annotated, prediction)
    sure = confidences(cells, annotated, prediction).astype(np.float64)
    if prediction is not None and prediction.too_few:
        sure[sure < 1] = np.nan  # napari shows this number in its status bar
    return pd.DataFrame(
        {
            "index": cells.ids,
            "class": [names.get(class_id or "", "") for class_id in shown],
            # In double precision: napari leaves out what is NaN of these alone.
            "confidence": sure,
            "annotated": [names.get(annotated.get(int(cell), ""), "") for cell in cells.ids],
            "predicted": [names.get(class_id or "", "") for class_id in predicted],
            "detected_as": cells.table["class"].to_numpy(),
            "area": cells.table["area"].to_numpy(),
        }
    )


class CellColourCodes(NamedTuple):
    """Colours of a large number of cells: a code for each cell, and the colour of each code.

    Attributes
    ----------
    codes
        ``(n,)`` unsigned, in table order; 0 is clear.
    table
        The colour of each code, including 0, and of ``None`` for the rest.
    """

    codes: NDArray[np.unsignedinteger]
    table: dict[int | None, Rgba]


def colour_codes(
    cells: Cells,
    annotated: Mapping[int, str],
    prediction: Prediction | None,
    palette: Palette,
    mode: DisplayMode = "class",
    *,
    odd: Sequence[int] = (),
) -> CellColourCodes:
    """Return the colour of each cell, as codes: 100,000 cells take some milliseconds.

    Annotated cells are nearly opaque, predicted ones half: the user's own word stands out.
    Unknown cells have a colour of their own. In ``"image"`` mode every cell is clear; in
    ``"odd"`` mode the cells of `odd` that nobody annotated have a colour, and the others hardly.
    """
    if mode == "image":
        return _colour_codes_of(np.zeros(len(cells), np.int64), [])
    if mode == "odd":
        places, _ = _places(cells, np.sort(np.asarray(odd, dtype=np.int64)))
        codes = np.ones(len(cells), np.int64)
        codes[places] = 2
        mine, _ = _places(cells, np.fromiter(annotated, np.int64, len(annotated)))
        codes[mine] = 1
        return _colour_codes_of(codes, [_NOT_ODD, rgba(ODD_COLOUR, _ODD_ALPHA)])
    if mode == "confidence":
        values = _shown_confidences(cells, annotated, prediction)
        return _colour_codes_of(_steps(values) + 3, [_UNKNOWN, _UNCLASSIFIED, *confidence_scale()])
    order = {cell_class.id: index for index, cell_class in enumerate(palette.classes)}
    codes = np.ones(len(cells), np.int64)
    if prediction is not None:
        columns = np.array(
            [2 * order[known_id] + 3 if known_id in order else 1
             for known_id in prediction.class_ids]
        )  # fmt: skip
        places, known = _places(cells, prediction.ids)
        codes[places] = columns[prediction.predicted_column[known]]
        codes[places[prediction.verdict[known]]] = 2
    for cell, class_id in annotated.items():
        position = cells.position.get(cell)
        if position is not None and class_id in order:
            codes[position] = 2 * order[class_id] + 4
    pairs = [
        rgba(cell_class.colour, alpha)
        for cell_class in palette.classes
        for alpha in (_PREDICTED_ALPHA, _ANNOTATED_ALPHA)
    ]
    return _colour_codes_of(codes, [_UNCLASSIFIED, _UNKNOWN, *pairs])


def detected_colour_codes(cells: Cells, palette: Palette) -> CellColourCodes:
    """Return each cell in the colour of the detector's class; white if that is not a class."""
    import pandas as pd

    codes, kinds = pd.factorize(cells.table["class"].astype(object), sort=True)
    known = {cell_class.name: rgba(cell_class.colour) for cell_class in palette}
    return _colour_codes_of(codes + 1, [known.get(kind, _WHITE) for kind in kinds.tolist()])


def _colour_codes_of(codes: NDArray[np.int64], used: Sequence[Rgba]) -> CellColourCodes:
    table: dict[int | None, Rgba] = {None: _CLEAR, 0: _CLEAR}
    table.update(enumerate(used, start=1))
    return CellColourCodes(codes.astype(np.min_scalar_type(len(used))), table)


def _shown_confidences(
    cells: Cells, annotated: Mapping[int, str], prediction: Prediction | None
) -> NDArray[np.float32]:
    """``(n,)`` as :func:`confidences`, and below 0 if the cell is unknown."""
    values = confidences(cells, annotated, prediction)
    if prediction is not None and prediction.verdict.any():
        places, known = _places(cells, prediction.ids)
        places = places[prediction.verdict[known]]
        mine = np.isin(cells.ids[places], np.fromiter(annotated, np.int64, len(annotated)))
        values[places[~mine]] = -1.0
    return values


def _steps(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """``(n,)`` step of confidence, 0 to 63; -1 if there is none, -2 if the cell is unknown."""
    steps = np.nan_to_num(values * (_CONFIDENCE_STEPS - 1), nan=-1.0).round()
    return np.where(values < 0, -2, steps).astype(np.int64)


def confidence_scale() -> list[Rgba]:
    """Return the colours of the confidence in equal steps from 0 to 1."""
    from matplotlib import colormaps

    table = colormaps["viridis"](np.linspace(0, 1, _CONFIDENCE_STEPS))
    return [(red, green, blue, 0.75) for red, green, blue, _ in table.tolist()]


def rgba(colour: str, alpha: float = 1.0) -> Rgba:
    """``"#rrggbb"`` as four floats from 0 to 1."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue, alpha


_UNKNOWN = rgba(UNKNOWN_COLOUR, _UNKNOWN_ALPHA)


def format_cell_status(features_row: pd.Series | None) -> str:
    """One line for the status bar: ``cell 12: Lymphocyte 87 %``."""
    if features_row is None:
        return ""
    cell = int(features_row["index"])
    name = features_row["class"]
    if not name:
        return f"cell {cell}: not classified yet"
    if features_row["annotated"]:
        return f"cell {cell}: {name} (yours)"
    if name == UNKNOWN:
        return f"cell {cell}: unknown, nearest {features_row['predicted']}"
    confidence = float(features_row["confidence"])
    return f"cell {cell}: {name}{format_confidence(confidence)}"


def format_confidence(confidence: float) -> str:
    """Return a blank and the confidence, empty where there is none: with one class alone.

    Examples
    --------
    >>> format_confidence(0.874), format_confidence(float("nan"))
    (' 87%', '')
    """
    return "" if np.isnan(confidence) else f" {confidence:.0%}"
