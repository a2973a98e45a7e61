"""``hemacells crops POINTS --images DIR --out DIR``: crops of several sizes around points.

``hemacells evaluate crop-size CROPS --out DIR``: which size tells the classes apart best.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_hemacells.cli.adapt import project_of
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.options import (
    JsonTarget,
    NetworkDevice,
    RunOptions,
    parse_numbers,
)
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.params import CropSizeParams, PointCropParams

if TYPE_CHECKING:
    from napari_hemacells.core.store.point_crops import PointCropsReport
    from napari_hemacells.core.store.point_sources import FoundPoints

APPROACH_NAMES = ("few-shot", "fine-tuned", "scratch")

Points = Annotated[
    Path,
    typer.Argument(
        metavar="POINTS",
        help=(
            "A table (.csv) with the columns image, row, column and class, such as hemacells "
            "consensus writes; boxes or points of a folder (Pascal VOC, COCO, YOLO, x y type); or "
            "a project, of which the annotated cells are taken."
        ),
    ),
]
ImagesFolder = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Folder of the images. Not for a project."),
]
CropsOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder for the crops.")
]
Sizes = Annotated[
    str, typer.Option("--size", metavar="PX [PX ...]", help="Sides of the crops in pixels.")
]


def crops(
    points: Points,
    *,
    images: ImagesFolder = None,
    out: CropsOut,
    size: Sizes = "90 95 100 128",
    json: JsonTarget = None,
    params: PointCropParams,
    run: RunOptions,
) -> None:
    """Cut crops of several sizes around points, sorted by class and split by frame."""
    from napari_hemacells.core.store.point_crops import check_sizes, write_point_crops_steps

    sizes = check_sizes(parse_numbers(size, "--size"))
    reporter = Reporter(quiet=run.quiet, json_to=json)
    found = find_points(points, images)
    steps = write_point_crops_steps(
        found.images, out.absolute(), sizes=sizes, params=params, notes=found.notes
    )
    report = reporter.run(steps, "Cutting crops")
    reporter.tell(crops_table(report))
    for note in report.notes:
        reporter.warn(note)
    reporter.tell(f"Table: {out / 'crops.csv'}")
    reporter.finish(report.to_dict() | params.model_dump())


def find_points(points: Path, images: Path | None) -> "FoundPoints":
    """Return the points that the argument stands for.

    Raises
    ------
    HemaCellsError
        There are none, or they fit no image.
    """
    from napari_hemacells.core.store import point_sources

    if not points.exists():
        raise CellsError(f"{points} does not exist: a table, annotations or a project is needed.")
    if points.is_dir() and images is None and (project := project_of(points)) is not None:
        return point_sources.project_points(project)
    if images is None:
        raise typer.BadParameter("Say where the images are: --images DIR.", param_hint="--images")
    files = point_sources.images_of_folder(images)
    if points.suffix.lower() == ".csv":
        return point_sources.read_point_table(points, files)
    return point_sources.read_annotated_points(points, files)


def crops_table(report: "PointCropsReport") -> Table:
    """Return what was cut, a row a size."""
    table = Table(caption="Whole frames or movies are in one part. Border: points whose crop "
                          "reaches beyond the image.")  # fmt: skip
    for heading in ("px", "crops", "train", "validation", "test", "border", "rejected",
                    "no cell, set aside"):  # fmt: skip
        table.add_column(heading, justify="right")
    for size in report.at_border:
        parts = (report.count(size, part) for part in ("train", "validation", "test"))
        numbers = (report.count(size), *parts, report.at_border[size], report.rejected(size),
                   report.set_aside(size))  # fmt: skip
        table.add_row(str(size), *map(str, numbers))
    return table


CropsFolder = Annotated[
    Path, typer.Argument(metavar="CROPS", help="A folder that hemacells crops wrote.")
]
StudyOut = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder for table, page and networks; goes on with it."
    ),
]
StudySizes = Annotated[
    str | None,
    typer.Option("--size", metavar="PX [PX ...]", help="Sizes to compare; default: all there."),
]
StudyShots = Annotated[
    str,
    typer.Option("--shots", metavar="N [N ...]", help="Crops a class for the few-shot encoder."),
]
Approaches = Annotated[
    str,
    typer.Option(
        "--networks",
        metavar="NAMES",
        help=(
            "What is compared, separated by commas: few-shot (the encoder, frozen), fine-tuned "
            "(the encoder), scratch (the recipe's own network)."
        ),
    ),
]
EncoderChoice = Annotated[
    str, typer.Option("--encoder", help="Encoder of few-shot: bundled, imagenet, timm:NAME …")
]


def crop_size(
    folder: CropsFolder,
    *,
    out: StudyOut,
    size: StudySizes = None,
    networks: Approaches = "few-shot,fine-tuned,scratch",
    shots: StudyShots = "5 10 20",
    encoder: EncoderChoice = "bundled",
    json: JsonTarget = None,
    params: CropSizeParams,
    device: NetworkDevice = "auto",
    run: RunOptions,
) -> None:
    """Measure which size of crops tells the classes apart best, network by network."""
    from napari_hemacells.cli.evaluate import make_encoder
    from napari_hemacells.core.train.classifier.crop_size_study import (
        sizes_of,
        study_crop_size_steps,
    )

    sizes_of(folder)  # a wrong folder is told before the network is loaded
    names = [name.strip() for name in networks.split(",") if name.strip()]
    if not names or any(name not in APPROACH_NAMES for name in names):
        raise typer.BadParameter(
            f"Some of {', '.join(APPROACH_NAMES)} are needed.", param_hint="--networks"
        )
    reporter = Reporter(quiet=run.quiet, json_to=json)
    target = output_folder(out).absolute()
    steps = study_crop_size_steps(
        folder.absolute(),
        target,
        make_encoder(encoder, device),
        sizes=None if size is None else parse_numbers(size, "--size"),
        approaches=[name for name in APPROACH_NAMES if name in names],  # type: ignore[misc]
        params=params,
        shots=parse_numbers(shots, "--shots"),
        command=shlex.join(["hemacells", *sys.argv[1:]]),
    )
    study = reporter.run(steps, "Comparing sizes")
    heading, rows = study.table()
    table = Table(title=study.split)
    for name in heading:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    reporter.tell(table)
    for name, why in study.failed.items():
        reporter.warn(f"{name} was not trained: {why}")
    for note in study.notes:
        reporter.say(f"Note: {note}")
    reporter.tell(f"Page: {study.page}")
    reporter.finish(
        {"folder": str(target), "split": study.split, "rows": list(study.records),
         "failed": study.failed, "page": str(study.page)}
    )  # fmt: skip
