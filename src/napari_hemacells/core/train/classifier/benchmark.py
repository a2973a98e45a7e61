"""The same pictures and split, several recipes: one table, and one page with plots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import EncoderError, TrainingError
from napari_hemacells.core.files.fsio import file_name, write_bytes
from napari_hemacells.core.train.classifier.artifacts import write_csv
from napari_hemacells.core.train.classifier.comparison import (
    HEADING,
    METRICS,
    ArchitectureComparison,
)
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.variants import comparison_variants

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.train.progress import TrainingReport

PAGE = "compare.html"


def compare_architectures_steps(
    job: TrainJob, words: Sequence[str]
) -> Generator[TrainingReport, None, ArchitectureComparison]:
    """Return the table, written as ``compare.csv``, ``.md`` and ``.html``; yield at every step.

    Each training has a folder of its own and the same split; one whose network or weights cannot
    be had does not stop the others.

    Parameters
    ----------
    words
        What is varied: see :func:`~.variants.comparison_variants`.

    Raises
    ------
    TrainingError
        There is no such parameter, the pictures are not enough to learn from, or nothing could be
        trained.
    """
    from napari_hemacells.core.train.classifier.report.comparison import write_comparison

    rows: list[tuple[Any, ...]] = []
    outcomes: list[ClassifierTrainingOutcome] = []
    failed: dict[str, str] = {}
    for name, recipe in comparison_variants(job.recipe, words):
        own = replace(job, recipe=recipe, folder=job.folder / file_name(name), name=name)
        steps = train_steps(own)
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                rows.append(_row(name, recipe.arch, end.value))
                outcomes.append(end.value)
                break
            except EncoderError as error:
                failed[name] = str(error)
                break
            yield replace(report, message=f"{name}: {report.message}")
        _write(ArchitectureComparison(job.folder, tuple(rows), failed))
    if not rows:
        raise TrainingError(
            "None of the architectures could be trained. " + next(iter(failed.values()))
        )
    compared = ArchitectureComparison(job.folder, tuple(rows), failed, tuple(outcomes))
    write_comparison(job.folder / PAGE, compared, job)
    return replace(compared, page=job.folder / PAGE)


def _row(name: str, arch: str, outcome: ClassifierTrainingOutcome) -> tuple[Any, ...]:
    """Return the figures of the round whose weights were kept."""
    kept = min(outcome.history, key=lambda record: record.validation_loss)
    intervals: list[Any] = []
    for part in ("validation", "test"):
        figures = outcome.figures.get(part)
        for metric in METRICS:
            figure = figures and figures[metric.replace(" ", "_").replace("F1", "f1")]
            for bound in ("value", "low", "high"):
                number = figure[bound] if figure else None
                intervals.append("" if number is None else round(number, 4))
    return (
        name,
        arch,
        round(kept.train_loss, 4),
        round(kept.validation_loss, 4),
        *intervals,
        outcome.parameters,
        round(outcome.seconds, 1),
        round(1000 * outcome.seconds_per_crop, 2),
        outcome.weights,
    )


def _write(compared: ArchitectureComparison) -> None:
    write_csv(compared.folder / "compare.csv", HEADING, compared.rows)
    write_bytes(compared.folder / "compare.md", compared.as_markdown().encode())
