"""The study of the size of crops as one page of HTML: table, accuracy by size, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.train.classifier.report.plots import (
    new_figure,
    style_axes,
    style_legend,
    whole_numbers,
)
from napari_hemacells.core.train.html_report import ReportTable, TrainingPage, write_page
from napari_hemacells.core.train.learning_curves import COLOURS, figure_svg

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from napari_hemacells.core.train.classifier.crop_size_table import CropSizeStudy

CAUTIONS = (
    (
        "Where intervals overlap, no size is shown to be better. A size that is chosen by this "
        "table must be tested on other frames."
    ),
    (
        "Validation figures of trained networks are a little too good: the best round was chosen "
        "by them."
    ),
)


def write_crop_size(
    file: Path, study: CropSizeStudy, crops: Path, command: str, seed: int
) -> None:
    """Write the page of a finished study.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    heading, rows = study.table()
    seen = {f"{row['network']}: {row['seen']}" for row in study.records if row["seen"]}
    sizes = sorted({row["size"] for row in study.records})
    page = TrainingPage(
        title="Size of crops",
        kind="study",
        created=utc_now(),
        facts=(
            (str(len(sizes)), "sizes"),
            (str(len(rows)), "rows"),
            (str(study.records[0]["n"]), "test crops"),
        ),
        curves=_plots(study),
        tables=(
            ReportTable(
                "Side by side",
                heading,
                tuple(rows),
                f"{study.split}. Whole frames or movies are in one part.",
            ),
        ),
        provenance=(
            ("Crops", str(crops)),
            ("Seed", str(seed)),
            ("Had seen", "; ".join(sorted(seen))),
            ("Table", "crop_size.csv, with all figures"),
        ),
        command=command,
        cautions=CAUTIONS,
        notes=(*(f"{name} was not trained: {why}" for name, why in study.failed.items()),
               *study.notes),
    )  # fmt: skip
    write_page(file, page)


def _plots(study: CropSizeStudy) -> str:
    figure, (accuracy, losses) = new_figure((11.5, 4.2), 2)
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in study.records:
        lines.setdefault(f"{row['network']} · {row['learned from']}", []).append(row)
    for index, (name, rows) in enumerate(lines.items()):
        _line(accuracy, name, rows, COLOURS[index % len(COLOURS)], dashed=index >= len(COLOURS))
    style_axes(accuracy, "Test accuracy by size of the crops", "px")
    style_legend(accuracy, below=True)
    for index, (size, values) in enumerate(study.histories.items()):
        losses.plot(
            range(1, len(values) + 1), values, color=COLOURS[index % len(COLOURS)],
            linewidth=1.4, label=f"{size} px",
        )  # fmt: skip
    style_axes(losses, "Validation loss of the network from scratch", "round")
    if study.histories:
        whole_numbers(losses)
        style_legend(losses)
    return figure_svg(figure)


def _line(axes: Axes, name: str, rows: list[dict[str, Any]], colour: str, *, dashed: bool) -> None:
    shown = sorted((row for row in rows if row["accuracy"] is not None),
                   key=lambda row: row["size"])  # fmt: skip
    sizes = [row["size"] for row in shown]
    axes.plot(
        sizes, [row["accuracy"] for row in shown], "--o" if dashed else "-o", color=colour,
        markersize=3.5, linewidth=1.3, label=name,
    )  # fmt: skip
    for row in shown:
        if row["low"] is not None:
            axes.plot((row["size"],) * 2, (row["low"], row["high"]), color=colour, linewidth=0.8)
