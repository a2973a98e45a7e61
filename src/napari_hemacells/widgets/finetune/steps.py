"""Steps of a fine-tuning in a thread: training set, child process, comparison."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import TrainingError
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
    from napari_hemacells.core.train.classifier.report.figure_tables import (
        ClassBalance,
        RateSearch,
    )
    from napari_hemacells.core.train.classifier.results import EvaluationResults
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import CellRef, Cells, Prediction, SmearImage
    from napari_hemacells.session.model_comparison import ClassChange, HeldOutRequest

MAX_COMPARED_CELLS = (
    3000  # cells of the open image that the new model looks at before it is taken over
)


@dataclass(frozen=True, eq=False)
class FineTuneResult:
    """A finished training, and the images that could not be read."""

    outcome: ClassifierTrainingOutcome
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NewModelPrediction:
    """The new model's prediction for the open image, and a comparison on held-out cells."""

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
    searches: tuple[RateSearch, ...] = ()
    balance: ClassBalance | None = None

    @property
    def pages(self) -> TrainingPages:
        """What the results page shows of it."""
        return TrainingPages(self.findings, self.report, self.searches, self.balance)


@dataclass(frozen=True, eq=False)
class TrainingPages:
    """What the results page shows of a training; its model is not read.

    Attributes
    ----------
    report
        The page to show in a browser; ``None`` where there is none.
    searches, balance
        The rate searches, and the pictures of each class, where they were written.
    """

    findings: EvaluationResults
    report: Path | None
    searches: tuple[RateSearch, ...] = ()
    balance: ClassBalance | None = None


def read_pages(folder: Path) -> TrainingPages:
    """Return the results in the folder of a training, also of one made by the command.

    Raises
    ------
    TrainingError
        The folder holds no finished training, or its tables are damaged.
    """
    from napari_hemacells.core.train.classifier.report.figure_tables import (
        read_class_balance,
        read_rate_searches,
    )
    from napari_hemacells.core.train.classifier.results import read_results

    findings, report = read_results(folder), folder / "report.html"
    try:
        searches = read_rate_searches(folder)
        split = (folder / "split.csv").is_file()
        balance = read_class_balance(folder) if split else None
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"The tables of the training in “{folder}” are damaged: train again."
        ) from error
    return TrainingPages(findings, report if report.is_file() else None, searches, balance)


def classifier_training_steps(
    ground: ProjectSnapshot,
    job: TrainJob,
    run: SubprocessJob[TrainJob, ClassifierTrainingOutcome],
    *,
    grouped: bool,
) -> Generator[Progress, None, FineTuneResult]:
    """Yield preparations and reports of the training; return the result."""
    left_out = yield from _gather_crops(ground, job, grouped=grouped)
    outcome = yield from throttle_reports(run.reports())
    model_store.delete_checkpoint(job.folder)
    return FineTuneResult(outcome, left_out)


def resumed_training_steps(
    run: SubprocessJob[TrainJob, ClassifierTrainingOutcome], job: TrainJob
) -> Generator[Any, None, FineTuneResult]:
    """Yield the reports of a resumed training; return the result."""
    outcome = yield from throttle_reports(run.reports())
    model_store.delete_checkpoint(job.folder)
    return FineTuneResult(outcome)


def rate_finder_steps(
    ground: ProjectSnapshot | None,
    job: TrainJob,
    run: SubprocessJob[TrainJob, Any],
    *,
    grouped: bool,
) -> Generator[Progress, None, Any]:
    """Yield preparations and the rate finder's reports; return its curve and clean up.

    Without `ground` the job's own pictures are used: those of class folders.
    """
    try:
        if ground is not None:
            yield from _gather_crops(ground, job, grouped=grouped)
        return (yield from throttle_reports(run.reports()))
    finally:
        model_store.delete_training(job.folder)


def _gather_crops(
    ground: ProjectSnapshot, job: TrainJob, *, grouped: bool
) -> Generator[Progress, None, tuple[str, ...]]:
    if job.spec is None:
        raise ValueError("Crops of cells need a size and a margin. Detect the cells again.")
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

    yield Progress(0, 0, "Reading the result")
    pages = read_pages(folder)
    return FinishedTraining(
        load_bundle(folder / model_store.MODEL),
        pages.findings,
        trained_cells(folder),
        pages.report,
        pages.searches,
        pages.balance,
    )


def compare_model_steps(
    opened: FinishedTraining,
    project: Project,
    image: SmearImage | None,
    cells: Cells | None,
    *,
    asked: HeldOutRequest | None,
) -> Generator[Progress, None, NewModelPrediction]:
    """Return the new model's prediction for the open image, without using the model."""
    from napari_hemacells.core.encode import EmbeddingCache, embed_cells_steps
    from napari_hemacells.session.model_comparison import held_out_correct

    yield Progress(0, 0, "Comparing with the classifier in use")
    before = {} if asked is None else held_out_correct(asked)
    if image is None or cells is None or not len(cells):
        return NewModelPrediction("" if image is None else image.key, None, before)
    bundle = opened.bundle
    with without_triton():
        encoder = bundle.make_encoder()
    yield Progress(0, 0, "Applying the new model to this image")
    embeddings = yield from embed_cells_steps(
        image,
        subsample_cells(cells),
        bundle.spec,
        encoder,
        EmbeddingCache(project.embeddings_folder),
    )
    return NewModelPrediction(image.key, bundle.head.predict(embeddings), before)


def subsample_cells(cells: Cells) -> Cells:
    """Return the cells, or an evenly spaced part of very many."""
    step = -(-len(cells) // MAX_COMPARED_CELLS)
    return cells if step <= 1 else replace(cells, table=cells.table.iloc[::step])


def held_out_agreement(
    opened: FinishedTraining, looked: NewModelPrediction
) -> tuple[int, int, int] | None:
    """Return the number of held-out cells, and how many of them each classifier got right."""
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
    """The training set of a fine-tuning.

    Attributes
    ----------
    reason
        Why it is not possible now; empty where it is.
    folder
        The class folders that teach instead of annotated cells.
    split
        The validation split, in a sentence.
    """

    images: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    split: str = ""
    reason: str = ""
    folder: str = ""

    def words(self) -> str:
        """The training set in a sentence."""
        total = sum(count for _, count in self.counts)
        if not total:
            return "No cell is annotated yet."
        each = ", ".join(f"{count:,} {name}" for name, count in self.counts)
        if self.folder:
            pictures = format_count(total, "picture")
            return f"{pictures} of the class folders in “{self.folder}”: {each}."
        cells, images = format_count(total, "annotated cell"), format_count(self.images, "image")
        return f"{cells} of {images}: {each}."


@dataclass(frozen=True)
class Comparison:
    """A comparison of the new model with the classifier in use.

    Attributes
    ----------
    image_key
        The image that was open; empty for none.
    compared
        Number of cells of that image that were compared; 0 without an image.
    changes
        The cells that would change their class.
    agreement
        Number of held-out cells that both classified, and how many each got right.
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
    """Return the result of a training and the changes it would make, in a few sentences."""
    parts = [_agreement(comparison), _changes(comparison, names)]
    parts += [escape(text) for text in left_out]
    return "".join(f"<p>{part}</p>" for part in parts if part)


def _agreement(comparison: Comparison) -> str:
    if comparison.agreement is None:
        return ""
    n, before, after = comparison.agreement
    verdict = "" if after >= before else " <b>The new model does worse: discard it.</b>"
    return (
        f"On {format_count(n, 'held-out cell')} the new model agrees with you on "
        f"<b>{after:,}</b>, the classifier in use, fitted on the same training cells, on "
        f"<b>{before:,}</b>.{verdict}"
    )


def _changes(comparison: Comparison, names: Mapping[str, str]) -> str:
    if not comparison.compared:
        return ""
    changes = comparison.changes
    if not changes:
        return (
            f"None of {format_count(comparison.compared, 'cell')} of this image would change "
            "its class."
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
        f"<b>{len(changes):,}</b> of {format_count(comparison.compared, 'cell')} of this "
        f"image would change their class: {listed_pairs}{more}. Your annotations do not "
        "change."
    )


def _name(class_id: str, names: Mapping[str, str]) -> str:
    return "unknown" if class_id == UNKNOWN else escape(names.get(class_id, class_id))
