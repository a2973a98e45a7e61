"""What fine-tuning a classifier does in threads: gather, let a child learn, compare.

What the fine-tuning page says, and how long is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.model_store import taught_cells
from napari_hemacells.core.train.classifier.project_dataset import cell_of, gather_steps
from napari_hemacells.core.types import UNKNOWN, Progress
from napari_hemacells.widgets.native_libraries import triton_kept_out
from napari_hemacells.widgets.training.steps import Ground, counted, seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from napari_hemacells.core.store import Bundle, Project
    from napari_hemacells.core.train import ChildRun
    from napari_hemacells.core.train.classifier.artifacts import Outcome
    from napari_hemacells.core.train.classifier.model_store import Taught
    from napari_hemacells.core.train.classifier.results import Findings
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import CellRef, Cells, Prediction, SmearImage
    from napari_hemacells.session.model_comparison import Change, HeldOut

Embed: TypeAlias = (
    "Callable[[Project, SmearImage, Cells], Callable[[], Generator[Any, None, Any]]]"
)
COMPARED = 3000  # cells of the open image that the new model looks at before it is taken over


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
    model_store.finished(job.folder)
    return Trained(outcome, left_out)


def resuming_steps(
    run: ChildRun[TrainJob, Outcome], job: TrainJob
) -> Generator[Any, None, Trained]:
    """Yield the reports of a training that is gone on with; return what came of it."""
    outcome = yield from seldom(run.reports())
    model_store.finished(job.folder)
    return Trained(outcome)


def rate_steps(
    ground: Ground, job: TrainJob, run: ChildRun[TrainJob, Any], *, grouped: bool
) -> Generator[Progress, None, Any]:
    """Yield preparations and the finder's reports; return its curve. Nothing is left behind."""
    try:
        yield from _gather(ground, job, grouped=grouped)
        return (yield from seldom(run.reports()))
    finally:
        model_store.forget(job.folder)


def _gather(
    ground: Ground, job: TrainJob, *, grouped: bool
) -> Generator[Progress, None, tuple[str, ...]]:
    if job.spec is None:
        raise ValueError("crops of cells need a size and a margin")
    gathered = yield from gather_steps(
        ground.project,
        ground.state,
        job.folder / model_store.CROPS,
        job.spec,
        grouped=grouped,
        opened=ground.opened,
    )
    return gathered.left_out


def opening_steps(folder: Path) -> Generator[Progress, None, Opened]:
    """Return a finished training with its model."""
    from napari_hemacells.core.store import load_bundle
    from napari_hemacells.core.train.classifier.results import read_findings

    yield Progress(0, 0, "Reading the result")
    report = folder / "report.html"
    return Opened(
        load_bundle(folder / model_store.MODEL),
        read_findings(folder),
        taught_cells(folder),
        report if report.is_file() else None,
    )


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
    from napari_hemacells.session.model_comparison import right_before

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


LISTED = 3  # pairs of classes between which most cells change


@dataclass(frozen=True)
class Teaching:
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
        return f"{counted(total, 'annotated cell')} of {counted(self.images, 'image')}: {each}."


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
    changes: tuple[Change, ...] = ()
    agreement: tuple[int, int, int] | None = None


def outcome_html(
    comparison: Comparison,
    names: Mapping[str, str],
    left_out: Sequence[str] = (),
) -> str:
    """Return what came of a training, and what would change, in a few sentences."""
    parts = [_agreement(comparison), _changes(comparison, names)]
    parts += [escape(one) for one in left_out]
    return "".join(f"<p>{one}</p>" for one in parts if one)


def _agreement(comparison: Comparison) -> str:
    if comparison.agreement is None:
        return ""
    n, before, after = comparison.agreement
    verdict = "" if after >= before else " <b>It does no better than before: drop it.</b>"
    return (
        f"Of {counted(n, 'held-out cell')} the new model gives <b>{after:,}</b> your class, the "
        f"classifier in use, taught with the same cells, <b>{before:,}</b>.{verdict}"
    )


def _changes(comparison: Comparison, names: Mapping[str, str]) -> str:
    if not comparison.compared:
        return ""
    changes = comparison.changes
    if not changes:
        return f"None of {counted(comparison.compared, 'cell')} of this image changes its class."
    pairs = Counter((one.before, one.after) for one in changes).most_common(LISTED)
    told = ", ".join(f"{n} {_name(old, names)} → {_name(new, names)}" for (old, new), n in pairs)
    more = " …" if len({(one.before, one.after) for one in changes}) > LISTED else ""
    return (
        f"<b>{len(changes):,}</b> of {counted(comparison.compared, 'cell')} of this image would "
        f"change their class: {told}{more}. What you annotated stays."
    )


def _name(class_id: str, names: Mapping[str, str]) -> str:
    return "unknown" if class_id == UNKNOWN else escape(names.get(class_id, class_id))
