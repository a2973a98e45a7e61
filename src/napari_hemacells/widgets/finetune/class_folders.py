"""Class folders as the training set of a fine-tuning, instead of the annotated cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.dataset import check_examples, read_examples
from napari_hemacells.core.train.classifier.own_split import check_given
from napari_hemacells.core.train.classifier.project_dataset import few_words
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.finetune.steps import FineTuneSummary

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.classifier import ClassifierConfig
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.widgets.finetune.panel import FineTunePanel

PART_NAMES = {"train": "to learn from", "validation": "to choose by", "test": "to test with"}


@dataclass(frozen=True)
class ClassFolders:
    """The pictures of class folders.

    Attributes
    ----------
    counts
        Pictures of each class.
    parts
        Pictures of each part, where the folders are train, valid and test.
    grouped
        Whether the pictures' names tell the patient, whose pictures stay together.
    """

    folder: Path
    counts: Mapping[str, int]
    parts: Mapping[str, int]
    grouped: bool = False

    @property
    def total(self) -> int:
        """Pictures in all."""
        return sum(self.counts.values())

    def summary(self, recipe: ClassifierConfig | None, reason: str) -> FineTuneSummary:
        """Return what the page says of it."""
        counts = tuple(self.counts.items())
        return FineTuneSummary(0, counts, self._split(recipe), reason, folder=self.folder.name)

    def _split(self, recipe: ClassifierConfig | None) -> str:
        if self.parts:
            each = ", ".join(f"{count:,} {PART_NAMES[part]}" for part, count in self.parts.items())
            few = few_words(recipe, "those to learn from", "the others are not used")
            return f"Its own folders are used as they are: {each}.{few}"
        if recipe is None:
            return ""
        whole = "; the pictures of a patient stay together" if self.grouped else ""
        held = f"About one picture in {round(1 / recipe.validation)} is held out{whole}."
        return held + few_words(recipe)


class FolderSource(QObject):
    """Whether class folders teach, and which.

    Signals
    -------
    changed
        Other pictures teach now.
    warning_emitted
        Why a folder cannot teach.
    """

    changed = Signal()
    warning_emitted = Signal(str)

    def __init__(self, panel: FineTunePanel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._panel = panel
        self.chosen: ClassFolders | None = None
        self.jobs = JobRunner(self)
        panel.folders_requested.connect(self.ask)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._refused)

    def close(self) -> None:
        """Stop; a late answer is ignored."""
        self.jobs.close()

    def ask(self) -> None:
        """Ask for class folders; where some teach already, the annotated cells teach again."""
        if self.chosen is not None:
            self._use(None)
            return
        chosen = QFileDialog.getExistingDirectory(
            self._panel, "A folder with one folder of pictures for each class"
        )
        if chosen:
            self.read(Path(chosen))

    def ask_if_none(self) -> None:
        """Ask for class folders where none teach yet."""
        if self.chosen is None:
            self.ask()

    def read(self, folder: Path) -> None:
        """Learn from the class folders in this folder, or in its train, valid and test."""
        self._panel.show_forecast("Counting the pictures …")
        self.jobs.start("folders", partial(_count_steps, folder))

    def _use(self, folders: ClassFolders | None) -> None:
        self.chosen = folders
        self._panel.show_source("" if folders is None else folders.folder.name)
        self.changed.emit()

    def _returned(self, _kind: str, folders: ClassFolders) -> None:
        self._use(folders)

    def _refused(self, _kind: str, error: Exception) -> None:
        self.warning_emitted.emit(str(error))
        self.changed.emit()


def _count_steps(folder: Path) -> Generator[Progress, None, ClassFolders]:
    yield Progress(0, 0, "Counting the pictures")
    examples = read_examples(folder)
    check_examples(examples)
    check_given(examples.items, folds=0, test=0.0)
    counted = Counter(str(item.part) for item in examples.items if item.part)
    parts = {part: counted[part] for part in PART_NAMES if counted[part]}
    return ClassFolders(folder, examples.counts, parts, examples.grouped)


def make_folder_job(
    project: Project, palette: Palette, recipe: ClassifierConfig, name: str, source: Path
) -> TrainJob:
    """Return the training of a config on class folders, in a new folder of the project."""
    folder = model_store.new_training_folder(project)
    model_store.save_job(folder, recipe, name, None, source.absolute())
    return model_store.load_job(folder, palette)
