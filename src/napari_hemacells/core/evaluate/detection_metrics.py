"""How well cells are found: precision, recall, F1, average precision; boxes or centre points."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells

IOU = 0.5


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one image: annotated (every score 1) or found.

    Attributes
    ----------
    boxes
        ``(n, 4)`` half-open (min_row, min_col, max_row, max_col).
    classes
        ``(n,)`` names.
    scores
        ``(n,)`` in 0 to 1.
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.str_]
    scores: NDArray[np.float64]

    @classmethod
    def of_cells(cls, cells: Cells) -> Boxes:
        """Return the boxes of a detector's table."""
        return cls(
            cells.boxes.astype(np.float64),
            cells.table["class"].to_numpy(dtype=np.str_),
            cells.table["score"].to_numpy(dtype=np.float64),
        )

    def of_class(self, name: str) -> Boxes:
        """Return those of one class."""
        return self.pick(self.classes == name)

    def pick(self, which: NDArray[np.bool_]) -> Boxes:
        """Return some of them."""
        return Boxes(self.boxes[which], self.classes[which], self.scores[which])

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class DetectionScore:
    """Counts and rates of one class, or of all classes together.

    ``ap50`` is the average precision at IoU 0.5 (None where nothing is annotated);
    ``count_error`` the mean over images of found minus annotated, without sign.
    """

    annotated: int
    found: int
    hits: int
    ap50: float | None
    count_error: float

    @property
    def precision(self) -> float:
        """Share of the found cells that are annotated; 0 where none is found."""
        return self.hits / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the annotated cells that are found; 0 where none is annotated."""
        return self.hits / self.annotated if self.annotated else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.annotated + self.found
        return 2 * self.hits / both if both else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        rates = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**rates, **asdict(self)}


def pairwise_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of each pair of boxes, ``(n, m)``."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0))


def match_boxes(detected: Boxes, annotated: Boxes, iou: float = IOU) -> NDArray[np.int64]:
    """Return for each found box the annotated one that it hits, or -1; ``(n,)``.

    The best scored box chooses first, and each annotated box is hit once (as in Pascal VOC).
    Classes are not looked at.

    Examples
    --------
    >>> cell = Boxes(np.array([[0.0, 0, 10, 10]]), np.array(["RBC"]), np.ones(1))
    >>> match_boxes(cell, cell).tolist()
    [0]
    """
    pairs = pairwise_iou(detected.boxes, annotated.boxes)
    hit = np.full(len(detected), -1, np.int64)
    for index in np.argsort(-detected.scores, kind="stable"):
        if pairs.shape[1] == 0:
            break
        best = int(pairs[index].argmax())
        if pairs[index, best] >= iou:
            hit[index] = best
            pairs[:, best] = 0
    return hit


def match_points(cells: Cells, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each ``(row, col)`` point the id of the cell that it hits, or 0; ``(n,)``.

    A point hits a cell whose mask or box holds it; each cell is hit once. Points in a mask choose
    first, then those in a box only, the nearest box centre first.
    """
    from scipy.optimize import linear_sum_assignment

    hit = np.zeros(len(points), np.int64)
    if len(points) == 0 or len(cells) == 0:
        return hit
    pixels = np.clip(points.astype(int), 0, np.array(cells.labels.shape) - 1)
    in_mask = cells.labels[tuple(pixels.T)][:, None] == cells.ids[None]
    inside = (points[:, None] >= cells.boxes[None, :, :2]) & (
        points[:, None] < cells.boxes[None, :, 2:]
    )
    apart = np.linalg.norm(points[:, None] - cells.centres[None], axis=2)
    cost = np.where(in_mask, 1.0, 2.0) + apart / (apart.max() + 1)
    cost[~(in_mask | inside.all(axis=2))] = 1e6
    rows, cols = linear_sum_assignment(cost)
    real = cost[rows, cols] < 1e6
    hit[rows[real]] = cells.ids[cols[real]]
    return hit


def score_boxes(
    pairs: Sequence[tuple[Boxes, Boxes]], classes: Sequence[str], iou: float = IOU
) -> dict[str, DetectionScore]:
    """Return the score of each class and of ``"all"``, from (found, annotated) of each image.

    ``"all"`` adds up the classes: a cell found under another class is an error twice.
    """
    scores = {}
    precision = average_precision(pairs, classes)
    for name in classes:
        own = [(detected.of_class(name), true.of_class(name)) for detected, true in pairs]
        hits = sum(int((match_boxes(detected, true, iou) >= 0).sum()) for detected, true in own)
        errors = [abs(len(detected) - len(true)) for detected, true in own]
        scores[name] = DetectionScore(
            annotated=sum(len(true) for _, true in own),
            found=sum(len(detected) for detected, _ in own),
            hits=hits,
            ap50=precision[name],
            count_error=float(np.mean(errors)) if errors else 0.0,
        )
    return {**scores, "all": _pooled_score(list(scores.values()), pairs)}


def _pooled_score(
    scores: Sequence[DetectionScore], pairs: Sequence[tuple[Boxes, Boxes]]
) -> DetectionScore:
    """Return the sums over the classes, and the mean of their average precisions."""
    known = [score.ap50 for score in scores if score.ap50 is not None]
    errors = [abs(len(detected) - len(true)) for detected, true in pairs]
    return DetectionScore(
        annotated=sum(score.annotated for score in scores),
        found=sum(score.found for score in scores),
        hits=sum(score.hits for score in scores),
        ap50=float(np.mean(known)) if known else None,
        count_error=float(np.mean(errors)) if errors else 0.0,
    )


def average_precision(
    pairs: Sequence[tuple[Boxes, Boxes]], classes: Sequence[str]
) -> dict[str, float | None]:
    """Return COCO's average precision at IoU 0.5 of each class; None where none is annotated."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not any(len(detected) for detected, _ in pairs):
        return {name: 0.0 if _any(pairs, name) else None for name in classes}
    with redirect_stdout(StringIO()):  # the library reports to the console
        truth = COCO()
        truth.dataset = _coco_truth([true for _, true in pairs], classes)
        truth.createIndex()
        answer = truth.loadRes(_coco_boxes([detected for detected, _ in pairs], classes))
        run = COCOeval(truth, answer, "bbox")
        run.params.iouThrs = np.array([IOU])
        run.params.maxDets = [100_000]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    table = run.eval["precision"][0, :, :, 0, 0]
    values = [float(np.mean(column)) for column in table.T]
    return {name: v if v >= 0 else None for name, v in zip(classes, values, strict=True)}


def _any(pairs: Sequence[tuple[Boxes, Boxes]], name: str) -> bool:
    return any(bool((true.classes == name).any()) for _, true in pairs)


def _coco_truth(images: Sequence[Boxes], classes: Sequence[str]) -> dict[str, Any]:
    """Return annotations as a COCO data set."""
    boxes = _coco_boxes(images, classes)
    for number, box in enumerate(boxes):
        box.update(id=number + 1, iscrowd=0, area=box["bbox"][2] * box["bbox"][3])
    return {
        "images": [{"id": number} for number in range(len(images))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes)],
        "annotations": boxes,
    }


def _coco_boxes(images: Sequence[Boxes], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return one COCO record per box."""
    known = {name: number for number, name in enumerate(classes)}
    return [
        {
            "image_id": number,
            "category_id": known[str(name)],
            "bbox": [float(v) for v in (box[1], box[0], box[3] - box[1], box[2] - box[0])],
            "score": float(score),
        }
        for number, image in enumerate(images)
        for box, name, score in zip(image.boxes, image.classes, image.scores, strict=True)
        if str(name) in known
    ]
