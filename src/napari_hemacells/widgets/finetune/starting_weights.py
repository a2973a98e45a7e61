"""What the network of a fine-tuning starts from, found out in a thread and said before it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.finetune.form import IN_USE
from napari_hemacells.widgets.native_libraries import without_triton

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.train.classifier import ClassifierConfig
    from napari_hemacells.session import Session

PAUSE_MS = 300  # changes in the form that come faster than that are looked at once
NOT_FINE_TUNED = "The classifier in use has no network of its own: fine-tune one first"
_LOOKING = "Looking for the weights that it starts from …"
_OPTION = re.compile(r" \(--weights [^)]*\)")
_MODEL_OPTION = re.compile(r": leave --arch .*$")


class StartingWeights(QObject):
    """Says what a recipe's network starts from; weights are neither loaded nor fetched.

    Signals
    -------
    found
        A sentence, and whether the training cannot start so.
    """

    found = Signal(str, bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = JobRunner(self)
        self._known: dict[tuple[Any, ...], str] = {}
        self._asked: ClassifierConfig | None = None
        self._closed = False
        self._soon = QTimer()  # no child: where Qt ends first, it must not take the timer along
        self._soon.setSingleShot(True)
        self._soon.setInterval(PAUSE_MS)
        self._soon.timeout.connect(self._look)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._refused)

    def close(self) -> None:
        """Stop; a late answer is ignored."""
        self._closed = True
        self._soon.stop()
        self.jobs.close()

    def ask(self, recipe: ClassifierConfig) -> None:
        """Find out what this recipe starts from, unless it is known or being looked for."""
        if self._closed:
            return
        before, self._asked = self._asked, recipe
        known = self._known.get(_key(recipe))
        if known is not None:
            self._soon.stop()
            self.jobs.cancel("start")
            self.found.emit(known, False)
        elif before is None or _key(before) != _key(recipe):
            self.found.emit(_LOOKING, False)
            self._soon.start()

    def _look(self) -> None:
        if self._asked is not None and not self._closed:
            self.jobs.start("start", partial(_starting_steps, self._asked))

    def _returned(self, _kind: str, answer: tuple[ClassifierConfig, str]) -> None:
        recipe, words = answer
        self._known[_key(recipe)] = words
        self.found.emit(words, False)

    def _refused(self, _kind: str, error: Exception) -> None:
        words = (
            words_for_the_form(str(error))
            if isinstance(error, HemaCellsError)
            else f"What the network would start from could not be found out ({error})."
        )
        self.found.emit(words, isinstance(error, HemaCellsError))
        self._asked = None  # what is missing may be there when it is asked again


def _key(recipe: ClassifierConfig) -> tuple[Any, ...]:
    return (recipe.arch, recipe.weights, recipe.head, recipe.size)


def _starting_steps(
    recipe: ClassifierConfig,
) -> Generator[Progress, None, tuple[ClassifierConfig, str]]:
    from napari_hemacells.core.train.classifier.model_zoo import check_weights

    yield Progress(0, 0, "Looking for the weights")
    with without_triton():
        return recipe, check_weights(recipe)


def words_for_the_form(words: str) -> str:
    """Return a refusal without the options of the command, which the form does not have.

    Examples
    --------
    >>> words_for_the_form("Give a local file (--weights FILE), or start anew (--weights none).")
    'Give a local file, or start anew.'
    """
    return _MODEL_OPTION.sub(": choose other starting weights.", _OPTION.sub("", words))


class ModelInUse:
    """The model that a session classifies with, as a folder that a training can start from."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: tuple[Bundle, Path] | None = None

    @property
    def has_network(self) -> bool:
        """Whether there is a model with a network of its own."""
        bundle = self._session.live.bundle
        return bundle is not None and bool(bundle.encoder_tensors)

    def put_into(self, recipe: ClassifierConfig) -> ClassifierConfig:
        """Return the recipe with the model's folder, where it starts from the model in use.

        Raises
        ------
        HemaCellsError
            There is no such model, or it cannot be saved beside the project's trainings.
        """
        bundle, project = self._session.live.bundle, self._session.project
        if recipe.weights != IN_USE or bundle is None or project is None:
            return recipe
        if self._kept is None or self._kept[0] is not bundle:
            self._kept = (bundle, model_store.starting_model(project, bundle))
        return recipe.model_copy(update={"weights": str(self._kept[1])})
