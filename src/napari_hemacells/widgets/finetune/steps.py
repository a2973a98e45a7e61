"""What fine-tuning a classifier does in threads: gather, let a child learn, compare.

What the fine-tuning page says, and how long is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.model_store import trained_cells
from napari_hemacells.core.train.classifier.project_dataset import (
    export_crops_steps,
    parse_cell_name,
)
from napari_hemacells.core.types import UNKNOWN, Progress
from napari_hemacells.widgets.native_libraries import without_triton
from napari_hemacells.widgets.training.steps import (
    ProjectSnapshot,
    format_count,
    throttle_reports,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from napari_hemacells.core.store import Bundle, Project
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome
    from napari_hemacells.core.train.classifier.model_store import TrainedCell
    from napari_hemacells.core.train.classifier.results import EvaluationResults
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import CellRef, Cells, Prediction, SmearImage
    from napari_hemacells.session.model_comparison import ClassChange, HeldOutRequest

MAX_COMPARED_CELLS = (
    3000  # cells of the open image that the new model looks at before it is taken over
)


@dataclass(frozen=True, eq=False)
class FineTuneResult:
    """A training that came to its end, and images that it could not learn from."""

    outcome: ClassifierTrainingOutcome
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NewModelPrediction:
    """What a new model says of the open image, and what the one in use says of held-out cells."""

    image_key: str
    prediction: Prediction | None
    before: Mapping[CellRef, bool]


@dataclass(frozen=True, eq=False)
class FinishedTraining:
    """A finished training, read from its folder.

    Attributes
    ----------
    report
        The page to show in a browser; ``None`` where there is none.
    """

    bundle: Bundle
    findings: EvaluationResults
    taught: Mapping[CellRef, TrainedCell]
    report: Path | None


def classifier_training_steps(
    ground: ProjectSnapshot,
    job: TrainJob,
    run: SubprocessJob[TrainJob, ClassifierTrainingOutcome],
    *,
    grouped: bool,
) -> Generator[Progress, None, FineTuneResult]:
    """Yield preparations and reports of the training; return what came of it."""
    left_out = yield from _gather_crops(ground, job, grouped=grouped)
    outcome = yield from throttle_reports(run.reports())
    model_store.delete_checkpoint(job.folder)
    return FineTuneResult(outcome, left_out)


def resumed_training_steps(
    run: SubprocessJob[TrainJob, ClassifierTrainingOutcome], job: TrainJob
) -> Generator[Any, None, FineTuneResult]:
    """Yield the reports of a training that is gone on with; return what came of it."""
    outcome = yield from throttle_reports(run.reports())
    model_store.delete_checkpoint(job.folder)
    return FineTuneResult(outcome)


def rate_finder_steps(
    ground: ProjectSnapshot, job: TrainJob, run: SubprocessJob[TrainJob, Any], *, grouped: bool
) -> Generator[Progress, None, Any]:
    """Yield preparations and the finder's reports; return its curve. Nothing is left behind."""
    try:
        yield from _gather_crops(ground, job, grouped=grouped)
        return (yield from throttle_reports(run.reports()))
    finally:
        model_store.delete_training(job.folder)


def _gather_crops(
    ground: ProjectSnapshot, job: TrainJob, *, grouped: bool
) -> Generator[Progress, None, tuple[str, ...]]:
    if job.spec is None:
        raise ValueError("crops of cells need a size and a margin")
    gathered = yield from export_crops_steps(
        ground.project,
        ground.state,
        job.folder / model_store.CROPS,
        job.spec,
        grouped=grouped,
        opened=ground.opened,
    )
    return gathered.left_out


def read_training_steps(folder: Path) -> Generator[Progress, None, FinishedTraining]:
    """Return a finished training with its model."""
    from napari_hemacells.core.store import load_bundle
    from napari_hemacells.core.train.classifier.results import read_results

    yield Progress(0, 0, "Reading the result")
    report = folder / "report.html"
    return FinishedTraining(
        load_bundle(folder / model_store.MODEL),
        read_results(folder),
        trained_cells(folder),
        report if report.is_file() else None,
    )


def compare_model_steps(
    opened: FinishedTraining,
    project: Project,
    image: SmearImage | None,
    cells: Cells | None,
    *,
    asked: HeldOutRequest | None,
) -> Generator[Progress, None, NewModelPrediction]:
    """Return what a new model says of the open image, without taking it over."""
    from napari_hemacells.core.encode import EmbeddingCache, embed_steps
    from napari_hemacells.session.model_comparison import held_out_correct

    yield Progress(0, 0, "Comparing with the classifier in use")
    before = {} if asked is None else held_out_correct(asked)
    if image is None or cells is None or not len(cells):
        return NewModelPrediction("" if image is None else image.key, None, before)
    bundle = opened.bundle
    with without_triton():
        encoder = bundle.make_encoder()
    yield Progress(0, 0, "The new model looks at this image")
    embeddings = yield from embed_steps(
        image,
        subsample_cells(cells),
        bundle.spec,
        encoder,
        EmbeddingCache(project.embeddings_folder),
    )
    return NewModelPrediction(image.key, bundle.head.predict(embeddings), before)


def subsample_cells(cells: Cells) -> Cells:
    """Return the cells, or an even part of very many."""
    step = -(-len(cells) // MAX_COMPARED_CELLS)
    return cells if step <= 1 else replace(cells, table=cells.table.iloc[::step])


def held_out_agreement(
    opened: FinishedTraining, looked: NewModelPrediction
) -> tuple[int, int, int] | None:
    """Return on how many held-out cells both were asked, and how many each got right."""
    after = {
        parse_cell_name(prediction.key): prediction.right for prediction in opened.findings.items
    }
    both = [ref for ref in looked.before if ref in after]
    if not both:
        return None
    return len(both), sum(looked.before[ref] for ref in both), sum(after[ref] for ref in both)


MAX_LISTED_PAIRS = 3  # pairs of classes between which most cells change


@dataclass(frozen=True)
class FineTuneSummary:
    """What there is to learn from.

    Attributes
    ----------
    reason
        Why it is not possible now; empty where it is.
    split
        How the training would check itself, in a sentence.
    """

    images: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    split: str = ""
    reason: str = ""

    def words(self) -> str:
        """What it would learn from."""
        total = sum(count for _, count in self.counts)
        if not total:
            return "No cell has your word yet."
        each = ", ".join(f"{count:,} {name}" for name, count in self.counts)
        cells, images = format_count(total, "annotated cell"), format_count(self.images, "image")
        return f"{cells} of {images}: {each}."


@dataclass(frozen=True)
class Comparison:
    """A new model beside the classifier in use.

    Attributes
    ----------
    image_key
        The image that was open; empty for none.
    compared
        Cells of that image that were looked at; 0 where there is none.
    changes
        Those that would change their class.
    agreement
        Held-out cells that both were asked about, and how many each got right.
    """

    image_key: str = ""
    compared: int = 0
    changes: tuple[ClassChange, ...] = ()
    agreement: tuple[int, int, int] | None = None


def outcome_html(
    comparison: Comparison,
    names: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> str:
    """Return what came of a training, and what would change, in a few sentences."""
    parts = [_agreement(comparison), _changes(comparison, names)]
    parts += [escape(text) for text in left_out]
    return "".join(f"<p>{part}</p>" for part in parts if part)


def _agreement(comparison: Comparison) -> str:
    if comparison.agreement is None:
        return ""
    n, before, after = comparison.agreement
    verdict = "" if after >= before else " <b>It does no better than before: drop it.</b>"
    return (
        f"Of {format_count(n, 'held-out cell')} the new model gives <b>{after:,}</b> your "
        f"class, the "
        f"classifier in use, taught with the same cells, <b>{before:,}</b>.{verdict}"
    )


def _changes(comparison: Comparison, names: Mapping[str, str]) -> str:
    if not comparison.compared:
        return ""
    changes = comparison.changes
    if not changes:
        return (
            f"None of {format_count(comparison.compared, 'cell')} of this image changes its class."
        )
    pairs = Counter((change.before, change.after) for change in changes).most_common(
        MAX_LISTED_PAIRS
    )
    listed_pairs = ", ".join(
        f"{n} {_name(old, names)} → {_name(new, names)}" for (old, new), n in pairs
    )
    more = (
        " …"
        if len({(change.before, change.after) for change in changes}) > MAX_LISTED_PAIRS
        else ""
    )
    return (
        f"<b>{len(changes):,}</b> of {format_count(comparison.compared, 'cell')} of this image "
        f"would "
        f"change their class: {listed_pairs}{more}. What you annotated stays."
    )


def _name(class_id: str, names: Mapping[str, str]) -> str:
    return "unknown" if class_id == UNKNOWN else escape(names.get(class_id, class_id))
