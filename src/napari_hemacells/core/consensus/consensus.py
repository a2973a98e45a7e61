"""Several annotators' points made one set of cells, with their votes and doubts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from napari_hemacells.core.consensus.agreement import (
    WithInterval,
    alpha_with_interval,
    coincidence_tables,
    detection_agreement,
)
from napari_hemacells.core.consensus.grouping import (
    THESIS_RADIUS,
    Grouping,
    group_by_density,
    group_by_matching,
    group_by_radius,
)
from napari_hemacells.core.consensus.points import NOT_SURE, STATE_VALUES, AnnotatorPoints
from napari_hemacells.core.consensus.reliability import Reliability, estimate_reliability
from napari_hemacells.core.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ConsensusMethod: TypeAlias = Literal["radius", "matching", "density", "reliability"]
METHODS: tuple[ConsensusMethod, ...] = get_args(ConsensusMethod)
COLUMNS = (
    "image", "row", "column", "class", "state", "votes", "annotators", "agreement", "spread_px",
    "probability", "doubt",
)  # fmt: skip
"""Columns of a consensus on disk; the training of alive and dead reads the first four."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several annotators' points are together.

    Attributes
    ----------
    points
        What it was made of.
    method, min_share
        How.
    cell
        ``(n,)`` which row of `candidates` each point belongs to.
    candidates
        A row for each group of points, kept or not: :data:`COLUMNS` and ``kept`` (bool). ``state``
        is the mean of alive 1, not sure 0.5 and dead 0, of the ``reliability`` method the
        probability of being alive, and NaN for other classes. ``votes`` of ``annotators`` who
        looked have marked it; ``agreement`` is the share of these who have marked it and named
        the class. ``spread_px`` is the root mean square distance of the points to their middle,
        NaN for one point. ``probability`` is that of being a cell (``reliability`` only, else
        NaN). ``doubt``, 0 to 1, is how uncertain the decision is.
    distance
        ``(images,)`` in px, as used.
    set_aside
        Names of images that were not judged, as the numbers of points disagree (``radius``).
    reliability
        What was estimated, for the method of that name.
    """

    points: AnnotatorPoints
    method: ConsensusMethod
    min_share: float
    cell: NDArray[np.int64]
    candidates: pd.DataFrame
    distance: NDArray[np.float64]
    set_aside: tuple[str, ...]
    reliability: Reliability | None = None

    @property
    def cells(self) -> pd.DataFrame:
        """The candidates that are kept as cells."""
        return self.candidates[self.candidates["kept"]].reset_index(drop=True)

    @property
    def rejected(self) -> pd.DataFrame:
        """The candidates that are not; those on images set aside are not among them."""
        aside = self.candidates["image"].isin(self.set_aside)
        return self.candidates[~self.candidates["kept"] & ~aside].reset_index(drop=True)

    @property
    def disagreements(self) -> pd.DataFrame:
        """Candidates on which people disagree, the most doubtful first; for the expert.

        Not all who looked have marked it, or not all named one class, or somebody is not sure.
        Images that only one has looked at are not among them.
        """
        table = self.candidates
        open_question = table["agreement"] < 1 - 1e-9
        open_question &= (table["annotators"] > 1) & ~table["image"].isin(self.set_aside)
        return table[open_question].sort_values("doubt", ascending=False, kind="stable")

    def write(self, path: Path, table: pd.DataFrame | None = None) -> None:
        """Write the cells (or another of the tables) as CSV; raises ``StorageError``."""
        from napari_hemacells.core.files.fsio import write_bytes
        from napari_hemacells.core.files.text_tables import frame_csv_bytes

        columns = list(COLUMNS) if table is None else [*COLUMNS, "kept"]
        write_bytes(
            path, frame_csv_bytes(_rounded(self.cells if table is None else table)[columns])
        )


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    places = {"row": 2, "column": 2, "state": 4, "agreement": 4, "spread_px": 2,
              "probability": 4, "doubt": 4}  # fmt: skip
    return table.round(places)


def make_consensus(
    points: AnnotatorPoints,
    method: ConsensusMethod = "matching",
    *,
    radius: float | None = None,
    min_share: float = 0.5,
    set_aside: bool = True,
) -> Consensus:
    """Return one set of cells of several annotators' points.

    - ``radius``: the thesis' rule exactly. Points of different annotators closer than the radius
      are one cell; position and state are averaged; other points are rejected; images on which
      the numbers of points disagree are set aside.
    - ``matching``: one to one, at a distance learnt from each image's own density. A cell is what
      enough of those who looked have marked, and two at least.
    - ``density``: the same, beginning with groups of dense points (DBSCAN).
    - ``reliability``: the groups of ``matching``; which are cells, and of which class, by the
      misses, false points and confusions of each annotator.

    Parameters
    ----------
    radius
        In px: of the thesis' rule (35 by default); for the others, in place of the distance that
        is learnt.
    min_share
        Share of those who looked that must have marked a cell, for ``matching`` and ``density``.
    set_aside
        For ``radius``: set images aside on which the numbers of points disagree.

    Raises
    ------
    AnnotationError
        There is no such method, or the radius makes no sense.
    """
    if method not in METHODS:
        raise AnnotationError(f"There is no method “{method}”: choose {', '.join(METHODS)}.")
    if radius is not None and not 0 < radius <= 10_000:
        raise AnnotationError("The radius must be more than 0 and at most 10,000 pixels.")
    grouping = _group(points, method, radius, set_aside=set_aside)
    reliability = None
    if method == "reliability":
        reliability = estimate_reliability(points, grouping.cell, grouping.distance)
    table = _candidates(points, grouping, reliability)
    table["kept"] = _kept(table, method, min_share, grouping)
    if reliability is None:
        table["doubt"] = np.where(table["kept"], 1 - table["agreement"], table["agreement"])
    return Consensus(
        points,
        method,
        min_share,
        grouping.cell,
        table.drop(columns="image_number"),
        grouping.distance,
        tuple(
            name for name, aside in zip(points.images, grouping.set_aside, strict=True) if aside
        ),
        reliability,
    )


def _group(
    points: AnnotatorPoints, method: ConsensusMethod, radius: float | None, *, set_aside: bool
) -> Grouping:
    if method == "radius":
        return group_by_radius(points, radius or THESIS_RADIUS, set_aside=set_aside)
    distance = None if radius is None else np.full(len(points.images), float(radius))
    return (group_by_density if method == "density" else group_by_matching)(points, distance)


def _kept(
    table: pd.DataFrame, method: ConsensusMethod, min_share: float, grouping: Grouping
) -> NDArray[np.bool_]:
    votes = table["votes"].to_numpy()
    if method == "radius":
        # A point joins another only if that is somebody else's: two points are two annotators.
        kept = table["points"].to_numpy() > 1
        kept &= ~grouping.set_aside[table["image_number"].to_numpy()]
    elif method == "reliability":
        kept = table["probability"].to_numpy() >= 0.5
    else:
        looked = table["annotators"].to_numpy()
        kept = votes >= np.maximum(np.minimum(2, looked), np.ceil(min_share * looked - 1e-9))
    return np.asarray(kept, bool)


def _candidates(
    points: AnnotatorPoints, grouping: Grouping, reliability: Reliability | None
) -> pd.DataFrame:
    """The groups of points with all that is known of them, but whether they are kept."""
    cell = grouping.cell
    m = int(cell.max(initial=-1)) + 1
    count = np.bincount(cell, minlength=m)
    image = np.zeros(m, np.int64)
    image[cell] = points.image
    marked = np.unique(cell * len(points.annotators) + points.annotator)
    votes = np.bincount(marked // len(points.annotators), minlength=m)
    looked = points.lookers.sum(axis=1)[image]
    weight = _weights(points, cell, reliability)
    total = np.bincount(cell, weight, minlength=m)
    middle = np.stack(
        [np.bincount(cell, weight * points.position[:, axis], minlength=m) / total
         for axis in (0, 1)], axis=1,
    )  # fmt: skip
    apart = ((points.position - middle[cell]) ** 2).sum(axis=1)
    spread = np.sqrt(np.bincount(cell, apart, minlength=m) / count)
    names, named_by, state = _classes(points, cell, m, reliability)
    table = pd.DataFrame(
        {
            "image": np.array(points.images, object)[image],
            "image_number": image,
            "row": middle[:, 0],
            "column": middle[:, 1],
            "class": names,
            "state": state,
            "votes": votes,
            "points": count,
            "annotators": looked,
            "agreement": named_by / np.maximum(looked, 1),
            "spread_px": np.where(count > 1, spread, np.nan),
            "probability": np.nan,
            "doubt": 0.0,
        }
    )
    if reliability is not None:
        table["probability"] = reliability.is_cell
        sure = reliability.is_cell
        if reliability.truth.shape[1]:
            sure = sure * reliability.truth.max(axis=1)
        table["doubt"] = 1 - np.maximum(sure, 1 - reliability.is_cell)
    return table


def _weights(
    points: AnnotatorPoints, cell: NDArray[np.int64], reliability: Reliability | None
) -> NDArray[np.float64]:
    """``(n,)`` how much each point counts for the position: the steadier hand more."""
    if reliability is None or points.anonymous:
        return np.ones(len(points))
    m = len(reliability.is_cell)
    count = np.bincount(cell, minlength=m)
    middle = np.stack(
        [np.bincount(cell, points.position[:, axis], minlength=m) / count for axis in (0, 1)],
        axis=1,
    )
    # Of a mean of k points, one of them is off by (k - 1) / k of its variance and its share of
    # the others'; enough for weights.
    several = count[cell] > 1
    square = ((points.position - middle[cell]) ** 2).sum(axis=1) / 2
    square *= count[cell] / np.maximum(count[cell] - 1, 1)
    mine = points.annotator[several]
    size = len(points.annotators)
    mean = square[several].mean() if several.any() else 1.0
    sums = np.bincount(mine, square[several], minlength=size) + 20 * mean
    variance = sums / (np.bincount(mine, minlength=size) + 20)
    return 1 / np.maximum(variance[points.annotator], 1e-6)


def _classes(
    points: AnnotatorPoints, cell: NDArray[np.int64], m: int, reliability: Reliability | None
) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.float64]]:
    """The class of each candidate, how many named it, and its state."""
    said = np.zeros((m, len(points.classes) + 1), np.int64)
    np.add.at(said, (cell, points.response), 1)
    no_class = np.array([*points.classes, ""], object)
    if not points.classes:
        return np.full(m, "", object), said[:, -1], np.full(m, np.nan)
    truths = points.truths
    has_name = said[:, :-1].sum(axis=1) > 0
    if reliability is not None and len(truths):
        best = truths[reliability.truth.argmax(axis=1)]
        state = np.full(m, np.nan)
        if points.has_states:
            values = np.array([STATE_VALUES[points.classes[at]] for at in truths])
            state = np.where(has_name, reliability.truth @ values, np.nan)
    else:
        state = _mean_state(points, cell, m)
        best = _majority(points, said, state)
    best = np.where(has_name, best, len(points.classes))
    return no_class[best], said[np.arange(m), best], state


def _mean_state(points: AnnotatorPoints, cell: NDArray[np.int64], m: int) -> NDArray[np.float64]:
    states = points.states
    known = np.isfinite(states)
    count = np.bincount(cell[known], minlength=m)
    total = np.bincount(cell[known], states[known], minlength=m)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _majority(
    points: AnnotatorPoints, said: NDArray[np.int64], state: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Which class most have named; "not sure" where two are even, if there is that answer."""
    votes = said[:, :-1]
    if points.has_states:
        value = np.array([STATE_VALUES[name] for name in points.classes])
        wanted = np.where(state > 0.5, 1.0, np.where(state < 0.5, 0.0, 0.5))
        # Where a class has not been named at all, as "not sure" by anyone, the best named counts.
        fits = value[None, :] == wanted[:, None]
        return np.asarray(
            np.where(fits.any(axis=1), fits.argmax(axis=1), votes.argmax(axis=1)), np.int64
        )
    counted = votes.astype(float)
    if NOT_SURE in points.classes:
        counted[:, points.classes.index(NOT_SURE)] -= 0.5  # a class wins over "not sure"
    return np.asarray(counted.argmax(axis=1), np.int64)


# --- what to tell of it ------------------------------------------------------------------------


def summarise(consensus: Consensus, seed: int = 0) -> dict[str, Any]:
    """Return the figures of a consensus as plain values, for people and for JSON.

    Intervals are the middle 95 % of 1,000 draws of the images.
    """
    points, table = consensus.points, consensus.candidates
    number = {name: at for at, name in enumerate(points.images)}
    image = np.array([number[name] for name in table["image"]], np.int64)
    named = points.response >= 0
    tables = coincidence_tables(
        consensus.cell[named], points.response[named], image,
        len(points.images), len(points.classes),
    )  # fmt: skip
    looked = points.lookers.sum(axis=1)
    summary: dict[str, Any] = {
        "method": consensus.method,
        "images": len(points.images),
        "images_with_several_annotators": int((looked > 1).sum()),
        "answers": len(points.looked),
        "annotators": len(points.annotators),
        "anonymous": points.anonymous,
        "points": len(points),
        "classes": {
            name: int((points.response == at).sum()) for at, name in enumerate(points.classes)
        },
        "cells": int(table["kept"].sum()),
        "cell_classes": consensus.cells["class"].value_counts().to_dict(),
        "rejected": len(consensus.rejected),
        "set_aside": list(consensus.set_aside),
        "disagreements": len(consensus.disagreements),
        "distance_px": {
            "median": float(np.median(consensus.distance)) if len(points.images) else None,
            "low": float(consensus.distance.min(initial=np.inf)),
            "high": float(consensus.distance.max(initial=0.0)),
        },
        "detection_agreement": _plain(detection_agreement(points, consensus.cell, image, seed)),
        "alpha_classes": _plain(alpha_with_interval(tables, seed=seed)),
        "annotator_figures": annotator_figures(consensus),
        "interval": "middle 95 % of 1,000 draws of the images",
    }
    if points.has_states:
        values = np.array([STATE_VALUES[name] for name in points.classes])
        summary["alpha_states"] = _plain(alpha_with_interval(tables, values, seed))
    return summary


def _plain(figure: WithInterval) -> dict[str, float | None]:
    return dict(figure._asdict())


def annotator_figures(consensus: Consensus) -> list[dict[str, Any]]:
    """Return each annotator's figures against the consensus, in which his own points count.

    ``marked`` is the share of the cells of the consensus, on images he looked at, that he marked,
    ``on_cells`` the share of his points that are on a cell of it, and ``confusion`` how he named
    cells of each class. Where names say nothing, one row stands for all.
    """
    points, table = consensus.points, consensus.candidates
    kept = table["kept"].to_numpy()
    aside = np.isin(np.array(points.images, object), consensus.set_aside)
    number = {name: at for at, name in enumerate(points.images)}
    image = np.array([number[name] for name in table["image"]], np.int64)
    judged = ~aside[points.image]
    lookers = points.lookers & ~aside[:, None]
    figures = []
    groups = [range(len(points.annotators))] if points.anonymous else [
        [at] for at in range(len(points.annotators))
    ]  # fmt: skip
    for members in groups:
        mine = judged & np.isin(points.annotator, list(members))
        seen = lookers[:, list(members)].sum(axis=1)
        cells = int((seen[image] * kept).sum())
        hits = np.unique(
            consensus.cell[mine] * len(points.annotators) + points.annotator[mine]
        ) // len(points.annotators)
        on_cells = int(kept[hits].sum())
        confusion = _confusion(consensus, mine & kept[consensus.cell])
        name = "all (no names)" if points.anonymous else points.annotators[members[0]]
        row: dict[str, Any] = {
            "annotator": name,
            "images": int(seen.sum()),
            "points": int(mine.sum()),
            "marked": on_cells / cells if cells else None,
            "on_cells": float(kept[consensus.cell[mine]].mean()) if mine.any() else None,
            "confusion": confusion,
        }
        if consensus.reliability is not None:
            at = members[0]
            row["estimated_misses"] = float(consensus.reliability.misses[list(members)].mean())
            row["estimated_false_points"] = (
                float((1 - consensus.reliability.is_cell[consensus.cell[mine]]).mean())
                if mine.any() else None
            )  # fmt: skip
            row["estimated_confusion"] = {
                points.classes[truth]: {
                    name: float(consensus.reliability.confusion[at, place, said])
                    for said, name in enumerate(points.classes)
                }
                for place, truth in enumerate(points.truths)
            }
        figures.append(row)
    return figures


def _confusion(consensus: Consensus, mine: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """How often points named each class, by the class of the consensus."""
    points = consensus.points
    said = points.response[mine]
    truth = consensus.candidates["class"].to_numpy()[consensus.cell[mine]]
    names = [name for name in points.classes if (truth == name).any()]
    return {
        of: {
            name: int(((truth == of) & (said == at)).sum())
            for at, name in enumerate(points.classes)
        }
        for of in names
    }
