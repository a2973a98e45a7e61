"""``hemacells train …``: the commands that teach."""

import typer

from napari_hemacells.cli.command import JsonCommand
from napari_hemacells.cli.options import with_options
from napari_hemacells.cli.train_detector import detector

train = typer.Typer(
    help="Teach the detector from corrected cells.",
    no_args_is_help=True,
    name="train",
)
train.command("detector", cls=JsonCommand)(with_options(detector))
