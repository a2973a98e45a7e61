"""The command ``hemacells`` and its sub-commands."""

from typing import Annotated

import typer

from napari_hemacells import __version__
from napari_hemacells.cli.adapt import adapt
from napari_hemacells.cli.check_labels import check_labels
from napari_hemacells.cli.classify import classify
from napari_hemacells.cli.consensus import consensus, evaluate_consensus
from napari_hemacells.cli.crops import crop_size, crops
from napari_hemacells.cli.demo import demo
from napari_hemacells.cli.detect import detect
from napari_hemacells.cli.evaluate import clicks, detection, fewshot
from napari_hemacells.cli.evaluate_bundle import evaluate_bundle
from napari_hemacells.cli.evaluate_verification import VerificationCommand, verification
from napari_hemacells.cli.fit import fit
from napari_hemacells.cli.options import (
    Command,
    JsonCommand,
    ShotsCommand,
    SizesCommand,
    with_options,
)
from napari_hemacells.cli.serve import serve
from napari_hemacells.cli.thermograms import regions, study, thermograms
from napari_hemacells.cli.train import report, train
from napari_hemacells.cli.triage import triage

EXIT_CODES = (
    "Exit codes: 0 success · 1 error in the program · 2 wrong usage · 3 bad "
    "input · 4 model refused · 5 file could not be read or written."
)

app = typer.Typer(
    name="hemacells",
    help="Detect, annotate and classify blood cells, without a viewer.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
evaluate = typer.Typer(
    help="Measure how well cells are detected and classified.",
    no_args_is_help=True,
    name="evaluate",
)
app.command("detect", cls=JsonCommand)(with_options(detect))
app.command("fit", cls=JsonCommand)(with_options(fit))
app.command("classify", cls=JsonCommand)(with_options(classify))
app.command("triage", cls=JsonCommand)(with_options(triage))
evaluate.command("fewshot", cls=ShotsCommand)(with_options(fewshot))
evaluate.command("clicks", cls=JsonCommand)(with_options(clicks))
evaluate.command("detection", cls=Command)(with_options(detection))
evaluate.command("verification", cls=VerificationCommand)(with_options(verification))
evaluate.command("bundle", cls=JsonCommand)(with_options(evaluate_bundle))
evaluate.command("thermograms", cls=JsonCommand)(with_options(thermograms))
app.command("crops", cls=SizesCommand)(with_options(crops))
evaluate.command("crop-size", cls=SizesCommand)(with_options(crop_size))
app.command("adapt", cls=JsonCommand)(with_options(adapt))
app.command("report", cls=Command)(with_options(report))
app.command("check-labels", cls=JsonCommand)(with_options(check_labels))
app.command("consensus", cls=JsonCommand)(with_options(consensus))
evaluate.command("consensus", cls=JsonCommand)(with_options(evaluate_consensus))
app.add_typer(evaluate)
app.add_typer(train)
study.command("regions", cls=JsonCommand)(with_options(regions))
app.add_typer(study)
app.command("serve", cls=Command)(with_options(serve))
app.command("demo", cls=JsonCommand)(with_options(demo))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-hemacells {__version__}")
        raise typer.Exit


@app.callback()
def hemacells(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Detect, annotate and classify blood cells, without a viewer."""


def main() -> None:
    """Run the command line."""
    app()
