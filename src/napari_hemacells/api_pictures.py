"""The part of :mod:`napari_hemacells.api` for pictures of one cell each, and crops of points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hemacells.core.types import Cells, CropSpec, Embeddings, SmearImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.store.point_crops import PointCropsReport


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


def crop_points(
    image: SmearImage,
    points: ArrayLike,
    size: int = 95,
    *,
    border: Literal["pad", "shift", "reject"] = "pad",
    enlarge: float = 1.0,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return crops of a fixed number of pixels around points, and which point each shows.

    Parameters
    ----------
    points
        ``(n, 2)`` rows and columns, as a napari Points layer has them in its ``data``.
    size
        Side in pixels.
    border
        Where a crop reaches beyond the image: ``"pad"`` mirrors the image there, ``"shift"``
        moves the crop into the image, ``"reject"`` leaves it out.
    enlarge
        The image is enlarged by so much first.

    Returns
    -------
    tuple
        ``(m, size, size, 3)`` uint8 crops, and ``(m,)`` places of their points.

    Raises
    ------
    CellsError
        A point outside of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hemacells import api
    >>> image = api.open_image(np.zeros((260, 340, 3), np.uint8), name="field")
    >>> crops, which = crop_points(image, [[100, 120], [5, 5]], 90)
    >>> crops.shape, which.tolist()
    ((2, 90, 90, 3), [0, 1])
    """
    import numpy as np

    from napari_hemacells.core.crop import crop_around_points, to_bytes

    cut = crop_around_points(
        image, np.asarray(points, dtype=np.float64), size, border=border, enlarge=enlarge
    )
    return to_bytes(cut.pixels), cut.points


def write_point_crops(
    points: str | Path,
    folder: str | Path,
    *,
    images: str | Path,
    sizes: Sequence[int] = (90, 95, 100, 128),
    **params: Any,
) -> PointCropsReport:
    r"""Write crops around the points of a table or of annotations, as ``hemacells crops`` does.

    Parameters
    ----------
    points
        A CSV with the columns image, row, column, class, or Pascal VOC, COCO or YOLO annotations.
    folder
        A new folder for class folders and the table ``crops.csv``.
    images
        Folder of the images.
    params
        Fields of :class:`~napari_hemacells.core.params.PointCropParams`: ``border``,
        ``enlarge``, ``check``, ``reach``, ``validation``, ``test``, ``seed``.

    Raises
    ------
    CellsError
        Points that fit no image, or no crop could be made.
    StorageError
        The folder is not empty or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (200, 150), "pink").save(Path(folder, "field.png"))
    ...     table = Path(folder, "points.csv")
    ...     _ = table.write_text("image,row,column,class\nfield.png,75,100,alive\n")
    ...     report = write_point_crops(table, Path(folder, "crops"), images=folder, sizes=[90])
    ...     sorted(path.name for path in Path(folder, "crops").rglob("*.csv"))
    ['crops.csv']
    """
    from napari_hemacells.core.params import PointCropParams
    from napari_hemacells.core.store import point_sources
    from napari_hemacells.core.store.point_crops import write_point_crops_steps
    from napari_hemacells.core.types.progress import run_to_end

    source, files = Path(points), point_sources.images_of_folder(Path(images))
    table = source.suffix.lower() == ".csv"
    read = point_sources.read_point_table if table else point_sources.read_annotated_points
    found = read(source, files)
    return run_to_end(
        write_point_crops_steps(
            found.images,
            Path(folder),
            sizes=sizes,
            params=PointCropParams(**params),
            notes=found.notes,
        )
    )
