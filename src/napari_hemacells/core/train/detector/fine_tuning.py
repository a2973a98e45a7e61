"""The job of a detector's fine-tuning, which the dock names without loading what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.detector.config import DetectorJob
    from napari_hemacells.core.train.detector.report import DetectorOutcome
    from napari_hemacells.core.train.progress import TrainingReport


def fine_tune(job: DetectorJob) -> Generator[TrainingReport, None, DetectorOutcome]:
    """Yield how it goes; return what came of it: the trainer's own. Imports torch."""
    from napari_hemacells.core.train.detector.trainer import fine_tune as fine_tuning_steps

    return (yield from fine_tuning_steps(job))
