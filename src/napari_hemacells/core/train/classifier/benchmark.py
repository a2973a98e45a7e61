"""The same pictures and recipe, several architectures: one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import EncoderError, TrainingError
from napari_hemacells.core.files.fsio import file_name, write_bytes
from napari_hemacells.core.train.classifier.artifacts import write_csv
from napari_hemacells.core.train.classifier.pipeline import train_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.train.progress import TrainingReport

HEADING = (
    "architecture", "train loss", "validation loss", "accuracy", "balanced accuracy", "kappa",
    "macro F1", "seconds", "parameters", "weights",
)  # fmt: skip


@dataclass(frozen=True)
class ArchitectureComparison:
    """What came of each architecture.

    Attributes
    ----------
    rows
        As ``HEADING`` names them, in the order asked for.
    failed
        A sentence for each architecture that could not be trained.
    """

    folder: Path
    rows: tuple[tuple[Any, ...], ...]
    failed: dict[str, str]

    def as_markdown(self) -> str:
        """Return the table for a text."""
        lines = [HEADING, ("---",) + ("---:",) * (len(HEADING) - 2) + ("---",), *self.rows]
        return "".join(f"| {' | '.join(map(_text, line))} |\n" for line in lines)


def compare_architectures_steps(
    job: TrainJob, architectures: Sequence[str]
) -> Generator[TrainingReport, None, ArchitectureComparison]:
    """Return the table, written as ``compare.csv`` and ``compare.md``; yield at every step.

    Each training has a folder of its own; one that cannot be done does not stop the others.

    Raises
    ------
    TrainingError
        The pictures are not enough to learn from, or no architecture could be trained.
    """
    rows: list[tuple[Any, ...]] = []
    failed: dict[str, str] = {}
    for arch in dict.fromkeys(architectures):
        recipe = job.recipe.model_copy(update={"arch": arch})
        own = replace(job, recipe=recipe, folder=job.folder / file_name(arch), name=arch)
        steps = train_steps(own)
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                rows.append(_row(arch, end.value))
                break
            except EncoderError as error:
                failed[arch] = str(error)
                break
            yield replace(report, message=f"{arch}: {report.message}")
        _write(ArchitectureComparison(job.folder, tuple(rows), failed))
    if not rows:
        raise TrainingError(
            "None of the architectures could be trained. " + next(iter(failed.values()))
        )
    return ArchitectureComparison(job.folder, tuple(rows), failed)


def _row(arch: str, outcome: ClassifierTrainingOutcome) -> tuple[Any, ...]:
    """Return the figures of the round whose weights were kept."""
    kept = min(outcome.history, key=lambda record: record.validation_loss)
    figures = outcome.figures["validation"]
    names = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    return (
        arch,
        round(kept.train_loss, 4),
        round(kept.validation_loss, 4),
        *(round(figures[name]["value"], 4) for name in names),
        round(outcome.seconds, 1),
        outcome.parameters,
        outcome.weights,
    )


def _write(compared: ArchitectureComparison) -> None:
    write_csv(compared.folder / "compare.csv", HEADING, compared.rows)
    write_bytes(compared.folder / "compare.md", compared.as_markdown().encode())


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
