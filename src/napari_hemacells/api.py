"""The public Python interface: the steps of the viewer and of the commands as functions.

Data flow one way: image → cells → crops → embeddings → classes. Axes are (row, column), boxes are
half-open ``(min_row, min_col, max_row, max_col)`` in pixels, and a cell's id is its value in the
label image. Heavy libraries are imported by the functions that need them.

Examples
--------
Detect the cells of an image, annotate a few, and classify all of them:

>>> from napari_hemacells import api
>>> smear = api.synthetic_smear(seed=4, shape=(260, 340), diameter=24)
>>> image = api.open_image(smear.image, name="field 1")
>>> cells = api.detect(image, method="classical")
>>> embeddings = api.embed(image, cells)
>>> first = cells.table.groupby("class")["label"].first()
>>> model = api.fit(embeddings, {int(cell): name for name, cell in first.items()})
>>> prediction = api.predict(model, embeddings)
>>> len(prediction.ids) == len(cells)
True
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.api_pictures import (
    classify_pictures,
    crop_points,
    embed_pictures,
    open_pictures,
    whole_picture,
    write_point_crops,
)
from napari_hemacells.core.types import Cells, CropSpec, Embeddings, Prediction, SmearImage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.evaluate import ClassificationScores, FewShotReport
    from napari_hemacells.core.params import DetectorName, DeviceName
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.samples.smear import SyntheticSmear

__all__ = [
    "Cells",
    "CropSpec",
    "Embeddings",
    "Prediction",
    "SmearImage",
    "classify_pictures",
    "crop",
    "crop_points",
    "detect",
    "embed",
    "embed_pictures",
    "evaluate",
    "evaluate_few_shot",
    "export_crops",
    "export_table",
    "fit",
    "learn_likeness",
    "load_model",
    "open_image",
    "open_pictures",
    "predict",
    "save_model",
    "synthetic_smear",
    "train",
    "whole_picture",
    "write_point_crops",
]


def synthetic_smear(
    seed: int = 0, shape: tuple[int, int] = (900, 1200), *, diameter: float = 44.0
) -> SyntheticSmear:
    """Return a rendered smear with its true cells, for trials and tests.

    Parameters
    ----------
    seed
        Determines stain, light and cell density; the same seed gives the same image.
    shape
        Rows and columns.
    diameter
        Diameter of a red cell in pixels.

    Examples
    --------
    >>> synthetic_smear(seed=1, shape=(120, 160), diameter=24).image.shape
    (120, 160, 3)
    """
    from napari_hemacells.samples import synthetic_smear as render

    return render(seed, shape, diameter=diameter)


def open_image(
    source: str | Path | Any,
    *,
    name: str = "",
    pixel_size_um: float | None = None,
    plane: str | int | None = None,
    channels: str | None = None,
) -> SmearImage:
    """Return the image of a file, an OME-Zarr folder or an array.

    Large files and dask or zarr arrays are read only where they are sliced.

    Parameters
    ----------
    source
        A path, or ``(rows, cols)`` or ``(rows, cols, 3)`` pixels; with `plane` or `channels` an
        array with more axes.
    name
        Name of an image made from an array; a file keeps its own name.
    pixel_size_um
        Micrometres per pixel of an array; a file brings its own.
    plane
        The plane of a stack, counted from 1: a number, or one for each axis, such as
        ``"t=2,z=5"``.
    channels
        The channels, counted from 1: one as grey (``"2"``), or three as red, green and blue
        (``"3,2,1"``).

    Raises
    ------
    ImageError
        The file cannot be read, or the array is not an image.
    ValueError
        A plane or channels of another form.

    Examples
    --------
    >>> import numpy as np
    >>> open_image(np.zeros((20, 30, 3), np.uint8), name="glass").pixels.shape
    (20, 30, 3)
    """
    from napari_hemacells.core.image import image_from_array, read_image
    from napari_hemacells.core.image.plane_selection import PlaneSelection

    selection = PlaneSelection.parse(plane, channels)
    if isinstance(source, str | Path):
        return read_image(source, selection=selection)
    return image_from_array(
        source, name or "array", pixel_size_um=pixel_size_um, selection=selection
    )


def detect(
    image: SmearImage, *, method: DetectorName = "learned", diameter: float | None = None
) -> Cells:
    """Detect the red cells, white cells and platelets of a smear.

    Parameters
    ----------
    image
        The result of :func:`open_image`.
    method
        ``"learned"`` is the bundled network; ``"classical"`` needs no PyTorch.
    diameter
        Diameter of a red cell in pixels; ``None`` estimates it from the image.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(260, 340), diameter=24)
    >>> cells = detect(open_image(smear.image), method="classical")
    >>> sorted(set(cells.table["class"]))
    ['Platelets', 'RBC', 'WBC']
    """
    from napari_hemacells.core.detect import detect as detect_cells
    from napari_hemacells.core.params import DetectParams

    return detect_cells(image, DetectParams(method=method, cell_diameter=diameter))


def crop(
    image: SmearImage, cells: Cells, spec: CropSpec | None = None, ids: Sequence[int] | None = None
) -> NDArray[Any]:
    """Return ``(n, size, size, 3)`` uint8 crops, one per cell, in the order of `ids`.

    Parameters
    ----------
    spec
        Side length in pixels, and margin around the cell.
    ids
        Ids of the cells to crop; ``None`` for all.

    Raises
    ------
    CellsError
        An id that is not among the cells.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(260, 340), diameter=24)
    >>> image = open_image(smear.image)
    >>> cells = detect(image, method="classical")
    >>> crop(image, cells, CropSpec(size=64), ids=[int(cells.ids[0])]).shape
    (1, 64, 64, 3)
    """
    from napari_hemacells.core.crop import extract_crops

    return extract_crops(image, cells, spec or CropSpec(), ids)


def embed(
    image: SmearImage,
    cells: Cells,
    *,
    encoder: str = "bundled",
    spec: CropSpec | None = None,
    device: DeviceName = "auto",
) -> Embeddings:
    """Return one vector per cell, ``(n, dim)`` float32.

    Parameters
    ----------
    encoder
        ``"bundled"``, ``"blood-2"``, ``"imagenet"``, ``"timm:NAME"``, or
        ``"file:PATH?arch=NAME"``.
    device
        ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"``.

    Raises
    ------
    EncoderError
        There is no such encoder, or the device cannot be used.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image)
    >>> cells = detect(image, method="classical")
    >>> len(embed(image, cells)) == len(cells)
    True
    """
    from napari_hemacells.core.encode import embed as embed_cells
    from napari_hemacells.core.encode import load_encoder

    return embed_cells(image, cells, spec or CropSpec(), load_encoder(encoder, device))


def fit(embeddings: Embeddings, labels: Mapping[int, str], *, name: str = "model") -> Bundle:
    """Fit a few-shot classifier to annotated cells and return the model.

    Parameters
    ----------
    embeddings
        The result of :func:`embed`.
    labels
        Class name of each annotated cell, by cell id.

    Raises
    ------
    CellsError
        An annotated cell has no embedding.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image)
    >>> cells = detect(image, method="classical")
    >>> model = fit(embed(image, cells), {int(cells.ids[0]): "RBC"})
    >>> [cell_class.name for cell_class in model.palette]
    ['RBC']
    """
    import numpy as np

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.classify import SupportSet
    from napari_hemacells.core.classify import fit as fit_head
    from napari_hemacells.core.errors import CellsError
    from napari_hemacells.core.store import Bundle

    rows = {int(cell): row for row, cell in enumerate(embeddings.ids)}
    if missing := sorted(set(labels) - set(rows)):
        raise CellsError(f"Cell {missing[0]} is annotated but has no embedding. Embed it first.")
    palette = Palette()
    for class_name in dict.fromkeys(labels.values()):
        palette = palette.add(class_name)
    class_ids = {cell_class.name: cell_class.id for cell_class in palette}
    vectors = np.asarray(embeddings.vectors[[rows[cell] for cell in labels]], np.float32)
    support_labels = tuple(class_ids[class_name] for class_name in labels.values())
    seen = embeddings.kinds
    kinds = () if seen is None else tuple(str(seen[rows[cell]]) for cell in labels)
    head = fit_head(
        SupportSet(vectors, support_labels, kinds),
        palette.ids,
        context=embeddings.vectors,
        context_kinds=seen,
        names={class_id: class_name for class_name, class_id in class_ids.items()},
    )
    tensors, meta = head.to_tensors()
    learned_from = embeddings.learned_from
    return Bundle(
        name=name,
        encoder=embeddings.encoder,
        spec=embeddings.spec,
        palette=palette,
        head_tensors=tensors,
        head_meta=meta,
        vectors=vectors,
        labels=support_labels,
        diameter=None if learned_from is None else learned_from.diameter,
        learned_from=learned_from,
    )


def learn_likeness(embeddings: Embeddings, labels: Mapping[int, str]) -> Likeness:
    """Learn from annotated cells how unlike two cells are, also of kinds nobody annotated.

    Parameters
    ----------
    embeddings
        The result of :func:`embed`.
    labels
        Class name of each annotated cell, by cell id. With fewer than two classes of two cells
        the encoder's own distance is returned; `learned_from` says so.

    Raises
    ------
    CellsError
        An annotated cell has no embedding.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image)
    >>> found = embed(image, detect(image, method="classical"))
    >>> likeness = learn_likeness(found, {})
    >>> distances = likeness.distances(found.vectors[:1], found.vectors)
    >>> bool(likeness.same(distances)[0, 0])  # a cell is of the same kind as itself
    True
    """
    from napari_hemacells.core.classify.verification import fit_likeness
    from napari_hemacells.core.errors import CellsError

    rows = embeddings.rows
    if missing := sorted(set(labels) - set(rows)):
        raise CellsError(f"Cell {missing[0]} is annotated but has no embedding. Embed it first.")
    vectors = embeddings.vectors[[rows[cell] for cell in labels]]
    return fit_likeness(vectors, list(labels.values()), encoder=embeddings.encoder)


def predict(model: Bundle, embeddings: Embeddings, cells: Cells | None = None) -> Prediction:
    """Return the class probabilities of cells, and which cells belong to no known class.

    A model of one class alone tells nothing apart: its ``confidence`` is NaN, and it predicts only
    those of `cells` that the detector found to be of that class; none without `cells`.

    Parameters
    ----------
    cells
        The cells that were embedded, with the detector's kinds; needed by a model of one class.

    Raises
    ------
    BundleMismatchError
        The embeddings were made with another encoder or other crops than the model's.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image)
    >>> cells = detect(image, method="classical")
    >>> embeddings = embed(image, cells)
    >>> model = fit(embeddings, {int(cells.ids[0]): "RBC", int(cells.ids[1]): "other"})
    >>> predict(model, embeddings).probabilities.shape == (len(cells), 2)
    True
    """
    import numpy as np

    from napari_hemacells.core.classify import without_contradictions
    from napari_hemacells.core.store import check_compatible

    check_compatible(model, embeddings.encoder, embeddings.spec)
    prediction = model.head.predict(embeddings)
    if len(prediction.class_ids) != 1:
        return prediction
    if cells is None:
        return prediction.of(np.zeros(len(prediction.ids), np.bool_))
    name = model.palette.by_id(prediction.class_ids[0]).name
    return without_contradictions(prediction, cells, name)


def save_model(path: str | Path, model: Bundle) -> Path:
    """Save a model and return its folder: JSON and safetensors, no pickle.

    Raises
    ------
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image)
    >>> cells = detect(image, method="classical")
    >>> model = fit(embed(image, cells), {int(cells.ids[0]): "RBC"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_model(save_model(Path(folder) / "red cells", model)).labels == model.labels
    True
    """
    from napari_hemacells.core.store import save_bundle

    return save_bundle(path, model)


def load_model(path: str | Path) -> Bundle:
    """Load a model that :func:`save_model`, the viewer or a command has saved.

    Raises
    ------
    BundleError
        The folder contains no model, or a damaged one.

    Examples
    --------
    >>> from napari_hemacells.core.errors import BundleError
    >>> try:
    ...     load_model("no such folder")
    ... except BundleError:
    ...     print("refused")
    refused
    """
    from napari_hemacells.core.store import load_bundle

    return load_bundle(path)


def train(
    crops: str | Path, out: str | Path, *, name: str = "", **options: Any
) -> ClassifierTrainingOutcome:
    """Fine-tune a network on crops and return the outcome; the model is in `out`.

    The held-out part is never trained on; the outcome names the split.

    Parameters
    ----------
    crops
        A folder with one sub-folder of crops per class, or a CSV with ``path`` and ``label``.
    out
        Folder for the model, its checkpoint and its figures. An interrupted training continues
        from there.
    options
        The options of ``hemacells train``, such as ``arch``, ``steps``, ``batch_size``, ``seed``.

    Raises
    ------
    TrainingError
        There is too little to learn from, or the architecture is unknown.

    Examples
    --------
    >>> from napari_hemacells.core.errors import HemaCellsError
    >>> try:
    ...     train("no such folder", "out")
    ... except HemaCellsError:
    ...     print("refused")
    refused
    """
    from napari_hemacells.core.train.classifier.config import ClassifierConfig
    from napari_hemacells.core.train.classifier.pipeline import train as run_training
    from napari_hemacells.core.train.classifier.training import TrainJob

    folder = Path(out)
    config = ClassifierConfig(**options)
    return run_training(TrainJob(Path(crops), folder, config, name or folder.name))


def evaluate(truth: ArrayLike, predicted: ArrayLike) -> ClassificationScores:
    """Return balanced accuracy and macro F1 over the classes that occur in `truth`.

    Parameters
    ----------
    truth, predicted
        ``(n,)`` class names or ids.

    Examples
    --------
    >>> evaluate(["RBC", "RBC", "WBC"], ["RBC", "WBC", "WBC"]).balanced_accuracy
    0.75
    """
    from napari_hemacells.core.evaluate import score_predictions

    return score_predictions(truth, predicted)


def evaluate_few_shot(
    crops: str | Path,
    *,
    shots: Sequence[int] = (1, 5, 10),
    repeats: int = 50,
    seed: int = 0,
    encoder: str = "bundled",
) -> FewShotReport:
    """Measure accuracy with a few annotated cells per class, with intervals.

    Parameters
    ----------
    crops
        A folder with one sub-folder of crops per class.
    shots
        Annotated crops per class.
    repeats
        Number of random draws for each number of shots.

    Raises
    ------
    CellsError
        The folder has no class folders with images.

    Examples
    --------
    >>> from napari_hemacells.core.errors import HemaCellsError
    >>> try:
    ...     evaluate_few_shot("no such folder")
    ... except HemaCellsError:
    ...     print("refused")
    refused
    """
    from napari_hemacells.core.encode import load_encoder
    from napari_hemacells.core.evaluate import fewshot, list_class_folders

    list_class_folders(Path(crops))
    return fewshot(crops, shots, repeats, seed, load_encoder(encoder))


def export_table(
    image: SmearImage, cells: Cells, prediction: Prediction, model: Bundle
) -> pd.DataFrame:
    """Return a table with one row per cell: position, size, class, confidence, probabilities.

    Examples
    --------
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image, name="field 1")
    >>> cells = detect(image, method="classical")
    >>> embeddings = embed(image, cells)
    >>> model = fit(embeddings, {int(cells.ids[0]): "RBC", int(cells.ids[1]): "other"})
    >>> table = export_table(image, cells, predict(model, embeddings), model)
    >>> {"label", "class", "confidence", "p_RBC", "p_other"} <= set(table)
    True
    """
    from napari_hemacells.core.store import cells_table

    return cells_table(image, cells, {}, prediction, model.palette)


def export_crops(
    folder: str | Path, image: SmearImage, cells: Cells, prediction: Prediction, model: Bundle
) -> list[Path]:
    """Write one PNG crop per cell into one folder per class; return the files.

    Unknown cells are left out.

    Raises
    ------
    StorageError
        A file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> smear = synthetic_smear(seed=4, shape=(120, 160), diameter=24)
    >>> image = open_image(smear.image, name="field 1")
    >>> cells = detect(image, method="classical")
    >>> embeddings = embed(image, cells)
    >>> model = fit(embeddings, {int(cells.ids[0]): "RBC"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = export_crops(folder, image, cells, predict(model, embeddings, cells), model)
    >>> {file.parent.name for file in files}
    {'RBC'}
    """
    from napari_hemacells.core.store import write_crops

    columns: NDArray[np.int64] = prediction.predicted_column
    shown = {
        int(cell): prediction.class_ids[column]
        for cell, column, unknown in zip(prediction.ids, columns, prediction.verdict, strict=True)
        if not unknown
    }
    return write_crops(Path(folder), image, cells, shown, palette=model.palette, spec=model.spec)
