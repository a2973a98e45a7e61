"""A comparison of trainings as one page of HTML: the table and three plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.train.classifier.report.plots import (
    THEME,
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

    from napari_hemacells.core.train.classifier.comparison import ArchitectureComparison
    from napari_hemacells.core.train.classifier.training import TrainJob

ROW_HEIGHT = 0.34  # inches
CAUTIONS = (
    (
        "Validation figures are a little too good: the best round and the calibration were chosen "
        "on that part. Where intervals overlap, nothing is shown to be better."
    ),
    "Seconds depend on what else the computer did.",
)


def write_comparison(file: Path, compared: ArchitectureComparison, job: TrainJob) -> None:
    """Write the page of a finished comparison.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    heading, rows = compared.table()
    records = compared.records()
    best = max(records, key=lambda record: record["validation accuracy"])
    failed = tuple(f"{name} was not trained: {why}" for name, why in compared.failed.items())
    first = compared.outcomes[0]
    page = TrainingPage(
        title=job.folder.name,
        kind="comparison of trainings",
        created=utc_now(),
        facts=(
            (str(len(rows)), "trainings"),
            (best["variant"], "best on validation"),
            (f"{best['validation accuracy']:.3f}", "its validation accuracy"),
        ),
        curves=_plots(compared, records),
        tables=(
            ReportTable(
                "Side by side",
                heading,
                tuple(rows),
                f"The same pictures and parts for all: {first.split}. In brackets 95 % of 1,000 "
                "bootstrap draws.",
            ),
        ),
        provenance=(
            ("Pictures", str(job.source)),
            ("Seed", str(job.recipe.seed)),
            ("Table", "compare.csv, with all figures"),
        ),
        command=job.command,
        cautions=CAUTIONS,
        notes=(
            *failed,
            *dict.fromkeys(note for outcome in compared.outcomes for note in outcome.notes),
        ),
    )
    write_page(file, page)


def _plots(compared: ArchitectureComparison, records: list[dict[str, Any]]) -> str:
    """Return accuracies with intervals, validation loss by round, and accuracy by time."""
    height = max(2.6, 1.1 + ROW_HEIGHT * len(records))
    figure, (dots, curves, times) = new_figure((11.5, height), 3)
    _dots(dots, records)
    for index, (record, outcome) in enumerate(zip(records, compared.outcomes, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        losses = [epoch.validation_loss for epoch in outcome.history]
        style = "-" if index < len(COLOURS) else "--"
        curves.plot(
            range(1, len(losses) + 1), losses, style, color=colour, linewidth=1.4,
            label=record["variant"],
        )  # fmt: skip
        times.scatter(
            record["training seconds"], record["validation accuracy"], color=colour, s=22
        )
    style_axes(curves, "Validation loss", "round")
    whole_numbers(curves)
    style_legend(curves)
    style_axes(times, "Validation accuracy by training time", "seconds")
    return figure_svg(figure)


def _dots(axes: Axes, records: list[dict[str, Any]]) -> None:
    parts = (("validation", COLOURS[0], -0.12), ("test", COLOURS[5], 0.12))
    for part, colour, offset in parts:
        name, labelled = f"{part} accuracy", False
        for height, record in enumerate(records):
            value, low, high = (record[key] for key in (name, f"{name} low", f"{name} high"))
            if value == "":
                continue
            if low != "":
                axes.plot((low, high), (height + offset,) * 2, color=colour, linewidth=1.5)
            label = None if labelled else part
            axes.plot(value, height + offset, "o", color=colour, markersize=4, label=label)
            labelled = True
    axes.set_yticks(range(len(records)), [record["variant"] for record in records])
    axes.invert_yaxis()
    style_axes(axes, "Accuracy with 95 % interval", "")
    axes.tick_params(axis="y", colors=THEME.text, labelsize=8)
    style_legend(axes, below=True)
