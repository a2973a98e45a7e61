"""The same pictures and split, several recipes: one table, and one page with plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import EncoderError, TrainingError
from napari_hemacells.core.files.fsio import file_name, write_bytes
from napari_hemacells.core.train.classifier.artifacts import write_csv
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.variants import comparison_variants

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.train.progress import TrainingReport

METRICS = ("accuracy", "balanced accuracy", "kappa", "macro F1")
WITH_INTERVALS = tuple(f"{part} {name}" for part in ("validation", "test") for name in METRICS)
HEADING = (
    "variant", "architecture", "train loss", "validation loss",
    *(column for name in WITH_INTERVALS for column in (name, f"{name} low", f"{name} high")),
    "parameters", "training seconds", "milliseconds a crop", "weights",
)  # fmt: skip
SHOWN = (
    "variant", "validation accuracy", "validation balanced accuracy", "test accuracy",
    "test balanced accuracy", "validation loss", "parameters", "training seconds",
    "milliseconds a crop", "weights",
)  # fmt: skip
PAGE = "compare.html"


@dataclass(frozen=True)
class ArchitectureComparison:
    """What came of each variant.

    Attributes
    ----------
    rows
        As ``HEADING`` names them, in the order asked for; empty text where there is no figure.
    failed
        A sentence for each variant that could not be trained.
    outcomes
        Of each row.
    page
        The page of HTML; ``None`` before it is written.
    """

    folder: Path
    rows: tuple[tuple[Any, ...], ...]
    failed: dict[str, str]
    outcomes: tuple[ClassifierTrainingOutcome, ...] = ()
    page: Path | None = None

    def records(self) -> list[dict[str, Any]]:
        """Return the rows by the names of their columns."""
        return [dict(zip(HEADING, row, strict=True)) for row in self.rows]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return heading and rows as they are shown: a figure with its interval in one cell.

        Without a test part there are no columns for it.
        """
        records = self.records()
        shown = tuple(
            name for name in SHOWN if any(record[name] not in {"", None} for record in records)
        )
        return shown, [tuple(_cell(record, name) for name in shown) for record in records]

    def as_markdown(self) -> str:
        """Return the table for a text."""
        heading, rows = self.table()
        lines = [heading, ("---", *("---:",) * (len(heading) - 1)), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


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


def _cell(record: dict[str, Any], name: str) -> str:
    value = record[name]
    if value in {"", None}:
        return "–"
    if name in WITH_INTERVALS:
        low, high = (record[f"{name} {bound}"] for bound in ("low", "high"))
        return f"{value:.3f}" + ("" if low == "" else f" ({low:.3f} to {high:.3f})")
    if name == "parameters":
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
