"""Triage: the cells of an image that fit no known kind, with what each resembles most.

What one image gives is a JSON file and a folder of crops; the report of all images is made of
these (:mod:`~napari_hemacells.core.store.triage_report`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_hemacells.core.classify.likeness_words import LikenessWord  # noqa: TC001  # pydantic
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import atomic_folder, read_bytes, write_bytes
from napari_hemacells.core.store.overlay import display_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.classify.fit import SupportSet
    from napari_hemacells.core.classify.odd_ones import OddOnes
    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.types import Cells, Embeddings, Prediction, SmearImage

EXAMPLES = 4  # typical cells of each class that are shown for comparison
RESEMBLED = 2  # classes named for an odd cell
OVERVIEW_SIDE = 1000  # pixels of the longer side
_MAX_BYTES = 2**28
_RING = (255, 0, 200)


class Resemblance(BaseModel):
    """A class that an odd cell resembles.

    The classifier's confidence is not among it: it has to choose one of its classes, and is often
    sure of a cell that fits none.

    Attributes
    ----------
    name
        The class.
    distance
        To the nearest annotated cells of the class, in thresholds: up to 1 it could be one of
        them. ``None`` where the model keeps no annotated cells.
    likeness
        How alike they are, in words; empty where that was not calibrated on kinds left out: a
        distance learned from two kinds finds a third one very alike to one of them.
    p_same
        Probability that they are of one kind; ``None`` where ``likeness`` is empty.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    distance: float | None = Field(default=None, ge=0)
    likeness: LikenessWord | Literal[""] = ""
    p_same: float | None = Field(default=None, ge=0, le=1)


class OddCell(BaseModel):
    """A cell that fits no known kind.

    Attributes
    ----------
    row, col
        Its centre in the image, pixels.
    score
        How odd it is: 0 for a cell of the annotated kinds, 1 for one that is like none of them.
    resembles
        The classes that it resembles most, the nearest first.
    crop
        File of its crop, in the image's folder of crops.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    cell: int
    row: float
    col: float
    score: float
    resembles: tuple[Resemblance, ...]
    crop: str


class ImageTriage(BaseModel):
    """What an image gives.

    Attributes
    ----------
    cells
        Number of cells.
    counts
        Cells shown in each class, by its name; odd ones are in none.
    odd
        The odd cells, the oddest first.
    examples
        Crops of the surest cells of each class, by its name.
    overview
        File of a picture of the image with the odd cells marked; empty where there are none.
    can_tell
        Whether the model has learned from enough cells to call any odd.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    cells: int = Field(ge=0)
    counts: dict[str, int]
    odd: tuple[OddCell, ...]
    examples: dict[str, tuple[str, ...]]
    overview: str = ""
    can_tell: bool = True


@dataclass(frozen=True, eq=False)
class TriageModel:
    """What the cells are held against.

    Attributes
    ----------
    palette
        The classes.
    likeness
        Learned on the annotated cells of the model; ``None`` where it has none.
    support
        These cells.
    """

    palette: Palette
    likeness: Likeness | None
    support: SupportSet | None


def write_triage(
    path: Path,
    crops: Path,
    image: SmearImage,
    embeddings: Embeddings,
    *,
    cells: Cells,
    shown: Mapping[int, str],
    prediction: Prediction,
    odd_ones: OddOnes,
    model: TriageModel,
) -> ImageTriage:
    """Write what an image gives; the crops first, so that the JSON names only what is there.

    Parameters
    ----------
    path, crops
        The JSON file, and the folder of crops, which is replaced.
    shown
        Class id of each cell as it is counted; an odd cell that nobody annotated is in no class.

    Raises
    ------
    StorageError
        Something cannot be written.
    """
    odd = odd_ones.odd_ids.tolist()
    names = {cell_class.id: cell_class.name for cell_class in model.palette}
    counted = [names[shown[cell]] for cell in cells.ids.tolist()
               if shown.get(cell) in names and cell not in set(odd)]  # fmt: skip
    examples = _examples(prediction, set(odd), names)
    wanted = [*odd, *(cell for ids in examples.values() for cell in ids)]
    files = {cell: f"cell-{cell:06d}.png" for cell in wanted}
    overview = "overview.jpg" if odd else ""
    with atomic_folder(crops) as folder:
        _write_crops(folder, image, embeddings, cells, files)
        if overview:
            _write_overview(folder / overview, image, cells, odd)
    triage = ImageTriage(
        cells=len(cells),
        counts={name: counted.count(name) for name in names.values()},
        odd=tuple(_odd_cells(embeddings, cells, prediction, odd_ones, model=model, files=files)),
        examples={
            name: tuple(files[cell] for cell in ids) for name, ids in examples.items() if ids
        },
        overview=overview,
        can_tell=odd_ones.can_tell,
    )
    write_bytes(path, triage.model_dump_json().encode())
    return triage


def read_triage(path: Path) -> ImageTriage:
    """Return what :func:`write_triage` wrote.

    Raises
    ------
    StorageError
        It is missing or damaged.
    """
    try:
        return ImageTriage.model_validate(json.loads(read_bytes(path, _MAX_BYTES)))
    except (OSError, StorageError, ValueError) as error:
        raise StorageError(
            f"{path} is missing or damaged: run the command again without --skip-done."
        ) from error


def _examples(
    prediction: Prediction, odd: set[int], names: Mapping[str, str]
) -> dict[str, list[int]]:
    """Return the surest cells of each class."""
    sure = np.nan_to_num(prediction.confidence, nan=1.0)
    examples: dict[str, list[int]] = {}
    for column, class_id in enumerate(prediction.class_ids):
        rows = np.flatnonzero((prediction.predicted_column == column) & ~prediction.verdict)
        rows = rows[np.argsort(-sure[rows], kind="stable")]
        mine = [cell for cell in prediction.ids[rows].tolist() if cell not in odd]
        if class_id in names:
            examples[names[class_id]] = mine[:EXAMPLES]
    return examples


def _odd_cells(
    embeddings: Embeddings,
    cells: Cells,
    prediction: Prediction,
    odd_ones: OddOnes,
    *,
    model: TriageModel,
    files: Mapping[int, str],
) -> list[OddCell]:
    from napari_hemacells.core.classify.similarity import class_distances

    odd = odd_ones.odd_ids.tolist()
    if not odd:
        return []
    names = {cell_class.id: cell_class.name for cell_class in model.palette}
    rows = [embeddings.rows[cell] for cell in odd]
    distances: NDArray[np.float32] | None = None
    if model.likeness is not None and model.support is not None and len(model.support):
        distances = class_distances(
            model.likeness,
            embeddings.vectors[rows],
            model.support.vectors,
            model.support.labels,
            prediction.class_ids,
        )
    position = {cell: row for row, cell in enumerate(prediction.ids.tolist())}
    scores = dict(zip(odd_ones.ids.tolist(), odd_ones.scores.tolist(), strict=True))
    described = []
    for number, cell in enumerate(odd):
        own = None if distances is None else distances[number]
        ranking = -prediction.probabilities[position[cell]] if own is None else own
        order = np.argsort(ranking, kind="stable")[:RESEMBLED].tolist()
        resembles = tuple(
            _resemblance(
                names.get(prediction.class_ids[column], prediction.class_ids[column]),
                model.likeness,
                None if own is None else float(own[column]),
            )
            for column in order
        )
        row, col = cells.centres[cells.position[cell]].tolist()
        described.append(
            OddCell(
                cell=cell, row=round(row, 1), col=round(col, 1),
                score=round(float(scores[cell]), 4), resembles=resembles, crop=files[cell],
            )
        )  # fmt: skip
    return described


def _resemblance(name: str, likeness: Likeness | None, distance: float | None) -> Resemblance:
    from napari_hemacells.core.classify.likeness_words import judge

    if likeness is None or distance is None or not np.isfinite(distance):
        return Resemblance(name=name)
    verdict = judge(likeness, distance)
    return Resemblance(
        name=name,
        distance=round(verdict.ratio, 3) if np.isfinite(verdict.ratio) else None,
        likeness="" if verdict.p_same is None else verdict.word,
        p_same=None if verdict.p_same is None else round(verdict.p_same, 4),
    )


def _write_crops(
    folder: Path,
    image: SmearImage,
    embeddings: Embeddings,
    cells: Cells,
    files: Mapping[int, str],
) -> None:
    from PIL import Image

    from napari_hemacells.core.crop import extract_crops, to_bytes

    if not files:
        return
    pixels = to_bytes(extract_crops(image, cells, embeddings.spec, list(files)))
    for file, crop in zip(files.values(), pixels, strict=True):
        Image.fromarray(crop).save(folder / file, format="PNG")


def _write_overview(path: Path, image: SmearImage, cells: Cells, odd: Sequence[int]) -> None:
    """Write the image, at most 1000 pixels long, with a ring and a number at each odd cell."""
    from PIL import Image, ImageDraw, ImageFont

    rows, cols = image.shape
    step = max(1, -(-max(rows, cols) // (2 * OVERVIEW_SIDE)))
    picture = Image.fromarray(np.asarray(display_pixels(image)[::step, ::step], dtype=np.uint8))
    picture = picture.convert("RGB")
    picture.thumbnail((OVERVIEW_SIDE, OVERVIEW_SIDE), Image.Resampling.LANCZOS)
    scale = picture.width / cols
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(14, picture.width // 38))
    for cell in odd:
        top, left, bottom, right = cells.boxes[cells.position[cell]].tolist()
        box = [left * scale - 3, top * scale - 3, right * scale + 3, bottom * scale + 3]
        draw.ellipse(box, outline=_RING, width=2)
        where = (min(box[2] - 4, picture.width - 40), max(box[1] - 8, 0))
        draw.text(where, str(cell), _RING, font, stroke_width=3, stroke_fill=(255, 255, 255))
    picture.save(path, format="JPEG", quality=88)
