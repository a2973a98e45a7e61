"""A row per picture of one cell: which class a model gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.types import Prediction

DIGITS = 6  # decimals of a probability: more than any of them is worth


def pictures_table(
    pictures: CellPictures,
    prediction: Prediction,
    palette: Palette,
    groups: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """A row for each picture of the prediction, in its order.

    Columns: ``image`` (path in the folder), ``label`` (the picture's number), ``class`` as
    displayed, ``confidence`` of the most probable class, ``unknown`` (how far from everything
    learned) where the model can tell, ``group``, ``p_<class>`` for each class, ``is_unknown``,
    ``predicted`` (the most probable class of an unknown one too) and ``file``.

    Parameters
    ----------
    groups
        Patient or slide by picture; what the collection knows if not given.
    """
    ids = prediction.ids.tolist()
    names = [palette.by_id(class_id).name for class_id in prediction.class_ids]
    predicted = np.array(names, dtype=object)[prediction.predicted_column]
    by_picture = pictures.groups() if groups is None else groups
    table = pd.DataFrame(
        {
            "image": _text(pictures.entry(number).name for number in ids),
            "label": prediction.ids,
            "class": _text(np.where(prediction.verdict, UNKNOWN, predicted)),
            "confidence": _rounded(prediction.confidence),
        }
    )
    if prediction.unknown is not None:
        table["unknown"] = _rounded(prediction.unknown)
    table["group"] = _text(by_picture.get(number, "") for number in ids)
    order = {class_id: place for place, class_id in enumerate(palette.ids)}
    for place in sorted(range(len(names)), key=lambda one: order[prediction.class_ids[one]]):
        single = len(names) == 1  # that its probability is 1 says nothing
        column = prediction.confidence if single else prediction.probabilities[:, place]
        table[f"p_{names[place]}"] = _rounded(column)
    if prediction.is_unknown is not None:
        table["is_unknown"] = prediction.is_unknown
    table["predicted"] = _text(predicted)
    table["file"] = _text(str(pictures.path(number)) for number in ids)
    return table


def _rounded(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.round(values.astype(np.float64), DIGITS), dtype=np.float64)


def _text(values: object) -> pd.Series:
    return pd.Series(list(values), dtype="str")  # type: ignore[call-overload]
