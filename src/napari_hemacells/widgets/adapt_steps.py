"""What adapting an encoder does in a thread: gather the cells, let a child process learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.train.selfsupervised import kept
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.finetune_steps import seldom

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train import ChildRun
    from napari_hemacells.core.train.selfsupervised.job import AdaptJob
    from napari_hemacells.core.train.selfsupervised.outcome import AdaptOutcome
    from napari_hemacells.widgets.finetune_steps import Ground


def adapting_steps(
    ground: Ground, job: AdaptJob, run: ChildRun[AdaptJob, AdaptOutcome]
) -> Generator[Progress, None, AdaptOutcome]:
    """Yield preparations and reports; return what came of it.

    Only an encoder that was kept is left in the project, however this ends.
    """
    from napari_hemacells.core.train.selfsupervised.material import remove_folder

    keep = False
    try:
        yield from _gather(ground, job)
        outcome: AdaptOutcome = yield from seldom(run.reports())
        if outcome.kept:
            kept.remember(job, outcome)
            remove_folder(job.folder)
        keep = outcome.kept
        return outcome
    finally:
        if not keep:
            kept.forget(job.out)


def _gather(ground: Ground, job: AdaptJob) -> Generator[Progress, None, None]:
    """Write the crops where the child finds them; they do not stay in this process."""
    from napari_hemacells.core.train.selfsupervised.gather import gather_project_steps
    from napari_hemacells.core.train.selfsupervised.material import write_material

    yield Progress(0, 0, "Reading cells")
    found = yield from gather_project_steps(ground.project, ground.state, opened=ground.opened)
    yield Progress(0, 0, f"{len(found.crops):,} cells to learn from")
    write_material(job.folder, found)
