"""``hemacells check-labels FOLDER``: list the labels that may be wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.evaluate import EncoderName, crop_of, make_encoder
from napari_hemacells.cli.evaluate_bundle import LabelPattern
from napari_hemacells.cli.options import JsonTarget, NetworkDevice, PlaneOptions, RunOptions

if TYPE_CHECKING:
    from napari_hemacells.core.train.classifier.label_noise import LabelCheck

SHOWN = 20
CrossValidated = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help=(
            "A folder with one sub-folder of crops per class; a CSV with the columns "
            "path and label; or the output folder of train --folds, whose networks "
            "are then used."
        ),
    ),
]
CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", help="Write one row per image, the most suspicious label first."
    ),
]
Folds = Annotated[int, typer.Option(min=2, max=100, help="Number of folds, each held out once.")]
Seed = Annotated[int, typer.Option(help="Seed of the folds.")]
Shown = Annotated[int, typer.Option("--show", min=0, help="Number of rows to print.")]


def check_labels(
    folder: CrossValidated,
    *,
    encoder: EncoderName = "bundled",
    folds: Folds = 5,
    seed: Seed = 0,
    show: Shown = SHOWN,
    csv: CsvFile = None,
    json: JsonTarget = None,
    planes: PlaneOptions,
    device: NetworkDevice = "auto",
    run: RunOptions,
    label_pattern: LabelPattern = "",
) -> None:
    """List the labels that may be wrong, the most suspicious first; nothing is changed.

    Each image is judged by models that have not learned from it: linear heads on a frozen
    encoder, or the networks of a cross-validated training.
    """
    from napari_hemacells.core.train.classifier import label_noise
    from napari_hemacells.core.train.classifier.results import OUT_OF_FOLD_FILE

    reporter = Reporter(quiet=run.quiet, json_to=json)
    if (folder / OUT_OF_FOLD_FILE).is_file():
        if label_pattern:
            raise typer.BadParameter(
                "A cross-validated training has its classes already: leave out --label-pattern."
            )
        label_check = label_noise.check_out_of_fold(folder)
    else:
        steps = label_noise.check_labels_steps(
            folder,
            make_encoder(encoder, device),
            spec=crop_of(encoder),
            folds=folds,
            seed=seed,
            selection=planes.selection,
            label_pattern=label_pattern,
        )
        label_check = reporter.run(steps, "Checking labels")
        planes.tell(reporter)
    reporter.tell(as_table(label_check, show))
    if csv is not None:
        label_noise.write_suspects(csv, label_check.suspects)
        reporter.say(f"Table: {csv}")
    reporter.finish(as_record(label_check) | planes.record())
    exit_if_unreadable(label_check.unreadable, reporter)


def as_table(label_check: "LabelCheck", rows: int) -> Table:
    """Return the table of the most suspicious labels."""
    table = Table(
        title=f"{label_check.flagged} of {len(label_check.suspects)} labels are probably wrong",
        caption=f"{label_check.method}. Score: probability of the given class.",
    )
    for heading in ("picture", "given", "suggested", "score"):
        table.add_column(heading, justify="right" if heading == "score" else "left")
    for suspect in label_check.suspects[:rows]:
        doubt = "[bold]" if suspect.flagged else ""
        table.add_row(
            suspect.name, suspect.label, f"{doubt}{suspect.suggested}", f"{suspect.score:.4f}"
        )
    return table


def as_record(label_check: "LabelCheck") -> dict[str, Any]:
    """Return the machine-readable result."""
    return {
        "n": len(label_check.suspects),
        "flagged": label_check.flagged,
        "method": label_check.method,
        "suspects": [
            {
                "name": suspect.name,
                "path": str(suspect.path),
                "label": suspect.label,
                "suggested": suspect.suggested,
                "score": round(suspect.score, 6),
                "confidence": round(suspect.confidence, 6),
                "flagged": suspect.flagged,
            }
            for suspect in label_check.suspects
        ],
        "unreadable": list(label_check.unreadable),
    }
