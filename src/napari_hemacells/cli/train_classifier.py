"""``hemacells train FOLDER --arch … --recipe … --out DIR``: fine-tune a classifier."""

import os
import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from pydantic import Field, create_model
from pydantic.fields import FieldInfo
from rich.table import Table

from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import Reporter, output_folder, run_training
from napari_hemacells.cli.options import JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.core.params import Params
from napari_hemacells.core.train.classifier.config import ClassifierConfig
from napari_hemacells.core.train.classifier.presets import CLASSIFIER_PRESETS, SHARED_DIFFERENCES

if TYPE_CHECKING:
    from napari_hemacells.core.train import TrainingReport
    from napari_hemacells.core.train.classifier.artifacts import (
        ClassifierTrainingOutcome,
        CrossValidationResult,
    )
    from napari_hemacells.core.train.classifier.comparison import ArchitectureComparison
    from napari_hemacells.core.train.classifier.training import TrainJob

Crops = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help=(
            "A folder with one sub-folder of crops per class, or a CSV with the "
            "columns path, label and, if known, group (or patient, slide, image)."
        ),
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder for the model (DIR/model), figures and tables."
    ),
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        "--preset",
        help=(
            f"Preset of parameters: {', '.join(CLASSIFIER_PRESETS)} (each is explained below). "
            "Every other option changes one of them."
        ),
    ),
]
CompareNames = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="ARCH|PARAMETER=VALUE [...]",
        help=(
            "Train each of these architectures, or each value of a parameter (mix=none,mixup "
            "smoothing=0,0.1 body=frozen,tuned: all combinations), and write a table and a page "
            "with plots (compare.csv, .md, .html)."
        ),
    ),
]
Folds = Annotated[
    int,
    typer.Option(
        min=0,
        max=100,
        help="Cross-validate with this number of folds: each image is predicted once, "
        "by a network that has not seen it.",
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report/--no-report",
        help="Write report.html: figures, confusion matrix, heat maps, labels that may be wrong.",
    ),
]
Onnx = Annotated[
    bool,
    typer.Option("--onnx", help="Also write model.onnx, checked against PyTorch (extra onnx)."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Number of processor cores; default: all.")
]


def presets_help() -> str:
    """Return what each preset does, and what it does otherwise than its thesis on purpose."""
    texts = []
    for name, preset in CLASSIFIER_PRESETS.items():
        text = f"{name.replace(' ', '-')}: {preset.about}"
        if preset.differences:
            text += f" Otherwise than in the thesis, on purpose: {preset.differences}"
        texts.append(text)
    return "Presets.\n\n" + "\n\n".join([*texts, f"All of a thesis: {SHARED_DIFFERENCES}"])


def _unset(field: FieldInfo) -> tuple[Any, Any]:
    """Return the field without its default: an option that is not given changes nothing."""
    optional_field: Any = Field(default=None, title=field.title, description=field.description)
    return Optional[field.annotation], optional_field  # noqa: UP045  # not known until it runs


# Every field of the recipe, but not set: what is given changes the named recipe.
_FIELDS: dict[str, Any] = {
    name: _unset(field) for name, field in ClassifierConfig.model_fields.items()
}
Changes: Any = create_model("Changes", __base__=Params, **_FIELDS)


def classifier(
    folder: Crops,
    *,
    out: Out,
    recipe: RecipeName = "quick",
    compare: CompareNames = None,
    folds: Folds = 0,
    report: Report = True,
    onnx: Onnx = False,
    threads: Threads = None,
    json: JsonTarget = None,
    params: Changes,
    planes: PlaneOptions,
    run: RunOptions,
) -> None:
    """Fine-tune a network on crops sorted by class; an interrupted training continues."""
    from napari_hemacells.core.train.classifier import preset_config
    from napari_hemacells.core.train.classifier.model_zoo import check_weights
    from napari_hemacells.core.train.classifier.training import TrainJob

    first = os.environ.get("RANK", "0") == "0"  # of several processes, one speaks
    reporter = Reporter(quiet=run.quiet or not first, json_to=json if first else None)
    changes = params.model_dump(exclude_none=True)
    job = TrainJob(
        source=folder.absolute(),
        folder=output_folder(out).absolute(),
        recipe=preset_config(recipe, changes),
        name=out.name,
        command=shlex.join(["hemacells", *sys.argv[1:]]),
        report=report,
        selection=planes.selection,
    )
    planes.tell(reporter)
    if not compare:  # of several, each says it when its turn comes
        reporter.say(check_weights(job.recipe))
    if compare:
        _compare(job, compare.split(","), reporter, threads)
    elif folds:
        _cross_validate(job, folds, reporter, threads)
    else:
        _train(job, reporter, threads, onnx=onnx)


def _train(job: "TrainJob", reporter: Reporter, threads: int | None, *, onnx: bool) -> None:
    from napari_hemacells.core.train.classifier.pipeline import train_steps

    outcome: ClassifierTrainingOutcome = run_training(
        run_in_child(train_steps, job, threads), reporter, "Learning"
    )
    record = as_record(outcome)
    if onnx:
        record["onnx"] = str(job.folder / "model.onnx")
        record["onnx_difference"] = _export(outcome.model, job.folder / "model.onnx")
    reporter.tell(as_table(outcome))
    for note in outcome.notes:
        reporter.say(f"Note: {note}")
    reporter.tell(f"Model: {outcome.model}")
    if outcome.report:
        reporter.tell(f"Report: {outcome.report}")
    reporter.finish(record)
    exit_if_unreadable(outcome.unreadable, reporter)


def _compare(job: "TrainJob", names: list[str], reporter: Reporter, threads: int | None) -> None:
    given = (job, tuple(names))
    compared: ArchitectureComparison = run_training(
        run_in_child(compare_job, given, threads), reporter, "Comparing"
    )
    reporter.tell(compared.as_markdown())
    for arch, why in compared.failed.items():
        reporter.warn(f"{arch}: {why}")
    reporter.tell(f"Table: {compared.folder / 'compare.csv'}")
    reporter.tell(f"Page: {compared.page}")
    reporter.finish({"folder": str(compared.folder), "rows": compared.rows,
                     "failed": compared.failed})  # fmt: skip


def _cross_validate(job: "TrainJob", folds: int, reporter: Reporter, threads: int | None) -> None:
    given = (job, folds)
    result: CrossValidationResult = run_training(
        run_in_child(folds_job, given, threads), reporter, "Folds"
    )
    pooled = result.figures["pooled"]
    for name in ("accuracy", "balanced_accuracy", "kappa", "macro_f1"):
        reporter.tell(f"{name.replace('_', ' ')}: {format_interval(pooled[name])}")
    reporter.tell(f"Prediction for each image: {result.table}")
    for note in result.notes:
        reporter.say(f"Note: {note}")
    if result.report:
        reporter.tell(f"Report: {result.report}")
    reporter.finish({"folder": str(result.folder), "figures": result.figures,
                     "report": str(result.report or "")})  # fmt: skip


def compare_job(
    given: tuple["TrainJob", tuple[str, ...]],
) -> Generator["TrainingReport", None, "ArchitectureComparison"]:
    """Return the steps of the comparison, to run in any process."""
    from napari_hemacells.core.train.classifier.benchmark import compare_architectures_steps

    return compare_architectures_steps(*given)


def folds_job(
    given: tuple["TrainJob", int],
) -> Generator["TrainingReport", None, "CrossValidationResult"]:
    """Return the steps of the cross-validation, to run in any process."""
    from napari_hemacells.core.train.classifier.cross_validation import cross_validate_steps

    return cross_validate_steps(*given)


def run_in_child(job: Any, given: Any, threads: int | None) -> Any:
    """Return the job's reports from a child process, or from this process under a launcher."""
    from napari_hemacells.core.train import SubprocessJob

    if "LOCAL_RANK" in os.environ:  # accelerate launch: these are the processes already
        return job(given)
    return SubprocessJob(job, given, threads=threads).reports()


def _export(model: Path, file: Path) -> float:
    from napari_hemacells.core.store import load_bundle
    from napari_hemacells.core.train.classifier.onnx_export import export_onnx

    return export_onnx(load_bundle(model), file)


def format_interval(figure: dict[str, float | None]) -> str:
    """``0.985 (0.980 to 0.990)``."""
    numbers = (figure["value"], figure["low"], figure["high"])
    value, low, high = ("–" if number is None else f"{number:.3f}" for number in numbers)
    return f"{value} ({low} to {high})"


def as_table(outcome: "ClassifierTrainingOutcome") -> Table:
    """Return the figures, one row per part of the data."""
    table = Table(title=f"{outcome.weights}; {outcome.parameters:,} parameters",
                  caption=f"{outcome.split}. Intervals: 95 % of bootstrap draws.")  # fmt: skip
    table.add_column("")
    names = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for part, figures in outcome.figures.items():
        table.add_row(part, *(format_interval(figures[name]) for name in names))
        if "tta" in figures:
            more = figures["tta"]
            table.add_row(
                f"{part}, {more['copies']} copies", *(format_interval(more[n]) for n in names)
            )
    return table


def as_record(outcome: "ClassifierTrainingOutcome") -> dict[str, Any]:
    """Return the machine-readable result."""
    return {
        "model": str(outcome.model),
        "report": str(outcome.report or ""),
        "folder": str(outcome.folder),
        "figures": outcome.figures,
        "epochs": len(outcome.history),
        "parameters": outcome.parameters,
        "seconds": round(outcome.seconds, 1),
        "weights": outcome.weights,
        "split": outcome.split,
        "notes": list(outcome.notes),
        "unreadable": list(outcome.unreadable),
    }
