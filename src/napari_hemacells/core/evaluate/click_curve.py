"""How many clicks an accuracy costs: a simulated user against random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.evaluate.class_folders import (
    append_measured_features,
    embed_folder_steps,
)
from napari_hemacells.core.evaluate.classification_metrics import (
    percentile_interval,
    score_predictions,
)
from napari_hemacells.core.evaluate.fewshot import (
    EmbeddedCrops,
    default_cache_folder,
    simulate_clicks,
)
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import CropSpec, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.image.plane_selection import PlaneSelection

Order: TypeAlias = Literal["random", "uncertain", "active"]
ORDERS: tuple[Order, ...] = ("random", "uncertain", "active")
MIN_CROPS = 10  # of a class, half of which can be clicked and half scored


@dataclass(frozen=True)
class ClickCurvePoint:
    """Balanced accuracy after so many clicks in one order, over the draws."""

    order: Order
    clicks: int
    balanced_accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class ClickCurve:
    """The curve of each order, and what it stands on.

    Attributes
    ----------
    points
        In the order of the orders, then of the clicks.
    target
        What the random order reaches with all its clicks.
    """

    points: tuple[ClickCurvePoint, ...]
    target: float
    encoder: str
    classes: dict[str, int]
    clicks: int
    repeats: int
    seed: int

    def clicks_to_target(self) -> dict[Order, int | None]:
        """Clicks after which each order has reached the target; ``None`` if it never has."""
        return {
            order: next(
                (
                    point.clicks
                    for point in self.of(order)
                    if point.balanced_accuracy >= self.target
                ),
                None,
            )
            for order in dict.fromkeys(point.order for point in self.points)
        }

    def of(self, order: Order) -> list[ClickCurvePoint]:
        """The curve of one order."""
        return [point for point in self.points if point.order == order]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "encoder": self.encoder,
            "classes": self.classes,
            "clicks": self.clicks,
            "repeats": self.repeats,
            "seed": self.seed,
            "target": self.target,
            "clicks_to_target": self.clicks_to_target(),
            "split": "in each draw a random half of the crops can be clicked, the other is scored",
            "points": [vars(point) for point in self.points],
        }


def click_curve_steps(
    folder: Path,
    encoder: Encoder,
    *,
    clicks: int | None = None,
    repeats: int = 20,
    seed: int = 0,
    orders: Sequence[Order] = ORDERS,
    params: ClassifyParams | None = None,
    spec: CropSpec | None = None,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, ClickCurve]:
    """Return the clicks-to-accuracy curves of a folder of class folders; yield while it runs.

    In each draw a random half of the crops is what a user sees, in the mixture that the folder
    has; the other half is scored and never seen, not even without its classes.

    Parameters
    ----------
    clicks
        How many in each order; 20 a class if not said.
    spec
        What crops the encoder is given, if others than usual.
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    ImageError
        No class folders, or no readable picture.
    AnnotationError
        Fewer than two classes have enough crops.
    """
    cache, params = EmbeddingCache(default_cache_folder()), params or ClassifyParams()
    read = yield from embed_folder_steps(
        folder, spec or CropSpec(), encoder, cache, selection=selection
    )
    names, counts = np.unique(read.labels, return_counts=True)
    classes = {
        str(name): int(count)
        for name, count in zip(names, counts, strict=True)
        if count >= MIN_CROPS
    }
    if len(classes) < 2:
        raise AnnotationError(
            f"Two classes with {MIN_CROPS} readable crops or more are needed, "
            f"found {len(classes)}."
        )
    kept = np.isin(read.labels, list(classes))
    vectors = read.vectors
    if params.measured:
        vectors, _ = append_measured_features(vectors, read.files, encoder.info, read.reading)
    crops = EmbeddedCrops(vectors[kept], np.array(read.labels)[kept], params)
    clicks = clicks or 20 * len(classes)
    accuracies: dict[tuple[Order, int], list[float]] = {}
    for draw in range(repeats):
        order_of = np.random.default_rng([seed, draw]).permutation(len(crops.labels))
        seen, scored = np.array_split(order_of, 2)
        inside = EmbeddedCrops(crops.vectors[seen], crops.labels[seen], crops.params)
        for position, order in enumerate(orders):
            for taught in simulate_clicks(inside, np.arange(len(seen)), clicks, order):
                reached = _accuracy(inside, taught, crops, scored)
                accuracies.setdefault((order, len(taught)), []).append(reached)
            done = draw * len(orders) + position + 1
            yield Progress(done, repeats * len(orders), f"draw {draw + 1}, {order}")
    points = tuple(
        _point(order, many, values) for (order, many), values in sorted(accuracies.items())
    )
    target = max(
        points, key=lambda point: (point.order == orders[0], point.clicks)
    ).balanced_accuracy
    return ClickCurve(points, target, encoder.info.name, classes, clicks, repeats, seed)


def _accuracy(
    inside: EmbeddedCrops, taught: NDArray[np.intp], crops: EmbeddedCrops, scored: NDArray[np.intp]
) -> float:
    """Return the balanced accuracy on the scored half of a head fitted on the seen half."""
    head = inside.fit(taught)
    winner = head.scores(crops.vectors[scored]).argmax(axis=1)
    return score_predictions(
        crops.labels[scored], np.array(head.class_ids)[winner]
    ).balanced_accuracy


def _point(order: Order, clicks: int, values: list[float]) -> ClickCurvePoint:
    low, high = percentile_interval(values)
    return ClickCurvePoint(order, clicks, float(np.mean(values)), low, high)
