"""The cells of a consensus, annotators' reliability, agreement, and recovery of known cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.consensus import (
    COLUMNS,
    make_consensus,
    points_from_rows,
    summarise,
)
from napari_hemacells.core.consensus.agreement import coincidence_tables, krippendorff_alpha
from napari_hemacells.core.consensus.evaluation import (
    NOT_SET_ASIDE,
    evaluate_methods_steps,
    score_consensus,
)
from napari_hemacells.core.consensus.simulation import SimulationParams, simulate_annotators
from napari_hemacells.core.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

# Krippendorff 2011, section C: four observers, twelve units, values 1 to 5; 0 is missing.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def test_alpha_is_the_published_one() -> None:
    _, unit = np.nonzero(OBSERVERS)
    response = OBSERVERS[OBSERVERS > 0] - 1
    table = coincidence_tables(unit, response, np.zeros(12, int), 1, 5)[0]
    assert krippendorff_alpha(table) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(table, np.arange(5.0)) == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_one_value_says_nothing() -> None:
    assert np.isnan(krippendorff_alpha(np.array([[4.0, 0], [0, 0]])))


def test_votes_agreement_spread_and_queue(tmp_path: Path) -> None:
    rows = [
        ("f", "A", 10.0, 10.0, "alive"), ("f", "B", 10.0, 16.0, "alive"),
        ("f", "C", 10.0, 13.0, "dead"), ("f", "A", 90.0, 90.0, "dead"),
        ("f", "B", 90.0, 90.0, "dead"), ("f", "C", 90.0, 90.0, "dead"),
        ("f", "C", 10.0, 90.0, "alive"),
    ]  # fmt: skip
    made = make_consensus(points_from_rows(rows), "matching", radius=30)
    cells = made.cells.sort_values("row")
    assert cells["class"].tolist() == ["alive", "dead"]
    assert cells["votes"].tolist() == [3, 3]
    assert cells["agreement"].tolist() == pytest.approx([2 / 3, 1])
    assert cells["state"].tolist() == pytest.approx([2 / 3, 0])
    assert cells["spread_px"].tolist() == pytest.approx([np.sqrt(6), 0])
    assert made.rejected["votes"].tolist() == [1]
    doubtful = made.disagreements
    assert len(doubtful) == 2  # two against one about the state; one point of one alone
    assert set(doubtful["votes"]) == {1, 3}
    made.write(tmp_path / "cells.csv")
    table = pd.read_csv(tmp_path / "cells.csv")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2
    made.write(tmp_path / "review.csv", doubtful)
    assert pd.read_csv(tmp_path / "review.csv")["kept"].tolist() == doubtful["kept"].tolist()


def test_other_classes_by_majority() -> None:
    rows = [
        ("f", who, 5.0, 5.0, name) for who, name in zip("ABC", ["WBC", "RBC", "WBC"], strict=True)
    ]
    for method in ("radius", "matching", "density", "reliability"):
        cells = make_consensus(points_from_rows(rows), method).cells
        assert cells["class"].tolist() == ["WBC"], method
        assert np.isnan(cells["state"]).all()


def test_points_without_classes_have_a_consensus() -> None:
    rows = [("f", who, 5.0, 5.0, "") for who in "ABC"]
    for method in ("radius", "matching", "density", "reliability"):
        made = make_consensus(points_from_rows(rows), method)
        assert made.cells["class"].tolist() == [""], method
        assert summarise(made)["alpha_classes"]["value"] is None


def test_even_votes_are_not_sure() -> None:
    rows = [
        ("f", "A", 5.0, 5.0, "alive"),
        ("f", "B", 5.0, 5.0, "dead"),
        ("g", "A", 1, 1, "not sure"),
    ]
    cells = make_consensus(points_from_rows(rows), "matching").cells
    assert cells["class"].tolist() == ["not sure", "not sure"]


def test_what_makes_no_sense_is_refused() -> None:
    points = points_from_rows([("f", "A", 5, 5, "alive")])
    with pytest.raises(AnnotationError, match="no method “best”"):
        make_consensus(points, "best")  # type: ignore[arg-type]
    with pytest.raises(AnnotationError, match="more than 0"):
        make_consensus(points, "radius", radius=0)


# --- known cells ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["matching", "reliability"])
def test_errors_of_the_thesis_rule_are_halved(method: str) -> None:
    points, cells = simulate_annotators(SimulationParams(images=8), 11)
    best = score_consensus(cells, make_consensus(points, method))  # type: ignore[arg-type]
    every = score_consensus(cells, make_consensus(points, "radius", set_aside=False))
    rule = score_consensus(cells, make_consensus(points, "radius"))
    for thesis in (rule, every):
        assert 1 - best.f1 < (1 - thesis.f1) / 2
    wrong = 1 - best.state_accuracy
    assert wrong < (1 - every.state_accuracy) * 0.6


def test_reliability_finds_out_who_errs() -> None:
    given = SimulationParams(annotators=5, images=8, spacing=60, jitter=5, uneven=0.9)
    points, cells = simulate_annotators(given, 2)
    made = make_consensus(points, "reliability")
    assert made.reliability is not None
    true_misses = 0.2 * (1 + 0.9 * np.linspace(-1, 1, 5))
    # Clicks far off their cell count as missed: the worst scatter by 9.5 px.
    assert np.abs(made.reliability.misses - true_misses).max() < 0.12
    assert (np.diff(made.reliability.misses) > 0).all()
    right = made.reliability.confusion[:, 0, 0]
    assert (np.diff(right) < 0.02).all()
    assert right[0] > right[-1] + 0.05
    by_votes = make_consensus(points, "matching")
    better, votes = score_consensus(cells, made), score_consensus(cells, by_votes)
    assert better.state_accuracy >= votes.state_accuracy
    assert better.f1 > votes.f1 - 0.01


def test_the_simulation_is_as_it_says() -> None:
    given = SimulationParams(annotators=4, images=30, misses=0.3, wrong=0.1, unsure=0.05)
    points, cells = simulate_annotators(given, 0)
    n = len(cells.image)
    expected = n * 4 * (0.7 + 0.05)
    assert len(points) == pytest.approx(expected, rel=0.03)
    assert (points.response == 2).mean() == pytest.approx(0.05 * 0.7 / 0.75, abs=0.01)
    assert points.lookers.all()


def test_a_faultless_consensus_scores_one() -> None:
    given = SimulationParams(images=2, misses=0, false_points=0, jitter=0, wrong=0, unsure=0)
    points, cells = simulate_annotators(given, 0)
    for method in ("radius", "matching", "density", "reliability"):
        score = score_consensus(cells, make_consensus(points, method))  # type: ignore[arg-type]
        assert (score.f1, score.state_accuracy) == (1, 1), method
        assert score.offset == pytest.approx(0, abs=1e-9)


def test_the_evaluation_names_every_method() -> None:
    steps = evaluate_methods_steps(SimulationParams(images=1, spacing=60), repeats=2)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        report = end.value
    assert set(report["methods"]) == {
        "radius",
        "matching",
        "density",
        "reliability",
        NOT_SET_ASIDE,
    }
    f1 = report["methods"]["matching"]["f1"]
    assert f1["low"] <= f1["value"] <= f1["high"]


def test_summary_of_named_and_nameless_annotators() -> None:
    points, _ = simulate_annotators(SimulationParams(images=3, spacing=60), 0)
    for method in ("radius", "reliability"):
        figures = summarise(make_consensus(points, method))  # type: ignore[arg-type]
        assert [row["annotator"] for row in figures["annotator_figures"]] == list(
            points.annotators
        )
        assert 0 < figures["detection_agreement"]["value"] < 1
        assert figures["alpha_states"]["low"] <= figures["alpha_states"]["value"]
    nameless = points_from_rows(
        [("f", "answer 1", 1, 1, "alive"), ("f", "answer 2", 2, 2, "dead")], anonymous=True
    )
    figures = summarise(make_consensus(nameless, "reliability"))
    assert [row["annotator"] for row in figures["annotator_figures"]] == ["all (no names)"]
