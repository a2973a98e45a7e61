"""Label propagation: class probabilities of unlabelled cells from random walks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNLABELLED_WEIGHT = 1.0  # what all unlabelled cells count for in each class, in annotated cells


@dataclass(frozen=True, eq=False)
class RandomWalks:
    """Random walks from the annotated cells.

    Attributes
    ----------
    reached
        ``(m, n)`` how often a walk from each annotated cell visits each cell of the graph.
    targets
        ``(m,)`` class indices of the annotated cells, each class at least once.
    trust
        ``(m,)`` what each counts for beside the others of its class; ``None``: all the same.
    """

    visit_frequencies: NDArray[np.float32]
    targets: NDArray[np.intp]
    trust: NDArray[np.float64] | None = None

    @cached_property
    def by_class(self) -> NDArray[np.float64]:
        """``(n, k)`` mean over each class's annotated cells."""
        members = np.eye(int(self.targets.max()) + 1)[self.targets]
        if self.trust is not None:
            members *= self.trust[:, np.newaxis]
        return np.asarray(
            self.visit_frequencies.T @ (members / members.sum(axis=0)), dtype=np.float64
        )

    @cached_property
    def without(self) -> NDArray[np.float64]:
        """``(m, n)`` that of each annotated cell's own class, without the cell itself.

        0 where it is the only one of its class.
        """
        others = (self.targets[:, np.newaxis] == self.targets).astype(np.float64)
        if self.trust is not None:
            others *= self.trust
        np.fill_diagonal(others, 0.0)
        total = others.sum(axis=1, keepdims=True)
        others /= np.where(total > 0, total, 1.0)
        return np.asarray(others @ self.visit_frequencies, dtype=np.float64)


def class_shares(by_class: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(..., k)`` propagated class probabilities from the visits of each class's walks.

    Each class has the same total weight, frequent or rare; squaring favours cells that are nearly
    certain.
    """
    square = np.square(by_class / np.maximum(total, 1e-12)) + 1e-24
    return np.asarray(square / square.sum(axis=-1, keepdims=True))


def leave_one_out_shares(walks: RandomWalks, taught: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(m, u, k)`` leave-one-out probabilities of the `taught` cells."""
    by_class, without = walks.by_class, walks.without
    each = np.arange(len(walks.targets))
    passed = np.repeat(by_class[np.newaxis, taught], len(each), axis=0)
    passed[each, :, walks.targets] = without[:, taught]
    total = np.repeat(by_class.sum(axis=0)[np.newaxis], len(each), axis=0)
    total[each, walks.targets] = without.sum(axis=1)
    return class_shares(passed, total[:, np.newaxis])


def class_balanced_weights(indicators: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(u,)`` weights of the cells: every class has the same total."""
    mass = np.maximum(indicators.sum(axis=0), 1e-9)
    return np.asarray((indicators * UNLABELLED_WEIGHT / mass).sum(axis=1))
