"""How likely each label is to be wrong, by confident learning (cleanlab)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING = (
    "To look for wrong labels one more package is needed: pip install 'napari-hemacells[report]'."
)
SMALLEST = 1e-7


class Quality(NamedTuple):
    """What is thought of each label.

    Attributes
    ----------
    scores
        ``(n,)`` 0 (surely wrong) to 1.
    flagged
        ``(n,)`` whether it counts as wrong.
    suggested
        ``(n,)`` likeliest class other than the given one.
    """

    scores: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    suggested: NDArray[np.int64]

    def order(self) -> NDArray[np.intp]:
        """Return the places, the worst label first."""
        return np.argsort(self.scores, kind="stable")


def label_quality(targets: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Quality:
    """Return what is thought of each label.

    The score is the given class's probability; what is flagged follows Northcutt et al. 2021
    (doi 10.1613/jair.1.12125).

    Parameters
    ----------
    targets
        ``(n,)`` given classes.
    probabilities
        ``(n, k)`` by models that have not seen the cell.

    Raises
    ------
    TrainingError
        cleanlab is not installed.
    """
    cleanlab = _cleanlab()
    sure = np.clip(probabilities, SMALLEST, None)
    sure = sure / sure.sum(axis=1, keepdims=True)
    scores = cleanlab.rank.get_label_quality_scores(targets, sure, method="self_confidence")
    flagged = cleanlab.filter.find_label_issues(targets, sure, n_jobs=1)
    others = sure.copy()
    others[np.arange(len(targets)), targets] = -1.0
    return Quality(
        np.asarray(scores, dtype=np.float64),
        np.asarray(flagged, dtype=np.bool_),
        others.argmax(axis=1),
    )


def _cleanlab() -> Any:
    try:
        import cleanlab.filter
        import cleanlab.rank
    except ImportError as error:
        raise TrainingError(MISSING) from error
    return cleanlab
