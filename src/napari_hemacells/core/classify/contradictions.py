"""Where the classifier contradicts the detector, and which cells belong to a rare kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.classify.detector_prior import kind_named
from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.detector_prior import DetectorPrior
    from napari_hemacells.core.types import Prediction

LEAST_CELLS, LEAST_SHARE = 50, 0.05  # of a kind, from which a contradiction is worth a sentence
RARE_SHARE = 0.15  # of all cells, up to which a kind or class is rare

KIND_WORDS = {RBC: "red cells", WBC: "white cells", PLATELET: "platelets"}


class Contradiction(NamedTuple):
    """Cells that the detector took for one kind, and the classifier for a class of another.

    Attributes
    ----------
    kind
        What the detector took them for.
    class_id
        What they are called now.
    cells
        ``(n,)`` their ids.
    """

    kind: str
    class_id: str
    cells: NDArray[np.int64]

    def sentence(self, class_name: str) -> str:
        """Say it, with the name of the class."""
        words = KIND_WORDS.get(self.kind, self.kind)
        return (
            f"{len(self.cells):,} cells that the detector took for {words} are now {class_name}."
        )


def contradictions(
    prediction: Prediction,
    kinds: NDArray[np.str_],
    names: Mapping[str, str],
    prior: DetectorPrior | None = None,
    annotated: Collection[int] = (),
) -> list[Contradiction]:
    """Return the contradictions that are worth a sentence, the largest first.

    Parameters
    ----------
    kinds
        ``(n,)`` the detector's kinds of the predicted cells.
    names
        Name of each class, or of the class that it is within, by id: where no `prior` says in
        which kind a class is at home, its name does.
    annotated
        Ids of annotated cells; they are the user's word and not the classifier's.
    """
    homes = _homes(prediction, names, prior)
    columns = prediction.predicted_column
    asked = ~prediction.verdict & ~np.isin(prediction.ids, list(annotated))
    found = []
    for kind in sorted(set(kinds.tolist()) - {""}):
        mine = kinds == kind
        least = max(LEAST_CELLS, LEAST_SHARE * int(mine.sum()))
        for column, class_id in enumerate(prediction.class_ids):
            if not homes[column] or homes[column] == kind:
                continue
            cells = prediction.ids[mine & asked & (columns == column)]
            if len(cells) >= least:
                found.append(Contradiction(kind, class_id, cells))
    return sorted(found, key=lambda one: -len(one.cells))


def _homes(
    prediction: Prediction, names: Mapping[str, str], prior: DetectorPrior | None
) -> list[str]:
    """Return the kind in which each class is at home, ``""`` where nobody knows."""
    ids = prediction.kinds or prediction.class_ids
    named = [kind_named(names.get(class_id, class_id)) for class_id in ids]
    if prior is None or len(prior.homes) != len(named):
        return named
    learned = [prior.kinds[home] if home >= 0 else "" for home in prior.homes]
    return [one or other for one, other in zip(learned, named, strict=True)]


def rare_cells(prediction: Prediction | None, kinds: NDArray[np.str_] | None) -> NDArray[np.bool_]:
    """``(n,)`` cells that the detector or the classifier takes for something rare on the slide.

    Parameters
    ----------
    prediction
        Of n cells; ``None`` where there is none yet.
    kinds
        ``(n,)`` their kinds; ``None`` where no detector found them.
    """
    count = (
        len(prediction.ids) if prediction is not None else len(kinds if kinds is not None else ())
    )
    rare = np.zeros(count, dtype=np.bool_)
    if prediction is not None and len(prediction.class_ids) > 1:
        columns = prediction.predicted_column
        rare |= _is_rare(columns)
    if kinds is not None:
        _, codes = np.unique(kinds, return_inverse=True)
        rare |= _is_rare(codes) & (kinds != "")
    return rare


def _is_rare(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    counts = np.bincount(codes)
    return np.asarray(counts[codes] <= RARE_SHARE * len(codes))
