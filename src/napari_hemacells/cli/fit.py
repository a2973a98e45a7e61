"""``hemacells fit FOLDER --out BUNDLE``: a model from crops sorted into class folders."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_hemacells.cli.batch import exit_if_unreadable
from napari_hemacells.cli.console import Reporter, count_values, format_counts
from napari_hemacells.cli.options import JsonTarget, PlaneOptions, RunOptions
from napari_hemacells.cli.two_levels import (
    ParentsTable,
    TwoLevels,
    describe_kinds,
    read_parents,
)
from napari_hemacells.core.params import ClassifyParams, EncodeParams
from napari_hemacells.core.types import CropSpec, EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.annotate.class_table import ListedClass
    from napari_hemacells.core.evaluate import ClassFolder
    from napari_hemacells.core.store import Bundle

CropFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder with one sub-folder of crops per class.")
]
BundleOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder for the model.")
]


def fit(
    folder: CropFolder,
    out: BundleOut,
    json: JsonTarget = None,
    *,
    encode: EncodeParams,
    params: ClassifyParams,
    planes: PlaneOptions,
    run: RunOptions,
    two_levels: TwoLevels = False,
    parents: ParentsTable = None,
) -> None:
    """Fit a classifier to crops sorted into class folders, and save it as a model.

    With --two-levels or --parents, the model answers the kind first, then the class within it.
    """
    from napari_hemacells.core.encoder_names import FILE
    from napari_hemacells.core.evaluate.class_folders import append_measured_features
    from napari_hemacells.core.store import save_bundle

    reporter = Reporter(quiet=run.quiet, json_to=json)
    rows = read_parents(parents, two_levels=two_levels)
    crops, encoder = _embed(folder, encode, planes, reporter, two_levels=two_levels)
    if params.measured:
        reporter.say("Measuring size, nucleus and colour.")
        vectors, encoder = append_measured_features(
            crops.vectors, crops.files, encoder, crops.reading
        )
        crops = replace(crops, vectors=vectors)
    bundle = _fit_bundle(out.name, crops, encoder, params, rows)
    planes.tell(reporter)
    counts = count_values(crops.labels)
    record = {
        "bundle": str(save_bundle(out, bundle)),
        "classes": counts,
        "head": bundle.head_meta["name"],
        "encoder": encoder.name,
        "size_colour_nucleus": params.measured,
        "crop": bundle.spec.to_dict(),
        "framing": round(crops.framing, 4),
        "learned_from": crops.learned_from.to_dict(),
        "unreadable": list(crops.unreadable),
        **describe_kinds(bundle.palette, counts),
        **planes.record(),
    }
    reporter.tell(f"{len(crops.labels)} crops ({format_counts(counts)}) → {record['bundle']}")
    if len(counts) == 1:
        reporter.warn(
            "One class alone: hemacells classify gives it, without a confidence, only to cells "
            "that the detector finds to be of that class. Add a folder of another class."
        )
    if encode.encoder.startswith(f"{FILE}:"):
        reporter.warn(
            "The model names this encoder only by its hash: give --encoder to "
            "hemacells classify too."
        )
    reporter.finish(record)
    exit_if_unreadable(crops.unreadable, reporter)


def _embed(
    folder: Path,
    encode: EncodeParams,
    planes: PlaneOptions,
    reporter: Reporter,
    *,
    two_levels: bool,
) -> tuple["ClassFolder", EncoderInfo]:
    """Return the crops with their embeddings, framed as a detector's, and the encoder."""
    from napari_hemacells.core.encode import load_encoder as encoder_named
    from napari_hemacells.core.encode.catalog import portable_name
    from napari_hemacells.core.evaluate import embed_folder_steps, list_class_folders

    list_class_folders(
        folder, two_levels=two_levels
    )  # a wrong folder is told before the network is loaded
    encoder = encoder_named(encode.encoder, encode.device)
    portable_name(encode.encoder)  # the model finds it again
    steps = embed_folder_steps(
        folder,
        CropSpec(),
        encoder,
        batch_size=encode.batch_size,
        selection=planes.selection,
        two_levels=two_levels,
    )
    return reporter.run(steps, "Embedding crops"), encoder.info


def _fit_bundle(
    name: str,
    crops: "ClassFolder",
    encoder: EncoderInfo,
    params: ClassifyParams,
    rows: "Sequence[ListedClass]",
) -> "Bundle":
    """Return the model of these crops; its classes are named after their folders."""
    from napari_hemacells.core.annotate.class_table import palette_of_names
    from napari_hemacells.core.classify import SupportSet, fit_levels
    from napari_hemacells.core.store import Bundle

    palette = palette_of_names(crops.labels, rows)
    known = {label: palette.by_name(label) for label in dict.fromkeys(crops.labels)}
    ids = {label: found.id for label, found in known.items() if found is not None}
    labels = tuple(ids[label] for label in crops.labels)
    support = SupportSet(crops.vectors, labels)
    head = fit_levels(support, palette.ids, palette.parents, params=params)
    tensors, meta = head.to_tensors()
    return Bundle(
        name=name,
        encoder=encoder,
        spec=CropSpec(),
        palette=palette,
        head_tensors=tensors,
        head_meta=meta,
        vectors=crops.vectors,
        labels=labels,
        learned_from=crops.learned_from,
    )
