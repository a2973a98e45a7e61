"""The result of one image on one self-contained page of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells import __version__
from napari_hemacells.core.annotate.corrections import by_hand
from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.annotate.state import now
from napari_hemacells.core.store.atomic import write_bytes
from napari_hemacells.core.store.figures import (
    BINS,
    data_uri,
    differential,
    gallery,
    histogram,
)
from napari_hemacells.core.store.overlay import class_overlay
from napari_hemacells.core.store.shown import shown_classes
from napari_hemacells.core.store.tables import cells_table, counts_table
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_hemacells.core.annotate.palette import CellClass, Palette
    from napari_hemacells.core.annotate.state import Annotation
    from napari_hemacells.core.types import Cells, CropSpec, EncoderInfo, Prediction, SmearImage

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
    created: str = field(default_factory=now)


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
    pixels = np.asarray(image.pixels, dtype=np.uint8)
    shares = differential(counts, palette)
    return {
        "report": report,
        "version": __version__,
        "picture": data_uri(pixels),
        "overlay": data_uri(class_overlay(image, cells, shown, palette)),
        "shares": shares,
        "classified": sum(one.total for one in shares),
        "sums": counts.iloc[-1].to_dict(),
        "unknown": sum(class_id == UNKNOWN for class_id in shown.values()),
        "unknown_colour": UNKNOWN_COLOUR,
        "forced": _forced(report),
        "by_hand": by_hand(cells),
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
    found = report.prediction
    if found is None or found.is_unknown is None or not found.nearest:
        return 0
    return int((found.is_unknown & ~np.isin(found.ids, list(report.annotations))).sum())


def _training(report: ReportInput) -> list[tuple[CellClass, int]]:
    """Annotated cells behind the numbers, a class."""
    said = [one.class_id for one in report.annotations.values()]
    counts = report.training_counts
    return [
        (one, said.count(one.id) if counts is None else counts.get(one.id, 0))
        for one in report.palette
    ]


def _median(prediction: Prediction | None) -> float | None:
    if prediction is None or prediction.verdict.all():
        return None
    return float(np.median(prediction.confidence[~prediction.verdict]))


def _plot(prediction: Prediction | None, palette: Palette) -> dict[str, Any] | None:
    """Stacked bars of the confidence histogram, in units of a plot 1 a bin by 120 high."""
    if prediction is None or len(prediction.ids) == 0:
        return None
    bars = histogram(prediction, palette)
    tallest = max(sum(found[place] for _, found in bars) for place in range(BINS)) or 1
    rectangles = []
    for place in range(BINS):
        top = float(_PLOT_HEIGHT)
        for one, found in bars:
            height = _PLOT_HEIGHT * found[place] / tallest
            top -= height
            if found[place]:
                rectangles.append((one, place, top, height, found[place]))
    return {"bars": rectangles, "tallest": tallest, "bins": BINS, "height": _PLOT_HEIGHT}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
