"""What the child process of a siamese training runs. Importing this does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.core.train.siamese.config import SiameseJob, SiameseOutcome


def run_siamese(job: SiameseJob) -> Generator[TrainingReport, None, SiameseOutcome]:
    """Train as :func:`~napari_hemacells.core.train.siamese.trainer.train_siamese` does."""
    from napari_hemacells.core.train.siamese.trainer import train_siamese

    return (yield from train_siamese(job))
