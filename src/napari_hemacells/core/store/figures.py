"""What the report shows, as numbers and small pictures: no HTML here."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import CellClass, Palette
    from napari_hemacells.core.types import Cells, CropSpec, Prediction, SmearImage

BINS = 20
PER_SIDE = 6
_MAX_SIDE = 1400


@dataclass(frozen=True)
class Share:
    """A class's part of all classified cells, with the 95 % interval of counting alone.

    The interval is Wilson's score interval for a binomial proportion (Wilson 1927,
    doi 10.1080/01621459.1927.10502953); ``None`` where no cell is classified.
    """

    cell_class: CellClass
    annotated: int
    predicted: int
    total: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Thumbnail:
    """A crop as data URI, with its cell and what the model says of it."""

    uri: str
    cell: int
    confidence: float | None


@dataclass(frozen=True)
class Row:
    """A row of the gallery: the cells of one class the model is surest and least sure of."""

    cell_class: CellClass
    sure: tuple[Thumbnail, ...]
    unsure: tuple[Thumbnail, ...]


def differential(counts: pd.DataFrame, palette: Palette) -> list[Share]:
    """The share of each class among all classified cells; ``counts`` is a counts table."""
    rows = list(counts.itertuples(index=False, name=None))[: len(palette)]
    everything = sum(int(total) for *_, total in rows)
    shares = []
    for one, (_, annotated, predicted, total) in zip(palette, rows, strict=True):
        low, high = wilson(int(total), everything)
        share = int(total) / everything if everything else None
        shares.append(Share(one, int(annotated), int(predicted), int(total), share, low, high))
    return shares


def wilson(count: int, total: int) -> tuple[float, float] | tuple[None, None]:
    """The 95 % Wilson interval of ``count`` out of ``total``; ``None`` twice out of nothing."""
    from scipy.stats import binomtest

    if total == 0:
        return None, None
    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def histogram(prediction: Prediction, palette: Palette) -> list[tuple[CellClass, list[int]]]:
    """For each class, the cells predicted as it in each of 20 bins of confidence, 0 to 1.

    Cells called unknown are in no class and are left out.
    """
    bars = []
    for one in palette:
        if one.id in prediction.class_ids:
            mine = prediction.winner == prediction.class_ids.index(one.id)
            mine &= ~prediction.verdict
            found, _ = np.histogram(prediction.confidence[mine], BINS, (0, 1))
            bars.append((one, found.tolist()))
    return bars


def gallery(
    image: SmearImage,
    cells: Cells,
    shown: Mapping[int, str],
    *,
    annotated: Container[int],
    prediction: Prediction | None,
    palette: Palette,
    spec: CropSpec,
) -> list[Row]:
    """For each class with cells, six the model is surest and six it is least sure of.

    Annotated cells are shown only where the model gave the class to no other; no cell is shown
    twice. Without a prediction, the first twelve of the table.
    """
    confidence: dict[int, float] = {}
    if prediction is not None:
        values = prediction.confidence.tolist()
        confidence = dict(zip(prediction.ids.tolist(), values, strict=True))
    rows = []
    for one in palette:
        members = [cell for cell, class_id in shown.items() if class_id == one.id]
        members = [cell for cell in members if cell not in annotated] or members
        members.sort(key=lambda cell: -confidence.get(cell, 0.0))
        sure = members[:PER_SIDE]
        unsure = members[PER_SIDE:][-PER_SIDE:][::-1]
        chosen = thumbnails(image, cells, sure + unsure, confidence, spec)
        if chosen:
            rows.append(Row(one, chosen[: len(sure)], chosen[len(sure) :]))
    return rows


def thumbnails(
    image: SmearImage,
    cells: Cells,
    ids: list[int],
    confidence: Mapping[int, float],
    spec: CropSpec,
) -> tuple[Thumbnail, ...]:
    """The crops of these cells."""
    from napari_hemacells.core.crop import extract, to_bytes

    if not ids:
        return ()
    return tuple(
        Thumbnail(data_uri(crop), cell, confidence.get(cell))
        for cell, crop in zip(ids, to_bytes(extract(image, cells, spec, ids)), strict=True)
    )


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """The picture as a JPEG inside a ``data:`` address, at most 1400 pixels wide or high."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
