"""Figures of classes within kinds: of the kind, and of the class within it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.evaluate.classification_metrics import (
    ClassificationScores,
    compute_classification_metrics,
    score_predictions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LevelScores:
    """Figures of one draw at both levels.

    Attributes
    ----------
    kind
        Of the kind answered.
    within
        Of the most probable class among those of the true kind, over the cells whose kind has
        several: how well they are told once the kind is known.
    """

    kind: ClassificationScores
    within: ClassificationScores


def split_kinds(classes: Sequence[str], parents: Mapping[str, str]) -> dict[str, str]:
    """Return the parents of those classes whose kind has two of them or more.

    A class alone in its kind is a kind of its own in these figures.

    Examples
    --------
    >>> split_kinds(["band", "segmented", "basophil"], {"band": "N", "segmented": "N",
    ...                                                 "basophil": "B"})
    {'band': 'N', 'segmented': 'N'}
    """
    counts = Counter(parents[name] for name in classes if name in parents)
    return {name: parents[name] for name in classes if counts[parents.get(name, "")] > 1}


def best_within(
    probabilities: NDArray[np.floating],
    columns: Sequence[str],
    truth: Sequence[str],
    parents: Mapping[str, str],
) -> NDArray[np.str_]:
    """``(n,)`` the most probable class within each cell's true kind.

    Parameters
    ----------
    probabilities
        ``(n, k)``.
    columns
        ``(k,)`` their classes.
    truth
        ``(n,)`` classes; a class within no kind is answered as itself.
    """
    kinds = np.array([parents.get(name, name) for name in columns])
    names, answers = np.array(columns), np.array(truth, dtype=object)
    of_cell = np.array([parents.get(str(name), str(name)) for name in truth])
    for kind in set(parents.values()):
        rows, places = np.flatnonzero(of_cell == kind), np.flatnonzero(kinds == kind)
        if len(rows) and len(places):
            answers[rows] = names[places[probabilities[np.ix_(rows, places)].argmax(axis=1)]]
    return answers.astype(str)


def score_levels(
    truth: NDArray[np.str_],
    answered: NDArray[np.str_],
    within: NDArray[np.str_],
    parents: Mapping[str, str],
) -> LevelScores:
    """Return the figures of both levels.

    Parameters
    ----------
    truth, answered, within
        ``(n,)`` true classes, classes answered, and :func:`best_within` the true kind.
    """
    kinds, said = (
        np.array([parents.get(str(name), str(name)) for name in names])
        for names in (truth, answered)
    )
    asked = np.isin(truth, list(parents))
    return LevelScores(
        score_predictions(kinds, said), score_predictions(truth[asked], within[asked])
    )


def level_metrics(
    truth: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    kind_names: Mapping[str, str],
    *,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the figures of the kinds, and those within each kind that has several classes.

    ``kinds`` are the figures of :func:`.compute_classification_metrics` with the kinds as classes,
    over all cells. ``within`` has, by kind, those of its classes over the cells of that kind, with
    the probabilities that they have once the kind is known.

    Parameters
    ----------
    truth
        ``(n,)`` name of each cell's class, or of its kind alone.
    probabilities
        ``(n, k)``, columns as `classes`.
    kind_names
        The name of each class's kind by its name.
    """
    kind_of = {name: kind_names.get(name, name) for name in classes}
    kinds = list(dict.fromkeys(kind_of.values()))
    members = {kind: [kind_of[name] == kind for name in classes] for kind in kinds}
    sums = np.stack([probabilities[:, members[kind]].sum(axis=1) for kind in kinds], axis=1)
    of_cell = [kind_of.get(name, kind_names.get(name, name)) for name in truth]
    places = np.array([kinds.index(kind) for kind in of_cell], dtype=np.int64)
    within = {}
    for kind in kinds:
        own = [name for name in classes if kind_of[name] == kind]
        rows = np.array([row for row, name in enumerate(truth) if name in own], dtype=np.int64)
        if len(own) < 2 or not len(rows):
            continue
        chances = probabilities[rows][:, [name in own for name in classes]]
        chances = chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-12)
        within[kind] = compute_classification_metrics(
            np.array([own.index(truth[row]) for row in rows], dtype=np.int64),
            chances,
            own,
            groups=None if groups is None else [groups[row] for row in rows],
        )
    return {
        "kinds": compute_classification_metrics(places, sums, kinds, groups=groups),
        "within": within,
    }
