"""A training on the command line: a moving bar on a terminal, a line a look in a log."""

from collections.abc import Generator
from typing import TypeVar

from napari_hemacells.cli.console import Reporter
from napari_hemacells.core.train.reports import TrainingReport, in_words
from napari_hemacells.core.types import Progress

Result = TypeVar("Result")


def run_training(
    steps: Generator[TrainingReport, None, Result], reporter: Reporter, title: str
) -> Result:
    """Return what the training returns; held-out figures are printed as they come."""
    with reporter.progress(title) as advance:
        last = None
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # the generator's own type
            advance(Progress(report.done, report.total, _beside(report)))
            if report.metrics and report is not last:
                reporter.say(line(report))
            last = report


def line(report: TrainingReport) -> str:
    """Return one line: step, loss, held-out figures, speed, time to go.

    Examples
    --------
    >>> line(TrainingReport(50, 150, losses={"total": 1.25}, metrics={"F1 all": 0.9}))
    'step 50/150 · loss 1.250 · F1 all 0.900'
    """
    parts = [f"step {report.step}/{report.steps}"]
    if "total" in report.losses:
        parts.append(f"loss {report.losses['total']:.3f}")
    parts += [f"{name} {value:.3f}" for name, value in report.metrics.items()]
    if report.images_per_second:
        parts.append(f"{report.images_per_second:.1f} images/s")
    if report.eta_s is not None:
        parts.append(f"{in_words(report.eta_s)} to go")
    return " · ".join(parts)


def _beside(report: TrainingReport) -> str:
    """Return what stands beside the bar."""
    if report.phase != "train" or report.eta_s is None:
        return report.message
    return f"{report.images_per_second:.1f} images/s, {in_words(report.eta_s)} to go"
