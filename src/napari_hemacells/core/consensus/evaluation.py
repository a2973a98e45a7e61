"""How well each method finds the cells that simulated annotators have seen."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.consensus.consensus import METHODS, Consensus, make_consensus
from napari_hemacells.core.consensus.simulation import (
    RecoveryScore,
    SimulatedCells,
    SimulationParams,
    score_recovery,
    simulate_annotators,
)
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

NOT_SET_ASIDE = "radius, nothing set aside"
"""The thesis' rule on all images: its own sets aside nearly all where annotators miss cells."""


def score_consensus(cells: SimulatedCells, consensus: Consensus) -> RecoveryScore:
    """Compare a consensus of simulated annotators with the cells that are there.

    Cells on images set aside count as missed.
    """
    table = consensus.cells
    number = {name: at for at, name in enumerate(consensus.points.images)}
    return score_recovery(
        cells,
        np.array([number[name] for name in table["image"]], np.int64),
        table[["row", "column"]].to_numpy(dtype=np.float64),
        table["state"].to_numpy(dtype=np.float64) > 0.5,
    )


def evaluate_methods_steps(
    params: SimulationParams, repeats: int = 10, seed: int = 0
) -> Generator[Progress, None, dict[str, Any]]:
    """Return how well each method recovers the cells of simulated annotators, as plain values.

    For each: F1, precision, recall, accuracy of the states of recovered cells, offset in px; each
    as the mean of the repeats with the middle 95 % of them.
    """
    scores: dict[str, list[RecoveryScore]] = defaultdict(list)
    for repeat in range(repeats):
        points, cells = simulate_annotators(params, seed + repeat)
        for method in METHODS:
            yield Progress(repeat, repeats, method)
            scores[method].append(score_consensus(cells, make_consensus(points, method)))
        every = make_consensus(points, "radius", set_aside=False)
        scores[NOT_SET_ASIDE].append(score_consensus(cells, every))
    return {
        "simulation": params.model_dump(),
        "repeats": repeats,
        "seed": seed,
        "hit": "one to one, closer than half of the spacing",
        "interval": f"middle 95 % of {repeats} simulations",
        "seen": "nothing is learnt beforehand; distances and rates are estimated from the points",
        "methods": {method: _figures(of_method) for method, of_method in scores.items()},
    }


def _figures(scores: list[RecoveryScore]) -> dict[str, Any]:
    return {
        "f1": _mean([score.f1 for score in scores]),
        "precision": _mean([score.hits / score.found for score in scores if score.found]),
        "recall": _mean([score.hits / score.cells for score in scores if score.cells]),
        "state_accuracy": _mean([score.state_accuracy for score in scores if score.hits]),
        "offset_px": _mean([score.offset for score in scores if score.hits]),
    }


def _mean(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(values, (0.025, 0.975))
    return {"value": float(np.mean(values)), "low": float(low), "high": float(high)}
