"""``hemacells evaluate detection IMAGES ANNOTATIONS``: how well cells are found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_hemacells.cli.batch import end_with_unreadable
from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.evaluate import JsonFile
from napari_hemacells.cli.options import CpuDevice, RunOptions
from napari_hemacells.cli.sources import find_images
from napari_hemacells.cli.tally import in_words
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.params import DetectParams

if TYPE_CHECKING:
    from napari_hemacells.core.evaluate.detector import DetectionReport

AnnotatedImages = Annotated[
    str, typer.Argument(metavar="IMAGES", help="An image, a folder of images, or a pattern.")
]
Annotations = Annotated[
    Path,
    typer.Argument(
        metavar="ANNOTATIONS",
        help=(
            "A folder with STEM.xml (Pascal VOC boxes) or STEM.txt (centres, lines `x y type`) "
            "for each image, or a COCO .json."
        ),
    ),
]
Only = Annotated[
    Path | None,
    typer.Option(
        "--only", metavar="FILE", help="Only the images whose stems this list names, one a line."
    ),
]
AsClass = Annotated[
    str | None,
    typer.Option(
        "--as-class",
        metavar="CLASS",
        help="Every annotated cell is of this class (RBC, WBC, Platelets), whatever its name.",
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
    device: CpuDevice = "auto",  # noqa: ARG001  # the same options for every command
    run: RunOptions,
) -> None:
    """Compare found with annotated cells: precision, recall, F1, average precision, counts."""
    from napari_hemacells.core.evaluate.detector import evaluate_detection_steps
    from napari_hemacells.core.evaluate.fields import read_fields

    reporter = Reporter(quiet=run.quiet, json_to=json)
    paths = find_images([images])
    chosen = paths if only is None else _listed(paths, only)
    fields, without = read_fields(chosen, annotations, as_class=as_class)
    report = reporter.run(evaluate_detection_steps(fields, params), "Comparing cells")
    if without:
        reporter.warn(f"{len(without)} images without annotation were left out.")
    reporter.tell(as_table(report))
    split = f"the images listed in {only}" if only else "all images given; none was held out here"
    names = [str(path) for path in without]
    reporter.finish({**report.to_dict(), "split": split, "without_annotation": names})
    end_with_unreadable(report.unreadable, reporter)


def _listed(paths: list[Path], only: Path) -> list[Path]:
    """Return the images that the list names.

    Raises
    ------
    CellsError
        The list cannot be read, or names none of the images.
    """
    try:
        names = set(only.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise CellsError(f"The list {only} cannot be read: {error}.") from error
    chosen = [path for path in paths if path.stem in names or path.name in names]
    if not chosen:
        raise CellsError(f"The list {only} names none of the {len(paths)} images.")
    return chosen


def as_table(report: "DetectionReport") -> Table:
    """Return the report as a table, a row a class."""
    told = report.to_dict()
    other = report.not_annotated
    table = Table(
        title=f"{report.params.method} detector, {told['n_images']} images; hit: {told['hit']}",
        caption=f"The detector has seen: {told['detector_has_seen']}."
        + (f" Found, but annotated nowhere: {in_words(other)}." if other else ""),
    )
    headings = ("precision", "recall", "f1", "ap50", "annotated", "found", "count_error")
    table.add_column("class")
    for heading in headings:
        table.add_column(heading.replace("_", " "), justify="right")
    for name, row in {**told["classes"], "all": told["all"]}.items():
        table.add_row(name, *(_shown(row[heading]) for heading in headings))
    return table


def _shown(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
