"""How well a network finds the cells of the held-out part. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.inference import is_sliver, relabel_small_leukocytes
from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS
from napari_hemacells.core.detect.learned.model import DetectionThresholds, DetectorModel
from napari_hemacells.core.detect.learned.postprocess import Detections, concatenate_detections
from napari_hemacells.core.detect.tiling import ScaledImage, make_tiles
from napari_hemacells.core.evaluate.detection_metrics import IOU, Boxes, pairwise_iou
from napari_hemacells.core.train.detector.dataset import UNKNOWN
from napari_hemacells.core.train.detector.metrics import (
    SCORE_FLOOR,
    DetectionCounts,
    choose_thresholds,
    count_detections,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.network import CellNet
    from napari_hemacells.core.train.detector.dataset import Box, TrainingField
    from napari_hemacells.core.train.detector.split import DetectorSplit

CORE = 1024  # pixels at scale looked at in one piece


@dataclass(frozen=True)
class DetectorEvaluation:
    """How well a network does on the held-out part, with limits chosen there."""

    limits: tuple[float, ...]
    tally: DetectionCounts


class DetectorEvaluator:
    """The held-out parts, ready to be looked at again and again.

    The diameter is that of the annotated cells, not measured by the network: the figure is about
    finding cells, and the scale is the same before and after.
    """

    def __init__(self, fields: Sequence[TrainingField], split: DetectorSplit) -> None:
        self._parts = [(fields[part.field], part.box) for part in split.held_out]

    def evaluate_with_best_thresholds(
        self, network: CellNet, before: DetectionThresholds
    ) -> DetectorEvaluation:
        """Return the figures with limits chosen on the held-out part, near those of before."""
        pairs = self.pairs(network, DetectionThresholds((SCORE_FLOOR,) * len(KINDS)))
        limits = choose_thresholds(pairs, before.scores)
        return DetectorEvaluation(
            limits, count_detections([_above_thresholds(pair, limits) for pair in pairs])
        )

    def tally(self, network: CellNet, limits: DetectionThresholds) -> DetectionCounts:
        """Return the figures with given limits."""
        return count_detections(self.pairs(network, limits))

    def pairs(self, network: CellNet, limits: DetectionThresholds) -> list[tuple[Boxes, Boxes]]:
        """Return what is found and what is annotated in each held-out part."""
        model = DetectorModel(network, limits)
        return [_pair(field, box, model) for field, box in self._parts]


def _pair(field: TrainingField, box: Box, model: DetectorModel) -> tuple[Boxes, Boxes]:
    detections = relabel_small_leukocytes(
        _detect_in_field(field, model), field.pixels.shape[:2], field.diameter
    )
    answer = Boxes(detections.boxes, np.array(KINDS, np.str_)[detections.kinds], detections.scores)
    boxes = field.boxes.astype(np.float64)
    names = np.array([*KINDS, ""], np.str_)[field.kinds]
    truth = Boxes(boxes, names, np.ones(len(boxes)))
    answer, truth = _centred_in(answer, box), _centred_in(truth, box)
    unknown = truth.boxes[field.kinds[_centred(boxes, box)] == UNKNOWN]
    if len(unknown):
        answer = answer.pick(np.asarray((pairwise_iou(answer.boxes, unknown) < IOU).all(axis=1)))
    return answer, truth.pick(truth.classes != "")


def _detect_in_field(field: TrainingField, model: DetectorModel) -> Detections:
    """Return the cells of the whole field, in its pixels."""
    view = ScaledImage(field.pixels, CANONICAL_DIAMETER / field.diameter)
    parts = []
    for tile in make_tiles(view.shape, CORE):
        detections = model.find(view.part(*tile.window), model.limits)[0].moved(tile.origin, 1.0)
        parts.append(detections.pick(tile.own(detections.centres)))
    detections = concatenate_detections(parts)
    extent = np.array(field.pixels.shape[:2], np.float64)
    boxes = np.clip(detections.boxes * np.tile(extent / view.shape, 2), 0, np.tile(extent, 2))
    found = Detections(boxes, detections.kinds, detections.scores)
    return found.pick(~is_sliver(found, field.pixels.shape[:2], field.diameter))


def _centred(boxes: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((centres >= box[:2]) & (centres < box[2:])).all(axis=1))


def _centred_in(boxes: Boxes, box: Box) -> Boxes:
    return boxes.pick(_centred(boxes.boxes, box))


def _above_thresholds(pair: tuple[Boxes, Boxes], limits: Sequence[float]) -> tuple[Boxes, Boxes]:
    """Return the pair with what is found above the limit of its kind."""
    detected, true = pair
    least = dict(zip(KINDS, limits, strict=True))
    return detected.pick(detected.scores >= [least[str(name)] for name in detected.classes]), true
