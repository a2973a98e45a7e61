"""``hemacells train siamese PROJECT_OR_FOLDER --out DIR``: learn which cells are alike."""

import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_hemacells.cli.adapt import BaseName, Resume, Threads, project_of
from napari_hemacells.cli.console import Reporter, output_folder, run_training
from napari_hemacells.cli.options import JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.core.params import SiameseParams

if TYPE_CHECKING:
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.siamese.config import SiameseOutcome
    from napari_hemacells.core.train.siamese.dataset import SiameseTrainingSet
    from napari_hemacells.core.types import Progress

AnnotatedSource = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT_OR_FOLDER",
        help="A project with annotated cells, or a folder with one sub-folder of crops per class.",
    ),
]
SiameseOut = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="Folder for the network and its report."),
]


def siamese(
    source: AnnotatedSource,
    *,
    out: SiameseOut,
    encoder: BaseName = "bundled",
    resume: Resume = False,
    threads: Threads = None,
    json: JsonTarget = None,
    params: SiameseParams,
    planes: PlaneOptions,
    run: RunOptions,
) -> None:
    """Learn whether two cells are of the same kind (a siamese network).

    By default only a distance of the encoder's vectors is learned, which takes seconds; --network
    says what else can learn. The threshold is chosen on cells that were held out.
    """
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.train.siamese import dataset
    from napari_hemacells.core.train.siamese.config import SiameseJob, check_installed
    from napari_hemacells.core.train.siamese.trainer import train_siamese

    check_installed(params)
    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    job = SiameseJob(out, params, encoder, shlex.join(["hemacells", *sys.argv[1:]]))
    if resume:
        dataset.read_cells(job.folder)
    else:
        project = project_of(source)
        with reporter.notices_of(project):
            cells = reporter.run(_gather(source, project, planes.selection), "Reading cells")
        planes.tell(reporter)
        dataset.check_enough(cells)
        for note in cells.notes:
            reporter.warn(note)
        listed = ", ".join(f"{name} {count}" for name, count in cells.kinds.items())
        reporter.say(f"{len(cells.labels)} annotated cells: {listed}")
        dataset.write_cells(job.folder, cells)
    training = SubprocessJob(train_siamese, job, threads=threads)
    outcome: SiameseOutcome = run_training(training.reports(), reporter, "Learning")
    dataset.remove_training(job.folder)
    reporter.tell(outcome.format_summary())
    reporter.tell(f"Distance: {outcome.likeness}\nReport: {outcome.report}")
    if outcome.weights is not None:
        reporter.tell(f"Encoder: {outcome.encoder}")
    reporter.finish(outcome.to_dict() | planes.record())


def _gather(
    source: Path, project: "Project | None", selection: "PlaneSelection"
) -> Generator["Progress", None, "SiameseTrainingSet"]:
    from napari_hemacells.core.train.siamese import dataset

    if project is not None:
        return dataset.load_project_cells_steps(project)
    return dataset.load_folder_cells_steps(source, selection)
