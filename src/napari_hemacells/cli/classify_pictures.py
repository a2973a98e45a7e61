"""``hemacells classify --whole``: pictures of one cell each, classified without looking for cells.

Also: what tells that images given without ``--whole`` are such pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_hemacells.cli.batch import EXIT_INTERRUPTED, EXIT_SOME_FAILED
from napari_hemacells.cli.console import Reporter, count_values, format_counts
from napari_hemacells.cli.image_job import WORK_FOLDER
from napari_hemacells.cli.inputs import InputImage, find_images
from napari_hemacells.cli.joint_results import bundle_notes
from napari_hemacells.cli.options import PlaneOptions, flag
from napari_hemacells.cli.whole_workers import PortionJob, classify_in_processes_steps
from napari_hemacells.core.errors import BundleError, HemaCellsError, ImageError
from napari_hemacells.core.params import DetectParams, NetworkParams

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.types import Prediction

NAMED_FAILURES = 20  # that are printed; the JSON names all
LIKE_SIDE = 2.0  # times the side of the pictures that the model learned from


@dataclass(frozen=True)
class WholePictures:
    """What ``classify --whole`` is asked for.

    Attributes
    ----------
    given
        Files, folders and patterns, as the user named them.
    out
        The folder for the results.
    encoder
        Where the model's encoder is, if it is not found automatically.
    workers
        Processes that share the pictures; 0 or 1: this one alone.
    """

    given: Sequence[str]
    out: Path
    bundle: "Bundle"
    encode: NetworkParams
    encoder: str | None = None
    workers: int = 0


def check_whole_options(
    params: DetectParams,
    planes: PlaneOptions,
    *,
    cells: Path | None,
    overlay: bool,
    cluster: bool,
) -> None:
    """Refuse options that have no meaning where no cells are looked for.

    Raises
    ------
    typer.BadParameter
        With the option to leave out.
    """
    useless = {
        "--cells": cells is not None,
        "--overlay": overlay,
        "--scheduler": cluster,
    }
    usual = DetectParams().model_dump()
    useless |= {flag(name): value != usual[name] for name, value in params.model_dump().items()}
    for option, value in planes.model_dump().items():
        if value is not None:
            raise typer.BadParameter(f"{flag(option)} does not go with --whole: leave one out.")
    for option, given in useless.items():
        if given:
            raise typer.BadParameter(
                f"With --whole each picture is one cell, and none is looked for: leave out "
                f"{option}."
            )


def classify_whole(job: WholePictures, reporter: Reporter) -> None:
    """Classify each picture as one cell; write one table for all of them.

    Raises
    ------
    ImageError
        There is no picture, or none can be read.
    BundleError
        The model does not fit: its encoder is missing, it knows one class alone, or it learned
        from thermograms and these are colours, or the reverse.
    typer.Exit
        With 3 where some pictures cannot be read, with 130 after Ctrl-C.
    """
    from napari_hemacells.core.store import check_modality, match_framing, other_kind_warning
    from napari_hemacells.core.store.class_counts import differential_sentence
    from napari_hemacells.core.store.joint_table import joint_of_pictures
    from napari_hemacells.core.store.picture_classes import pictures_table
    from napari_hemacells.core.store.workbook import write_joint_table

    if len(job.bundle.head.class_ids) == 1:
        only = job.bundle.palette.by_id(job.bundle.head.class_ids[0]).name
        raise BundleError(
            f"The model knows one class alone ({only}), and would call every picture so. Fit it "
            "with two classes or more."
        )
    pictures = open_pictures(job.given)
    for sentence in pictures.passed_over:
        reporter.warn(sentence)
    check_modality(job.bundle, pictures.modality)
    warnings = [other_kind_warning(job.bundle, whole=True), match_framing(job.bundle, pictures)]
    warnings = [sentence for sentence in warnings if sentence]
    for sentence in warnings:
        reporter.warn(sentence)
    prediction = _predict(job, pictures, reporter)
    table = pictures_table(pictures, prediction, job.bundle.palette)
    names = [cell_class.name for cell_class in job.bundle.palette]
    kinds = job.bundle.palette.kind_names
    joint = joint_of_pictures(table, names, bundle_notes(job.bundle), kinds)
    csv, workbook = write_joint_table(job.out, joint)
    counts = count_values(table["class"])
    what = "1 picture" if len(table) == 1 else f"{len(table):,} pictures"
    reporter.tell(f"{what} ({format_counts(counts)}) → {csv}, {workbook.name}")
    if sentence := differential_sentence(joint.total):
        reporter.tell(sentence)
    failed = sorted(pictures.unreadable.items())
    reporter.finish(
        {
            "model": job.bundle.name,
            "pictures": len(table),
            "predicted": counts,
            "csv": str(csv),
            "table": str(csv),
            "workbook": str(workbook),
            "summary": joint.total.to_dict(),
            "modality": pictures.modality,
            "framing": round(pictures.framing(job.bundle.spec), 4),
            "learned_from": job.bundle.learned_from and job.bundle.learned_from.to_dict(),
            "warnings": warnings,
            "passed_over": list(pictures.passed_over),
            "failed": [
                {"image": pictures.entry(number).name, "error": why} for number, why in failed
            ],
        }
    )
    _exit_if_failed([why for _, why in failed], len(pictures), reporter)


def open_pictures(given: Sequence[str]) -> "CellPictures":
    """Return the pictures of files, folders (at any depth) and patterns, without duplicates.

    Raises
    ------
    ImageError
        There is not one.
    """
    from napari_hemacells.core.pictures import CellPictures, list_pictures

    folders = [Path(text) for text in given if Path(text).is_dir()]
    if len(given) == len(folders) == 1:
        return CellPictures.open(folders[0])
    files: dict[Path, Path] = {}
    for text in given:
        folder = Path(text)
        if folder.is_dir():
            listed = [folder / picture.name for picture in list_pictures(folder).pictures]
            if not listed:
                raise ImageError(f"{folder} holds no pictures.")
        else:
            listed = find_images([text])
        for file in listed:
            files.setdefault(file.resolve(), file)
    return CellPictures.of_files(list(files.values()))


def _predict(job: WholePictures, pictures: "CellPictures", reporter: Reporter) -> "Prediction":
    from napari_hemacells.core.encode import EmbeddingCache
    from napari_hemacells.core.store.picture_classes import classify_pictures_steps

    vectors = job.out / WORK_FOLDER / "embeddings"
    if job.workers > 1 and len(pictures) > 1:
        shared = PortionJob(pictures, job.bundle, job.encode, job.encoder, vectors)
        steps = classify_in_processes_steps(shared, job.workers)
    else:
        steps = classify_pictures_steps(
            pictures,
            job.bundle,
            _load_encoder(job),
            EmbeddingCache(vectors),
            batch_size=job.encode.batch_size,
        )
    try:
        return reporter.run(steps, "Classifying pictures")
    except KeyboardInterrupt:
        reporter.warn("Stopped. Run the same command again to continue where it stopped.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _load_encoder(job: WholePictures) -> "Encoder":
    from napari_hemacells.core import encode

    if job.encoder is None:
        return job.bundle.make_encoder(job.encode.device)
    return encode.load_encoder(job.encoder, job.encode.device)


def _exit_if_failed(sentences: Sequence[str], total: int, reporter: Reporter) -> None:
    if not sentences:
        return
    reporter.warn(f"{len(sentences):,} of {total:,} pictures could not be read and have no row:")
    for sentence in sentences[:NAMED_FAILURES]:
        reporter.warn(f"  {sentence}")
    if len(sentences) > NAMED_FAILURES:
        reporter.warn(f"  and {len(sentences) - NAMED_FAILURES:,} more: --json names all of them.")
    raise typer.Exit(EXIT_SOME_FAILED)


def hint_at_whole(
    sources: Sequence[InputImage], bundle: "Bundle", reporter: Reporter
) -> dict[str, Any]:
    """Say where images look like pictures of one cell each; return that for the JSON."""
    from napari_hemacells.core.image import is_large, picture_size, read_pixels
    from napari_hemacells.core.pictures import look_like_single_cells
    from napari_hemacells.core.pictures.whole import MAX_SINGLE_SIDE, SAMPLE

    step = -(-len(sources) // SAMPLE) or 1
    sample = [source.path for source in sources[::step] if not is_large(source.path)]
    sides = [max(picture_size(path)) for path in sample]
    learned = bundle.learned_from
    alike = [
        learned is not None
        and learned.kind == "pictures"
        and bool(learned.side)
        and 1 / LIKE_SIDE <= side / (learned.side or side) <= LIKE_SIDE
        for side in sides
        if side
    ]
    if not (alike and all(alike)):
        pixels = []
        for path, side in zip(sample, sides, strict=True):
            if not 0 < side <= MAX_SINGLE_SIDE:
                continue
            try:
                pixels.append(read_pixels(path))
            except HemaCellsError:
                continue  # told when its turn comes
        if 2 * len(pixels) < len(sample) or not look_like_single_cells(pixels):
            return {}
    sentence = (
        "These look like pictures of one cell each: use --whole, which classifies each picture "
        "as one cell. Without it, cells are looked for inside each picture."
    )
    reporter.warn(sentence)
    return {"hint": sentence}
