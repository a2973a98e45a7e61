"""The part of :mod:`napari_hemacells.api` for pictures of one cell each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.types import Cells, CropSpec, Embeddings, SmearImage

if TYPE_CHECKING:
    import pandas as pd

    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store import Bundle


def open_pictures(folder: str | Path, *, labels: str | Path | None = None) -> CellPictures:
    """Return the pictures of a folder and its sub-folders, one cell each, read when needed.

    Their numbers, from 1, stand for cell ids; ``.annotations()`` are the classes by sub-folder,
    or by a CSV of `labels` with the columns ``image`` and ``class``.

    Raises
    ------
    ImageError
        The folder holds no pictures, or the table cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 40), "pink").save(Path(folder, "a.png"))
    ...     open_pictures(folder).names
    ('a.png',)
    """
    from napari_hemacells.core.pictures import CellPictures, read_labels

    pictures = CellPictures.open(folder)
    if labels is not None:
        pictures.apply_labels(read_labels(Path(labels)))
    return pictures


def embed_pictures(pictures: CellPictures, *, encoder: str = "bundled") -> Embeddings:
    """Return one vector per readable picture, for :func:`fit`; `encoder` as of :func:`embed`.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 40), "pink").save(Path(folder, "a.png"))
    ...     len(embed_pictures(open_pictures(folder)))
    1
    """
    from napari_hemacells.core.encode import embed_collection_steps, load_encoder
    from napari_hemacells.core.types.progress import run_to_end

    return run_to_end(embed_collection_steps(pictures, CropSpec(), load_encoder(encoder)))


def classify_pictures(model: Bundle, pictures: CellPictures) -> pd.DataFrame:
    """Return a row per picture: class, confidence, unknown, probability of each class.

    What could not be read has no row and is in ``pictures.unreadable``.

    Raises
    ------
    BundleError
        The model's encoder is missing, or it learned from thermograms and these are colours, or
        the reverse.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("pink", "purple"):
    ...         Image.new("RGB", (40, 40), name).save(Path(folder, f"{name}.png"))
    ...     pictures = open_pictures(folder)
    ...     model = fit(embed_pictures(pictures), {1: "pale", 2: "dark"})
    ...     classify_pictures(model, pictures)["predicted"].tolist()
    ['pale', 'dark']
    """
    from napari_hemacells.core import store
    from napari_hemacells.core.types.progress import run_to_end

    store.match_framing(model, pictures)
    steps = store.classify_pictures_steps(pictures, model, model.make_encoder())
    return store.pictures_table(pictures, run_to_end(steps), model.palette)


def whole_picture(image: SmearImage) -> Cells:
    """Return a picture of one cell as its only cell; a CellsError for a slide.

    Examples
    --------
    >>> import numpy as np
    >>> len(whole_picture(open_image(np.zeros((20, 30, 3), np.uint8))))
    1
    """
    from napari_hemacells.core.pictures import whole_picture as as_cell

    return as_cell(image)
