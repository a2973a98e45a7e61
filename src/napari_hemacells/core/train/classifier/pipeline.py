"""A training from its pictures to its bundle, as a generator that any thread or process drives.

Importing this module does not import torch; running a training does.

What the dock's child process does: train, look for wrong labels, write the report.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train.classifier.crop_store import (
    estimate_crop_geometry,
    load_examples_steps,
)
from napari_hemacells.core.train.classifier.dataset import (
    check_examples,
    check_groups,
    read_examples,
    read_learned_from,
    read_spec,
)
from napari_hemacells.core.train.classifier.split import (
    SplitRule,
    few_shots,
    load_split,
    save_split,
    split_examples,
)
from napari_hemacells.core.train.classifier.training import (
    SPLIT,
    PreparedData,
    Training,
    TrainJob,
)
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.classifier.artifacts import ClassifierTrainingOutcome


def train(job: TrainJob) -> ClassifierTrainingOutcome:
    """Return what came of a training: :func:`train_steps` run to its end."""
    return run_to_end(train_steps(job))


def train_steps(job: TrainJob) -> Generator[TrainingReport, None, ClassifierTrainingOutcome]:
    """Return what came of a training; yield at every step, where it can be stopped.

    Seeds torch's global chance.

    Raises
    ------
    TrainingError
        The pictures are not enough to learn from, the loss is no number, or the memory is full.
    EncoderError
        The network or its weights cannot be had.
    StorageError
        The folder cannot be written.
    """
    from napari_hemacells.core.train.classifier.export import evaluate_and_save_steps
    from napari_hemacells.core.train.classifier.report import with_report_steps

    began = time.monotonic()
    prepared = yield from prepare_steps(job)
    course = Training(job, prepared)
    yield from course.run()
    outcome = yield from evaluate_and_save_steps(course, began)
    if not job.report or not course.accelerator.is_main_process:
        return outcome
    del course  # the network's memory: heat maps load it again from the bundle
    return (yield from with_report_steps(outcome))


def prepare_steps(job: TrainJob) -> Generator[TrainingReport, None, PreparedData]:
    """Return the pictures, read and split, after refusing what nothing can be learned from."""
    from napari_hemacells.core.train.classifier.model_zoo import (
        check_weights,
        resolve_architecture,
    )

    recipe = job.recipe
    plan = resolve_architecture(recipe)
    yield TrainingReport(0, 0, check_weights(recipe), phase="start")
    examples = read_examples(job.source, recipe.label_pattern)
    check_examples(examples)
    frame = estimate_crop_geometry(examples, plan.size, recipe.context, job.selection)
    cut = job.spec or read_spec(job.source)
    if cut is not None:
        frame = frame._replace(
            spec=replace(cut, size=plan.size),
            framing=1.0,
            learned_from=read_learned_from(job.source),
        )
    frame = frame.with_thermal_display(recipe.degrees, recipe.palette)
    loaded = yield from load_examples_steps(examples, frame, recipe.memory_mb)
    check_examples(loaded.examples)
    if not recipe.ungrouped:
        check_groups(loaded.examples)
    rule = SplitRule(
        validation=recipe.validation,
        test=recipe.test,
        seed=recipe.seed,
        folds=job.folds,
        fold=job.fold,
        ungrouped=recipe.ungrouped,
    )
    split = split_examples(loaded, rule, load_split(job.folder / SPLIT, rule))
    save_split(job.folder / SPLIT, split)
    if recipe.shots is not None:
        split = few_shots(loaded, split, recipe.shots)
    return PreparedData(loaded, split, frame.spec)


def fine_tune_steps(job: TrainJob) -> Generator[TrainingReport, None, ClassifierTrainingOutcome]:
    """Return what came of a training, with its report beside it; a report that fails is a note.

    Raises
    ------
    HemaCellsError
        As :func:`~.run.train_steps`.
    """
    outcome = yield from train_steps(job)
    try:
        from napari_hemacells.core.train.classifier.report.build import write_report_steps

        yield from write_report_steps(job.folder)
    except HemaCellsError as error:
        return replace(outcome, notes=(*outcome.notes, f"There is no report: {error}"))
    return outcome
