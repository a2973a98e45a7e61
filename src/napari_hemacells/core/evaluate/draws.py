"""One draw of a few-shot experiment: which crops teach, and how well the others are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from napari_hemacells.core.classify import Support, fit
from napari_hemacells.core.classify.queue import cold_start, review_queue
from napari_hemacells.core.classify.spread import cold_start_places
from napari_hemacells.core.evaluate.calibration import reliability
from napari_hemacells.core.evaluate.metrics import Scores, score
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.params import ClassifyParams, QueueOrder

Select: TypeAlias = Literal["random", "diverse", "active"]
PART = 0.5  # of the crops among which a simulated user's draw takes place
BATCH = 8  # a queue is asked again after an eighth more clicks than there are


class Draw(NamedTuple):
    """The figures of one draw, and which head gave them."""

    scores: Scores
    ece: float
    kind: str


@dataclass(frozen=True, eq=False)
class Crops:
    """Vectors of crops with their true classes.

    Attributes
    ----------
    vectors
        ``(n, dim)`` float32.
    labels
        ``(n,)`` class names.
    params
        Which head; whether the crops without a click teach as well.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.str_]
    params: ClassifyParams

    @property
    def names(self) -> list[str]:
        """The classes, sorted."""
        return [str(name) for name in np.unique(self.labels)]

    def fit(self, taught: NDArray[np.intp]) -> Head:
        """Return the head that a user would get who had clicked these crops."""
        support = Support(self.vectors[taught], tuple(self.labels[taught].tolist()))
        context = self.vectors if self.params.unlabelled else None
        return fit(support, self.names, context=context, params=self.params)

    def embeddings(self) -> Embeddings:
        """The vectors with their places as ids."""
        info = EncoderInfo("crops", "", self.vectors.shape[1])
        return Embeddings(np.arange(len(self.labels)), self.vectors, info, CropSpec(), "crops")


def drawn(crops: Crops, taught: NDArray[np.intp]) -> Draw:
    """Return how well the crops that were not taught are told."""
    head = crops.fit(taught)
    asked = np.setdiff1d(np.arange(len(crops.labels)), taught)
    prediction = head.predict(crops.embeddings())
    answered = np.array(head.class_ids)[prediction.winner]
    right = answered == crops.labels
    figures = score(crops.labels[asked], answered[asked])
    return Draw(figures, reliability(prediction.confidence[asked], right[asked]).ece, head.kind)


def unknown_auroc(crops: Crops, shots: int, random: np.random.Generator) -> dict[str, float]:
    """Return for each class how well its crops are found when it is nobody's class.

    The area under the ROC curve of the score *unknown*: crops of the class left out against all
    others that were not clicked.
    """
    from sklearn.metrics import roc_auc_score

    found = {}
    for left_out in crops.names:
        known = [name for name in crops.names if name != left_out]
        taught = select(crops, known, shots, "random", random)
        asked = np.setdiff1d(np.arange(len(crops.labels)), taught)
        prediction = crops.fit(taught).predict(crops.embeddings())
        if prediction.unknown is not None:
            truth = crops.labels[asked] == left_out
            found[left_out] = float(roc_auc_score(truth, prediction.unknown[asked]))
    return found


def select(
    crops: Crops, names: list[str], shots: int, how: Select, random: np.random.Generator
) -> NDArray[np.intp]:
    """Return the crops that teach.

    ``random``: so many of each class. ``diverse``: so many of each class that differ most, among
    a random half of it. ``active``: as many in all, as a queue proposes them to a user who knows
    every class, among a random half of all crops; a class may get more or fewer.
    """
    if how == "active":
        part = random.permutation(len(crops.labels))[: round(PART * len(crops.labels))]
        *_, taught = simulated(crops, part, shots * len(names), "active")
        return taught
    members = [np.flatnonzero(crops.labels == name) for name in names]
    if how == "random":
        return np.concatenate([random.choice(one, shots, replace=False) for one in members])
    halves = [
        random.choice(one, max(shots, round(PART * len(one))), replace=False) for one in members
    ]
    return np.concatenate([half[cold_start_places(crops.vectors[half], shots)] for half in halves])


def simulated(
    crops: Crops, part: NDArray[np.intp], clicks: int, order: QueueOrder | Literal["random"]
) -> Iterator[NDArray[np.intp]]:
    """Yield what a simulated user has clicked, after each batch that the queue proposed.

    The user knows every crop's class; a batch is one click at first, later an eighth of the
    clicks before. ``random`` follows the order of `part`.
    """
    inside = Crops(crops.vectors[part], crops.labels[part], crops.params)
    embeddings, clicks = inside.embeddings(), min(clicks, len(part))
    labelled: list[int] = []
    while len(labelled) < clicks:
        more = min(max(1, len(labelled) // BATCH), clicks - len(labelled))
        if order == "random":
            labelled = list(range(len(labelled) + more))
        elif not labelled and order == "active":
            queue = review_queue(embeddings.ids, None, embeddings, order, annotated=set())
            labelled = queue[: min(clicks, len(crops.names))]
        elif not labelled:
            labelled = cold_start(embeddings, min(clicks, len(crops.names)))
        else:
            prediction = inside.fit(np.array(labelled)).predict(embeddings)
            done = set(labelled)
            queue = review_queue(embeddings.ids, prediction, embeddings, order, annotated=done)
            labelled += queue[:more]
        yield part[labelled]
