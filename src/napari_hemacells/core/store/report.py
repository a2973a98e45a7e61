"""The result of one image on one self-contained page of HTML.

What the report shows, as numbers and small pictures: no HTML here.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells import __version__
from napari_hemacells.core.annotate.cell_edits import count_manual_edits
from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.store.class_counts import wilson
from napari_hemacells.core.store.overlay import class_overlay, display_pixels
from napari_hemacells.core.store.tables import cells_table, counts_table, shown_classes
from napari_hemacells.core.types import NOT_A_CELL, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import CellClass, Palette
    from napari_hemacells.core.annotate.state import Annotation
    from napari_hemacells.core.types import (
        Cells,
        CropSpec,
        EncoderInfo,
        Prediction,
        SmearImage,
    )

CONFIDENCE_BINS = 20
GALLERY_CELLS = 6
_MAX_SIDE = 1400


@dataclass(frozen=True)
class ClassShare:
    """A class's part of all classified cells, with the 95 % interval of counting alone.

    The interval is Wilson's score interval for a binomial proportion (Wilson 1927,
    doi 10.1080/01621459.1927.10502953); ``None`` where no cell is classified.
    """

    cell_class: CellClass
    annotated: int
    predicted: int
    detected: int
    total: int
    share: float | None
    low: float | None
    high: float | None


def kind_shares(shares: list[ClassShare], palette: Palette) -> list[ClassShare]:
    """The shares of the kinds, each with the classes within it; empty where there is one level."""
    if not palette.parents:
        return []
    everything = sum(share.total for share in shares)
    found = []
    for kind in palette:
        if kind.parent is not None:
            continue
        mine = [
            share for share in shares if kind.id in {share.cell_class.id, share.cell_class.parent}
        ]
        total = sum(share.total for share in mine)
        low, high = wilson(total, everything)
        found.append(
            ClassShare(
                kind,
                sum(share.annotated for share in mine),
                sum(share.predicted for share in mine),
                sum(share.detected for share in mine),
                total,
                total / everything if everything else None,
                low,
                high,
            )
        )
    return found


@dataclass(frozen=True)
class Thumbnail:
    """A crop as data URI, with its cell and what the model says of it."""

    uri: str
    cell: int
    confidence: float | None


@dataclass(frozen=True)
class GalleryRow:
    """A row of the gallery: the cells of one class the model is surest and least sure of."""

    cell_class: CellClass
    sure: tuple[Thumbnail, ...]
    unsure: tuple[Thumbnail, ...]


def class_shares(counts: pd.DataFrame, palette: Palette) -> list[ClassShare]:
    """The share of each class among all classified cells; ``counts`` is a counts table."""
    rows = list(counts.itertuples(index=False, name=None))[: len(palette)]
    everything = sum(int(total) for name, *_, total in rows if name != NOT_A_CELL)
    shares = []
    for cell_class, (_, *numbers) in zip(palette, rows, strict=True):
        annotated, predicted, detected, total = map(int, numbers)
        of = 0 if cell_class.name == NOT_A_CELL else everything
        low, high = wilson(total, of)
        share = total / of if of else None
        shares.append(
            ClassShare(cell_class, annotated, predicted, detected, total, share, low, high)
        )
    return shares


def histogram(prediction: Prediction, palette: Palette) -> list[tuple[CellClass, list[int]]]:
    """For each class, the cells predicted as it in each of 20 bins of confidence, 0 to 1.

    Cells called unknown are in no class and are left out.
    """
    bars = []
    for cell_class in palette:
        if cell_class.id in prediction.class_ids:
            mine = prediction.predicted_column == prediction.class_ids.index(cell_class.id)
            mine &= ~prediction.verdict
            counts, _ = np.histogram(prediction.confidence[mine], CONFIDENCE_BINS, (0, 1))
            bars.append((cell_class, counts.tolist()))
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
) -> list[GalleryRow]:
    """For each class with cells, six the model is surest and six it is least sure of.

    Annotated cells are shown only where the model gave the class to no other; no cell is shown
    twice. Without a prediction, the first twelve of the table. From too few annotations the
    confidence orders them and is not shown.
    """
    confidence: dict[int, float] = {}
    if prediction is not None and len(prediction.class_ids) > 1:
        values = prediction.confidence.tolist()
        confidence = dict(zip(prediction.ids.tolist(), values, strict=True))
    rows = []
    for cell_class in palette:
        members = [cell for cell, class_id in shown.items() if class_id == cell_class.id]
        members = [cell for cell in members if cell not in annotated] or members
        members.sort(key=lambda cell: -confidence.get(cell, 0.0))
        sure = members[:GALLERY_CELLS]
        unsure = members[GALLERY_CELLS:][-GALLERY_CELLS:][::-1]
        few = prediction is not None and prediction.too_few
        chosen = thumbnails(image, cells, sure + unsure, {} if few else confidence, spec)
        if chosen:
            rows.append(GalleryRow(cell_class, chosen[: len(sure)], chosen[len(sure) :]))
    return rows


def thumbnails(
    image: SmearImage,
    cells: Cells,
    ids: list[int],
    confidence: Mapping[int, float],
    spec: CropSpec,
) -> tuple[Thumbnail, ...]:
    """The crops of these cells."""
    from napari_hemacells.core.crop import extract_crops, to_bytes

    if not ids:
        return ()
    return tuple(
        Thumbnail(data_uri(crop), cell, confidence.get(cell))
        for cell, crop in zip(ids, to_bytes(extract_crops(image, cells, spec, ids)), strict=True)
    )


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """The picture as a JPEG inside a ``data:`` address, at most 1400 pixels wide or high."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


_PLOT_HEIGHT = 120


@dataclass(frozen=True, eq=False)
class ReportInput:
    """All that a report says something about.

    Attributes
    ----------
    training_counts
        Annotated cells that the head was fitted on, by class id, where they are not (only) the
        ``annotations`` of this image: of a model bundle, say.
    model
        Name of the model bundle in use, ``""`` where the head was fitted on this image's clicks.
    calibration
        How far the confidence can be trusted, in a sentence; ``""`` where nobody asked.
    overlay
        The image with its cells (:func:`~.overlay.class_overlay`), where it is drawn already.
    """

    image: SmearImage
    cells: Cells
    annotations: Mapping[int, Annotation]
    prediction: Prediction | None
    palette: Palette
    spec: CropSpec
    encoder: EncoderInfo | None = None
    training_counts: Mapping[str, int] | None = None
    model: str = ""
    calibration: str = ""
    title: str = ""
    created: str = field(default_factory=utc_now)
    overlay: NDArray[np.uint8] | None = None


def write_report(path: Path, report: ReportInput) -> None:
    """Write the page, whole or not at all; raises :class:`StorageError`."""
    write_bytes(path, render(report).encode())


def render(report: ReportInput) -> str:
    """The page as HTML text; it refers to no other file and to no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("napari_hemacells.core.store"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    return environment.get_template("report.html").render(_values(report))


def _values(report: ReportInput) -> dict[str, Any]:
    image, cells, palette = report.image, report.cells, report.palette
    shown = shown_classes(cells, report.annotations, report.prediction, palette)
    table = cells_table(image, cells, report.annotations, report.prediction, palette)
    counts = counts_table(table, palette)
    pixels = np.asarray(display_pixels(image), dtype=np.uint8)
    one_class = report.prediction is not None and len(report.prediction.class_ids) == 1
    shares = class_shares(counts, palette)
    if one_class:  # whatever is like it is in it: that is no share
        shares = [replace(share, share=None, low=None, high=None) for share in shares]
    kinds = kind_shares(shares, palette)
    overlay = report.overlay
    if overlay is None:
        overlay = class_overlay(image, cells, shown, palette)
    noun = "region" if image.modality == "temperature" else "cell"
    return {
        "report": report,
        "one_class": one_class,
        "cell": noun,
        "cells": f"{noun}s",
        "version": __version__,
        "picture": data_uri(pixels),
        "overlay": data_uri(overlay),
        "shares": shares,
        "kinds": kinds,
        "classified": sum(share.total for share in shares),
        "sums": counts.iloc[-1].to_dict(),
        "unknown": sum(class_id == UNKNOWN for class_id in shown.values()),
        "unknown_colour": UNKNOWN_COLOUR,
        "forced": _forced(report),
        "by_hand": count_manual_edits(cells),
        "trained": _training(report),
        "plot": _plot(report.prediction, palette),
        "median": _median(report.prediction),
        "rows": gallery(
            image,
            cells,
            shown,
            annotated=report.annotations,
            prediction=report.prediction,
            palette=palette,
            spec=report.spec,
        ),
    }


def _forced(report: ReportInput) -> int:
    """How many cells are too far for any class and are counted in one all the same."""
    prediction = report.prediction
    if prediction is None or prediction.is_unknown is None or not prediction.nearest:
        return 0
    return int((prediction.is_unknown & ~np.isin(prediction.ids, list(report.annotations))).sum())


def _training(report: ReportInput) -> list[tuple[CellClass, int]]:
    """Annotated cells behind the numbers, a class."""
    class_ids = [annotation.class_id for annotation in report.annotations.values()]
    counts = report.training_counts
    return [
        (
            cell_class,
            class_ids.count(cell_class.id) if counts is None else counts.get(cell_class.id, 0),
        )
        for cell_class in report.palette
    ]


def _median(prediction: Prediction | None) -> float | None:
    if prediction is None or prediction.verdict.all() or len(prediction.class_ids) == 1:
        return None
    if prediction.too_few:
        return None
    return float(np.median(prediction.confidence[~prediction.verdict]))


def _plot(prediction: Prediction | None, palette: Palette) -> dict[str, Any] | None:
    """Stacked bars of the confidence histogram, in units of a plot 1 a bin by 120 high."""
    if prediction is None or len(prediction.ids) == 0 or len(prediction.class_ids) == 1:
        return None
    bars = histogram(prediction, palette)
    tallest = (
        max(sum(counts[bin_index] for _, counts in bars) for bin_index in range(CONFIDENCE_BINS))
        or 1
    )
    rectangles = []
    for bin_index in range(CONFIDENCE_BINS):
        top = float(_PLOT_HEIGHT)
        for cell_class, counts in bars:
            height = _PLOT_HEIGHT * counts[bin_index] / tallest
            top -= height
            if counts[bin_index]:
                rectangles.append((cell_class, bin_index, top, height, counts[bin_index]))
    return {
        "bars": rectangles,
        "tallest": tallest,
        "bins": CONFIDENCE_BINS,
        "height": _PLOT_HEIGHT,
    }


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
