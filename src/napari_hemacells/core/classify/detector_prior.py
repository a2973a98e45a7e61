"""What the detector saw as a prior for the first clicks: classes are mixed within its kinds.

A detector's kind (red cell, white cell, platelet) and a user's class are two words about one cell.
Each class has a *home*: the kind that has its name, until its annotations say otherwise. Within a
kind the classes at home there share the cells; of any other class a tenth at most is expected
there, until annotations show more. These shares are then fitted to the unlabelled cells by
expectation-maximisation (Saerens, Latinne and Decaestecker 2002, *Adjusting the outputs of a
classifier to new a priori probabilities*), within bounds that widen with the annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAME_CLICKS = 4.0  # what a class's name says of its home, in annotations
MISTAKEN = 0.1  # part of a kind that is expected to be of another one
MISTAKEN_CLICKS = 4.0  # ... and how firmly, in annotations
ROUNDS = 20  # of expectation-maximisation
FIRST_BOUND, BOUND_GROWTH = 1.5, 0.5  # factor that the odds of a share may move by, per click
STRAY_GROWTH = 2.0  # ... power of it for a frequent class among a rare kind: no slide is at stake
LAST_BOUND = 1e4
LEAST_SHARE = 1e-6
CERTAIN_KINDS, FREQUENT = (
    8.0,
    0.2,
)  # annotations that the detector's agreement is worth, for the confidence
EVIDENCE = 0.1  # ... by looks alone, before the detector's word: chosen on Chula's fields
FREEDOM = 30.0  # ... how much surer for each annotation that contradicts the detector there
CAP = 0.5  # of the rule of succession: wrong cells expected where none was seen

SYNONYMS = {
    RBC: ("rbc", "red cell", "red blood cell", "erythrocyte", "normocyte"),
    WBC: ("wbc", "white cell", "white blood cell", "leukocyte", "leucocyte"),
    PLATELET: ("platelet", "thrombocyte"),
}


def kind_named(name: str) -> str:
    """Return the detector's kind that a class is named after, or ``""``.

    Examples
    --------
    >>> kind_named("Red cells"), kind_named("platelets"), kind_named("schistocyte")
    ('RBC', 'Platelets', '')
    """
    plain = name.strip().casefold()
    for kind, names in SYNONYMS.items():
        if plain.removesuffix("s") in names:
            return kind
    return ""


@dataclass(frozen=True, eq=False)
class DetectorPrior:
    """Log odds of the classes within each kind that the detector found.

    Attributes
    ----------
    kinds
        The g kinds.
    homes
        Of each class the index of its home, -1 where it has none.
    frequency
        ``(g,)`` share of the cells of each kind.
    log_odds
        ``(g, k)`` float32, to be added to the scores of a cell of that kind.
    against
        Of each kind, of each class: annotations of cells of that kind that contradict the
        detector, :func:`contradictions`; nothing where none was counted.
    """

    kinds: tuple[str, ...]
    homes: tuple[int, ...]
    frequency: tuple[float, ...]
    log_odds: NDArray[np.float32]
    against: tuple[tuple[float, ...], ...] = ()

    def fits(self, classes: int) -> bool:
        """Whether the shapes are consistent, for so many classes."""
        kinds = len(self.kinds)
        return (
            self.log_odds.shape == (kinds, classes)
            and len(self.homes) == classes
            and len(self.frequency) == kinds
            and len(self.against) in (0, kinds)
            and all(len(row) == classes for row in self.against)
            and all(0 <= count < np.inf for row in self.against for count in row)
            and all(-1 <= home < kinds for home in self.homes)
        )

    def rows_of(self, kinds: NDArray[np.str_]) -> NDArray[np.intp]:
        """``(n,)`` row of each cell's kind, -1 where nothing is known of it."""
        return kind_rows(kinds, self.kinds)

    def odds(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """``(n, k)`` odds of cells of the kinds in these rows; 1 where none is known."""
        return np.exp(np.vstack([self.log_odds, np.zeros_like(self.log_odds[:1])]))[rows]

    def evidence(
        self,
        balanced: NDArray[np.float32],
        clicks: NDArray[np.number],
        rows: NDArray[np.intp],
    ) -> NDArray[np.float32]:
        """``(n, k)`` :func:`bounded_evidence` of cells of the kinds in these rows."""
        return bounded_evidence(balanced, clicks, rows, np.array(self.against))

    def support(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """``(n,)`` what the detector's kind is worth for a class, in annotations.

        Nothing where the class is not at home in the kind. Less in a rare kind, which a few strays
        of a frequent one can fill.
        """
        worth = CERTAIN_KINDS * np.minimum(np.array(self.frequency) / FREQUENT, 1.0)
        table = np.zeros((len(self.kinds) + 1, len(self.homes)), np.float32)
        for column, home in enumerate(self.homes):
            if home >= 0:
                table[home, column] = worth[home]
        return np.asarray(table[rows, columns])


def kind_rows(kinds: NDArray[np.str_], known: Sequence[str]) -> NDArray[np.intp]:
    """``(n,)`` index of each kind among the known ones, -1 for any other."""
    rows = np.full(len(kinds), -1, dtype=np.intp)
    for row, kind in enumerate(known):
        rows[kinds == kind] = row
    return rows


def homes_of(
    clicks: NDArray[np.float64], named: Sequence[int], named_clicks: float = NAME_CLICKS
) -> NDArray[np.intp]:
    """``(k,)`` home of each class: where most of its annotations are, or its name says.

    Parameters
    ----------
    clicks
        ``(g, k)`` annotations of each class within each kind.
    named
        ``(k,)`` index of the kind of that name, -1 where there is none.
    named_clicks
        What the name counts for, in annotations.
    """
    votes = clicks.copy()
    for column, row in enumerate(named):
        if row >= 0:
            votes[row, column] += named_clicks
    homes = votes.argmax(axis=0)
    return np.where(votes.max(axis=0) > 0, homes, -1)


def expected_shares(
    clicks: NDArray[np.float64], homes: NDArray[np.intp], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(g, k)`` share of each class within each kind before any cell was looked at.

    Parameters
    ----------
    sizes
        ``(g,)`` number of cells of each kind on the slide, all above 0.
    """
    kinds, classes = clicks.shape
    at_home = homes == np.arange(kinds)[:, np.newaxis]
    tenants = at_home.sum(axis=1)
    strays = (clicks + MISTAKEN_CLICKS * MISTAKEN) / (clicks.sum(axis=0) + MISTAKEN_CLICKS)
    home_size = np.where(homes >= 0, sizes[homes], sizes.sum())
    home_size = home_size / np.where(homes >= 0, np.maximum(tenants[homes], 1), 1)
    # No more of a kind can stray than there is, here or there.
    cells = strays * np.minimum(home_size, sizes[:, np.newaxis])
    cells[at_home] = 0.0
    left = np.maximum(sizes - cells.sum(axis=1), MISTAKEN * sizes)
    shared = (left / np.maximum(tenants, 1))[:, np.newaxis]
    cells = np.where(at_home, shared, cells) + LEAST_SHARE * sizes[:, np.newaxis]
    return np.asarray(cells / cells.sum(axis=1, keepdims=True)).reshape(kinds, classes)


def fit_shares(
    balanced: NDArray[np.float64],
    rows: NDArray[np.intp],
    expected: NDArray[np.float64],
    clicks: NDArray[np.float64],
    frequent: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """``(g, k)`` shares that explain the unlabelled cells best, not too far from the expected.

    Parameters
    ----------
    balanced
        ``(n, k)`` class probabilities of unlabelled cells, were all classes equally frequent.
    rows
        ``(n,)`` kind of each.
    clicks
        ``(k,)`` annotations of each class: the more, the farther its share may move.
    frequent
        ``(g, k)`` whether a class is at home in a more frequent kind than this one.
    """
    slow = np.maximum(FIRST_BOUND + BOUND_GROWTH * (clicks - 1.0), FIRST_BOUND)
    fast = STRAY_GROWTH ** np.minimum(np.maximum(clicks, 1.0), 20.0)
    bounds = np.minimum(np.where(frequent, fast, slow), LAST_BOUND)
    shares = expected.copy()
    for row in range(len(expected)):
        mine = balanced[rows == row]
        if not len(mine):
            continue
        for _ in range(ROUNDS):
            joint = mine * shares[row] + 1e-12
            share = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
            shares[row] = _within(share, expected[row], bounds[row])
    return shares


def _within(
    share: NDArray[np.float64], expected: NDArray[np.float64], bound: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(k,)`` shares whose odds are within a factor of the expected ones; they sum to 1."""
    usual = expected / np.maximum(1.0 - expected, LEAST_SHARE)
    odds = share / np.maximum(1.0 - share, LEAST_SHARE)
    odds = np.clip(odds, usual / bound, usual * bound)
    clipped = odds / (1.0 + odds)
    return np.asarray(clipped / clipped.sum())


def contradictions(
    clicks: NDArray[np.float64], homes: NDArray[np.intp], counts: NDArray[np.number]
) -> NDArray[np.float64]:
    """``(g, k)`` annotations of each class within each kind that is not its home.

    Parameters
    ----------
    clicks
        ``(g, k)`` annotations that look like the others of their class.
    counts
        ``(k,)`` annotations of each class: a class with a single one contradicts nobody.
    """
    away = (homes >= 0) & (homes != np.arange(len(clicks))[:, np.newaxis])
    return np.asarray(np.where(away & (counts > 1), clicks, 0.0))


def bounded_evidence(
    balanced: NDArray[np.float32],
    clicks: NDArray[np.number],
    rows: NDArray[np.intp],
    against: NDArray[np.float64],
) -> NDArray[np.float32]:
    """``(n, k)`` class probabilities by looks that a few annotations can vouch for.

    A cell far from everything annotated can have any score: it must not outvote the detector,
    unless annotations of such cells have shown that the detector is mistaken about their class.

    Parameters
    ----------
    rows
        ``(n,)`` kind of each cell, -1 where none is known.
    against
        ``(g, k)`` :func:`contradictions`; empty where none was counted.
    """
    shown = np.zeros(len(balanced))
    if against.size:
        table = np.vstack([against, np.zeros(against.shape[1])])
        shown = table[rows, balanced.argmax(axis=1)]
    return bounded_confidence(balanced, clicks, cap=EVIDENCE / (1.0 + FREEDOM * shown))


def bounded_confidence(
    probabilities: NDArray[np.float32],
    clicks: NDArray[np.number],
    support: NDArray[np.float32] | float = 0.0,
    cap: NDArray[np.float64] | float = CAP,
) -> NDArray[np.float32]:
    """``(n, k)`` probabilities that are no surer than the number of annotations allows.

    By the rule of succession: after n annotations of a class of which none was wrong, half a wrong
    one in n + 1 is still to be expected. What the detector agrees with has more behind it.

    Parameters
    ----------
    clicks
        ``(k,)`` annotations of each class.
    support
        ``(n,)`` what the detector's kind is worth for the most probable class, in annotations.
    cap
        Wrong cells that are expected, of n + 1; one number, or ``(n,)``.
    """
    known = clicks[probabilities.argmax(axis=1)] + 1.0 + support
    doubt = (cap / known).astype(np.float32)[:, np.newaxis]
    return np.asarray(probabilities * (1.0 - doubt) + doubt / probabilities.shape[1], np.float32)
