"""What the report of a siamese training says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.classify.verification import threshold_on_curve
from napari_hemacells.core.train.html_report import ReportTable, TrainingPage, render
from napari_hemacells.core.train.learning_curves import PlotTheme, figure_svg
from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.core.train.provenance import library_versions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.train.learning_curves import Curves
    from napari_hemacells.core.train.siamese.config import SiameseJob, SiameseOutcome

CAUTIONS = (
    (
        "The errors are those of pairs of the kinds that were annotated. For kinds that nobody "
        "annotated they are usually higher: hemacells evaluate verification measures that."
    ),
    (
        "Pairs of one kind and of two kinds count alike here. In a smear most pairs are of two "
        "kinds, so more of the pairs called the same are wrong than these rates suggest."
    ),
    "Like or unlike is no diagnosis: it tells which cells to look at again.",
)
RULES = (("equal error", "equal_error"), ("Youden", "youden"), ("5 %", 0.05), ("1 %", 0.01))


def render_report(
    outcome: SiameseOutcome, job: SiameseJob, likeness: Likeness, curves: Curves
) -> str:
    """Return the report as HTML."""
    facts = [
        (f"{sum(outcome.kinds.values())}", "annotated cells"),
        (f"{len(outcome.kinds)}", "kinds"),
        (f"{outcome.threshold:.3f}", "threshold"),
        (format_duration(outcome.seconds), "of training"),
    ]
    if outcome.auroc is not None:
        facts.insert(2, (f"{outcome.auroc:.3f}", "AUROC, held-out pairs"))
    params = ", ".join(f"{name} {value}" for name, value in job.params.model_dump().items())
    page = TrainingPage(
        title=job.out.name,
        kind="same kind or not: siamese network",
        created=utc_now(),
        facts=tuple(facts),
        curves=_curves(likeness, curves),
        tables=(_kinds(outcome), *_thresholds(likeness)),
        provenance=(
            ("Encoder", outcome.encoder),
            ("Has seen", outcome.seen or "not known"),
            ("Settings", params),
            ("Steps", f"{outcome.steps}"),
            ("Versions", ", ".join(f"{name} {text}" for name, text in library_versions().items())),
        ),
        command=job.command,
        cautions=CAUTIONS,
        notes=(outcome.held_out, *outcome.notes),
    )
    return render(page)


def _kinds(outcome: SiameseOutcome) -> ReportTable:
    rows = tuple((name, f"{count}") for name, count in outcome.kinds.items())
    return ReportTable("Annotated cells", ("kind", "cells"), rows)


def _thresholds(likeness: Likeness) -> tuple[ReportTable, ...]:
    """Return the errors of some thresholds; nothing where no curve was measured."""
    curve = likeness.curve
    if not len(curve.thresholds):
        return ()
    rows = []
    for name, rule in RULES:
        threshold = threshold_on_curve(curve, rule)  # type: ignore[arg-type]  # names of rules
        errors = [
            float(part[max(0, int((curve.thresholds <= threshold).sum()) - 1)])
            for part in (curve.false_match, curve.false_non_match)
        ]
        label = f"at most {name} of different pairs" if "%" in name else name
        rows.append((label, f"{threshold:.3f}", *(f"{error:.1%}" for error in errors)))
    headings = ("rule", "threshold", "different called the same", "same called different")
    note = f"On held-out pairs. {likeness.learned_from}"
    return (ReportTable("Thresholds", headings, tuple(rows), note),)


def _curves(likeness: Likeness, curves: Curves) -> str:
    """Return the loss and the errors by threshold as an ``<svg>``; empty for neither."""
    from matplotlib.figure import Figure

    losses, curve = curves.losses.get("total", []), likeness.curve
    parts = [bool(losses), bool(len(curve.thresholds))]
    if not any(parts):
        return ""
    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    axes = list(figure.subplots(1, sum(parts), squeeze=False)[0])
    if losses:
        steps, values = zip(*losses, strict=True)
        loss = _styled(axes.pop(0), "Loss (training)", "step")
        loss.plot(steps, values, color="#56b4e9", linewidth=1.5)
    if axes:
        errors = _styled(axes[0], "Errors on held-out pairs", "threshold")
        errors.plot(curve.thresholds, curve.false_match, "#e69f00", label="different, called same")
        errors.plot(
            curve.thresholds, curve.false_non_match, "#0072b2", label="same, called different"
        )
        errors.axvline(likeness.threshold, color=PlotTheme().text, linewidth=0.8, linestyle=":")
        errors.legend(fontsize=7)
    return figure_svg(figure)


def _styled(axes: Axes, title: str, below: str) -> Axes:
    ink = PlotTheme()
    axes.set_title(title, color=ink.text, fontsize=9, loc="left")
    axes.set_xlabel(below, color=ink.text, fontsize=8)
    axes.tick_params(colors=ink.text, labelsize=8)
    axes.grid(color=ink.line, linewidth=0.5)
    return axes
