"""``hemacells evaluate bundle BUNDLE FOLDER --json FILE``: a model's figures on other crops."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from napari_hemacells.cli.batch import end_with_unreadable
from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.options import JsonTarget, NetworkDevice, RunOptions
from napari_hemacells.cli.tally import in_words as counts_in_words
from napari_hemacells.cli.train_classifier import Crops, in_words

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A model bundle.")]
Copies = Annotated[
    int, typer.Option("--tta", min=0, max=7, help="Turned and mirrored copies to average over.")
]


def evaluate_bundle(
    bundle: BundleFolder,
    folder: Crops,
    *,
    json: JsonTarget = None,
    tta: Copies = 0,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Measure a model on crops sorted by class, with bootstrap intervals."""
    from napari_hemacells.core.store import check, load_bundle
    from napari_hemacells.core.train.evaluate_bundle import evaluate_bundle_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    model = load_bundle(bundle)
    encoder = model.make_encoder(device)
    check(model, encoder.info, model.spec)
    steps = evaluate_bundle_steps(model, folder, encoder, tta=tta)
    judged = reporter.run(steps, "Classifying")
    reporter.tell(as_table(judged.figures))
    if judged.left_out:
        left = counts_in_words(judged.left_out)
        reporter.warn(f"Left out, the model does not know these classes: {left}.")
    record = {
        "bundle": str(bundle),
        "folder": str(folder),
        "encoder": model.encoder.name,
        "seen": model.encoder.seen,
        "tta": tta,
        "left_out": judged.left_out,
        "unreadable": list(judged.loaded.unreadable),
    }
    reporter.finish(record | judged.figures)
    end_with_unreadable(judged.loaded.unreadable, reporter)


def as_table(figures: dict[str, Any]) -> Table:
    """Return the figures: overall, then a row a class."""
    overall = ("accuracy", "balanced_accuracy", "kappa", "macro_f1")
    said = ", ".join(f"{name.replace('_', ' ')} {in_words(figures[name])}" for name in overall)
    table = Table(title=f"{figures['n']} crops", caption=f"{said}; ECE {figures['ece']:.3f}")
    for heading in ("class", "n", "precision", "recall", "F1"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in figures["classes"].items():
        shown = (in_words(row[one]) for one in ("precision", "recall", "f1"))
        table.add_row(name, str(row["n"]), *shown)
    return table
