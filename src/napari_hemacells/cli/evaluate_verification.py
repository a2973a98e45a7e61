"""``hemacells evaluate verification FOLDER``: whether new kinds of cells are told apart."""

from typing import Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.evaluate import ClassFolders, EncoderName
from napari_hemacells.cli.options import JsonCommand, JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.core.params import SiameseParams

NAMES_OPTIONS = ("--train-classes", "--test-classes")
TrainClasses = Annotated[
    list[str],
    typer.Option(
        "--train-classes",
        metavar="CLASS [CLASS ...]",
        help="Classes (sub-folders) that are learned from.",
    ),
]
TestClasses = Annotated[
    list[str],
    typer.Option(
        "--test-classes",
        metavar="CLASS [CLASS ...]",
        help="Other classes, whose pairs are tested.",
    ),
]
PerClass = Annotated[
    int, typer.Option(min=2, help="Pictures of each training class to learn from.")
]
Repeats = Annotated[int, typer.Option(min=1, help="Draws of these pictures.")]
Turns = Annotated[
    int,
    typer.Option(
        min=1,
        max=4,
        help="Quarter turns of each picture over which the encoder's vectors are averaged "
        "(--network distance); an encoder that does so itself needs 1.",
    ),
]
Seed = Annotated[int, typer.Option("--draw-seed", help="Seed of the draws.")]


class VerificationCommand(JsonCommand):
    """A command whose ``--train-classes`` and ``--test-classes`` take several names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments left after parsing, with one flag for each name."""
        return super().parse_args(ctx, repeat_flags(args))


def repeat_flags(arguments: list[str], options: tuple[str, ...] = NAMES_OPTIONS) -> list[str]:
    """Return the arguments with each name after one of the options under a flag of its own.

    The names end at the next option, so the folder is named before them.

    Examples
    --------
    >>> repeat_flags(["x", "--test-classes", "a", "b", "--repeats", "3"])
    ['x', '--test-classes=a', '--test-classes=b', '--repeats', '3']
    """
    result, flag = list[str](), ""
    for argument in arguments:
        if argument in options:
            flag = argument
        elif argument.startswith("-"):
            flag = ""
            result.append(argument)
        elif flag:
            result.append(f"{flag}={argument}")
        else:
            result.append(argument)
    return result


def _split(names: list[str]) -> list[str]:
    return [name for text in names for name in text.split(",") if name]


def verification(
    folder: ClassFolders,
    *,
    train_classes: TrainClasses,
    test_classes: TestClasses,
    per_class: PerClass = 20,
    repeats: Repeats = 10,
    draw_seed: Seed = 0,
    encoder: EncoderName = "bundled",
    turns: Turns = 4,
    json: JsonTarget = None,
    params: SiameseParams,
    planes: PlaneOptions,
    run: RunOptions,
) -> None:
    """Measure whether pairs of new kinds are told apart (same kind or not).

    Learns from a few pictures of the training classes, chooses the threshold there, and tests on
    balanced pairs of the test classes.
    """
    from napari_hemacells.core.train.siamese.config import check_installed
    from napari_hemacells.core.train.siamese.verification import check_classes, verification_steps

    check_installed(params)
    learned, tested = _split(train_classes), _split(test_classes)
    check_classes(folder, learned, tested, per_class)  # told before the network is loaded
    reporter = Reporter(quiet=run.quiet, json_to=json)
    steps = verification_steps(
        folder,
        learned,
        tested,
        per_class=per_class,
        repeats=repeats,
        seed=draw_seed,
        encoder=encoder,
        params=params,
        turns=turns,
        selection=planes.selection,
    )
    result = reporter.run(steps, "Same kind or not")
    planes.tell(reporter)
    record = result.to_dict() | planes.record()
    reporter.tell(verification_table(record))
    reporter.say(f"The weights have seen: {record['seen'] or 'not known'}.")
    reporter.say("If the test classes are among that, this is no test of new kinds.")
    reporter.finish(record)
    exit_if_unreadable(result.unreadable, reporter)


def verification_table(record: dict[str, Any]) -> Table:
    """Return the figures: overall, then a row for the pairs of each two kinds."""
    low, high = record["ci95"]
    table = Table(
        title=f"{record['encoder']} ({record['network']}): {record['accuracy']:.3f} of pairs "
        f"right ({low:.3f} to {high:.3f}), AUROC {record['auroc']:.3f}",
        caption=f"{record['repeats']} draws of {record['per_class']} pictures of each of "
        f"{', '.join(record['train_classes'])}; {record['split']}. In brackets: "
        f"{record['interval']}.",
    )
    table.add_column("pairs of")
    table.add_column("right", justify="right")
    for name, share in record["accuracy_by_kinds"].items():
        table.add_row(name, f"{share:.3f}")
    return table
