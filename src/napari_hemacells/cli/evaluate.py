"""``hemacells evaluate``: few-shot accuracy, saved models, active learning and detection.

``fewshot FOLDER`` measures accuracy with few annotated crops, ``bundle BUNDLE FOLDER`` a saved
model on other crops, ``clicks FOLDER`` how many annotations an accuracy costs, and
``detection IMAGES ANNOTATIONS`` how well cells are found.
"""

import io
from collections.abc import Collection
from csv import writer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from napari_hemacells.cli.adapt import adapted_to_folder
from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import (
    Reporter,
    format_counts,
    write_text,
)
from napari_hemacells.cli.inputs import find_images
from napari_hemacells.cli.options import (
    CpuDevice,
    JsonTarget,
    NetworkDevice,
    PlaneOptions,
    RunOptions,
)
from napari_hemacells.cli.two_levels import (
    ParentsTable,
    TwoLevels,
    read_parents,
    shot_levels_table,
)
from napari_hemacells.core.errors import CellsError, StorageError
from napari_hemacells.core.files.text_tables import read_text_file
from napari_hemacells.core.params import (
    AdaptParams,
    ClassifyParams,
    DetectParams,
    DeviceName,
)

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.evaluate.click_curve import ClickCurve
    from napari_hemacells.core.evaluate.detection_report import DetectionReport
    from napari_hemacells.core.types import CropSpec

ADAPTED_NOTE = (
    "adapted without labels to all these crops, including the scored ones (transductive)"
)
DEFAULT_SHOTS = ("1", "5", "10")
HEADINGS = (
    "shots", "balanced accuracy", "std", "95 % of the draws", "macro F1", "ECE", "unknown AUROC",
)  # fmt: skip
ClassFolders = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder with one sub-folder of crops per class.")
]
Shots = Annotated[
    list[str] | None,
    typer.Option(
        "--shots",
        metavar="N [N ...]",
        help="Numbers of annotated crops per class.",
        show_default=" ".join(DEFAULT_SHOTS),
    ),
]
Repeats = Annotated[
    int, typer.Option(min=1, help="Draws of the annotated crops, for each number of shots.")
]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]
MODEL_PREFIX = "model:"  # before the place of a bundle whose encoder is meant
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="bundled, bundled-2-turns, blood-2, imagenet, colour-histogram (no network), "
        "timm:NAME, dinobloom-s, reddino-small, file:PATH?arch=NAME, adapted:PATH, model:BUNDLE "
        "(of a saved or fine-tuned model), untrained:NAME.",
    ),
]
Adapted = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Adapt the encoder to these crops first, without their classes. This is "
        "transductive: the encoder has then seen the scored crops.",
    ),
]
SelectName = Annotated[
    Literal["random", "diverse", "active"],
    typer.Option(
        "--select",
        help="How the annotated crops are chosen: at random from each class, the most "
        "different of each class, or as many in total as the review queue "
        "proposes.",
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON; - for standard output."
    ),
]


def parse_shots(texts: list[str]) -> list[int]:
    """Return the shot counts, sorted, each once: from ``1 5``, ``1,5`` or repeated flags.

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
        raise typer.BadParameter("at least 1 shot is needed.", param_hint="--shots")
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
    from napari_hemacells.core.encode import colour_histogram

    if name == colour_histogram.COLOUR_HISTOGRAM:
        return colour_histogram.ColourHistogram()
    if name.startswith(MODEL_PREFIX):
        from napari_hemacells.core.store import load_bundle

        return load_bundle(name.removeprefix(MODEL_PREFIX)).make_encoder(device)
    return (
        encode.bundled_encoder(device) if name == "bundled" else encode.load_encoder(name, device)
    )


def crop_of(name: str) -> "CropSpec":
    """Return the crop parameters for the named encoder: those of its model, or the default.

    Raises
    ------
    BundleError
        There is no model bundle at that place.
    """
    from napari_hemacells.core import store, types

    if not name.startswith(MODEL_PREFIX):
        return types.CropSpec()
    return store.load_bundle(name.removeprefix(MODEL_PREFIX)).spec


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
    planes: PlaneOptions,
    json: JsonFile = None,
    device: NetworkDevice = "auto",
    run: RunOptions,
    two_levels: TwoLevels = False,
    parents: ParentsTable = None,
) -> None:
    """Measure accuracy with few examples: learn from a few crops per class, score all others."""
    from napari_hemacells.core.evaluate import fewshot_steps, list_class_folders

    counts = parse_shots(shots or list(DEFAULT_SHOTS))
    table = read_parents(parents, two_levels=two_levels)
    list_class_folders(folder, two_levels=two_levels)  # a wrong one is told before the network
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
        selection=planes.selection,
        two_levels=two_levels,
        table=table,
    )
    result = reporter.run(steps, "Few-shot experiment")
    planes.tell(reporter)
    report = result.to_dict() | {"adapted": ADAPTED_NOTE if adapt else None}
    report |= planes.record()
    reporter.tell(fewshot_table(report))
    if any("levels" in row for row in report["shots"].values()):
        reporter.tell(shot_levels_table(report))
    most = str(max(result.shots))
    reporter.tell(class_rates_table(report, most))
    reporter.tell(confusion_table(report, most))
    if result.left_out:
        reporter.warn(f"Left out, too few crops: {format_counts(result.left_out)}.")
    reporter.finish(report)
    exit_if_unreadable(result.unreadable, reporter)


def _with_adapted_note(report: dict[str, Any]) -> str:
    return f" Encoder: {report['adapted']}." if report.get("adapted") else ""


def fewshot_table(report: dict[str, Any]) -> Table:
    """Return the report as a table, one row per number of shots."""
    classes = format_counts(report["classes"])
    table = Table(
        title=f"{report['encoder']}, {report['n']} crops: {classes}",
        caption=f"Each row: {report['repeats']} draws; {report['split']}; "
        f"{report['standardisation']}.{_with_adapted_note(report)}",
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


def class_rates_table(report: dict[str, Any], shots: str) -> Table:
    """Return sensitivity and specificity of each class for so many shots."""
    table = Table(
        title=f"Each class, {shots} shots",
        caption=f"Mean of {report['repeats']} draws, in brackets the middle 95 % of them; "
        f"{report['split']}.",
    )
    table.add_column("class")
    for heading in ("sensitivity", "specificity"):
        table.add_column(heading, justify="right")
    for name, rates in report["shots"][shots]["by_class"].items():
        cells = (
            f"{rates[key]:.3f} ({rates[f'{key}_low']:.3f} to {rates[f'{key}_high']:.3f})"
            for key in ("sensitivity", "specificity")
        )
        table.add_row(name, *cells)
    return table


def confusion_table(report: dict[str, Any], shots: str) -> Table:
    """Return what was taken for what with so many shots."""
    table = Table(
        title=f"What was taken for what, {shots} shots",
        caption="A row for each true class: mean number of scored crops a draw.",
    )
    table.add_column("")
    names = list(report["classes"])
    for name in names:
        table.add_column(name, justify="right")
    for name, row in zip(names, report["shots"][shots]["confusion"], strict=True):
        table.add_row(name, *(f"{count:.1f}" for count in row))
    return table


COLUMNS = ("order", "clicks", "balanced_accuracy", "low", "high")
Clicks = Annotated[
    int | None,
    typer.Option(min=2, help="Number of clicks in total.", show_default="20 per class"),
]
ClickRepeats = Annotated[
    int, typer.Option(min=1, help="Draws of the crops that can be annotated.")
]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the curves as a table (CSV).")
]
PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw the curves into a picture file."),
]


def clicks(
    folder: ClassFolders,
    *,
    clicks: Clicks = None,
    repeats: ClickRepeats = 20,
    seed: Seed = 0,
    encoder: EncoderName = "bundled",
    params: ClassifyParams,
    planes: PlaneOptions,
    json: JsonTarget = None,
    csv: CsvFile = None,
    plot: PlotFile = None,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Measure how many clicks an accuracy costs: the review queue against random order."""
    from napari_hemacells.core.evaluate import list_class_folders
    from napari_hemacells.core.evaluate.click_curve import click_curve_steps

    list_class_folders(folder)  # a wrong folder is told before the network is loaded
    reporter = Reporter(quiet=run.quiet, json_to=json)
    network, spec = make_encoder(encoder, device), crop_of(encoder)
    steps = click_curve_steps(
        folder,
        network,
        clicks=clicks,
        repeats=repeats,
        seed=seed,
        params=params,
        spec=spec,
        selection=planes.selection,
    )
    curve = reporter.run(steps, "Simulated clicks")
    planes.tell(reporter)
    reporter.tell(clicks_table(curve))
    if csv is not None:
        write_text(csv, clicks_csv(curve))
    if plot is not None:
        plot_click_curve(curve, plot)
    reporter.finish(curve.to_dict() | planes.record())


def clicks_table(curve: "ClickCurve") -> Table:
    """Return the number of clicks that each order needs."""
    table = Table(
        title=f"{curve.encoder}: random order reaches {curve.target:.3f} with "
        f"{curve.clicks} clicks",
        caption=f"Mean of {curve.repeats} draws; scored on held-out crops.",
    )
    for heading in ("order", "clicks needed", f"accuracy after {curve.clicks} clicks"):
        table.add_column(heading, justify="right")
    for order, needed in curve.clicks_to_target().items():
        last = curve.of(order)[-1].balanced_accuracy
        table.add_row(order, "not reached" if needed is None else str(needed), f"{last:.3f}")
    return table


def clicks_csv(curve: "ClickCurve") -> str:
    """Return the points of all curves, one line each."""
    text = io.StringIO()
    table = writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([getattr(point, name) for name in COLUMNS] for point in curve.points)
    return text.getvalue()


def plot_click_curve(curve: "ClickCurve", file: Path) -> None:
    """Write the curves as a picture.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for order in dict.fromkeys(point.order for point in curve.points):
        points = curve.of(order)
        places = [point.clicks for point in points]
        (line,) = axes.plot(places, [point.balanced_accuracy for point in points], label=order)
        bounds = [point.low for point in points], [point.high for point in points]
        axes.fill_between(places, *bounds, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.axhline(curve.target, color="0.5", linestyle=":", linewidth=1)
    axes.set(xlabel="clicks", ylabel="balanced accuracy", xlim=(0, curve.clicks))
    axes.set_title(f"{curve.encoder}, {curve.repeats} draws; band: middle 95 %", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise StorageError(f"{file} cannot be written: {error}.") from error


AnnotatedImages = Annotated[
    str, typer.Argument(metavar="IMAGES", help="An image, a folder of images, or a pattern.")
]
Annotations = Annotated[
    Path,
    typer.Argument(
        metavar="ANNOTATIONS",
        help=(
            "A folder with STEM.xml (Pascal VOC boxes) or STEM.txt (YOLO boxes, or centres, lines "
            "`x y type`) for each image, or a COCO .json."
        ),
    ),
]
Only = Annotated[
    Path | None,
    typer.Option(
        "--only",
        metavar="FILE",
        help="Use only the images whose stems are in this list, one per line.",
    ),
]
AsClass = Annotated[
    str | None,
    typer.Option(
        "--as-class",
        metavar="CLASS",
        help="Count every annotated cell as this class (RBC, WBC, Platelets), whatever its name.",
    ),
]


def detection(
    images: AnnotatedImages,
    annotations: Annotations,
    *,
    only: Only = None,
    as_class: AsClass = None,
    json: JsonFile = None,
    params: DetectParams,
    planes: PlaneOptions,
    device: CpuDevice = "auto",  # noqa: ARG001  # the same options for every command
    run: RunOptions,
) -> None:
    """Compare detected with annotated cells: precision, recall, F1, average precision, counts."""
    from napari_hemacells.core.evaluate.detection_datasets import read_fields
    from napari_hemacells.core.evaluate.detection_report import evaluate_detection_steps

    reporter = Reporter(quiet=run.quiet, json_to=json)
    paths = find_images([images])
    chosen = paths if only is None else _listed(paths, only, reporter)
    fields, without = read_fields(
        chosen, annotations, as_class=as_class, selection=planes.selection
    )
    report = reporter.run(
        evaluate_detection_steps(fields, params, planes.selection), "Comparing cells"
    )
    if without:
        reporter.warn(f"{len(without)} images without annotations were left out.")
    for note in report.notes:
        reporter.warn(note)
    reporter.tell(detection_table(report))
    split = f"the images listed in {only}" if only else "all images given; none was held out here"
    names = [str(path) for path in without]
    reporter.finish(
        {**report.to_dict(), **planes.record(), "split": split, "without_annotation": names}
    )
    exit_if_unreadable(report.unreadable, reporter)


SHOWN_NAMES = 5


def _listed(paths: list[Path], only: Path, reporter: Reporter) -> list[Path]:
    """Return the images that the list names; say which names are no image's.

    Raises
    ------
    CellsError
        The list cannot be read, or names none of the images.
    """
    try:
        lines = read_text_file(only).splitlines()
    except (OSError, ValueError) as error:
        raise CellsError(f"The list {only} cannot be read: {error}.") from error
    known = {name for path in paths for name in (path.stem, path.name)}
    names = {name for line in lines for name in _names_in(line, known)}
    chosen = [path for path in paths if path.stem in names or path.name in names]
    if not chosen:
        raise CellsError(
            f"The list {only} names none of the {len(paths)} images. Write one name a line."
        )
    if unknown := sorted(names - known):
        shown = ", ".join(f"“{name}”" for name in unknown[:SHOWN_NAMES])
        more = f" and {len(unknown) - SHOWN_NAMES} more" if len(unknown) > SHOWN_NAMES else ""
        reporter.warn(f"The list {only} names images that are not there: {shown}{more}.")
    return chosen


def _names_in(line: str, known: Collection[str]) -> list[str]:
    """Return the names on a line: one, with its blanks; several only where each is an image's.

    A path stands for its last part.
    """
    text = line.strip()
    whole = text.replace("\\", "/").rpartition("/")[2]
    if not text or text in known:
        return [text] if text else []
    if whole in known:
        return [whole]
    for parts in ([part.strip() for part in text.split(",")], text.split()):
        if len(parts) > 1 and all(part in known for part in parts if part):
            return [part for part in parts if part]
    return [whole]


def detection_table(report: "DetectionReport") -> Table:
    """Return the report as a table, one row per class."""
    data = report.to_dict()
    other = report.not_annotated
    table = Table(
        title=f"{report.params.method} detector, {data['n_images']} images; match: {data['hit']}",
        caption=f"The detector has seen: {data['detector_has_seen']}."
        + (f" Detected kinds without any annotation: {format_counts(other)}." if other else ""),
    )
    headings = ("precision", "recall", "f1", "ap50", "annotated", "found", "count_error")
    table.add_column("class")
    for heading in headings:
        table.add_column(heading.replace("_", " "), justify="right")
    for name, row in {**data["classes"], "all": data["all"]}.items():
        table.add_row(name, *(_format_score(row[heading]) for heading in headings))
    return table


def _format_score(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
