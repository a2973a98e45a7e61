"""``hemacells evaluate bundle``: a saved model on other crops."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import Reporter, format_counts
from napari_hemacells.cli.options import JsonTarget, NetworkDevice, PlaneOptions, RunOptions
from napari_hemacells.cli.train_classifier import Crops, format_interval
from napari_hemacells.cli.two_levels import TwoLevels

BundleFolder = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A saved model (its folder).")
]
LabelPattern = Annotated[
    str,
    typer.Option(
        "--label-pattern",
        metavar="REGEX",
        help=(
            "Take the class from file names instead of folders: the first group of this regular "
            "expression, such as '^([A-Z]+)_'."
        ),
    ),
]
Copies = Annotated[
    int,
    typer.Option(
        "--tta", min=0, max=7, help="Rotated and mirrored copies of each crop to average over."
    ),
]


def evaluate_bundle(
    bundle: BundleFolder,
    folder: Crops,
    *,
    json: JsonTarget = None,
    tta: Copies = 0,
    planes: PlaneOptions,
    device: NetworkDevice = "auto",
    run: RunOptions,
    two_levels: TwoLevels = False,
    label_pattern: LabelPattern = "",
) -> None:
    """Measure a model on crops sorted by class, with bootstrap intervals.

    Of a model with classes within kinds, also how well the kind is told, and the class within it.
    """
    from napari_hemacells.core.store import check_compatible, load_bundle
    from napari_hemacells.core.train.evaluate_bundle import evaluate_bundle_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    model = load_bundle(bundle)
    encoder = model.make_encoder(device)
    check_compatible(model, encoder.info, model.spec)
    steps = evaluate_bundle_steps(
        model,
        folder,
        encoder,
        tta=tta,
        selection=planes.selection,
        label_pattern=label_pattern,
        two_levels=two_levels,
    )
    judged = reporter.run(steps, "Classifying")
    planes.tell(reporter)
    reporter.tell(bundle_table(judged.figures))
    if "kinds" in judged.figures:
        reporter.tell(levels_table(judged.figures))
    if judged.left_out:
        left = format_counts(judged.left_out)
        reporter.warn(f"Left out because the model does not know these classes: {left}.")
    record = {
        "bundle": str(bundle),
        "folder": str(folder),
        "encoder": model.encoder.name,
        "seen": model.encoder.seen,
        "tta": tta,
        **({"label_pattern": label_pattern} if label_pattern else {}),
        "left_out": judged.left_out,
        "unreadable": list(judged.loaded.unreadable),
    }
    reporter.finish(record | planes.record() | judged.figures)
    exit_if_unreadable(judged.loaded.unreadable, reporter)


def bundle_table(figures: dict[str, Any]) -> Table:
    """Return the figures: overall, then one row per class."""
    overall = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    overall_text = ", ".join(
        f"{name.replace('_', ' ')} {format_interval(figures[name])}" for name in overall
    )
    table = Table(
        title=f"{figures['n']} crops", caption=f"{overall_text}; ECE {figures['ece']:.3f}"
    )
    for heading in ("class", "n", "precision", "recall", "F1"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in figures["classes"].items():
        shown = (format_interval(row[metric]) for metric in ("precision", "recall", "f1"))
        table.add_row(name, str(row["n"]), *shown)
    return table


def levels_table(figures: dict[str, Any]) -> Table:
    """Return how well the kinds are told, and the classes within each once the kind is known."""
    table = Table(
        title="Kind, and class within it",
        caption="Within: among the classes of the true kind. In brackets the 95 % interval.",
    )
    for heading in ("", "n", "accuracy", "balanced accuracy"):
        table.add_column(heading, justify="right" if heading else "left")
    rows = {"kind": figures["kinds"]}
    rows |= {f"within {kind}": own for kind, own in figures["within"].items()}
    for name, row in rows.items():
        shown = (format_interval(row[metric]) for metric in ("accuracy", "balanced_accuracy"))
        table.add_row(name, str(row["n"]), *shown)
    return table
