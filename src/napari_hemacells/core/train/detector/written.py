"""The end of a fine-tuning: figures, the weights' file, the report. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.state import now
from napari_hemacells.core.detect.learned.model import Limits
from napari_hemacells.core.train.detector.outcome import DetectorOutcome, Learned
from napari_hemacells.core.train.detector.report import page_of
from napari_hemacells.core.train.detector.weights import save_weights
from napari_hemacells.core.train.page import write_page
from napari_hemacells.core.train.provenance import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.detector.course import Course
    from napari_hemacells.core.train.detector.fields import Field
    from napari_hemacells.core.train.detector.split import Split


def write_outcome(course: Course) -> DetectorOutcome:
    """Write the best weights with their header, and the report; return what came of it.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    job, start, examiner = course.job, course.start, course.examiner
    old = start.limits
    limits = Limits(tuple(course.kept["limits"]), old.overlap, old.overlap_of_kinds)
    before = examiner.tally(start.network, old)
    course.scholar.load_state_dict(course.kept["tensors"])
    outcome = DetectorOutcome(
        weights=job.out,
        report=job.out.with_suffix(".html"),
        before=before,
        before_limits=examiner.marks(start.network, old).tally,
        after=examiner.tally(course.scholar, limits),
        best_step=course.best.step,
        steps=course.learner.step,
        seconds=course.seconds(),
        split=course.split.words,
        curves=course.curves,
        notes=tuple(course.notes),
        images=tuple(learned_images(course.fields, course.split)),
    )
    about = _about(course, outcome)
    digest = save_weights(job.out, course.kept["tensors"], limits, about)
    write_page(outcome.report, page_of(outcome, {**about, "sha256": digest}, limits, old))
    return outcome


def learned_images(fields: Sequence[Field], split: Split) -> list[Learned]:
    """Return each picture with what it was used for; with few, each was for both."""
    learned = {part.field for part in split.learn}
    return [
        Learned(field.name, field.key, place in learned, len(field.boxes))
        for place, field in enumerate(fields)
    ]


def _about(course: Course, outcome: DetectorOutcome) -> dict[str, Any]:
    """Return what the weights' header says of their making; plain JSON."""
    job = course.job
    return {
        "date": now(),
        "start": {"name": course.start.name, "sha256": course.start.sha256},
        "images": [
            {"name": one.name, "key": one.key, "learned": one.learned} for one in outcome.images
        ],
        "split": outcome.split,
        "steps": outcome.steps,
        "planned_steps": job.steps,
        "best_step": outcome.best_step,
        "params": job.params.model_dump(),
        "device": course.device.name,
        "f1_iou50_held_out": {
            "before": outcome.before.f1(),
            "before_limits_chosen": outcome.before_limits.f1(),
            "after": outcome.after.f1(),
        },
        "notes": list(outcome.notes),
        "versions": versions(),
        "command": job.command,
    }
