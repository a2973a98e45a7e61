"""What fine-tuning a classifier does in threads: gather, let a child learn, compare."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.store.corrected import corrected_cells
from napari_hemacells.core.train.classifier import kept
from napari_hemacells.core.train.classifier.gather import cell_of, gather_steps, read_stored
from napari_hemacells.core.train.classifier.taught import taught_cells
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.graphics import triton_kept_out

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store import Bundle, Project
    from napari_hemacells.core.train import ChildRun, TrainingReport
    from napari_hemacells.core.train.classifier.findings import Findings
    from napari_hemacells.core.train.classifier.outcome import Outcome
    from napari_hemacells.core.train.classifier.run import TrainJob
    from napari_hemacells.core.train.classifier.taught import Taught
    from napari_hemacells.core.types import CellRef, Cells, Prediction, SmearImage
    from napari_hemacells.session.finetuning import HeldOut

Embed: TypeAlias = (
    "Callable[[Project, SmearImage, Cells], Callable[[], Generator[Any, None, Any]]]"
)
COMPARED = 3000  # cells of the open image that the new model looks at before it is taken over
EVERY_S = 0.05  # the dock is told no more often


@dataclass(frozen=True, eq=False)
class Ground:
    """The session at the moment that Start was pressed; clicks may go on meanwhile."""

    project: Project
    state: AnnotationState
    opened: Mapping[str, SmearImage] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """A training that came to its end, and images that it could not learn from."""

    outcome: Outcome
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Looked:
    """What a new model says of the open image, and what the one in use says of held-out cells."""

    image_key: str
    prediction: Prediction | None
    before: Mapping[CellRef, bool]


@dataclass(frozen=True, eq=False)
class Opened:
    """A finished training, read from its folder.

    Attributes
    ----------
    report
        The page to show in a browser; ``None`` where there is none.
    """

    bundle: Bundle
    findings: Findings
    taught: Mapping[CellRef, Taught]
    report: Path | None


def training_steps(
    ground: Ground, job: TrainJob, run: ChildRun[TrainJob, Outcome], *, grouped: bool
) -> Generator[Progress, None, Trained]:
    """Yield preparations and reports of the training; return what came of it."""
    left_out = yield from _gather(ground, job, grouped=grouped)
    outcome = yield from seldom(run.reports())
    kept.finished(job.folder)
    return Trained(outcome, left_out)


def resuming_steps(
    run: ChildRun[TrainJob, Outcome], job: TrainJob
) -> Generator[Any, None, Trained]:
    """Yield the reports of a training that is gone on with; return what came of it."""
    outcome = yield from seldom(run.reports())
    kept.finished(job.folder)
    return Trained(outcome)


def rate_steps(
    ground: Ground, job: TrainJob, run: ChildRun[TrainJob, Any], *, grouped: bool
) -> Generator[Progress, None, Any]:
    """Yield preparations and the finder's reports; return its curve. Nothing is left behind."""
    try:
        yield from _gather(ground, job, grouped=grouped)
        return (yield from seldom(run.reports()))
    finally:
        kept.forget(job.folder)


def _gather(
    ground: Ground, job: TrainJob, *, grouped: bool
) -> Generator[Progress, None, tuple[str, ...]]:
    if job.spec is None:
        raise ValueError("crops of cells need a size and a margin")
    gathered = yield from gather_steps(
        ground.project,
        ground.state,
        job.folder / kept.CROPS,
        job.spec,
        grouped=grouped,
        opened=ground.opened,
    )
    return gathered.left_out


def opening_steps(folder: Path) -> Generator[Progress, None, Opened]:
    """Return a finished training with its model."""
    from napari_hemacells.core.store import load_bundle
    from napari_hemacells.core.train.classifier.findings import read_findings

    yield Progress(0, 0, "Reading the result")
    report = folder / "report.html"
    return Opened(
        load_bundle(folder / kept.MODEL),
        read_findings(folder),
        taught_cells(folder),
        report if report.is_file() else None,
    )


def recalling_steps(
    ground: Ground, here: str | None, embed: Embed, *, whole: bool = False
) -> Generator[Progress, None, None]:
    """Embed the annotated cells of other images, as the classifier in use needs them.

    Images that cannot be read are left out; that was told when the training gathered them.

    Parameters
    ----------
    whole
        All cells of these images, for vectors that depend on one another.
    """
    for key in {ref.image_key for ref in ground.state.labels} - {here}:
        yield Progress(0, 0, f"Comparing on {ground.project.image(key).name}")
        try:
            image = ground.opened.get(key) or read_stored(ground.project, key)
            cells = corrected_cells(ground.project, key, ground.state)
        except HemaCellsError:
            continue
        mine = cells.table["label"].isin(list(ground.state.of_image(key)))
        if mine.any():
            wanted = cells if whole else replace(cells, table=cells.table[mine])
            yield from embed(ground.project, image, wanted)()


def looking_steps(
    opened: Opened,
    project: Project,
    image: SmearImage | None,
    cells: Cells | None,
    *,
    asked: HeldOut | None,
) -> Generator[Progress, None, Looked]:
    """Return what a new model says of the open image, without taking it over."""
    from napari_hemacells.core.encode import EmbeddingCache, embed_steps
    from napari_hemacells.session.finetuning import right_before

    yield Progress(0, 0, "Comparing with the classifier in use")
    before = {} if asked is None else right_before(asked)
    if image is None or cells is None or not len(cells):
        return Looked("" if image is None else image.key, None, before)
    bundle = opened.bundle
    with triton_kept_out():
        encoder = bundle.make_encoder()
    yield Progress(0, 0, "The new model looks at this image")
    embeddings = yield from embed_steps(
        image, some(cells), bundle.spec, encoder, EmbeddingCache(project.embeddings_folder)
    )
    return Looked(image.key, bundle.head.predict(embeddings), before)


def some(cells: Cells) -> Cells:
    """Return the cells, or an even part of very many."""
    step = -(-len(cells) // COMPARED)
    return cells if step <= 1 else replace(cells, table=cells.table.iloc[::step])


def held_out_agreement(opened: Opened, looked: Looked) -> tuple[int, int, int] | None:
    """Return on how many held-out cells both were asked, and how many each got right."""
    after = {cell_of(one.key): one.right for one in opened.findings.items}
    both = [ref for ref in looked.before if ref in after]
    if not both:
        return None
    return len(both), sum(looked.before[ref] for ref in both), sum(after[ref] for ref in both)


def seldom(steps: Generator[TrainingReport, None, Any]) -> Generator[TrainingReport, None, Any]:
    """Yield what a training reports, but not hundreds of times a second.

    What is said for the first time is never left out, nor are held-out figures.
    """
    told, said = 0.0, ""
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            return end.value
        now = time.monotonic()
        if report.metrics or report.message != said or now - told >= EVERY_S:
            told, said = now, report.message
            yield report
