"""``hemacells train detector PROJECT_OR_FOLDER --out FILE``: fine-tune the learned detector."""

import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.console import Reporter, run_training
from napari_hemacells.cli.inputs import find_images
from napari_hemacells.cli.options import JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.params import TrainDetectorParams
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.detector.config import DetectorJob
    from napari_hemacells.core.train.detector.project_dataset import DetectorTrainingSet
    from napari_hemacells.core.train.detector.report import DetectorOutcome

CorrectedSource = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT_OR_FOLDER",
        help=(
            "A project with corrected cells, or a folder of images with "
            "--annotations. Annotate each image completely: where no cell is marked, "
            "the detector learns that there is none."
        ),
    ),
]
WeightsOut = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="File for the new weights (.safetensors); a report is written beside it.",
    ),
]
AnnotationsOf = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        metavar="ANNOTATIONS",
        help="Boxes of a folder of images: Pascal VOC or YOLO files, or a COCO .json.",
    ),
]
StartWeights = Annotated[
    Path | None,
    typer.Option(
        "--start", metavar="FILE", help="Start from these weights instead of the bundled ones."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Number of processor cores; default: all."),
]


def detector(
    source: CorrectedSource,
    *,
    out: WeightsOut,
    annotations: AnnotationsOf = None,
    start: StartWeights = None,
    resume: Resume = False,
    threads: Threads = None,
    json: JsonTarget = None,
    params: TrainDetectorParams,
    planes: PlaneOptions,
    run: RunOptions,
) -> None:
    """Fine-tune the learned detector on corrected fields; `detect --weights FILE` uses it."""
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.train.detector.config import format_command, remove_folder
    from napari_hemacells.core.train.detector.trainer import fine_tune

    reporter = Reporter(quiet=run.quiet, json_to=json)
    job = _job(out, start, params, threads)
    command = format_command(
        job, source, annotations, threads, plane=planes.plane, channels=planes.channels
    )
    job = replace(job, command=command)
    if resume:
        _check(job.folder)
    else:
        _prepare(job.folder, source, annotations, reporter, planes)
    training = SubprocessJob(fine_tune, job, threads=threads)
    outcome: DetectorOutcome = run_training(training.reports(), reporter, "Learning")
    remove_folder(job.folder)
    reporter.tell(as_table(outcome))
    reporter.tell(f"Weights: {outcome.weights}\nReport: {outcome.report}")
    if not outcome.is_better:
        reporter.warn(
            "On the held-out cells it is not measurably better than before: keep the "
            "detector you have."
        )
    reporter.finish(detector_record(outcome))


def _job(
    out: Path, start: Path | None, params: TrainDetectorParams, threads: int | None
) -> "DetectorJob":
    from napari_hemacells.core.train.detector.config import (
        DetectorJob,
        default_steps,
        training_folder,
    )
    from napari_hemacells.samples.smear import rehearsal_fields

    if out.suffix != ".safetensors":
        raise TrainingError("Weights are saved as a .safetensors file: use --out "
f"{out.stem}.safetensors.")  # fmt: skip
    steps = params.steps or default_steps(threads or os.cpu_count() or 1)
    return DetectorJob(training_folder(out), out, steps, params, start, rehearsal_fields)


def _check(folder: Path) -> None:
    from napari_hemacells.core.train.detector.config import check_resumable

    check_resumable(folder)


def _prepare(
    folder: Path,
    source: Path,
    annotations: Path | None,
    reporter: Reporter,
    planes: PlaneOptions,
) -> None:
    """Write the training data into the folder of the training, and print what they are."""
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.detector.config import prepare_folder

    project = Project.open(source) if annotations is None else None
    with reporter.notices_of(project):
        gathered = reporter.run(
            _gather(source, annotations, project, planes.selection), "Reading fields"
        )
    planes.tell(reporter)
    for sentence in gathered.left_out:
        reporter.warn(f"Left out: {sentence}")
    for note in gathered.notes:
        reporter.warn(note)
    cells = sum(len(field.boxes) for field in gathered.fields)
    reporter.say(
        f"{len(gathered.fields)} fields, {cells} cells, each field taken as completely annotated"
    )
    prepare_folder(folder, gathered.fields, gathered.left_out)


def _gather(
    source: Path,
    annotations: Path | None,
    project: "Project | None",
    selection: PlaneSelection,
) -> Generator[Progress, None, "DetectorTrainingSet"]:
    from napari_hemacells.core.evaluate.detection_datasets import read_fields
    from napari_hemacells.core.train.detector.project_dataset import (
        load_annotated_fields_steps,
        load_project_fields_steps,
    )

    if annotations is None:
        assert project is not None  # noqa: S101  # opened for its notices
        return load_project_fields_steps(project)
    fields, _ = read_fields(find_images([str(source)]), annotations, selection=selection)
    return load_annotated_fields_steps(fields, selection)


def as_table(outcome: "DetectorOutcome") -> Table:
    """Return the figures of the held-out part, one row per kind of cell."""
    table = Table(
        title="Cells found in the held-out part: F1 at IoU 0.5",
        caption=f"Held out: {outcome.split}.",
    )
    table.add_column("")
    headings = ("annotated", "before", "before, thresholds chosen here", "after")
    for heading in headings:
        table.add_column(heading, justify="right")
    rows = outcome.after.rows()
    columns = [metrics.f1() for metrics in (outcome.before, outcome.before_limits, outcome.after)]
    for name, row in rows.items():
        table.add_row(name, str(row["annotated"]), *(f"{column[name]:.3f}" for column in columns))
    return table


def detector_record(outcome: "DetectorOutcome") -> dict[str, Any]:
    """Return the machine-readable result."""
    return {
        "weights": str(outcome.weights),
        "report": str(outcome.report),
        "better": outcome.is_better,
        "held_out": outcome.split,
        "before": outcome.before.rows(),
        "before_limits_chosen": outcome.before_limits.rows(),
        "after": outcome.after.rows(),
        "steps": outcome.steps,
        "best_step": outcome.best_step,
        "seconds": round(outcome.seconds, 1),
        "notes": list(outcome.notes),
    }
