"""The detector's kinds beside the annotations: what one fit needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.classify import detector_prior, typicality
from napari_hemacells.core.types import NOT_A_CELL_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.detector_prior import DetectorPrior
    from napari_hemacells.core.classify.knn_graph import KNNGraph

CREDIBLE, CREDIBLE_CELLS = 5.0, 2.0  # times the strays expected, and cells more
AFFINITY = (
    1.0  # annotations a class until the kinds of unlabelled cells count half for what they teach
)


@dataclass(frozen=True, eq=False)
class DetectorView:
    """What the detector's kinds say of a slide and of the annotations.

    Attributes
    ----------
    kinds
        The g kinds on the slide.
    sizes
        ``(g,)`` number of cells of each.
    row_of_cell
        ``(n,)`` kind of each cell of the slide, -1 where it has none.
    rows
        Indices of the cells that the shares are fitted to.
    homes
        ``(k,)`` kind in which each class is at home, -1 where it has none.
    expected
        ``(g, k)`` shares of the classes within each kind before any cell was looked at.
    clicks
        ``(k,)`` annotations of each class, those unlike the others counted less.
    trust
        ``(m,)`` what each annotation counts for.
    unlike
        Indices of the annotations that look unlike the others of their class.
    against
        ``(g, k)`` annotations that contradict the detector.
    """

    kinds: tuple[str, ...]
    sizes: NDArray[np.float64]
    row_of_cell: NDArray[np.intp]
    rows: NDArray[np.intp]
    homes: NDArray[np.intp]
    expected: NDArray[np.float64]
    clicks: NDArray[np.float64]
    trust: NDArray[np.float64]
    unlike: tuple[int, ...]
    against: NDArray[np.float64]

    def affinity(self, cells: NDArray[np.intp]) -> NDArray[np.float64]:
        """``(u, k)`` how often each class is found to be what these cells were found to be."""
        joint = self.expected * self.sizes[:, np.newaxis]
        table = joint / joint.sum(axis=0)
        fading = AFFINITY / (AFFINITY + np.median(self.clicks))
        table = table**fading
        return np.vstack([table, np.ones(table.shape[1])])[self.row_of_cell[cells]]

    def fitted_prior(
        self, balanced: NDArray[np.floating], counts: NDArray[np.number]
    ) -> DetectorPrior:
        """Return the prior whose shares explain the slide.

        Parameters
        ----------
        balanced
            Class probabilities of the cells in `rows`, were all classes equally frequent.
        counts
            ``(k,)`` annotations of each class.
        """
        against = self.against.copy()
        prior = self._prior(balanced, counts, against)
        incredible = against > 0
        if incredible.any():
            incredible &= self._turned(prior, balanced, counts) > self._credible()
        if incredible.any():
            against[incredible] = 0.0
            prior = self._prior(balanced, counts, against)
        return prior

    def _prior(
        self,
        balanced: NDArray[np.floating],
        counts: NDArray[np.number],
        against: NDArray[np.float64],
    ) -> DetectorPrior:
        kinds = self.row_of_cell[self.rows]
        looks = detector_prior.bounded_evidence(
            balanced.astype(np.float32), counts, kinds, against
        )
        shares = detector_prior.fit_shares(
            looks.astype(np.float64),
            kinds,
            self.expected,
            self.clicks,
            (self.homes >= 0) & (self.sizes[self.homes] > self.sizes[:, np.newaxis]),
        )
        odds = np.log(np.maximum(shares, detector_prior.LEAST_SHARE) * shares.shape[1])
        return detector_prior.DetectorPrior(
            self.kinds,
            tuple(self.homes.tolist()),
            tuple((self.sizes / self.sizes.sum()).tolist()),
            odds.astype(np.float32),
            tuple(map(tuple, against.tolist())),
        )

    def _turned(
        self, prior: DetectorPrior, balanced: NDArray[np.floating], counts: NDArray[np.number]
    ) -> NDArray[np.float64]:
        """``(g, k)`` cells of each kind, of those in `rows`, that become of each class."""
        kinds = self.row_of_cell[self.rows]
        looks = prior.evidence(balanced.astype(np.float32), counts, kinds)
        turned = np.zeros_like(self.against)
        known = kinds >= 0
        np.add.at(turned, (kinds[known], (looks * prior.odds(kinds)).argmax(axis=1)[known]), 1.0)
        return turned

    def _credible(self) -> NDArray[np.float64]:
        """``(g, k)`` cells of each kind, of those in `rows`, that may become of each class.

        Annotations that contradict the detector show that it is mistaken in some cells. That it
        is so in many times as many as expected is less likely than that looks mislead.
        """
        sizes = np.bincount(self.row_of_cell[self.rows] + 1, minlength=len(self.kinds) + 1)[1:]
        return CREDIBLE * self.expected * sizes[:, np.newaxis] + CREDIBLE_CELLS


class Annotated(NamedTuple):
    """The annotated cells.

    Attributes
    ----------
    vectors
        ``(m, dim)`` float32.
    kinds
        ``(m,)`` the detector's kinds, ``""`` where nobody knows; empty: of none.
    confirmed
        ``(m,)`` whether the user has confirmed the annotation; empty: of none.
    """

    vectors: NDArray[np.float32]
    kinds: tuple[str, ...]
    confirmed: tuple[bool, ...]


def look_with_detector(
    support: Annotated,
    targets: NDArray[np.intp],
    class_ids: Sequence[str],
    names: Mapping[str, str],
    *,
    context: NDArray[np.float32] | None,
    kinds: NDArray[np.str_] | None,
    pool: KNNGraph | None,
) -> DetectorView | None:
    """Return what the detector says; ``None`` where it found no two kinds, or nothing at all."""
    if context is None or kinds is None or pool is None or len(class_ids) < 2:
        return None
    known = tuple(sorted(set(kinds.tolist()) - {""}))
    if len(known) < 2:
        return None
    row_of_cell = detector_prior.kind_rows(kinds, known)
    sizes = np.bincount(row_of_cell + 1, minlength=len(known) + 1)[1:].astype(np.float64)
    given = support.kinds or ("",) * len(support.vectors)
    own = detector_prior.kind_rows(np.array(given), known)
    named = [
        known.index(kind) if (kind := detector_prior.kind_named(names.get(one, one))) in known
        else -1
        for one in class_ids
    ]  # fmt: skip
    # A class that is named after a kind is held against that kind, whatever was clicked.
    every = _clicks(own, targets, np.ones(len(own)), len(known), class_ids)
    homes = detector_prior.homes_of(every, named, named_clicks=np.inf)
    samples = typicality.sample_of_kinds(row_of_cell, len(known))
    doubted = typicality.unlike_others(
        pool.map.places(support.vectors),
        targets,
        own,
        homes,
        [pool.map.places(context[chosen]) for chosen in samples],
    )
    if support.confirmed:
        doubted &= ~np.array(support.confirmed)
    trust = np.where(doubted, typicality.DOUBTED_WEIGHT, 1.0)
    clicks = _clicks(own, targets, trust, len(known), class_ids)
    homes = detector_prior.homes_of(clicks, named)
    return DetectorView(
        known,
        sizes,
        row_of_cell,
        np.unique(np.concatenate([pool.rows, *samples])),
        homes,
        detector_prior.expected_shares(clicks, homes, sizes),
        np.bincount(targets, trust, minlength=len(class_ids)).astype(np.float64),
        trust,
        tuple(np.flatnonzero(doubted).tolist()),
        detector_prior.contradictions(
            _clicks(own, targets, (~doubted).astype(np.float64), len(known), class_ids),
            homes,
            np.bincount(targets, minlength=len(class_ids)),
        ),
    )


def _clicks(
    kinds: NDArray[np.intp],
    targets: NDArray[np.intp],
    trust: NDArray[np.float64],
    count: int,
    classes: Sequence[str],
) -> NDArray[np.float64]:
    """``(g, k)`` annotations of each class within each kind; what is no cell is of none."""
    table = np.zeros((count, len(classes)))
    np.add.at(table, (kinds[kinds >= 0], targets[kinds >= 0]), trust[kinds >= 0])
    table[:, [class_id == NOT_A_CELL_ID for class_id in classes]] = 0.0
    return table
