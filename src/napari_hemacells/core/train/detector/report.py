"""What the report of a fine-tuned detector says.

What came of a fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.train.detector.metrics import ALL, FIELDS_FOR_INTERVAL, DetectionCounts
from napari_hemacells.core.train.html_report import ReportTable, TrainingPage
from napari_hemacells.core.train.learning_curves import curves_svg
from napari_hemacells.core.train.progress import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.detect.learned.model import DetectionThresholds
    from napari_hemacells.core.train.learning_curves import Curves

CAUTIONS = (
    (
        "F1 counts a found cell as right where its box covers an annotated one of its kind with "
        "an intersection over union of 0.5 or more, at the diameter of the annotated cells."
    ),
    (
        "The held-out part was not learned from, but it decided when to stop and which limits to "
        "use, so the figure after is somewhat too good; the middle column gives the old detector "
        "the same freedom with the limits and is the one to compare with."
    ),
    (
        "The fields were taken as completely corrected: a cell that nobody outlined counts as "
        "absent, in learning and in these figures."
    ),
)


def build_page(
    outcome: DetectorOutcome,
    about: dict[str, Any],
    limits: DetectionThresholds,
    old: DetectionThresholds,
) -> TrainingPage:
    """Return the page."""
    learned = sum(image.learned for image in outcome.images)
    gain = outcome.after.f1()[ALL] - outcome.before_limits.f1()[ALL]
    return TrainingPage(
        title=outcome.weights.stem,
        kind="fine-tuned detector",
        created=about["date"],
        facts=(
            (f"{learned}", "fields learned from"),
            (f"{sum(image.cells for image in outcome.images)}", "cells in all fields"),
            (f"{outcome.after.f1()[ALL]:.3f}", "F1, held-out part"),
            (f"{gain:+.3f}", "gain over the old detector"),
            (format_duration(outcome.seconds), "of training"),
        ),
        curves=curves_svg(outcome.curves, outcome.steps),
        tables=(_metrics_table(outcome), _limits(limits, old), _images(outcome)),
        provenance=_provenance(outcome, about),
        command=about["command"],
        cautions=CAUTIONS,
        notes=(_selection_note(outcome), *outcome.notes),
    )


def _selection_note(outcome: DetectorOutcome) -> str:
    if outcome.best_step == 0:
        return "No step did better on the held-out part than the start: the detector is as it was."
    return (
        f"The weights (their running mean) after step {outcome.best_step} did best and are kept."
    )


def _metrics_table(outcome: DetectorOutcome) -> ReportTable:
    """Before and after by kind, with intervals where there are images enough."""
    columns = (outcome.before, outcome.before_limits, outcome.after)
    gains = outcome.after.gain(outcome.before_limits)
    names = [name for name in (*KINDS, ALL) if name in outcome.after.f1()]
    rows = [
        (
            name,
            f"{outcome.after.rows()[name]['annotated']:.0f}",
            *(_f1(counts, name) for counts in columns),
            f"{gains[name][0]:+.3f} to {gains[name][1]:+.3f}" if name in gains else "–",
        )
        for name in names
    ]
    note = f"Held out: {outcome.split}. " + (
        "Intervals: 95 %, the held-out images drawn again 1,000 times."
        if gains
        else f"No intervals: they need {FIELDS_FOR_INTERVAL} held-out images."
    )
    return ReportTable(
        "Cells found in the held-out part: F1 at IoU 0.5",
        ("", "annotated", "before", "before, limits chosen here", "after", "gain, 95 %"),
        tuple(rows),
        note,
        sums=True,
    )


def _f1(counts: DetectionCounts, name: str) -> str:
    value, known = counts.f1()[name], counts.intervals().get(name)
    return f"{value:.3f}" + (f" ({known[0]:.3f}–{known[1]:.3f})" if known else "")


def _limits(limits: DetectionThresholds, old: DetectionThresholds) -> ReportTable:
    rows = zip(KINDS, old.scores, limits.scores, strict=True)
    return ReportTable(
        "Least score of a cell",
        ("", "before", "after"),
        tuple((kind, f"{before:.2f}", f"{after:.2f}") for kind, before, after in rows),
    )


def _images(outcome: DetectorOutcome) -> ReportTable:
    both = all(image.learned for image in outcome.images)
    use = {True: "learned from, a strip held out" if both else "learned from", False: "held out"}
    rows = [
        (image.name, image.key, f"{image.cells}", use[image.learned]) for image in outcome.images
    ]
    return ReportTable("Fields", ("image", "identity", "cells", "use"), tuple(rows))


def _provenance(outcome: DetectorOutcome, about: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    params = ", ".join(f"{name} {value}" for name, value in about["params"].items())
    return (
        ("Began with", f"{about['start']['name']}, SHA-256 {about['start']['sha256'][:16]}"),
        ("Result", f"{outcome.weights.name}, SHA-256 {about['sha256'][:16]}"),
        ("Steps", f"{outcome.steps} of {about['planned_steps']} planned"),
        ("Settings", f"{params} (used: {about['device']})"),
        ("Split", outcome.split),
        ("Versions", ", ".join(f"{name} {value}" for name, value in about["versions"].items())),
    )


@dataclass(frozen=True, eq=False)
class FieldSummary:
    """A picture of the training, as the report names it: name, key, whether learned from."""

    name: str
    key: str
    learned: bool
    cells: int


@dataclass(frozen=True, eq=False)
class DetectorOutcome:
    """What came of a fine-tuning.

    Attributes
    ----------
    weights, report
        The files written.
    before, before_limits, after
        The held-out part with the start as it was, with the start and limits chosen on the
        held-out part, and with the fine-tuned weights and limits chosen there.
    best_step, steps, seconds
        Which step was kept, of how many done, and how long it took.
    notes
        What should be known: the split, a batch that was halved, an early stop.
    """

    weights: Path
    report: Path
    before: DetectionCounts
    before_limits: DetectionCounts
    after: DetectionCounts
    best_step: int
    steps: int
    seconds: float
    split: str
    curves: Curves
    notes: tuple[str, ...] = ()
    images: tuple[FieldSummary, ...] = field(default_factory=tuple)

    @property
    def is_better(self) -> bool:
        """Whether the held-out part is done better, by more than a cell, than by the start.

        The start has its limits chosen there, too.
        """
        gain = self.after.f1()[ALL] - self.before_limits.f1()[ALL]
        return gain > self.after.grain
