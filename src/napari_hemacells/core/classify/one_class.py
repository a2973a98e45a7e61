"""What a classifier of a single class may say: nothing against what the detector found.

A head that knows one class takes every cell for it. That is no answer for a cell which the
detector found to be of another kind, nor for one of which nothing else is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_hemacells.core.types import Cells, Prediction


def without_contradictions(
    prediction: Prediction, cells: Cells, class_name: str, annotated: Iterable[int] = ()
) -> Prediction:
    """Return the prediction of several classes as it is, of one class for cells of its kind only.

    Parameters
    ----------
    class_name
        The name of the only class.
    annotated
        Ids of the cells of this image that were given the class; the detector's kinds of these
        are kinds of the class.
    """
    if len(prediction.class_ids) != 1:
        return prediction
    kind = dict(zip(cells.ids.tolist(), cells.table["class"], strict=True))
    kinds = {class_name, *(kind.get(cell, "") for cell in annotated)} - {""}
    kept = [kind.get(cell, "") in kinds for cell in prediction.ids.tolist()]
    return prediction.of(np.array(kept, dtype=np.bool_))
