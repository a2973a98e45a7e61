r"""Choose the score limits of the detector on BCCD's development fields, and store them.

::

    python training/choose_limits.py --data ../shared/data \
        --weights build/detector/detector.safetensors

The development fields are blocks of BCCD's train list that the training does not see; the val list
is not used. For white cells and platelets the limit with the best F1 at IoU 0.5 is chosen, the
median of equally good ones. Four in ten red cells have no box, so their precision is
underestimated: for them the lowest limit is chosen that costs at most 0.01 of F1. The result is
written into the header of the weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from detector_fields import bccd_split, read_pixels
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.detect.learned.model import (
    DetectionThresholds,
    DetectorModel,
    load_model,
)
from napari_hemacells.core.detect.learned.network import empty_network
from napari_hemacells.core.detect.pipeline import detect_learned_steps
from napari_hemacells.core.evaluate.detection_datasets import read_voc
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.train.detector.metrics import CANDIDATE_THRESHOLDS, SCORE_FLOOR, f1_at
from napari_hemacells.core.types import RBC

SHIPPED = Path(__file__).parents[1] / "src/napari_hemacells/weights/detector.safetensors"
AS_GOOD, NEARLY_AS_GOOD = 0.004, 0.01  # in F1


def main() -> None:
    """Choose the limits and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    with safe_open(options.weights, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        header = stored.metadata()
    network = empty_network()
    network.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=False)
    pairs = _found_and_annotated(
        options.data, DetectorModel(network, DetectionThresholds((SCORE_FLOOR,) * len(KINDS)))
    )
    scores = [best_limit(pairs, kind) for kind in KINDS]
    chosen = DetectionThresholds(tuple(scores))
    header["limits"] = json.dumps(
        {"scores": scores, "overlap": chosen.overlap, "overlap_of_kinds": chosen.overlap_of_kinds}
    )
    save_file(tensors, options.out, metadata=header)
    print(load_model(options.out).limits)


def _found_and_annotated(data: Path, model: DetectorModel) -> list[tuple[Boxes, Boxes]]:
    """Return the detections with low limits in each development field, and the annotations."""
    pairs = []
    for name in bccd_split(data)[1]:
        image = image_from_array(read_pixels(data / f"bccd/images/{name}.jpg"), name)
        steps = detect_learned_steps(image, model=model)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found = Boxes.of_cells(end.value)
                break
        pairs.append((found, read_voc(data / f"bccd/annotations/{name}.xml", least_side=4.0)))
    return pairs


def best_limit(pairs: list[tuple[Boxes, Boxes]], kind: str) -> float:
    """Return the score limit of the best F1: the lowest for red cells, otherwise the median."""
    values = f1_at(pairs, kind, CANDIDATE_THRESHOLDS)
    if kind == RBC:
        return round(float(CANDIDATE_THRESHOLDS[values >= values.max() - NEARLY_AS_GOOD].min()), 3)
    return round(float(np.median(CANDIDATE_THRESHOLDS[values >= values.max() - AS_GOOD])), 3)


if __name__ == "__main__":
    main()
