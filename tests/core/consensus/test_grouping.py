"""Which points are one cell: the thesis' rule, matching, density, and how long they take."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from napari_hemacells.core.consensus import make_consensus, points_from_rows, read_annotator_points
from napari_hemacells.core.consensus.grouping import (
    assign,
    group_by_density,
    group_by_matching,
    learn_distances,
)
from napari_hemacells.core.consensus.simulation import SimulationParams, simulate_annotators

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.consensus import AnnotatorPoints

PointRow = tuple[str, str, float, float, str]
VALUES = {"alive": 1.0, "dead": 0.0, "not sure": 0.5}


def thesis_rule(
    rows: list[PointRow], looked: list[tuple[str, str]], radius: float
) -> tuple[list[tuple[str, float, float, float]], set[str]]:
    """The rule as it is written, frame by frame and point by point; the frames set aside."""
    cells, aside = [], set()
    for frame in sorted({row[0] for row in rows} | {image for image, _ in looked}):
        points = [row for row in rows if row[0] == frame]
        people = {row[1] for row in points} | {who for image, who in looked if image == frame}
        if len({sum(row[1] == who for row in points) for who in people}) > 1:
            aside.add(frame)
            continue
        left = list(range(len(points)))
        while left:
            group, waiting = set(), [left[0]]
            while waiting:
                now = waiting.pop()
                group.add(now)
                for other in left:
                    apart = math.dist(points[now][2:4], points[other][2:4])
                    if (
                        other not in group
                        and points[other][1] != points[now][1]
                        and apart < radius
                    ):
                        waiting.append(other)
            left = [at for at in left if at not in group]
            if len(group) > 1:
                mean = [sum(points[at][k] for at in group) / len(group) for k in (2, 3)]
                state = sum(VALUES[points[at][4]] for at in group) / len(group)
                cells.append((frame, *mean, state))
    return cells, aside


def as_rows(points: AnnotatorPoints) -> tuple[list[PointRow], list[tuple[str, str]]]:
    rows = [
        (points.images[i], points.annotators[a], row, col, points.classes[r])
        for i, a, (row, col), r in zip(
            points.image, points.annotator, points.position.tolist(), points.response, strict=True
        )
    ]
    return rows, [(points.images[i], points.annotators[a]) for i, a in points.looked]


def check_rule(rows: list[PointRow], looked: list[tuple[str, str]], radius: float = 35) -> int:
    made = make_consensus(points_from_rows(rows, looked), "radius", radius=radius)
    cells, aside = thesis_rule(rows, looked, radius)
    assert set(made.set_aside) == aside
    table = made.cells[["image", "row", "column", "state"]].to_numpy().tolist()
    assert len(table) == len(cells)
    for mine, theirs in zip(sorted(table), sorted(map(list, cells)), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:], abs=1e-6)
    return len(cells)


a_point = st.tuples(
    st.sampled_from(["f1", "f2"]),
    st.sampled_from("ABC"),
    st.integers(-3, 90).map(float),
    st.integers(0, 90).map(float),
    st.sampled_from(list(VALUES)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(a_point, min_size=1, max_size=24))
def test_the_thesis_rule_is_the_rule_as_written(rows: list[PointRow]) -> None:
    check_rule(rows, [])


def test_exactly_the_radius_is_not_closer() -> None:
    rows: list[PointRow] = [("f", "A", 0, 0, "alive"), ("f", "B", 0, 35, "dead")]
    assert check_rule(rows, []) == 0
    rows[1] = ("f", "B", 0, 34.999, "dead")
    assert check_rule(rows, []) == 1


def test_a_frame_is_set_aside_where_somebody_marked_nothing() -> None:
    rows: list[PointRow] = [("f", "A", 0, 0, "alive"), ("f", "B", 0, 1, "alive")]
    assert check_rule(rows, [("f", "C")]) == 0


@pytest.mark.realdata
def test_the_thesis_rule_on_all_answers(cell_spotting: Path) -> None:
    rows, looked = as_rows(read_annotator_points(cell_spotting))
    assert check_rule(rows, looked) == 317


# --- one to one -------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9))
def test_the_assignment_is_the_best(seed: int, n: int, m: int) -> None:
    random = np.random.default_rng(seed)
    cost = random.random((n, m)).round(2)
    possible = random.random((n, m)) < 0.6
    table = np.where(possible, cost, 1.0)
    row, column = np.nonzero(possible)
    at, to = assign(row, column, cost[possible])
    assert len(set(at.tolist())) == len(at)
    assert len(set(to.tolist())) == len(to)
    total = cost[at, to].sum() + n - len(at)
    square = np.ones((n, n + m))
    square[:, :m] = table
    best = square[linear_sum_assignment(square)].sum()
    assert total == pytest.approx(best)


@pytest.mark.parametrize("group", [group_by_matching, group_by_density])
def test_nobody_has_two_points_in_a_cell(group: type[group_by_matching]) -> None:
    points, _ = simulate_annotators(SimulationParams(annotators=4, images=3), 5)
    cell = group(points).cell
    assert (np.bincount(cell) > 0).all()
    pairs = set(zip(cell.tolist(), points.annotator.tolist(), strict=True))
    assert len(pairs) == len(points)
    assert all(
        len(set(points.image[cell == number].tolist())) == 1 for number in range(0, cell.max(), 7)
    )


def test_neighbours_within_the_radius_stay_two_cells() -> None:
    places = {"A": (0, 40), "B": (4, 42), "C": (-3, 37)}
    rows = [("f", who, 0.0, float(x), "alive") for who, both in places.items() for x in both]
    points = points_from_rows(rows)
    assert len(make_consensus(points, "radius", radius=45).cells) == 1  # one long chain
    for method in ("matching", "density", "reliability"):
        made = make_consensus(points, method, radius=30)
        assert made.cells["votes"].tolist() == [3, 3], method
        assert sorted(made.cells["column"]) == pytest.approx([0.33, 39.67], abs=0.05)


def test_the_order_of_annotators_does_not_count() -> None:
    points, _ = simulate_annotators(SimulationParams(images=2, jitter=5, spacing=60), 3)
    rows, looked = as_rows(points)
    first = make_consensus(points_from_rows(rows, looked)).cells
    names = dict(zip(points.annotators, ("z", "y", "x"), strict=True))
    turned = [(i, names[a], *rest) for i, a, *rest in rows]
    second = make_consensus(points_from_rows(turned)).cells
    places = [
        sorted(map(tuple, t[["row", "column"]].round(6).to_numpy())) for t in (first, second)
    ]
    assert places[0] == places[1]


def test_the_distance_follows_scatter_and_density() -> None:
    limits = [
        float(np.median(learn_distances(simulate_annotators(SimulationParams(**given), 0)[0])))
        for given in (
            {"spacing": 80, "jitter": 3},
            {"spacing": 80, "jitter": 10},
            {"spacing": 40, "jitter": 10},
        )
    ]
    assert limits[0] < limits[1]
    assert limits[2] < limits[1]


def test_the_distance_is_each_frames_own() -> None:
    wide, _ = simulate_annotators(SimulationParams(spacing=90, images=1, jitter=8), 0)
    dense, _ = simulate_annotators(SimulationParams(spacing=35, images=1, jitter=8), 1)
    rows = [("wide", *row[1:]) for row in as_rows(wide)[0]]
    rows += [("dense", *row[1:]) for row in as_rows(dense)[0]]
    points = points_from_rows(rows)
    limit = dict(zip(points.images, learn_distances(points), strict=True))
    assert limit["dense"] < limit["wide"]


def test_one_annotator_alone_is_taken_at_his_word() -> None:
    rows = list(itertools.product("f", "A", (0.0, 50.0), (0.0, 50.0), ["alive"]))
    points = points_from_rows(rows)
    assert len(make_consensus(points, "matching").cells) == 4
    assert make_consensus(points, "radius").cells.empty  # nobody else has marked them
    assert make_consensus(points, "matching").disagreements.empty
