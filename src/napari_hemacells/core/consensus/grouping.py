"""Which points of several annotators mark the same cell.

All images are worked on at once: they are laid side by side, farther apart than any distance that
counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.consensus.points import AnnotatorPoints

THESIS_RADIUS = 35.0
_ROUNDS = 6  # of matching each annotator again to the cells of the others
_SETTLED = 200  # a round that moves less than one point in so many is the last
_EM_ROUNDS = 60
_MAX_PAIRS = 12  # of annotators, to learn the distance from
_ENOUGH = 4000  # points of an annotator, likewise
_SPLIT_AT_ONCE = 60  # points of a dense group; a larger one is looked at closer first
_NEAREST, _FARTHEST = 2.0, 200.0  # pixels between which a distance is learnt


class Grouping(NamedTuple):
    """The cells that points were grouped to.

    Attributes
    ----------
    cell
        ``(n,)`` number of each point's cell, 0 upwards without gaps; -1 for a point that was left
        out altogether.
    distance
        ``(images,)`` the distance in pixels that was used on each image.
    set_aside
        ``(images,)`` images that were not judged.
    """

    cell: NDArray[np.int64]
    distance: NDArray[np.float64]
    set_aside: NDArray[np.bool_]


def side_by_side(points: AnnotatorPoints, reach: float) -> NDArray[np.float64]:
    """Return ``(n, 2)`` positions with the images so far apart that no distance joins two."""
    if not len(points):
        return points.position
    low = points.position.min(axis=0)
    width = float(np.ptp(points.position[:, 1])) + 4 * reach + 1
    placed: NDArray[np.float64] = points.position - low
    placed[:, 1] += points.image * width
    return placed


def group_by_radius(
    points: AnnotatorPoints, radius: float = THESIS_RADIUS, *, set_aside: bool = True
) -> Grouping:
    """Group as the thesis does: points of different annotators closer than a radius are one cell.

    "Are one cell" is transitive: what is joined by a chain of such points is one cell. A point
    without any such partner is a cell of its own, with one vote.

    Parameters
    ----------
    radius
        In pixels; a distance of exactly this is not closer.
    set_aside
        Set aside images on which those who looked marked different numbers of points.
    """
    placed = side_by_side(points, radius)
    pairs = KDTree(placed).query_pairs(radius, output_type="ndarray")
    first, second = pairs.T
    near = np.hypot(*(placed[first] - placed[second]).T) < radius
    near &= points.annotator[first] != points.annotator[second]
    n = len(points)
    edges = coo_array((np.ones(int(near.sum())), (first[near], second[near])), shape=(n, n))
    _, cell = connected_components(edges, directed=False)
    counts = np.zeros((len(points.images), len(points.annotators)), int)
    np.add.at(counts, (points.image, points.annotator), 1)
    aside = np.zeros(len(points.images), bool)
    if set_aside:
        most = np.where(points.lookers, counts, -1).max(axis=1)
        least = np.where(points.lookers, counts, np.iinfo(int).max).min(axis=1)
        aside = most != least
    return Grouping(cell.astype(np.int64), np.full(len(points.images), radius), aside)


# --- the distance, learnt ----------------------------------------------------------------------


def learn_distances(points: AnnotatorPoints) -> NDArray[np.float64]:
    """Return ``(images,)`` the distance in px up to which two annotators' points are one cell.

    Distances between points of two annotators that are each other's nearest are a mixture: of two
    points on one cell (Rayleigh, with the scatter of the clicks, the same on all images), and of
    points on two cells (Rayleigh, with the density of that image's own points). The scatter and
    the share of either are found by expectation-maximisation; an image's distance is where both
    are equally probable. Where nobody shares an image, it is the thesis' radius.
    """
    background = _spacing(points) / np.sqrt(2)
    image, distance = _nearest_pairs(points)
    if len(distance) < 3:
        most: NDArray[np.float64] = np.minimum(THESIS_RADIUS, background * np.sqrt(2))
        return most
    wide = background[image]
    scatter = max(float(np.median(distance)) / 1.1774, 0.5)  # the median of a Rayleigh is 1.1774 s
    share = 0.8
    for _ in range(_EM_ROUNDS):
        same = share * _rayleigh(distance, scatter)
        other = (1 - share) * _rayleigh(distance, wide)
        weight = same / np.maximum(same + other, 1e-300)
        before = scatter
        scatter = float(np.sqrt((weight * distance**2).sum() / max(2 * weight.sum(), 1e-9)))
        scatter = max(scatter, 0.5)
        share = float(np.clip(weight.mean(), 0.02, 0.98))
        if abs(scatter - before) < 1e-4 * before:
            break
    narrow = np.minimum(scatter, 0.95 * background)
    odds = np.log(share / (1 - share)) + 2 * np.log(background / narrow)
    limit = np.sqrt(2 * np.maximum(odds, 0.1) / (1 / narrow**2 - 1 / background**2))
    limit = np.minimum(limit, background * np.sqrt(2))
    clipped: NDArray[np.float64] = np.clip(limit, _NEAREST, _FARTHEST)
    return clipped


def _rayleigh(
    distance: NDArray[np.float64], scale: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    return distance / scale**2 * np.exp(-(distance**2) / (2 * scale**2))


def _spacing(points: AnnotatorPoints) -> NDArray[np.float64]:
    """``(images,)`` root mean square distance of an annotator's point to the next of the same."""
    group = points.image * len(points.annotators) + points.annotator
    total = np.zeros(len(points.images))
    count = np.zeros(len(points.images))
    placed = side_by_side(points, _FARTHEST)
    for annotator in range(len(points.annotators)):
        mine = np.flatnonzero(points.annotator == annotator)
        if len(mine) < 2:
            continue
        two = KDTree(placed[mine]).query(placed[mine], k=2, distance_upper_bound=2 * _FARTHEST)
        nearest = np.asarray(two[0])[:, 1]
        valid = np.isfinite(nearest) & (_counts_of(group[mine]) > 1)
        np.add.at(total, points.image[mine[valid]], nearest[valid] ** 2)
        np.add.at(count, points.image[mine[valid]], 1)
    everywhere = np.sqrt(total.sum() / count.sum()) if count.sum() else THESIS_RADIUS * 2
    # A few points say little of an image's density: the mean of all counts as five more.
    mixed = (total + 5 * everywhere**2) / (count + 5)
    return np.maximum(np.sqrt(mixed), _NEAREST)


def _counts_of(values: NDArray[np.int64]) -> NDArray[np.int64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[inverse]


def _nearest_pairs(points: AnnotatorPoints) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Image and distance of points of two annotators that are each other's nearest."""
    placed = side_by_side(points, _FARTHEST)
    names = np.unique(points.annotator)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    if len(pairs) > _MAX_PAIRS:
        pairs = [pairs[at] for at in np.linspace(0, len(pairs) - 1, _MAX_PAIRS).astype(int)]
    random = np.random.default_rng(0)
    of = {int(name): np.flatnonzero(points.annotator == name) for name in names}
    trees = {name: KDTree(placed[mine]) for name, mine in of.items()}
    images, distances = [], []
    for a, b in pairs:
        first = of[int(a)]
        asked = np.arange(len(first))
        if len(asked) > _ENOUGH:
            asked = random.choice(asked, _ENOUGH, replace=False)
        there, to = map(
            np.asarray,
            trees[int(b)].query(placed[first[asked]], distance_upper_bound=_FARTHEST),
        )
        known = np.isfinite(there)
        asked, there, to = asked[known], there[known], to[known]
        mutual = trees[int(a)].query(placed[of[int(b)][to]])[1] == asked
        images.append(points.image[first[asked[mutual]]])
        distances.append(there[mutual])
    if not images:
        return np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(images), np.maximum(np.concatenate(distances), 1e-6)


# --- one-to-one matching -----------------------------------------------------------------------


def group_by_matching(
    points: AnnotatorPoints, distance: NDArray[np.float64] | None = None
) -> Grouping:
    """Group by one-to-one matching: of each annotator a cell has one point at most.

    The annotator with the most points begins; the points of each next one are matched to the
    cells so far, at the least sum of squared distances, and what is left over are cells of their
    own. Then each annotator is matched again to the cells of all others until hardly anything
    changes, so that the order counts little.

    Parameters
    ----------
    distance
        ``(images,)`` in px, up to which a point can belong to a cell; learnt where not given.
    """
    limit = learn_distances(points) if distance is None else distance
    counts = np.bincount(points.annotator, minlength=len(points.annotators))
    order = [int(at) for at in np.argsort(-counts, kind="stable") if counts[at]]
    cell = np.full(len(points), -1, np.int64)
    return Grouping(refine(points, cell, limit, order), limit, np.zeros(len(points.images), bool))


def refine(
    points: AnnotatorPoints,
    cell: NDArray[np.int64],
    limit: NDArray[np.float64],
    order: list[int],
) -> NDArray[np.int64]:
    """Match each annotator to the cells of the others until hardly anything changes.

    Parameters
    ----------
    cell
        ``(n,)`` where to begin: each point's cell, -1 for none.
    """
    placed = side_by_side(points, float(limit.max(initial=1.0)))
    matcher = _Matcher(placed, limit[points.image], points.annotator, cell.copy())
    for number in range(_ROUNDS):
        changed = 0
        for annotator in order:
            changed += matcher.match_again(annotator)
        if number and changed * _SETTLED <= len(points):
            break
    return np.unique(matcher.cell, return_inverse=True)[1].astype(np.int64)


class _Matcher:
    """Cells as the points of each, changed by one annotator after the other.

    Parameters
    ----------
    placed
        ``(n, 2)`` positions, the images side by side.
    reach
        ``(n,)`` the distance that counts for each point.
    annotator
        ``(n,)`` whose each point is.
    cell
        ``(n,)`` number of each point's cell, -1 for none; changed in place.
    """

    def __init__(
        self,
        placed: NDArray[np.float64],
        reach: NDArray[np.float64],
        annotator: NDArray[np.int64],
        cell: NDArray[np.int64],
    ) -> None:
        self.cell = cell
        self._placed, self._reach = placed, reach
        self._of = {int(name): np.flatnonzero(annotator == name) for name in np.unique(annotator)}
        self._seen: dict[int, NDArray[np.int64]] = {}  # the cells as an annotator last met them

    def match_again(self, annotator: int) -> int:
        """Match an annotator's points to the cells of the others; return how many changed.

        Only points near cells that have changed since the annotator was matched last.
        """
        mine = self._of[annotator]
        last = self._seen.get(annotator)
        chosen = np.arange(len(mine)) if last is None else self._near_changes(annotator, last)
        moved = self._match(annotator, mine[chosen]) if len(chosen) else 0
        self._seen[annotator] = self.cell.copy()
        return moved

    def _near_changes(self, annotator: int, last: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of an annotator's points are near points that have changed their cell."""
        other = np.flatnonzero(last != self.cell)
        if not len(other):
            return other
        touched = np.isin(self.cell, self.cell[other]) | np.isin(last, last[other])
        reach = float(self._reach[self._of[annotator]].max())
        places = KDTree(self._placed[touched])
        near = places.query(self._placed[self._of[annotator]], distance_upper_bound=1.5 * reach)[0]
        return np.flatnonzero(np.isfinite(near))

    def _match(self, annotator: int, mine: NDArray[np.int64]) -> int:
        cell = self.cell
        own = cell[mine].copy()
        cell[mine] = -1
        others = np.flatnonzero(cell >= 0)
        size = int(max(cell.max(initial=-1), own.max(initial=-1), 0)) + 1
        votes = np.bincount(cell[others], minlength=size)
        votes_of_others = votes.copy()
        kept = cell[self._of[annotator]]
        votes_of_others[kept[kept >= 0]] = 0  # they have a point of this annotator
        known = np.flatnonzero(votes_of_others)
        # A point that stays alone keeps its number.
        alone = (own >= 0) & (np.bincount(own[own >= 0], minlength=size)[own] == 1)
        alone &= votes[own] == 0
        cell[mine] = np.where(alone, own, np.arange(len(mine)) + size)
        if len(known):
            sums = [np.bincount(cell[others], self._placed[others, axis], size) for axis in (0, 1)]
            centres = np.stack(sums, axis=1)[known] / votes[known, None]
            row, column, cost = self._costs(mine, centres)
            at, to = assign(row, column, cost)
            cell[mine[at]] = known[to]
        return int((cell[mine] != own).sum())

    def _costs(
        self, mine: NDArray[np.int64], centres: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Points, cells and cost of the pairs that are possible."""
        near = KDTree(self._placed[mine]).sparse_distance_matrix(
            KDTree(centres), float(self._reach[mine].max()), output_type="ndarray"
        )
        row, column, distance = near["i"], near["j"], near["v"]
        cost = (distance / self._reach[mine[row]]) ** 2
        kept = cost < 1
        return row[kept], column[kept], cost[kept]


def assign(
    row: NDArray[np.int64], column: NDArray[np.int64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match rows to columns one to one; to match nothing costs 1.

    Parameters
    ----------
    row, column, cost
        ``(k,)`` the pairs that are possible, each at a cost from 0 to 1.

    Returns
    -------
    row, column
        The pairs chosen: those of the least total.
    """
    if not len(row):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, row_at = np.unique(row, return_inverse=True)
    columns, column_at = np.unique(column, return_inverse=True)
    n, m = len(rows), len(columns)
    left = np.arange(len(row))
    chosen = []
    while len(left):
        sure = left[_surely_best(row_at[left], column_at[left], 1 - cost[left], n, m)]
        if not len(sure):
            break
        chosen.append(sure)
        row_taken, column_taken = np.zeros(n, bool), np.zeros(m, bool)
        row_taken[row_at[sure]] = column_taken[column_at[sure]] = True
        left = left[~row_taken[row_at[left]] & ~column_taken[column_at[left]]]
    if len(left):
        graph = coo_array(
            (np.ones(len(left)), (row_at[left], column_at[left] + n)), shape=(n + m, n + m)
        )
        part = connected_components(graph, directed=False)[1][row_at[left]]
        order = np.argsort(part, kind="stable")
        cuts = np.flatnonzero(np.diff(part[order])) + 1
        chosen += [
            members[_assign_part(row_at[members], column_at[members], cost[members])]
            for members in np.split(left[order], cuts)
        ]
    pairs = np.concatenate(chosen)
    return row[pairs], column[pairs]


def _surely_best(
    row: NDArray[np.int64], column: NDArray[np.int64], gain: NDArray[np.float64], n: int, m: int
) -> NDArray[np.bool_]:
    """Which pairs are in a best matching, as all else that they prevent gains less together.

    A matching without such a pair has at most one other pair of its row and one of its column;
    in their place it gains no less.
    """
    best_of_row, next_of_row = _two_best(row, gain, n)
    best_of_column, next_of_column = _two_best(column, gain, m)
    at = np.arange(len(row))
    mutual = (best_of_row[row] == at) & (best_of_column[column] == at)
    sure: NDArray[np.bool_] = mutual & (gain >= next_of_row[row] + next_of_column[column])
    return sure


def _two_best(
    group: NDArray[np.int64], gain: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each group where its best gain is, and the second best gain, 0 without any."""
    order = np.lexsort((-gain, group))
    first = np.full(size, -1)
    second = np.zeros(size)
    start = np.flatnonzero(np.diff(group[order], prepend=-1))
    first[group[order[start]]] = order[start]
    after = start + 1
    after = after[after < len(order)]
    follows = after[group[order[after]] == group[order[after - 1]]]
    second[group[order[follows]]] = gain[order[follows]]
    return first, second


def _assign_part(
    row: NDArray[np.int64], column: NDArray[np.int64], cost: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Which pairs of one connected part are chosen."""
    # Most parts have three or four pairs, for which NumPy's unique takes longest of all.
    rows = {number: at for at, number in enumerate(dict.fromkeys(row.tolist()))}
    columns = {number: at for at, number in enumerate(dict.fromkeys(column.tolist()))}
    table = np.ones((len(rows), len(columns)))
    pair = np.full(table.shape, -1)
    at = [rows[number] for number in row.tolist()]
    to = [columns[number] for number in column.tolist()]
    table[at, to] = cost
    pair[at, to] = np.arange(len(cost))
    chosen = pair[linear_sum_assignment(table)]
    return chosen[chosen >= 0]


# --- density -----------------------------------------------------------------------------------


def group_by_density(
    points: AnnotatorPoints, distance: NDArray[np.float64] | None = None
) -> Grouping:
    """Group where points are dense (DBSCAN), with one point of each annotator in a cell at most.

    A dense group that holds several points of somebody is looked at again at a shorter distance,
    and at last split at the points of whoever marked the most cells in it. Then each annotator's
    points are matched to these cells one to one, as by :func:`group_by_matching`.

    Parameters
    ----------
    distance
        ``(images,)`` in px, up to which a point can belong to a cell; learnt where not given.
    """
    limit = learn_distances(points) if distance is None else distance
    placed = side_by_side(points, float(limit.max(initial=1.0)))
    # At one common distance: each image is drawn to the scale of its own.
    scaled = placed / limit[points.image][:, None]
    scaled[:, 1] = points.position[:, 1] / limit[points.image]
    scaled[:, 1] += points.image * (np.ptp(scaled[:, 1]) + 4)
    cell = np.full(len(points), -1, np.int64)
    number = 0
    waiting = [(np.arange(len(points)), 0.6)]
    while waiting:
        members, reach = waiting.pop()
        for group in _dense_groups(scaled[members], reach):
            inside = members[group]
            repeats = int(np.bincount(points.annotator[inside]).max())
            if repeats == 1:
                cell[inside] = number
                number += 1
            elif len(inside) > _SPLIT_AT_ONCE and reach > 0.05:
                waiting.append((inside, reach * 0.75))
            else:
                cell[inside] = number + _split(scaled[inside], points.annotator[inside])
                number += repeats
    order = np.flatnonzero(np.bincount(points.annotator, minlength=len(points.annotators)))
    cell = refine(points, cell, limit, order.tolist())
    return Grouping(cell, limit, np.zeros(len(points.images), bool))


def _dense_groups(positions: NDArray[np.float64], reach: float) -> list[NDArray[np.int64]]:
    """The groups of points that are dense at a distance; points that are alone are in none."""
    from sklearn.cluster import DBSCAN

    if len(positions) < 2:
        return []
    label = DBSCAN(eps=reach, min_samples=2).fit(positions).labels_
    dense = np.flatnonzero(label >= 0)
    if not len(dense):
        return []
    order = dense[np.argsort(label[dense], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _split(positions: NDArray[np.float64], annotator: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(n,)`` which cell of a dense group each point is nearest to, as one annotator saw them.

    The one who marked the most.
    """
    most = int(np.bincount(annotator).argmax())
    return np.asarray(KDTree(positions[annotator == most]).query(positions)[1], np.int64)
