"""How well a network finds the cells of the held-out part. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.inference import small_white_are_platelets
from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS
from napari_hemacells.core.detect.learned.model import Limits, Model
from napari_hemacells.core.detect.learned.postprocess import Found, joined
from napari_hemacells.core.detect.tiling import ScaledImage, tiles
from napari_hemacells.core.evaluate.detection_metrics import IOU, Boxes, overlaps
from napari_hemacells.core.train.detector.dataset import UNKNOWN
from napari_hemacells.core.train.detector.metrics import LOW, Tally, chosen_limits, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.network import CellNet
    from napari_hemacells.core.train.detector.dataset import Box, Field
    from napari_hemacells.core.train.detector.split import Split

CORE = 1024  # pixels at scale looked at in one piece


@dataclass(frozen=True)
class Marks:
    """How well a network does on the held-out part, with limits chosen there."""

    limits: tuple[float, ...]
    tally: Tally


class Examiner:
    """The held-out parts, ready to be looked at again and again.

    The diameter is that of the annotated cells, not measured by the network: the figure is about
    finding cells, and the scale is the same before and after.
    """

    def __init__(self, fields: Sequence[Field], split: Split) -> None:
        self._parts = [(fields[part.field], part.box) for part in split.held]

    def marks(self, network: CellNet, before: Limits) -> Marks:
        """Return the figures with limits chosen on the held-out part, near those of before."""
        pairs = self.pairs(network, Limits((LOW,) * len(KINDS)))
        limits = chosen_limits(pairs, before.scores)
        return Marks(limits, tally([_above(pair, limits) for pair in pairs]))

    def tally(self, network: CellNet, limits: Limits) -> Tally:
        """Return the figures with given limits."""
        return tally(self.pairs(network, limits))

    def pairs(self, network: CellNet, limits: Limits) -> list[tuple[Boxes, Boxes]]:
        """Return what is found and what is annotated in each held-out part."""
        model = Model(network, limits)
        return [_pair(field, box, model) for field, box in self._parts]


def _pair(field: Field, box: Box, model: Model) -> tuple[Boxes, Boxes]:
    found = small_white_are_platelets(_find(field, model), field.pixels.shape[:2], field.diameter)
    answer = Boxes(found.boxes, np.array(KINDS, np.str_)[found.kinds], found.scores)
    boxes = field.boxes.astype(np.float64)
    names = np.array([*KINDS, ""], np.str_)[field.kinds]
    truth = Boxes(boxes, names, np.ones(len(boxes)))
    answer, truth = _centred_in(answer, box), _centred_in(truth, box)
    unknown = truth.boxes[field.kinds[_centred(boxes, box)] == UNKNOWN]
    if len(unknown):
        answer = answer.pick(np.asarray((overlaps(answer.boxes, unknown) < IOU).all(axis=1)))
    return answer, truth.pick(truth.classes != "")


def _find(field: Field, model: Model) -> Found:
    """Return the cells of the whole field, in its pixels."""
    view = ScaledImage(field.pixels, CANONICAL_DIAMETER / field.diameter)
    parts = []
    for tile in tiles(view.shape, CORE):
        found = model.find(view.part(*tile.window), model.limits)[0].moved(tile.origin, 1.0)
        parts.append(found.pick(tile.own(found.centres)))
    found = joined(parts)
    extent = np.array(field.pixels.shape[:2], np.float64)
    boxes = np.clip(found.boxes * np.tile(extent / view.shape, 2), 0, np.tile(extent, 2))
    return Found(boxes, found.kinds, found.scores)


def _centred(boxes: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.asarray(((centres >= box[:2]) & (centres < box[2:])).all(axis=1))


def _centred_in(boxes: Boxes, box: Box) -> Boxes:
    return boxes.pick(_centred(boxes.boxes, box))


def _above(pair: tuple[Boxes, Boxes], limits: Sequence[float]) -> tuple[Boxes, Boxes]:
    """Return the pair with what is found above the limit of its kind."""
    found, true = pair
    least = dict(zip(KINDS, limits, strict=True))
    return found.pick(found.scores >= [least[str(name)] for name in found.classes]), true
