"""A training from its pictures to its bundle, as a generator that any thread or process drives.

Importing this module does not import torch; running a training does.

What the dock's child process does: train, look for wrong labels, write the report.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.dataset import class_weights
from napari_hemacells.core.train.classifier.own_model import seen_by_model
from napari_hemacells.core.train.classifier.presets import preset_config
from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.train.classifier.crop_store import LoadedExamples
    from napari_hemacells.core.train.classifier.dataloader import CropBatches
    from napari_hemacells.core.train.classifier.learner import ClassifierTrainStep
    from napari_hemacells.core.train.classifier.split import ClassifierSplit
    from napari_hemacells.core.train.classifier.trainer import ClassifierStrategy
    from napari_hemacells.core.types import CropSpec

SPLIT = "split.json"
RESUME_INDEPENDENT = (
    "memory_mb",
    "tta",
    "device",
)  # what may change when a training is gone on with


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
    selection
        The plane of stacks, and the channels.
    """

    source: Path
    folder: Path
    recipe: ClassifierConfig = ClassifierConfig()  # noqa: RUF009  # frozen
    name: str = ""
    command: str = ""
    spec: CropSpec | None = None
    palette: Palette | None = None
    folds: int = 0
    fold: int = 0
    report: bool = False
    selection: PlaneSelection = WHOLE_PICTURE


@dataclass(frozen=True)
class PreparedData:
    """Pictures and their parts."""

    loaded: LoadedExamples
    split: ClassifierSplit
    spec: CropSpec


class Training:
    """A network, its pictures and its loop; what :func:`train_steps` drives."""

    def __init__(self, job: TrainJob, prepared: PreparedData) -> None:
        from napari_hemacells.core.train.classifier import learner, model_zoo, schedule, trainer

        self.job, self.prepared = job, prepared
        examples = prepared.loaded.examples
        self.targets, self.classes = examples.targets(), examples.classes
        learner.seed_torch(job.recipe.seed)
        network, self.plan, self.weights = model_zoo.build_network(
            job.recipe, len(self.classes), self.classes
        )
        self.accelerator = learner.make_accelerator(job.recipe)
        self.network = _on_device(network, self.accelerator.device)
        train = prepared.split.places("train")
        weights = None
        if job.recipe.sampling == "weights":
            weights = class_weights(self.targets[train], len(self.classes))
        self.learner: ClassifierTrainStep = learner.ClassifierTrainStep(
            self.network, self.accelerator, job.recipe, self.targets, weights
        )
        self.loop: ClassifierStrategy = trainer.ClassifierStrategy(
            self.learner,
            train=train,
            validation=prepared.split.places("validation"),
            targets=self.targets,
            stages=schedule.training_stages(
                job.recipe, len(schedule.layer_groups(self.network, job.recipe))
            ),
            pictures=self.pictures,
            folder=job.folder,
            fingerprint=self.fingerprint(),
            already_trained=self.weights.with_head,
        )

    def fingerprint(self) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        recipe = self.job.recipe.model_dump(mode="json", exclude={*RESUME_INDEPENDENT, "turns"})
        split = self.prepared.split
        content = [recipe, self.classes, self.prepared.loaded.digests, split.parts]
        if self.job.selection:
            content.append(self.job.selection.to_dict())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def weights_notes(self) -> tuple[str, ...]:
        """Return what a reader must know of the weights that it started from."""
        notes = [self.weights.warning] if self.weights.warning else []
        if self.weights.model is None:
            return tuple(notes)
        split, digests = self.prepared.split, self.prepared.loaded.digests
        asked = [
            digest
            for digest, part in zip(digests, split.parts, strict=True)
            if part in {"validation", "test"}
        ]
        seen, known = seen_by_model(self.weights.model, asked)
        if not known:
            notes.append(
                "It is not known which of the held-out pictures the model it started from had "
                "learned from (its split.csv is not beside it): the figures may be too good."
            )
        elif seen:
            notes.append(
                f"The model that it started from had learned from {seen} of the {len(asked)} "
                "held-out pictures: the figures are too good. Keep the split of its training."
            )
        return tuple(notes)

    def data_hash(self) -> str:
        """Return the identity of all pictures with their classes."""
        items = self.prepared.loaded.examples.items
        rows = sorted(
            zip(self.prepared.loaded.digests, (item.label for item in items), strict=True)
        )
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def run(self) -> Generator[TrainingReport, None, None]:
        """Go through the stages that are left, and take the best weights."""
        from napari_hemacells.core.train.trainer import Trainer

        loop = self.loop
        if self.weights.warning:
            yield TrainingReport(0, loop.total, self.weights.warning)
        course = Trainer(loop, writes=self.accelerator.is_main_process)
        if course.resumed:
            done = len(loop.history)
            yield TrainingReport(loop.done, loop.total, f"Going on after {done} epochs")
        yield from course.run()
        loop.load_best_weights()

    def pictures(self) -> CropBatches:
        """Return the crops as the network takes them."""
        from napari_hemacells.core.train.classifier.dataloader import CropBatches

        several = self.accelerator.num_processes > 1
        return CropBatches(
            self.prepared.loaded.crops,
            self.accelerator.prepare_model(self.network) if several else self.network,
            plan=self.plan,
            recipe=self.job.recipe,
            classes=len(self.classes),
            device=self.accelerator.device,
        )


def _on_device(network: Classifier, device: Any) -> Classifier:
    """Return the network there, its maps laid out as convolutions like it best."""
    import torch

    return network.to(device).to(memory_format=torch.channels_last)


def repeat_command(job: TrainJob, recipe_name: str) -> str:
    """Return what to type to repeat a training on the crops that it learned from.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_hemacells.core.train.classifier.training import TrainJob
    >>> job = TrainJob(Path("crops"), Path("run"), named_recipe("quick", {"epochs": 3}))
    >>> command_of(job, "quick")
    'hemacells train crops --recipe quick --epochs 3 --out run'
    """
    usual = preset_config(recipe_name).model_dump()
    words = ["hemacells", "train", str(job.source), "--recipe", recipe_name.replace(" ", "-")]
    for name, value in job.recipe.model_dump().items():
        if value != usual[name] and name not in RESUME_INDEPENDENT:
            words += _option(name, value)
    return shlex.join([*words, "--out", str(job.folder)])


def _option(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [] if value is None else [f"--{option}", str(value)]
