"""``hemacells evaluate fewshot FOLDER``: what a handful of shots is worth, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from napari_hemacells.cli.adapt import adapted_to_folder
from napari_hemacells.cli.batch import end_with_unreadable
from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.options import NetworkDevice, RunOptions
from napari_hemacells.cli.tally import in_words
from napari_hemacells.core.params import AdaptParams, ClassifyParams, DeviceName

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.types import CropSpec

ADAPTED = "adapted without labels to all these crops, the scored ones too (transductive)"
DEFAULT_SHOTS = ("1", "5", "10")
HEADINGS = (
    "shots", "balanced accuracy", "std", "95 % of the draws", "macro F1", "ECE", "unknown AUROC",
)  # fmt: skip
ClassFolders = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder with a sub-folder of crops a class.")
]
Shots = Annotated[
    list[str] | None,
    typer.Option(
        "--shots",
        metavar="N [N ...]",
        help="Crops a class to learn from.",
        show_default=" ".join(DEFAULT_SHOTS),
    ),
]
Repeats = Annotated[int, typer.Option(min=1, help="Draws of the crops, for each shot count.")]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]
OF_MODEL = "model:"  # before the place of a bundle whose encoder is meant
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="bundled, bundled-2-turns, imagenet, colour-histogram (no network), timm:NAME, "
        "dinobloom-s, reddino-small, file:PATH?arch=NAME, adapted:PATH, model:BUNDLE (of a "
        "saved or fine-tuned model), untrained:NAME.",
    ),
]
Adapted = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Adapt the encoder to these crops first, without their classes (transductive: it "
        "has seen the scored crops).",
    ),
]
SelectName = Annotated[
    Literal["random", "diverse", "active"],
    typer.Option(
        "--select",
        help="Which crops teach: random ones of each class, the most different of each class, or "
        "as many in all as the queue proposes.",
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON; - for standard output."
    ),
]


def parse_shots(texts: list[str]) -> list[int]:
    """Return the shot counts, ascending, each once: of ``1 5``, ``1,5`` or repeated flags.

    Raises
    ------
    typer.BadParameter
        If one is not a whole number of 1 or more.
    """
    try:
        shots = {int(number) for text in texts for number in text.split(",")}
    except ValueError as error:
        raise typer.BadParameter(
            f"whole numbers are needed, got {' '.join(texts)!r}.", param_hint="--shots"
        ) from error
    if min(shots) < 1:
        raise typer.BadParameter("1 shot or more is needed.", param_hint="--shots")
    return sorted(shots)


def make_encoder(name: str, device: DeviceName) -> "Encoder":
    """Return the encoder of that name, or of ``model:BUNDLE``.

    Colour histograms are the baseline without a network.

    Raises
    ------
    EncoderError
        No such name, or the device cannot be used.
    BundleError
        There is no model bundle at that place.
    """
    from napari_hemacells.core import encode
    from napari_hemacells.core.evaluate import colour

    if name == colour.NAME:
        return colour.ColourHistogram()
    if name.startswith(OF_MODEL):
        from napari_hemacells.core.store import load_bundle

        return load_bundle(name.removeprefix(OF_MODEL)).make_encoder(device)
    return encode.bundled_encoder(device) if name == "bundled" else encode.encoder(name, device)


def crop_of(name: str) -> "CropSpec":
    """Return what crops the encoder of that name is given: those of its model, or the usual.

    Raises
    ------
    BundleError
        There is no model bundle at that place.
    """
    from napari_hemacells.core import store, types

    if not name.startswith(OF_MODEL):
        return types.CropSpec()
    return store.load_bundle(name.removeprefix(OF_MODEL)).spec


def fewshot(
    folder: ClassFolders,
    *,
    shots: Shots = None,
    repeats: Repeats = 50,
    seed: Seed = 0,
    encoder: EncoderName = "bundled",
    select: SelectName = "random",
    adapt: Adapted = False,
    params: ClassifyParams,
    json: JsonFile = None,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Learn from a few crops a class, score all others, many times over."""
    from napari_hemacells.core.evaluate import class_folders, fewshot_steps

    counts = parse_shots(shots or list(DEFAULT_SHOTS))
    class_folders(folder)  # a wrong folder is told before the network is loaded
    reporter = Reporter(quiet=run.quiet, json_to=json)
    if adapt:
        network = adapted_to_folder(folder, encoder, AdaptParams(device=device), reporter)
    else:
        network = make_encoder(encoder, device)
    steps = fewshot_steps(
        folder,
        counts,
        network,
        repeats=repeats,
        seed=seed,
        spec=crop_of(encoder),
        params=params,
        how=select,
    )
    found = reporter.run(steps, "Few-shot experiment")
    report = found.to_dict() | {"adapted": ADAPTED if adapt else None}
    reporter.tell(as_table(report))
    if found.left_out:
        reporter.warn(f"Left out, too few crops: {in_words(found.left_out)}.")
    reporter.finish(report)
    end_with_unreadable(found.unreadable, reporter)


def _and_adapted(report: dict[str, Any]) -> str:
    return f" Encoder: {report['adapted']}." if report.get("adapted") else ""


def as_table(report: dict[str, Any]) -> Table:
    """Return the report as a table, a row a shot count."""
    classes = in_words(report["classes"])
    table = Table(
        title=f"{report['encoder']}, {report['n']} crops: {classes}",
        caption=f"Each row: {report['repeats']} draws; {report['split']}; "
        f"{report['standardisation']}.{_and_adapted(report)}",
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for shots, row in report["shots"].items():
        low, high = row["ci95"]
        table.add_row(
            shots,
            f"{row['balanced_accuracy']:.3f}",
            f"{row['std']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{row['macro_f1']:.3f}",
            f"{row['ece']:.3f}",
            "" if row["unknown_auroc"] is None else f"{row['unknown_auroc']:.3f}",
        )
    return table
