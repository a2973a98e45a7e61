"""Results as tables: a row a cell, and counts by class.

The one class that is shown for a cell: the user's word, else the prediction, else the kind.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.annotate.cell_edits import ORIGIN, with_origin
from napari_hemacells.core.types import CELL_COLUMNS, NOT_A_CELL, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.annotate.state import Annotation
    from napari_hemacells.core.types import Cells, Prediction, SmearImage


def predicted_classes(prediction: Prediction | None) -> dict[int, str]:
    """Class id of the most probable class, by cell id."""
    if prediction is None or not prediction.class_ids:
        return {}
    return {
        int(cell): prediction.class_ids[column]
        for cell, column in zip(prediction.ids, prediction.predicted_column, strict=True)
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
    kinds = {cell_class.name: cell_class.id for cell_class in palette}
    shown = {}
    for cell, kind in zip(cells.ids.tolist(), cells.table["class"], strict=True):
        if cell in annotations:
            class_id: str | None = annotations[cell].class_id
        else:
            class_id = predicted.get(cell, kinds.get(kind))
        if class_id is not None and (class_id in palette or class_id == UNKNOWN):
            shown[cell] = class_id
    return shown


UNCLASSIFIED = "(no class)"
KIND, KIND_CONFIDENCE = "kind", "kind_confidence"
FILE = "file"  # column of the cells of a folder of pictures


def detected_table(cells: Cells) -> pd.DataFrame:
    """A row a cell as detected: exactly ``CELL_COLUMNS``; ``class`` is the detector's kind."""
    return cells.table[list(CELL_COLUMNS)].copy()


def cells_table(
    image: SmearImage,
    cells: Cells,
    annotations: Mapping[int, Annotation],
    prediction: Prediction | None,
    palette: Palette,
    *,
    with_image: bool = True,
) -> pd.DataFrame:
    """A row a cell: where it is, what the user and what the model say.

    Columns: ``image`` (if asked for; of a folder of pictures each one's path in it),
    ``CELL_COLUMNS``, ``annotated`` and ``predicted`` (class
    names, ``""`` without one), ``confidence`` (probability of the predicted class), where the
    head can tell ``unknown`` (how far from everything annotated) and ``is_unknown`` (whether too
    far for any class), and ``p_<class name>`` for each class of the prediction. ``class`` is
    what is shown on the screen: the user's word, else the prediction or ``(unknown)``, else the
    detector's kind. Cells that the prediction does not cover have NaN, as all have where there is
    one class alone: that its probability is 1 says nothing. Zero cells give zero rows
    and all columns. Where cells were corrected by hand, ``origin`` after ``area`` says which:
    ``detected``, ``added``, ``split`` or ``merged``. ``restandardised`` is there, and true, where
    the image's embeddings were. Where classes are within kinds, see :func:`add_kinds`.
    """
    table = detected_table(cells)
    if ORIGIN in cells.table:
        table[ORIGIN] = with_origin(cells).table[ORIGIN].to_numpy()
    names = {cell_class.id: cell_class.name for cell_class in palette} | {UNKNOWN: UNKNOWN}
    shown = shown_classes(cells, annotations, prediction, palette)
    annotated_classes = {cell: annotations[cell].class_id for cell in annotations}
    ids = cells.ids.tolist()
    kinds = table["class"].tolist()
    table["class"] = _text(
        names[shown[cell]] if cell in shown else kind
        for cell, kind in zip(ids, kinds, strict=True)
    )
    table["annotated"] = _text(names.get(annotated_classes.get(cell, ""), "") for cell in ids)
    predicted = predicted_classes(prediction)
    table["predicted"] = _text(names.get(predicted.get(cell, ""), "") for cell in ids)
    table["confidence"] = _align_to_table(
        cells, prediction, None if prediction is None else prediction.confidence
    )
    if prediction is not None and prediction.unknown is not None:
        table["unknown"] = _align_to_table(cells, prediction, prediction.unknown)
        table["is_unknown"] = _unknown_flags(cells, prediction)
    for class_id in palette.ids:
        if prediction is not None and class_id in prediction.class_ids:
            column = prediction.probabilities[:, prediction.class_ids.index(class_id)]
            if len(prediction.class_ids) == 1:
                column = prediction.confidence  # of one class alone, none
            table[f"p_{names[class_id]}"] = _align_to_table(cells, prediction, column)
    if prediction is not None and prediction.restandardised:
        table["restandardised"] = True
    if palette.parents:
        add_kinds(table, palette.kind_names)
    if with_image:
        names_of_files = cells.table[FILE] if FILE in cells.table else [image.name] * len(table)
        table.insert(0, "image", _text(names_of_files))
    return table


def add_kinds(table: pd.DataFrame, kind_names: Mapping[str, str]) -> None:
    """Add the kind of each cell to a table, in place.

    ``kind``, after ``class``, is the kind of the class shown; ``kind_confidence``, after
    ``confidence``, is the probability of the predicted kind, the sum of its classes'. It is NaN
    where nothing is predicted, and where there is one kind alone.

    Parameters
    ----------
    table
        With the columns ``class``, ``confidence`` and, as far as known, ``predicted`` and
        ``p_<class>``.
    kind_names
        The name of each class's kind, by its name (:attr:`.Palette.kind_names`).
    """
    shown = table["class"].tolist()
    columns: dict[str, list[str]] = {}
    for name, kind in kind_names.items():
        if f"p_{name}" in table:
            columns.setdefault(kind, []).append(f"p_{name}")
    of_kind = {
        kind: table[names].to_numpy(np.float64).sum(axis=1) for kind, names in columns.items()
    }
    sure = np.full(len(table), np.nan)
    if len(of_kind) > 1 and "predicted" in table:
        for row, name in enumerate(table["predicted"].tolist()):
            if kind_names.get(name) in of_kind:
                sure[row] = of_kind[kind_names[name]][row]
    kinds = _text(kind_names.get(name, name) for name in shown)
    table.insert(list(table.columns).index("class") + 1, KIND, kinds)
    table.insert(list(table.columns).index("confidence") + 1, KIND_CONFIDENCE, sure.round(6))


def counts_table(table: pd.DataFrame, palette: Palette) -> pd.DataFrame:
    """Columns ``class``, ``annotated``, ``predicted``, ``detected``, ``total``; last their sum.

    ``annotated`` counts the user's word, ``predicted`` the model's on the cells that the user said
    nothing about, ``detected`` the detector's kind where neither said anything, so that they sum
    to ``total``, no cell counts twice, and ``total`` is what the column ``class`` of the table
    says. Cells called unknown, and cells with no class of the palette, have a row of their own if
    there are any. What is no cell has its row and is in no sum.

    Parameters
    ----------
    table
        From :func:`cells_table`, of one image or of several below one another.
    """
    names = [cell_class.name for cell_class in palette]
    by_user = table["annotated"] != ""
    unknown = ~by_user & (table["class"] == UNKNOWN)
    by_model = ~by_user & ~unknown & (table["predicted"] != "")
    by_detector = ~by_user & ~unknown & ~by_model & table["class"].isin(names)
    counted = [Counter(table.loc[rows, "class"]) for rows in (by_user, by_model, by_detector)]
    numbers = {name: [counts.get(name, 0) for counts in counted] for name in names}
    rest = int((~by_user & ~by_model & ~by_detector & ~unknown).sum())
    lines: list[tuple[Any, ...]] = [(name, *own, sum(own)) for name, own in numbers.items()]
    lines += [
        (name, 0, 0, 0, count)
        for name, count in ((UNKNOWN, int(unknown.sum())), (UNCLASSIFIED, rest))
        if count
    ]
    counted_lines = [line for line in lines if line[0] != NOT_A_CELL]
    sums = [sum(line[column] for line in counted_lines) for column in (1, 2, 3, 4)]
    lines.append(("Total", *sums))
    return pd.DataFrame(lines, columns=["class", "annotated", "predicted", "detected", "total"])


def _text(values: Iterable[str]) -> pd.Series:
    return pd.Series(list(values), dtype="str")


def _unknown_flags(cells: Cells, prediction: Prediction) -> NDArray[np.bool_]:
    """Which cells of the table are too far for any class, however they are shown."""
    if prediction.is_unknown is None:
        return np.zeros(len(cells), dtype=np.bool_)
    return np.isin(cells.ids, prediction.ids[prediction.is_unknown])


def _align_to_table(
    cells: Cells, prediction: Prediction | None, values: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Values of the prediction's cells in the order of the table, NaN for the others."""
    spread = np.full(len(cells), np.nan)
    if prediction is None or values is None:
        return spread
    position = cells.position
    for cell, value in zip(prediction.ids.tolist(), values, strict=True):
        if cell in position:
            spread[position[cell]] = value
    return spread
