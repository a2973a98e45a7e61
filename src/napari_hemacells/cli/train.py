"""``hemacells train`` and ``hemacells report FOLDER``: training, and its HTML report."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from napari_hemacells.cli.console import Reporter, run_training
from napari_hemacells.cli.options import JsonCommand, RunOptions, with_options
from napari_hemacells.cli.train_classifier import classifier, presets_help
from napari_hemacells.cli.train_detector import detector
from napari_hemacells.cli.train_siamese import siamese

CLASSIFIER = "classifier"


class TrainGroup(TyperGroup):
    """``train FOLDER`` is ``train classifier FOLDER``; a folder called detector is ./detector."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with the command that was meant."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or not args else [CLASSIFIER, *args])


class ClassifierCommand(JsonCommand):
    """A command whose ``--compare`` takes several names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with ``--compare a b`` as ``--compare=a,b``."""
        return super().parse_args(ctx, join_names(args))


def join_names(arguments: list[str], option: str = "--compare") -> list[str]:
    """Return the arguments with the names after the option joined by commas.

    They end at the next option, or at a file or folder that exists.

    Examples
    --------
    >>> gather_names(["--compare", "resnet18", "alexnet", "--out", "x"])
    ['--compare=resnet18,alexnet', '--out', 'x']
    """
    result: list[str] = []
    gathers = False
    for argument in arguments:
        gathers = gathers and not argument.startswith("-") and not Path(argument).exists()
        if gathers:
            result[-1] += ("" if result[-1].endswith("=") else ",") + argument
        elif argument == option:
            result.append(f"{option}=")
            gathers = True
        else:
            result.append(argument)
    return result


train = typer.Typer(
    help=(
        "Train a classifier (train FOLDER --out DIR; its options: train "
        "classifier --help), the detector on corrected cells, or a siamese network that tells "
        "which cells are alike."
    ),
    cls=TrainGroup,
    no_args_is_help=True,
    name="train",
)
train.command(CLASSIFIER, cls=ClassifierCommand, epilog=presets_help())(with_options(classifier))
train.command("detector", cls=JsonCommand)(with_options(detector))
train.command("siamese", cls=JsonCommand)(with_options(siamese))


Trained = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="The folder that was given to hemacells train with --out."
    ),
]
Labels = Annotated[
    bool,
    typer.Option(
        "--labels/--no-labels",
        help="Also look for suspected wrong labels, if this was not done before.",
    ),
]


def report(folder: Trained, *, labels: Labels = True, run: RunOptions) -> None:
    """Write the report of a finished training or cross-validation again (FOLDER/report.html)."""
    from napari_hemacells.core.train.classifier.report import write_report_steps

    reporter = Reporter(quiet=run.quiet, json_to=None)
    file = run_training(write_report_steps(folder, labels=labels), reporter, "Writing the report")
    reporter.tell(f"Report: {file}")
