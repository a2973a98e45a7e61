"""What the synthetic smear knows about its cells: the clicks and the score of the demo."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.core.types import Cells, Prediction

LEAST_OVERLAP = 0.5  # intersection over union from which a detection is that cell


@dataclass(frozen=True)
class Score:
    """How many of the cells that nobody clicked got their true class.

    Attributes
    ----------
    right, total
        Cells with the true class, and cells with a known one.
    low, high
        95 % Wilson interval of their ratio.
    by_class
        The same two numbers for each true class.
    """

    right: int
    total: int
    low: float
    high: float
    by_class: dict[str, tuple[int, int]]

    @property
    def accuracy(self) -> float:
        """Share of right ones."""
        return self.right / self.total if self.total else float("nan")


def match_truth(
    cells: Cells, labels: NDArray[np.int32], classes: Mapping[int, str]
) -> dict[int, str]:
    """Return the true class of each detected cell that is a true cell (overlap of 0.5 or more).

    Parameters
    ----------
    cells
        The detected cells.
    labels
        ``(rows, cols)`` true cells, 0 glass.
    classes
        The class of each true cell by its label.
    """
    found_labels = np.asarray(cells.labels)
    pairs, shared = np.unique(
        np.stack([found_labels.ravel(), labels.ravel()]), axis=1, return_counts=True
    )
    found_areas = np.bincount(found_labels.ravel())
    true_areas = np.bincount(labels.ravel())
    matched: dict[int, str] = {}
    for (found, true), pixels in zip(pairs.T, shared, strict=True):
        union = found_areas[found] + true_areas[true] - pixels
        if found and true and pixels >= LEAST_OVERLAP * union:
            matched[int(found)] = classes[int(true)]
    return matched


def choose_clicks(truth: Mapping[int, str], each: int, seed: int) -> dict[int, str]:
    """Return ``each`` cells of every class, drawn at random, a class with fewer whole but one."""
    generator = np.random.default_rng(seed)
    clicks: dict[int, str] = {}
    for name in sorted(set(truth.values())):
        members = np.array(sorted(cell for cell, one in truth.items() if one == name))
        number = min(each, max(1, len(members) - 1))
        clicks |= {int(cell): name for cell in generator.permutation(members)[:number]}
    return clicks


def score(
    prediction: Prediction, names: Mapping[str, str], truth: Mapping[int, str], clicked: set[int]
) -> Score:
    """Return the score over the cells with a known class that nobody clicked.

    Parameters
    ----------
    names
        Class name of each class id.
    """
    from scipy.stats import binomtest

    by_class: dict[str, tuple[int, int]] = dict.fromkeys(sorted(set(truth.values())), (0, 0))
    for cell, column in zip(prediction.ids.tolist(), prediction.winner, strict=True):
        if cell in clicked or cell not in truth:
            continue
        right, total = by_class[truth[cell]]
        hit = names[prediction.class_ids[column]] == truth[cell]
        by_class[truth[cell]] = right + hit, total + 1
    right, total = (sum(column) for column in zip(*by_class.values(), strict=True))
    if not total:
        return Score(0, 0, float("nan"), float("nan"), by_class)
    interval = binomtest(right, total).proportion_ci(method="wilson")
    return Score(right, total, float(interval.low), float(interval.high), by_class)
