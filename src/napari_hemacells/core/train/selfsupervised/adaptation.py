"""The job of an adaptation, which the dock names without loading what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob, AdaptOutcome


def adapt(job: AdaptJob) -> Generator[TrainingReport, None, AdaptOutcome]:
    """Yield how it goes; return what came of it: the trainer's ``adapt``. Imports torch."""
    from napari_hemacells.core.train.selfsupervised.trainer import adapt as adaptation_steps

    return (yield from adaptation_steps(job))
