"""A training from its pictures to its bundle, as a generator that any thread or process drives.

Importing this module does not import torch; running a training does.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.train.checkpoint import load_checkpoint
from napari_hemacells.core.train.classifier.crops import Loaded, frame_of, load_steps
from napari_hemacells.core.train.classifier.examples import (
    check_examples,
    check_groups,
    read_examples,
    spec_beside,
)
from napari_hemacells.core.train.classifier.outcome import write_curve, write_json, write_log
from napari_hemacells.core.train.classifier.recipe import Recipe
from napari_hemacells.core.train.classifier.sampling import class_weights
from napari_hemacells.core.train.classifier.split import (
    Split,
    SplitRule,
    known_parts,
    save_split,
    split_examples,
)
from napari_hemacells.core.train.reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.feeds import Pictures
    from napari_hemacells.core.train.classifier.learner import Learner
    from napari_hemacells.core.train.classifier.loop import Loop
    from napari_hemacells.core.train.classifier.outcome import Outcome
    from napari_hemacells.core.types import CropSpec

CHECKPOINT, SPLIT = "checkpoint.pt", "split.json"
FREE = ("memory_mb", "tta", "device")  # what may change when a training is gone on with
FINDER_SEED = 104729


@dataclass(frozen=True)
class TrainJob:
    """What to train, on what, and where the result goes. It can be sent to another process.

    Attributes
    ----------
    source
        A folder of class folders, a CSV, or a folder that ``write_examples`` wrote.
    folder
        For the result; a training that was interrupted there is gone on with.
    name
        Of the model.
    command
        The command that repeats it.
    spec
        How the crops were cut, where they come from detected cells; ``None`` for pictures.
    palette
        Classes of the project, whose ids and colours the model takes over.
    folds, fold
        With two folds or more, validation is that fold.
    report
        Whether the page of HTML is written when all is done.
    """

    source: Path
    folder: Path
    recipe: Recipe = Recipe()  # noqa: RUF009  # frozen
    name: str = ""
    command: str = ""
    spec: CropSpec | None = None
    palette: Palette | None = None
    folds: int = 0
    fold: int = 0
    report: bool = False


@dataclass(frozen=True)
class Prepared:
    """Pictures and their parts."""

    loaded: Loaded
    split: Split
    spec: CropSpec


def train(job: TrainJob) -> Outcome:
    """Return what came of a training: :func:`train_steps` run to its end."""
    return run_to_end(train_steps(job))


def train_steps(job: TrainJob) -> Generator[TrainingReport, None, Outcome]:
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
    from napari_hemacells.core.train.classifier.finish import finish_steps
    from napari_hemacells.core.train.classifier.report import with_report_steps

    began = time.monotonic()
    prepared = yield from prepare_steps(job)
    course = Training(job, prepared)
    yield from course.run()
    outcome = yield from finish_steps(course, began)
    if not job.report or not course.accelerator.is_main_process:
        return outcome
    del course  # the network's memory: heat maps load it again from the bundle
    return (yield from with_report_steps(outcome))


def prepare_steps(job: TrainJob) -> Generator[TrainingReport, None, Prepared]:
    """Return the pictures, read and split, after refusing what nothing can be learned from."""
    from napari_hemacells.core.train.classifier.architectures import plan_of

    recipe = job.recipe
    plan = plan_of(recipe)
    examples = read_examples(job.source)
    check_examples(examples)
    frame = frame_of(examples, plan.size, recipe.context)
    cut = job.spec or spec_beside(job.source)
    if cut is not None:
        frame = frame._replace(spec=replace(cut, size=plan.size), framing=1.0)
    frame = frame.showing(recipe.degrees, recipe.palette)
    loaded = yield from load_steps(examples, frame, recipe.memory_mb)
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
    split = split_examples(loaded, rule, known_parts(job.folder / SPLIT, rule))
    save_split(job.folder / SPLIT, split)
    return Prepared(loaded, split, frame.spec)


class Training:
    """A network, its pictures and its loop; what :func:`train_steps` drives."""

    def __init__(self, job: TrainJob, prepared: Prepared) -> None:
        from napari_hemacells.core.train.classifier import architectures, learner, loop, stages
        from napari_hemacells.core.train.classifier.finder import seeded

        self.job, self.prepared = job, prepared
        examples = prepared.loaded.examples
        self.targets, self.classes = examples.targets(), examples.classes
        seeded(job.recipe.seed)
        network, self.plan, self.weights = architectures.build(job.recipe, len(self.classes))
        self.accelerator = learner.make_accelerator(job.recipe)
        self.network = _on_device(network, self.accelerator.device)
        train = prepared.split.places("train")
        weights = None
        if job.recipe.sampling == "weights":
            weights = class_weights(self.targets[train], len(self.classes))
        self.learner: Learner = learner.Learner(
            self.network, self.accelerator, job.recipe, self.targets, weights
        )
        self.loop: Loop = loop.Loop(
            self.learner,
            train=train,
            validation=prepared.split.places("validation"),
            targets=self.targets,
            stages=stages.stages_of(
                job.recipe, len(stages.layer_groups(self.network, job.recipe))
            ),
            file=job.folder / CHECKPOINT,
            fingerprint=self.fingerprint(),
        )

    def fingerprint(self) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        recipe = self.job.recipe.model_dump(mode="json", exclude=set(FREE))
        split = self.prepared.split
        content = [recipe, self.classes, self.prepared.loaded.digests, split.parts]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def data_hash(self) -> str:
        """Return the identity of all pictures with their classes."""
        items = self.prepared.loaded.examples.items
        rows = sorted(zip(self.prepared.loaded.digests, (one.label for one in items), strict=True))
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def run(self) -> Generator[TrainingReport, None, None]:
        """Go through the stages that are left, and take the best weights."""
        loop = self.loop
        if self.weights.warning:
            yield TrainingReport(0, loop.total, self.weights.warning)
        if loop.resume(load_checkpoint(self.job.folder / CHECKPOINT)):
            done = len(loop.course.history)
            yield TrainingReport(loop.course.done, loop.total, f"Going on after {done} epochs")
        while loop.course.stage < len(loop.stages):
            stage = loop.stages[loop.course.stage]
            loop.open(stage)
            feed = self.pictures()
            if stage.vectors and loop.course.epoch < stage.epochs:
                feed = yield from self._vectors(feed)
            if not loop.course.rate:
                yield from self._find_rate(feed, stage.first_group)
            yield from loop.run(stage, feed)
            write_log(self.job.folder / "log.csv", loop.course.history)
        loop.take_best()

    def pictures(self) -> Pictures:
        """Return the crops as the network takes them."""
        from napari_hemacells.core.train.classifier.feeds import Pictures

        several = self.accelerator.num_processes > 1
        return Pictures(
            self.prepared.loaded.crops,
            self.accelerator.prepare_model(self.network) if several else self.network,
            plan=self.plan,
            recipe=self.job.recipe,
            classes=len(self.classes),
            device=self.accelerator.device,
        )

    def _vectors(self, pictures: Pictures) -> Generator[TrainingReport, None, Any]:
        from napari_hemacells.core.train.classifier.feeds import embed_views
        from napari_hemacells.core.train.classifier.finder import seeded

        recipe = self.job.recipe
        seeded(recipe.seed, FINDER_SEED, 1)
        return (
            yield from embed_views(
                pictures,
                self.network,
                self.loop.train,
                len(self.targets),
                views=recipe.frozen_views,
            )
        )

    def _find_rate(self, feed: Any, first: int) -> Generator[TrainingReport, None, None]:
        """Take the recipe's rate, or look for one and write the curve."""
        from napari_hemacells.core.train.classifier.finder import find_rate_steps, seeded
        from napari_hemacells.core.train.classifier.stages import optimiser_for

        recipe, loop = self.job.recipe, self.loop
        if recipe.rate is not None and not recipe.search:
            loop.course.rate = recipe.rate
            return
        seeded(recipe.seed, FINDER_SEED, 2)
        optimiser = optimiser_for(loop.groups, first, 1.0, recipe)
        curve = yield from find_rate_steps(self.learner, feed, optimiser, loop.order(0))
        loop.course.rate = curve.suggestion if recipe.rate is None else recipe.rate
        write_curve(self.job.folder / "rate_finder.csv", curve)
        write_json(self.job.folder / "rate_finder.json", {"suggestion": curve.suggestion})
        said = f"Learning rate {loop.course.rate:.1g} (search: {curve.suggestion:.1g})"
        yield TrainingReport(0, loop.total, said, phase="start")


def _on_device(network: Classifier, device: Any) -> Classifier:
    """Return the network there, its maps laid out as convolutions like it best."""
    import torch

    return network.to(device).to(memory_format=torch.channels_last)
