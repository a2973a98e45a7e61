"""``hemacells report FOLDER``: the page of HTML of a finished training, written again."""

from pathlib import Path
from typing import Annotated

import typer

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.options import RunOptions
from napari_hemacells.cli.train_progress import run_training

Trained = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="What was given with --out to hemacells train."),
]
Labels = Annotated[
    bool, typer.Option("--labels/--no-labels", help="Look for wrong labels where nobody has yet.")
]


def report(folder: Trained, *, labels: Labels = True, run: RunOptions) -> None:
    """Write the report of a finished training or cross-validation again (FOLDER/report.html)."""
    from napari_hemacells.core.train.classifier.report import write_report_steps

    reporter = Reporter(quiet=run.quiet, json_to=None)
    file = run_training(write_report_steps(folder, labels=labels), reporter, "Writing the report")
    reporter.tell(f"Report: {file}")
