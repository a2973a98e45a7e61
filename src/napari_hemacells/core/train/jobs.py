"""The trainings that run in a child process, which the dock names without loading what they need.

Importing this imports neither torch nor a trainer; each job imports its own when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.detector.config import DetectorJob
    from napari_hemacells.core.train.detector.report import DetectorOutcome
    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob, AdaptOutcome
    from napari_hemacells.core.train.siamese.config import SiameseJob, SiameseOutcome


def adapt_encoder(job: AdaptJob) -> Generator[TrainingReport, None, AdaptOutcome]:
    """Adapt as :func:`~napari_hemacells.core.train.selfsupervised.trainer.adapt` does."""
    from napari_hemacells.core.train.selfsupervised.trainer import adapt

    return (yield from adapt(job))


def train_siamese(job: SiameseJob) -> Generator[TrainingReport, None, SiameseOutcome]:
    """Train as :func:`~napari_hemacells.core.train.siamese.trainer.train_siamese` does."""
    from napari_hemacells.core.train.siamese.trainer import train_siamese as train

    return (yield from train(job))


def fine_tune_detector(job: DetectorJob) -> Generator[TrainingReport, None, DetectorOutcome]:
    """Fine-tune as :func:`~napari_hemacells.core.train.detector.trainer.fine_tune` does."""
    from napari_hemacells.core.train.detector.trainer import fine_tune

    return (yield from fine_tune(job))
