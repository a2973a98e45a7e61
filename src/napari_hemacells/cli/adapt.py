"""``hemacells adapt PROJECT_OR_FOLDER --out FILE``: adapt an encoder to unlabelled cells."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_hemacells.cli.console import Reporter, run_training
from napari_hemacells.cli.inputs import find_images
from napari_hemacells.cli.options import JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.plane_selection import PlaneSelection
from napari_hemacells.core.params import AdaptParams

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob, AdaptOutcome
    from napari_hemacells.core.train.selfsupervised.dataset import AdaptTrainingSet
    from napari_hemacells.core.types import Progress

AdaptSource = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT_OR_FOLDER",
        help=(
            "A project with detected cells (your annotations measure the result), a "
            "folder with one sub-folder of crops per class, or a folder of images."
        ),
    ),
]
EncoderOut = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE", help="File for the adapted encoder (.safetensors)."
    ),
]
BaseName = Annotated[
    str, typer.Option("--encoder", metavar="NAME", help="The encoder to start from.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted adaptation.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Number of processor cores; default: all."),
]


def adapt(
    source: AdaptSource,
    *,
    out: EncoderOut,
    encoder: BaseName = "bundled",
    resume: Resume = False,
    threads: Threads = None,
    json: JsonTarget = None,
    params: AdaptParams,
    planes: PlaneOptions,
    run: RunOptions,
) -> None:
    """Adapt an encoder to your slides: train it on your cells without labels (SimCLR).

    Its last stages learn to recognise each cell in other light, blur and framing. The result is
    kept only if it classifies your annotations at least as well as before (leave-one-out).
    """
    from napari_hemacells.core.encode.weights_store import store_weights
    from napari_hemacells.core.train.selfsupervised import dataset
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob

    if out.suffix != ".safetensors":
        raise TrainingError(
            f"An encoder is saved as a .safetensors file: use --out {out.stem}.safetensors."
        )
    reporter = Reporter(quiet=run.quiet, json_to=json)
    job = AdaptJob(dataset.training_folder(out), out, params, encoder)
    if resume:
        dataset.read_training_set(job.folder)
    else:
        project = project_of(source)
        with reporter.notices_of(project):
            training_set = reporter.run(
                gather_source(source, project, planes.selection), "Reading cells"
            )
        planes.tell(reporter)
        reporter.say(
            f"{len(training_set.crops)} cells, {len(training_set.clicks.labels)} with a class"
        )
        for note in training_set.notes:
            reporter.say(note)
        dataset.write_training_set(job.folder, training_set)
    outcome = run_adaptation(job, reporter, threads)
    dataset.remove_folder(job.folder)
    reporter.tell(outcome.format_summary())
    if outcome.kept:
        store_weights(out)  # so that a model made with it finds it by its hash
        reporter.tell(f"Encoder: adapted:{out}")
    for note in outcome.notes:
        reporter.warn(note)
    reporter.finish(outcome.to_dict())


def project_of(source: Path) -> "Project | None":
    """Return the project in a folder, or of a ``project.json``; ``None`` where there is none.

    Raises
    ------
    ProjectError
        A damaged one, or one of a newer version.
    """
    from napari_hemacells.core.store import Project

    files = (source / "project.json", source / "journal.jsonl")  # the journal alone makes one too
    if any(file.is_file() for file in files) or source.name == "project.json":
        return Project.open(source)
    return None


def gather_source(
    source: Path,
    project: "Project | None" = None,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> "Generator[Progress, None, AdaptTrainingSet]":
    """Return the steps that read the cells of a project, of class folders, or of images.

    Raises
    ------
    TrainingError
        There are no cells or images to learn from.
    """
    from napari_hemacells.core.train.selfsupervised import project_dataset as gathering

    if project is not None:
        return gathering.load_project_crops_steps(project)
    images = find_images([str(source)]) if source.exists() else []
    if images and images != [source]:
        return gathering.load_image_crops_steps(images, selection=selection)
    return gathering.load_folder_crops_steps(source, selection=selection)


def run_adaptation(job: "AdaptJob", reporter: Reporter, threads: int | None) -> "AdaptOutcome":
    """Return the outcome of an adaptation in a child process."""
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.train.selfsupervised.config import check_installed
    from napari_hemacells.core.train.selfsupervised.trainer import adapt as adapting

    check_installed()
    return run_training(
        SubprocessJob(adapting, job, threads=threads).reports(),
        reporter,
        "Learning without labels",
    )


def adapted_to_folder(
    folder: Path, name: str, params: AdaptParams, reporter: Reporter
) -> "Encoder":
    """Return an encoder adapted to the crops of a folder; their classes are not used.

    The result is cached: the same crops, encoder and parameters return it at once.

    Raises
    ------
    TrainingError
        Too few crops, or lightly is not installed.
    """
    import platformdirs

    from napari_hemacells.core.encode import fingerprint, load_encoder
    from napari_hemacells.core.train.selfsupervised import dataset
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob
    from napari_hemacells.core.train.selfsupervised.project_dataset import load_folder_crops_steps

    training_set = reporter.run(load_folder_crops_steps(folder, labels=False), "Reading crops")
    base = fingerprint(load_encoder(name, params.device).info)
    identity = [training_set.digest(), base, params.model_dump_json(exclude={"device"})]
    stem = hashlib.sha256("".join(identity).encode()).hexdigest()[:16]
    out = Path(platformdirs.user_cache_dir("napari-hemacells")) / "adapted" / f"{stem}.safetensors"
    if not out.is_file():
        job = AdaptJob(dataset.training_folder(out), out, params, name, decided_by_clicks=False)
        dataset.write_training_set(job.folder, training_set)
        run_adaptation(job, reporter, None)
        dataset.remove_folder(job.folder)
    return load_encoder(f"adapted:{out}", params.device)
