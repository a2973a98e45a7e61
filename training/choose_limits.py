r"""Choose the score limits of the detector on completely boxed development fields; store them.

::

    python training/choose_limits.py --data ../shared/data \
        --weights build/detector/detector.safetensors --out build/detector/limited.safetensors

The development fields are those of TXL-PBC's train list that the training does not see; its val
list is not used. For each kind the limit with the best F1 at IoU 0.5 is chosen, the mean over the
laboratories that show enough cells of the kind; the median of equally good ones. The result is
written into the header of a copy of the weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from detector_fields import TxlRow, txl_files, txl_split
from napari_hemacells.core.detect.learned.diameter import measure_diameter_steps
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.detect.learned.model import (
    DetectionThresholds,
    DetectorModel,
    load_model,
)
from napari_hemacells.core.detect.pipeline import detect_learned_steps
from napari_hemacells.core.evaluate.detection_datasets import read_voc
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.image import read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.train.detector.metrics import CANDIDATE_THRESHOLDS, SCORE_FLOOR, f1_at
from napari_hemacells.core.types.progress import run_to_end

AS_GOOD = 0.002  # in F1
ENOUGH = 8  # annotated cells of a kind in a laboratory's development fields

Pairs = list[tuple[Boxes, Boxes]]


def main() -> None:
    """Choose the limits and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="file of the copy")
    options = parser.parse_args()
    model = load_model(options.weights)
    pairs: dict[str, Pairs] = {}
    for row in txl_split(options.data)[1]:
        pairs.setdefault(row.source, []).append(found_and_annotated(options.data, row, model))
    scores = [best_limit(pairs, kind) for kind in KINDS]
    store_limits(options.weights, DetectionThresholds(tuple(scores)), options.out)
    print(load_model(options.out).limits)


def found_and_annotated(data: Path, row: TxlRow, model: DetectorModel) -> tuple[Boxes, Boxes]:
    """Return what is found with low limits in a field, and what is annotated.

    The diameter is measured with the limits that the model has.
    """
    picture, annotation = txl_files(data, row)
    image = read_image(picture)
    measured = run_to_end(measure_diameter_steps(image, model))
    diameter = None if measured is None else measured.diameter
    low = DetectorModel(model.network, DetectionThresholds((SCORE_FLOOR,) * len(KINDS)))
    params = DetectParams(cell_diameter=diameter)
    cells = run_to_end(detect_learned_steps(image, params, model=low))
    return Boxes.of_cells(cells), read_voc(annotation, least_side=4.0)


def best_limit(pairs: dict[str, Pairs], kind: str) -> float:
    """Return the score limit with the best mean F1 over the laboratories."""
    values = [
        f1_at(own, kind, CANDIDATE_THRESHOLDS)
        for own in pairs.values()
        if sum(len(true.of_class(kind)) for _, true in own) >= ENOUGH
    ]
    mean = np.mean(values, axis=0)
    print(kind, f"F1 {mean.max():.3f}, by laboratory", np.max(values, axis=1).round(3).tolist())
    return round(float(np.median(CANDIDATE_THRESHOLDS[mean >= mean.max() - AS_GOOD])), 3)


def store_limits(weights: Path, limits: DetectionThresholds, out: Path) -> None:
    """Write the weights with these limits in their header."""
    with safe_open(weights, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        header = stored.metadata()
    rules = {"scores": list(limits.scores), "overlap": limits.overlap,
             "overlap_of_kinds": limits.overlap_of_kinds}  # fmt: skip
    save_file(tensors, out, metadata={**header, "limits": json.dumps(rules)})


if __name__ == "__main__":
    main()
