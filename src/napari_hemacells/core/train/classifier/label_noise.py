"""Which labels may be wrong: asked of models that have not seen the picture.

What linear heads say of cells that they have not learned from. Imports scikit-learn.

How likely each label is to be wrong, by confident learning (cleanlab).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.class_folders import embed_files_steps
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.train.classifier.artifacts import write_csv
from napari_hemacells.core.train.classifier.dataset import (
    Example,
    check_examples,
    read_examples,
)
from napari_hemacells.core.train.classifier.results import Suspect, read_results
from napari_hemacells.core.train.classifier.units import split_units
from napari_hemacells.core.train.progress import TrainingReport, as_training_reports
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode import EmbeddingCache, Encoder
    from napari_hemacells.core.image.plane_selection import PlaneSelection

FOLDS = 5
INVERSE_REGULARIZATION = (
    5.0  # a head's, shared among the cells: little, so that none learns wrong labels by heart
)
ROUNDS = 200


class OutOfFoldPredictions(NamedTuple):
    """Probabilities of cells by heads that had not seen them.

    Attributes
    ----------
    probabilities
        ``(n, k)``, rows sum to 1.
    grouped
        Whether whole groups were held out.
    """

    probabilities: NDArray[np.float64]
    grouped: bool


def out_of_fold_probabilities(
    vectors: NDArray[np.floating],
    targets: NDArray[np.int64],
    *,
    groups: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> OutOfFoldPredictions:
    """Return what penalised logistic regressions say, each of the fold it has not seen.

    Whole groups are held out where that leaves every class in every lesson; otherwise cells,
    dealt out class by class.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of a frozen encoder.
    targets
        ``(n,)`` classes, 0 to k - 1, each with two cells or more.
    """
    dealt = None if groups is None else _assign_group_folds(targets, groups, folds, seed)
    grouped = dealt is not None
    if dealt is None:
        dealt = _assign_cell_folds(targets, folds, seed)
    probabilities = np.zeros((len(targets), int(targets.max()) + 1))
    for fold in np.unique(dealt):
        asked = dealt == fold
        probabilities[asked] = _fit_predict(vectors[~asked], targets[~asked], vectors[asked])
    return OutOfFoldPredictions(probabilities, grouped)


def _fit_predict(
    taught: NDArray[np.floating], targets: NDArray[np.int64], asked: NDArray[np.floating]
) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = LogisticRegression(C=INVERSE_REGULARIZATION / len(targets), max_iter=ROUNDS, tol=1e-3)
    learned = make_pipeline(StandardScaler(), head).fit(taught, targets)
    return np.asarray(learned.predict_proba(asked), dtype=np.float64)


def _assign_cell_folds(targets: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """``(n,)`` fold of each cell; a class with two cells or more is in every lesson."""
    random = np.random.default_rng(seed)
    dealt = np.zeros(len(targets), dtype=np.int64)
    for target in np.unique(targets):
        own = random.permutation(np.flatnonzero(targets == target))
        dealt[own] = (np.arange(len(own)) + random.integers(folds)) % folds
    return dealt


def _assign_group_folds(
    targets: NDArray[np.int64], groups: Sequence[str], folds: int, seed: int
) -> NDArray[np.int64] | None:
    """``(n,)`` fold of each cell's group; None where a class would be missing from a lesson."""
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(groups)
    if len(names) < 2 or not all(groups):
        return None
    dealt = np.zeros(len(targets), dtype=np.int64)
    splitter = StratifiedGroupKFold(min(folds, len(names)), shuffle=True, random_state=seed)
    least = np.bincount(targets).min()
    if least < splitter.get_n_splits():
        return None
    for fold, (_, asked) in enumerate(splitter.split(targets, targets, groups)):
        dealt[asked] = fold
    whole = len(np.unique(targets))
    lessons = (targets[dealt != fold] for fold in np.unique(dealt))
    return dealt if all(len(np.unique(lesson)) == whole for lesson in lessons) else None


MISSING = (
    "To look for wrong labels one more package is needed: pip install 'napari-hemacells[report]'."
)
SMALLEST = 1e-7


class LabelQuality(NamedTuple):
    """What is thought of each label.

    Attributes
    ----------
    scores
        ``(n,)`` 0 (surely wrong) to 1.
    flagged
        ``(n,)`` whether it counts as wrong.
    suggested
        ``(n,)`` likeliest class other than the given one.
    """

    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    suggested: NDArray[np.int64]

    def order(self) -> NDArray[np.intp]:
        """Return the places, the worst label first."""
        return np.argsort(self.scores, kind="stable")


def label_quality(targets: NDArray[np.int64], probabilities: NDArray[np.floating]) -> LabelQuality:
    """Return what is thought of each label.

    The score is the given class's probability; what is flagged follows Northcutt et al. 2021
    (doi 10.1613/jair.1.12125).

    Parameters
    ----------
    targets
        ``(n,)`` given classes.
    probabilities
        ``(n, k)`` by models that have not seen the cell.

    Raises
    ------
    TrainingError
        cleanlab is not installed.
    """
    cleanlab = _cleanlab()
    sure = np.clip(probabilities, SMALLEST, None)
    sure = sure / sure.sum(axis=1, keepdims=True)
    scores = cleanlab.rank.get_label_quality_scores(targets, sure, method="self_confidence")
    flagged = cleanlab.filter.find_label_issues(targets, sure, n_jobs=1)
    others = sure.copy()
    others[np.arange(len(targets)), targets] = -1.0
    return LabelQuality(
        np.asarray(scores, dtype=np.float64),
        np.asarray(flagged, dtype=np.bool_),
        others.argmax(axis=1),
    )


def _cleanlab() -> Any:
    try:
        import cleanlab.filter
        import cleanlab.rank
    except ImportError as error:
        raise TrainingError(MISSING) from error
    return cleanlab


COLUMNS = ("name", "path", "label", "suggested", "score", "confidence", "flagged")


@dataclass(frozen=True)
class LabelCheck:
    """What came of looking for wrong labels.

    Attributes
    ----------
    suspects
        Every picture, the likeliest wrong label first; :attr:`flagged` of them count as wrong.
    method
        Who was asked, and what they had seen.
    """

    suspects: tuple[Suspect, ...]
    method: str
    unreadable: tuple[str, ...] = ()

    @property
    def flagged(self) -> int:
        """How many labels confident learning counts as wrong."""
        return sum(suspect.flagged for suspect in self.suspects)

    def worst(self, n: int) -> tuple[Suspect, ...]:
        """Return those to look at: all that are flagged, or at least so many."""
        return self.suspects[: max(n, self.flagged)]


def check_labels_steps(
    source: Path,
    encoder: Encoder,
    *,
    cache: EmbeddingCache | None = None,
    spec: CropSpec | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    label_pattern: str = "",
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[TrainingReport, None, LabelCheck]:
    """Return the labels of a folder or CSV, by linear heads on a frozen encoder's vectors.

    Parameters
    ----------
    spec
        What crops the encoder is given, if others than usual.
    label_pattern
        As for :func:`~.dataset.read_examples`.
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    TrainingError
        The pictures are not enough to tell classes apart, or cleanlab is not installed.
    """
    examples = read_examples(source, label_pattern)
    check_examples(examples)
    by_path = {str(example.path): example for example in examples.items}
    listed = [(example.path, example.label) for example in examples.items]
    steps = embed_files_steps(
        listed, examples.source, spec or CropSpec(), encoder, cache, selection=selection
    )
    read = yield from as_training_reports(steps)
    readable = replace(examples, items=tuple(by_path[str(file)] for file in read.files))
    check_examples(readable)
    n = len(readable)
    yield TrainingReport(n, n, "Asking heads that have not seen the cell", phase="validate")
    check = check_embedding_labels(read.vectors, readable.items, folds=folds, seed=seed)
    method = f"{check.method}, on {encoder.info.name}, which has seen: {encoder.info.seen}"
    return LabelCheck(check.suspects, method, read.unreadable)


def check_embedding_labels(
    vectors: NDArray[np.floating],
    items: Sequence[Example],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> LabelCheck:
    """Return the labels of cells whose vectors are known: seconds for thousands.

    Parameters
    ----------
    vectors
        ``(n, dim)``.
    items
        ``n`` cells with their labels; of two classes or more, each with two cells or more.

    Raises
    ------
    TrainingError
        cleanlab is not installed.
    """
    classes, targets = np.unique([example.label for example in items], return_inverse=True)
    groups = split_units(items, [str(number) for number in range(len(items))])
    predictions = out_of_fold_probabilities(
        vectors, targets, groups=groups, folds=folds, seed=seed
    )
    held = "whole groups" if predictions.grouped else "cells, whatever their group,"
    suspects = rank_suspects(items, [str(name) for name in classes], predictions.probabilities)
    return LabelCheck(suspects, f"Linear heads; {held} held out in {folds} folds")


def check_out_of_fold(folder: Path) -> LabelCheck:
    """Return the labels by the networks of a cross-validated training.

    Raises
    ------
    TrainingError
        The folder holds no cross-validation, or cleanlab is not installed.
    """
    results = read_results(folder)
    if results.part != "out-of-fold":
        raise TrainingError(
            f"“{folder}” holds one training: train with --folds 5 first, so that each picture is "
            "judged by a network that has not learned from it."
        )
    items = [
        Example(prediction.path, prediction.label, prediction.group, prediction.name)
        for prediction in results.items
    ]
    probabilities = np.array([prediction.probabilities for prediction in results.items])
    weights = results.run.get("weights", "")
    method = f"Networks of a cross-validation, started from {weights}"
    return LabelCheck(rank_suspects(items, results.classes, probabilities), method)


def rank_suspects(
    items: Sequence[Example], classes: Sequence[str], probabilities: NDArray[np.floating]
) -> tuple[Suspect, ...]:
    """Return every picture, the likeliest wrong label first.

    Parameters
    ----------
    probabilities
        ``(n, k)`` by models that have not seen the picture; columns as `classes`.
    """
    index_of_class = {name: number for number, name in enumerate(classes)}
    targets = np.array([index_of_class[example.label] for example in items], dtype=np.int64)
    quality = label_quality(targets, probabilities)
    return tuple(
        Suspect(
            name=items[n].name,
            path=items[n].path,
            label=items[n].label,
            suggested=classes[quality.suggested[n]],
            score=float(quality.scores[n]),
            confidence=float(probabilities[n, quality.suggested[n]]),
            flagged=bool(quality.flagged[n]),
        )
        for n in quality.order()
    )


def write_suspects(file: Path, suspects: Sequence[Suspect]) -> None:
    """Write a row a picture, in the order given; ``read_suspects`` reads it back."""
    rows = (
        (suspect.name, str(suspect.path), suspect.label, suspect.suggested, f"{suspect.score:.6f}",
         f"{suspect.confidence:.6f}", int(suspect.flagged))
        for suspect in suspects
    )  # fmt: skip
    write_csv(file, COLUMNS, rows)
