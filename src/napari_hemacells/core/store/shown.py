"""The one class that is shown for a cell: the user's word, else the prediction, else the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.annotate.state import Annotation
    from napari_hemacells.core.types import Cells, Prediction


def predicted_classes(prediction: Prediction | None) -> dict[int, str]:
    """Class id of the most probable class, by cell id."""
    if prediction is None or not prediction.class_ids:
        return {}
    return {
        int(cell): prediction.class_ids[column]
        for cell, column in zip(prediction.ids, prediction.winner, strict=True)
    }


def shown_classes(
    cells: Cells,
    annotations: Mapping[int, Annotation],
    prediction: Prediction | None,
    palette: Palette,
) -> dict[int, str]:
    """Class id of every cell that has one, by cell id, in the order of the table.

    A cell that the classifier calls unknown is :data:`~napari_hemacells.core.types.UNKNOWN`,
    unless the prediction says that it be shown in its nearest class. A cell without annotation and
    prediction is shown as the kind the detector gave it, where the palette has a class of that
    name.
    """
    predicted = predicted_classes(prediction)
    if prediction is not None:
        predicted |= dict.fromkeys(prediction.ids[prediction.verdict].tolist(), UNKNOWN)
    kinds = {one.name: one.id for one in palette}
    shown = {}
    for cell, kind in zip(cells.ids.tolist(), cells.table["class"], strict=True):
        if cell in annotations:
            found: str | None = annotations[cell].class_id
        else:
            found = predicted.get(cell, kinds.get(kind))
        if found is not None and (found in palette or found == UNKNOWN):
            shown[cell] = found
    return shown
