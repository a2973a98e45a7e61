"""What the dock's child process does: train, look for wrong labels, write the report."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train.classifier.recipes import named_recipe
from napari_hemacells.core.train.classifier.run import FREE, train_steps

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.classifier.outcome import Outcome
    from napari_hemacells.core.train.classifier.run import TrainJob
    from napari_hemacells.core.train.reports import TrainingReport


def fine_tune_steps(job: TrainJob) -> Generator[TrainingReport, None, Outcome]:
    """Return what came of a training, with its report beside it; a report that fails is a note.

    Raises
    ------
    HemaCellsError
        As :func:`~.run.train_steps`.
    """
    outcome = yield from train_steps(job)
    try:
        from napari_hemacells.core.train.classifier.report.steps import write_report_steps

        yield from write_report_steps(job.folder)
    except HemaCellsError as error:
        return replace(outcome, notes=(*outcome.notes, f"There is no report: {error}"))
    return outcome


def command_of(job: TrainJob, recipe_name: str) -> str:
    """Return what to type to repeat a training on the crops that it learned from.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_hemacells.core.train.classifier.run import TrainJob
    >>> job = TrainJob(Path("crops"), Path("run"), named_recipe("quick", {"epochs": 3}))
    >>> command_of(job, "quick")
    'hemacells train crops --recipe quick --epochs 3 --out run'
    """
    usual = named_recipe(recipe_name).model_dump()
    words = ["hemacells", "train", str(job.source), "--recipe", recipe_name.replace(" ", "-")]
    for name, value in job.recipe.model_dump().items():
        if value != usual[name] and name not in FREE:
            words += _option(name, value)
    return shlex.join([*words, "--out", str(job.folder)])


def _option(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [] if value is None else [f"--{option}", str(value)]
