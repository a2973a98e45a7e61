"""What a model says of pictures of one cell each: embedded, classified, as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.encode.embed_collection import embed_collection_steps
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.store.bundle import check_compatible
from napari_hemacells.core.store.learned_from import check_modality
from napari_hemacells.core.store.tables import add_kinds
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.encode import EmbeddingCache, Encoder
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store.bundle import Bundle
    from napari_hemacells.core.types import Embeddings, Prediction, Progress

DIGITS = 6  # decimals of a probability: more than any of them is worth
AT_ONCE = 4096  # pictures; bounds the memory for comparing them with the training cells


def classify_pictures_steps(
    pictures: CellPictures,
    bundle: Bundle,
    encoder: Encoder,
    cache: EmbeddingCache | None = None,
    *,
    numbers: Iterable[int] | None = None,
    batch_size: int = 32,
) -> Generator[Progress, None, Prediction]:
    """Return the classes of the pictures that can be read; yield while they are embedded.

    Frame the pictures before with :func:`~.learned_from.match_framing`.

    Raises
    ------
    BundleMismatchError
        Another encoder than the model's, or thermograms for a model of colours, or the reverse.
    ImageError
        Not one picture can be read.
    """
    check_modality(bundle, pictures.modality)
    check_compatible(bundle, encoder.info, bundle.spec)
    embeddings = yield from embed_collection_steps(
        pictures,
        bundle.spec,
        encoder,
        cache,
        numbers=numbers,
        batch_size=batch_size,
        like=bundle.encoder,
    )
    if not len(embeddings):
        reasons = list(pictures.unreadable.values())
        raise ImageError(f"None of the pictures can be read. {reasons[0] if reasons else ''}")
    return _predict_in_portions(bundle, embeddings)


def _predict_in_portions(bundle: Bundle, embeddings: Embeddings) -> Prediction:
    """Return the prediction; each picture's is its own, whatever is asked beside it."""
    parts = [
        bundle.head.predict(
            replace(
                embeddings,
                ids=embeddings.ids[start : start + AT_ONCE],
                vectors=embeddings.vectors[start : start + AT_ONCE],
            )
        )
        for start in range(0, len(embeddings), AT_ONCE)
    ]
    unknown = [part.unknown for part in parts if part.unknown is not None]
    verdicts = [part.is_unknown for part in parts if part.is_unknown is not None]
    return replace(
        parts[0],
        ids=embeddings.ids,
        probabilities=np.concatenate([part.probabilities for part in parts]),
        unknown=np.concatenate(unknown) if unknown else None,
        is_unknown=np.concatenate(verdicts) if verdicts else None,
    )


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
    ``predicted`` (the most probable class of an unknown one too) and ``file``. Where classes are
    within kinds, also ``kind`` and ``kind_confidence`` (:func:`~.tables.add_kinds`).

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
    order = {class_id: column_index for column_index, class_id in enumerate(palette.ids)}
    for column_index in sorted(
        range(len(names)), key=lambda index: order[prediction.class_ids[index]]
    ):
        single = len(names) == 1  # that its probability is 1 says nothing
        column = prediction.confidence if single else prediction.probabilities[:, column_index]
        table[f"p_{names[column_index]}"] = _rounded(column)
    if prediction.is_unknown is not None:
        table["is_unknown"] = prediction.is_unknown
    table["predicted"] = _text(predicted)
    if palette.parents:
        add_kinds(table, palette.kind_names)
    table["file"] = _text(str(pictures.path(number)) for number in ids)
    return table


def _rounded(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.round(values.astype(np.float64), DIGITS), dtype=np.float64)


def _text(values: object) -> pd.Series:
    return pd.Series(list(values), dtype="str")  # type: ignore[call-overload]
