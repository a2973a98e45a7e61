"""How far each annotator can be relied on, and what the cells are then.

Dawid & Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", for the classes; beside them, each annotator misses cells and marks what is no cell.
Own code, as crowd-kit brings transformers and pyarrow with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.consensus.points import NOT_SURE, AnnotatorPoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 200
_TOLERANCE = 1e-5
_PRIOR_CELLS = 10.0  # as many cells stand for what all annotators have in common
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Reliability:
    """What expectation-maximisation has found.

    Attributes
    ----------
    is_cell
        ``(m,)`` probability that a candidate is a cell.
    truth
        ``(m, k)`` probability of each class that a cell can be, for candidates that are cells;
        ``k`` is the number of ``points.truths``.
    misses
        ``(annotators,)`` share of the cells that each misses.
    false_share
        ``(annotators,)`` share of each one's points that are on no cell.
    confusion
        ``(annotators, k, classes)`` probability of what each says (not sure included) of a cell of
        each class.
    rounds
        Until nothing changed.
    """

    is_cell: NDArray[np.float64]
    truth: NDArray[np.float64]
    misses: NDArray[np.float64]
    false_share: NDArray[np.float64]
    confusion: NDArray[np.float64]
    rounds: int


def estimate_reliability(
    points: AnnotatorPoints, cell: NDArray[np.int64], distance: NDArray[np.float64]
) -> Reliability:
    """Estimate what each annotator misses, makes up and confuses, and what the candidates are.

    A candidate is a cell or not. A cell is marked by each annotator who looked with probability
    one minus his misses, and named by his confusion. What is no cell was made up, and others'
    false points lie beside it as often as these are dense. An annotator's misses are counted on
    cells that most of the others have marked. What is known of all annotators is the prior of
    each; where names say nothing, all share one.

    Parameters
    ----------
    cell
        ``(n,)`` candidate of each point; an annotator has one point in each at most.
    distance
        ``(images,)`` in px, up to which points were grouped.
    """
    model = _ErrorRates(points, cell, distance)
    is_cell = np.where(model.votes > 1, 0.95, 0.3)
    truth = model.vote_shares()
    rounds = 0
    for rounds in range(1, _ROUNDS + 1):  # noqa: B007 (told afterwards)
        model.maximise(is_cell, truth)
        new_is_cell, new_truth = model.expect()
        change = max(
            float(np.abs(new_is_cell - is_cell).max(initial=0)),
            float(np.abs(new_truth - truth).max(initial=0)),
        )
        is_cell, truth = new_is_cell, new_truth
        if change < _TOLERANCE:
            break
    counts = np.bincount(points.annotator, minlength=len(points.annotators))
    made_up = np.bincount(points.annotator, 1 - is_cell[cell], minlength=len(points.annotators))
    return Reliability(
        is_cell, truth, model.misses, made_up / np.maximum(counts, 1), model.confusion, rounds
    )


def _areas(points: AnnotatorPoints) -> NDArray[np.float64]:
    """``(images,)`` square pixels of each image, as far as its points tell; not below 1."""
    count = np.bincount(points.image, minlength=len(points.images))
    area = np.ones(len(points.images))
    for axis in (0, 1):
        low, high = np.full(len(area), np.inf), np.full(len(area), -np.inf)
        np.minimum.at(low, points.image, points.position[:, axis])
        np.maximum.at(high, points.image, points.position[:, axis])
        # The range of n points of a uniform distribution is (n - 1) / (n + 1) of its width.
        width = (high - low) * (count + 1) / np.maximum(count - 1, 1)
        area *= np.where(count > 1, width, 0.0)
    known = area[count > 4]
    usual = float(np.median(known)) if len(known) else 1e5
    return np.maximum(np.where(count > 4, area, usual), 1.0)


class _ErrorRates:
    """The rates of the annotators, and the two steps that improve them.

    Parameters
    ----------
    points, cell, distance
        As for :func:`estimate_reliability`.
    """

    def __init__(
        self,
        points: AnnotatorPoints,
        cell: NDArray[np.int64],
        distance: NDArray[np.float64],
    ) -> None:
        self.points, self.cell = points, cell
        self.m = int(cell.max(initial=-1)) + 1
        self.a, self.k = len(points.annotators), len(points.truths)
        self.votes = np.bincount(cell, minlength=self.m)
        self.image = np.zeros(self.m, np.int64)
        self.image[cell] = points.image
        self.looked = points.lookers[self.image]  # (m, a)
        self.marked = np.zeros((self.m, self.a), bool)
        self.marked[cell, points.annotator] = True
        self.named = points.response >= 0
        self.share = 0.7  # of the candidates that are cells
        self.prior = np.full(max(self.k, 1), 1 / max(self.k, 1))
        self.misses = np.full(self.a, 0.2)
        # Share of an image that is near enough to a point for another to be grouped with it.
        self.near = np.minimum(np.pi * distance**2 / _areas(points), 0.5)
        self.false_points = np.ones(self.a)  # of each annotator on each image
        self.confusion = np.zeros((self.a, self.k, len(points.classes)))
        self.of_false = np.full(max(len(points.classes), 1), 1 / max(len(points.classes), 1))

    def vote_shares(self) -> NDArray[np.float64]:
        """``(m, k)`` the share of each class among the votes, with half a vote for all."""
        names = self.points.classes
        at = {int(truth): column for column, truth in enumerate(self.points.truths)}
        table = np.full((self.m, self.k), 0.5)
        for response, column in at.items():
            mine = self.points.response == response
            table[:, column] += np.bincount(self.cell[mine], minlength=self.m)
        if NOT_SURE in names and self.k:
            mine = self.points.response == names.index(NOT_SURE)
            table += np.bincount(self.cell[mine], minlength=self.m)[:, None] / self.k
        shares: NDArray[np.float64] = table / np.maximum(table.sum(axis=1, keepdims=True), _TINY)
        return shares

    # --- the rates, of what the candidates are ----------------------------------------------

    def maximise(self, is_cell: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
        """Set the rates to what fits these probabilities best."""
        self.share = float(np.clip(is_cell.mean(), 0.01, 0.99)) if self.m else 0.5
        self._set_misses(is_cell)
        false = 1 - is_cell
        points = self.points
        made_up = np.bincount(points.annotator, false[self.cell], minlength=self.a)
        looked = points.lookers.sum(axis=0)
        common = (made_up.sum() + 0.1) / max(looked.sum(), 1)
        if points.anonymous:
            self.false_points = np.full(self.a, common)
        else:
            self.false_points = (made_up + common) / (looked + 1)
        if self.k:
            self._set_confusion(is_cell, truth)

    def _set_misses(self, is_cell: NDArray[np.float64]) -> None:
        # Each one by the cells that most of the others have marked: what he alone, or a few, have
        # marked tells nothing of what he missed, and says so even where points are split wrongly.
        others = self.looked.sum(axis=1)[:, None] - 1
        enough = np.maximum(np.ceil(others / 2), np.minimum(others, 2))
        known = self.looked & (others > 0) & (self.votes[:, None] - self.marked >= enough)
        weight = known * is_cell[:, None]
        looked_at, missed = weight.sum(axis=0), (weight * ~self.marked).sum(axis=0)
        common = (missed.sum() + 1) / (looked_at.sum() + 5)
        if self.points.anonymous:
            self.misses = np.full(self.a, float(common))
        else:
            self.misses = (missed + common * _PRIOR_CELLS) / (looked_at + _PRIOR_CELLS)
        self.misses = np.clip(self.misses, 0.001, 0.95)

    def _set_confusion(self, is_cell: NDArray[np.float64], truth: NDArray[np.float64]) -> None:
        points, named = self.points, self.named
        weight = (is_cell[:, None] * truth)[self.cell[named]]  # (points, k)
        response = points.response[named]
        counts = np.zeros((self.a, len(points.classes), self.k))
        np.add.at(counts, (points.annotator[named], response), weight)
        counts = counts.transpose(0, 2, 1)
        start = np.full((self.k, len(points.classes)), 1.0)
        start[np.arange(self.k), points.truths] += 4.0
        common = counts.sum(axis=0) + start
        common /= common.sum(axis=1, keepdims=True)
        if points.anonymous:
            self.confusion = np.repeat(common[None], self.a, axis=0)
        else:
            mixed = counts + _PRIOR_CELLS * common[None]
            self.confusion = mixed / mixed.sum(axis=2, keepdims=True)
        prior = (is_cell[:, None] * truth).sum(axis=0) + 1
        self.prior = prior / prior.sum()
        false = (
            np.bincount(response, 1 - is_cell[self.cell[named]], minlength=len(points.classes)) + 1
        )
        self.of_false = false / false.sum()

    # --- what the candidates are, by the rates ------------------------------------------------

    def expect(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``(m,)`` and ``(m, k)``: the probability of being a cell, and of each class of one."""
        seen = np.where(self.marked, np.log(1 - self.misses), np.log(self.misses))
        cell = np.log(self.share) + np.where(self.looked | self.marked, seen, 0).sum(axis=1)
        unseen = np.where(self.looked, np.log(self.misses), 0).sum(axis=1)
        cell -= np.log(-np.expm1(np.minimum(unseen, -1e-3)))  # a candidate was marked by somebody
        beside = self.false_points[None, :] * self.near[self.image][:, None]
        beside = np.clip(beside, 1e-6, 0.9)
        none = np.log1p(-beside)
        by = np.where(self.marked, np.log(beside), none)
        false = np.log(1 - self.share) + np.where(self.looked, by, 0).sum(axis=1)
        all_none = np.where(self.looked, none, 0).sum(axis=1)
        false -= np.log(np.maximum(-np.expm1(all_none), _TINY))
        truth = np.full((self.m, self.k), 1.0)
        if self.k:
            logits, heap = self._name_likelihoods()
            top = logits.max(axis=1, keepdims=True)
            likelihood = np.exp(logits - top)
            total = likelihood.sum(axis=1, keepdims=True)
            truth = likelihood / total
            cell += top[:, 0] + np.log(total[:, 0])
            false += heap
        return 1 / (1 + np.exp(np.clip(false - cell, -500, 500))), truth

    def _name_likelihoods(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log likelihood of what was said: ``(m, k)`` of each class, ``(m,)`` of no cell."""
        points, named = self.points, self.named
        who, response, where = points.annotator[named], points.response[named], self.cell[named]
        logits = np.tile(np.log(self.prior), (self.m, 1))
        for truth in range(self.k):
            logs = np.log(np.maximum(self.confusion[who, truth, response], _TINY))
            logits[:, truth] += np.bincount(where, logs, minlength=self.m)
        of_false = np.bincount(where, np.log(self.of_false[response]), minlength=self.m)
        return logits, of_false.astype(np.float64)
