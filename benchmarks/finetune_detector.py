r"""Fine-tuning of the detector on a few fields, measured on fields that it has not seen.

::

    python benchmarks/finetune_detector.py --data ../shared/data --threads 1

Two datasets, each with fields to learn from and others, with other file numbers, to measure on:

* ``live_dead``: unstained living and dead cells, which the bundled detector does not know; 20
fields to learn from and 20 held out, in blocks of file numbers, apparently from other cultures.
  ``live_dead_mixed``: the same with fields drawn by a hash of their names. All cells are given as
  red cells: the detector has no classes for living and dead, and only detection is measured.
* ``bccd``: five development fields of TXL-PBC, in which every cell is boxed, measured on the other
  development fields of BCCD. The bundled detector has not learned from them, but its limits were
  chosen on them.

The training itself holds out a quarter of the fields to learn from, for its thresholds and early
stopping. The figures here are of the other fields, with the thresholds and weights that it wrote,
at the diameter of the annotated cells.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from detector_fields import txl_files, txl_split
from napari_hemacells.core.evaluate.detection_datasets import read_fields
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.evaluate.detection_report import evaluate_detection_steps
from napari_hemacells.core.params import DetectParams, TrainDetectorParams
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.detector.config import (
    DetectorJob,
    default_steps,
    prepare_folder,
    training_folder,
)
from napari_hemacells.core.train.detector.project_dataset import load_annotated_fields_steps
from napari_hemacells.core.train.detector.trainer import fine_tune
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.samples.smear import rehearsal_fields

if TYPE_CHECKING:
    from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField
    from napari_hemacells.core.train.detector.report import DetectorOutcome


def main() -> None:
    """Fine-tune on each dataset and print the figures of the held-out fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["live_dead", "live_dead_mixed", "bccd"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rate", type=float, default=TrainDetectorParams().rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--tune", action="store_true", help="on fields that are used for no figure"
    )
    options = parser.parse_args()
    for name in options.sets:
        learn, held = SETS[name](options.data, options.tune)
        print(json.dumps({"set": name, **measure(learn, held, options)}, indent=1), flush=True)


def measure(
    learn: list[AnnotatedField], held: list[AnnotatedField], options: argparse.Namespace
) -> dict[str, object]:
    """Return F1 of the held-out fields before and after, and the training's own figures."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(learn, Path(folder) / "own.safetensors", options)
        diameter = typical(learn)
        before = score(held, DetectParams(cell_diameter=diameter))
        after = score(held, DetectParams(cell_diameter=diameter, weights=outcome.weights))
    return {
        "learned from": len(learn),
        "held out": len(held),
        "before": before,
        "after": after,
        "own held-out part": {
            "before, limits chosen": outcome.before_limits.f1(),
            "after": outcome.after.f1(),
        },
        "steps": outcome.steps,
        "best step": outcome.best_step,
        "seconds": round(outcome.seconds, 1),
    }


def train(learn: list[AnnotatedField], out: Path, options: argparse.Namespace) -> DetectorOutcome:
    """Return the outcome of fine-tuning in a child process."""
    gathered = run_to_end(load_annotated_fields_steps(learn))
    prepare_folder(training_folder(out), gathered.fields)
    job = DetectorJob(
        training_folder(out),
        out,
        options.steps or default_steps(options.threads),
        TrainDetectorParams(rate=options.rate, seed=options.seed),
        rehearsal=rehearsal_fields,
    )
    return run_to_end(SubprocessJob(fine_tune, job, threads=options.threads).reports())


def score(held: list[AnnotatedField], params: DetectParams) -> dict[str, float]:
    """Return F1 at IoU 0.5 of each kind and of all."""
    report = run_to_end(evaluate_detection_steps(held, params))
    kinds = {name: one.f1 for name, one in report.classes.items()}
    return {name: round(value, 4) for name, value in {**kinds, "all": report.overall.f1}.items()}


def typical(fields: list[AnnotatedField]) -> float:
    """Return the median longer side of the annotated cells of the commonest kind."""
    boxes = [one.truth.of_class("RBC").boxes for one in fields if isinstance(one.truth, Boxes)]
    sides = np.concatenate([(box[:, 2:] - box[:, :2]).max(axis=1) for box in boxes if len(box)])
    return float(np.median(sides))


def live_dead(data: Path, tune: bool) -> tuple[list[AnnotatedField], list[AnnotatedField]]:
    """Return 20 fields to learn from and 20 held out, with distant file numbers."""
    files = sorted((data / "live_dead/images").glob("*.png"), key=_number)
    first = 60 if tune else 200
    chosen = files[first : first + 20], files[first + 60 : first + 80]
    notes = data / "live_dead/annotations"
    learn, held = (read_fields(part, notes, as_class="RBC")[0] for part in chosen)
    return learn, held


def bccd(data: Path, tune: bool) -> tuple[list[AnnotatedField], list[AnnotatedField]]:
    """Return five completely boxed fields of BCCD to learn from, and the others.

    Those of the train list of TXL-PBC on which the detector was not trained; to tune, Raabin's.
    """
    chosen = [row for row in txl_split(data)[1] if row.source == ("raabin" if tune else "bccd")]
    paths = [txl_files(data, row)[0] for row in chosen]
    fields, _ = read_fields(paths, data / "txl_pbc/annotations")
    return fields[:5], fields[5:]


def _number(file: Path) -> int:
    return int("".join(filter(str.isdigit, file.stem)) or 0)


def live_dead_mixed(data: Path, tune: bool) -> tuple[list[AnnotatedField], list[AnnotatedField]]:
    """Return 20 fields to learn from and 20 held out, ordered by a hash of their names.

    The fields of the blocks above are left out, because rules were changed after those were seen.
    """
    files = sorted((data / "live_dead/images").glob("*.png"), key=_number)
    fresh = [*files[:60], *files[80:120], *files[140:200], *files[220:260], *files[280:]]
    fresh.sort(key=lambda file: hashlib.sha256(file.name.encode()).digest())
    first = 40 if tune else 0
    notes = data / "live_dead/annotations"
    parts = fresh[first : first + 20], fresh[first + 20 : first + 40]
    learn, held = (read_fields(part, notes, as_class="RBC")[0] for part in parts)
    return learn, held


SETS = {"live_dead": live_dead, "live_dead_mixed": live_dead_mixed, "bccd": bccd}

if __name__ == "__main__":
    main()
