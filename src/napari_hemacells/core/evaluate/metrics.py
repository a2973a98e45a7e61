"""Figures for predicted classes, by scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Scores(NamedTuple):
    """Figures of one draw, 0 to 1.

    Attributes
    ----------
    balanced_accuracy
        Mean over the classes of the part that was recognised (recall).
    macro_f1
        Mean over the classes of F1.
    """

    balanced_accuracy: float
    macro_f1: float


def score(truth: ArrayLike, predicted: ArrayLike) -> Scores:
    """Return the figures for true and predicted classes, over the classes that occur in truth."""
    import numpy as np
    from sklearn.metrics import f1_score, recall_score

    classes = np.unique(np.asarray(truth))
    how = {"labels": classes, "average": "macro", "zero_division": 0}
    recall = recall_score(truth, predicted, **how)
    return Scores(float(recall), float(f1_score(truth, predicted, **how)))
