"""What a model learned from, in sentences: whole pictures or detected cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import BundleMismatchError

if TYPE_CHECKING:
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store.bundle import Bundle
    from napari_hemacells.core.types import Modality

LIKE_CONTEXT = 1.25  # times more or less of the picture that a cell fills: as it was learned
FEW_PICTURES = 20  # of which the extent of a cell is not measured well
CHECK = "Check some of its answers before you rely on them."


def describe_learned_from(bundle: Bundle) -> str:
    """Return what the model learned from, as the end of a sentence.

    Examples
    --------
    “whole pictures of one cell each, which fills 52 % of the picture's side”.
    """
    learned = bundle.learned_from
    if learned is None:
        return "pictures of unknown kind: an earlier version saved it and did not say which"
    texts = []
    if learned.kind in {"pictures", "both"}:
        share = f", which fills {1 / learned.context:.0%} of the side" if learned.context else ""
        texts.append(f"whole pictures of one cell each{share}")
    if learned.kind in {"cells", "both"}:
        size = f" of about {learned.diameter:.0f} pixels" if learned.diameter else ""
        texts.append(f"cells{size} found in images")
    return " and ".join(texts)


def other_kind_warning(bundle: Bundle, *, whole: bool) -> str:
    """Return a sentence where a model meets what it did not learn from; else an empty text.

    Parameters
    ----------
    whole
        Whether each picture counts as one cell; else cells were found in images.
    """
    learned = bundle.learned_from
    here = (
        "each picture counts as one cell" if whole else "it is asked about cells found in images"
    )
    if learned is None:
        return (
            f"The model “{bundle.name}” does not say whether it learned from whole pictures or "
            f"from detected cells (an earlier version saved it); here {here}. {CHECK}"
        )
    if learned.kind in {"both", "pictures" if whole else "cells"}:
        return ""
    return (
        f"The model “{bundle.name}” learned from {describe_learned_from(bundle)}; here {here}. "
        f"{CHECK}"
    )


def check_modality(bundle: Bundle, modality: Modality) -> None:
    """Refuse to ask a model of thermograms about stained cells, and the reverse.

    Raises
    ------
    BundleMismatchError
        With what it learned from.
    """
    learned = bundle.learned_from
    if learned is None or learned.modality == modality:
        return
    kinds = {"temperature": "thermograms", "colour": "colour pictures"}
    raise BundleMismatchError(
        f"The model “{bundle.name}” learned from {kinds[learned.modality]}, these are "
        f"{kinds[modality]}: choose another model."
    )


def match_framing(bundle: Bundle, pictures: CellPictures) -> str:
    """Frame pictures as those were that the model learned from; return a sentence if it matters.

    Where cells fill the pictures about as much as they did, or the pictures are too few to
    measure it, the model's own framing is used, so that the class of a picture does not depend on
    the others. Elsewhere the pictures are cropped so that the cells are as large as they were.
    """
    learned = bundle.learned_from
    if pictures.modality == "temperature" or learned is None or not learned.context:
        return ""
    if len(pictures) < FEW_PICTURES:
        pictures.context = learned.context
        return ""
    sentence = framing_warning(bundle, pictures.context)
    if not sentence:
        pictures.context = learned.context
    return sentence


def framing_warning(bundle: Bundle, context: float) -> str:
    """Return a sentence where cells fill whole pictures much more or less than those learned from.

    Parameters
    ----------
    context
        Of the pictures here, as of :class:`~napari_hemacells.core.types.LearnedFrom`.
    """
    learned = bundle.learned_from
    if learned is None or learned.kind == "cells" or not learned.context:
        return ""
    ratio = max(context / learned.context, learned.context / context)
    if ratio < LIKE_CONTEXT:
        return ""
    return (
        f"The cells fill about {1 / context:.0%} of the side of these pictures, and "
        f"{1 / learned.context:.0%} of those that the model “{bundle.name}” learned from: the "
        "pictures are cropped to match. Look at some crops, and check some answers."
    )
