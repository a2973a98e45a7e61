"""``hemacells fit FOLDER --out BUNDLE``: crops sorted into class folders → a model bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.crops import Pictures, find_classes
from napari_hemacells.cli.options import JsonTarget, RunOptions
from napari_hemacells.cli.tally import in_words
from napari_hemacells.core.params import ClassifyParams, EncodeParams
from napari_hemacells.core.types import CropSpec, EncoderInfo

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle

FRAMING_SAMPLE = 100  # pictures that tell how a folder is framed

CropFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder with a sub-folder of crops a class.")
]
BundleOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder for the model bundle.")
]


def fit(
    folder: CropFolder,
    out: BundleOut,
    json: JsonTarget = None,
    *,
    encode: EncodeParams,
    params: ClassifyParams,
    run: RunOptions,
) -> None:
    """Learn from crops sorted into class folders, and write a model bundle."""
    reporter = Reporter(quiet=run.quiet, json_to=json)
    classes = find_classes(folder)
    pictures = Pictures([path for paths in classes.values() for path in paths])
    names = [name for name, paths in classes.items() for _ in paths]
    framing, vectors, info = _embed(pictures, encode, reporter)
    bundle = _fit_bundle(out.name, names, vectors, info, params)
    from napari_hemacells.core.store import save_bundle

    counts = {name: len(paths) for name, paths in classes.items()}
    record = {
        "bundle": str(save_bundle(out, bundle)),
        "classes": counts,
        "head": bundle.head_meta,
        "encoder": info.name,
        "crop": bundle.spec.to_dict(),
        "framing": round(framing, 4),
    }
    reporter.tell(f"{len(names)} crops ({in_words(counts)}) → {record['bundle']}")
    reporter.finish(record)


def _embed(
    pictures: Pictures, encode: EncodeParams, reporter: Reporter
) -> tuple[float, NDArray[np.float32], EncoderInfo]:
    """Return the framing of the crops, their vectors, and by which encoder."""
    from napari_hemacells.core.crop import estimate_context
    from napari_hemacells.core.encode import bundled_encoder, embed_pictures_steps

    spec = CropSpec()
    sample = range(0, len(pictures), -(-len(pictures) // FRAMING_SAMPLE))
    framing = spec.context / estimate_context(pictures[place] for place in sample)
    encoder = bundled_encoder(encode.device)
    steps = embed_pictures_steps(
        pictures, spec, encoder, framing=framing, batch_size=encode.batch_size
    )
    return framing, reporter.run(steps, "Embedding crops"), encoder.info


def _fit_bundle(
    name: str,
    names: list[str],
    vectors: NDArray[np.float32],
    encoder: EncoderInfo,
    params: ClassifyParams,
) -> "Bundle":
    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.core.classify import Support
    from napari_hemacells.core.classify import fit as fit_head
    from napari_hemacells.core.store import Bundle

    palette = Palette()
    for one in dict.fromkeys(names):
        palette = palette.add(one)
    ids = {one.name: one.id for one in palette}
    labels = tuple(ids[one] for one in names)
    head = fit_head(Support(vectors, labels), palette.ids, context=None, params=params)
    tensors, meta = head.to_tensors()
    return Bundle(
        name=name,
        encoder=encoder,
        spec=CropSpec(),
        palette=palette,
        head_tensors=tensors,
        head_meta=meta,
        vectors=vectors,
        labels=labels,
    )
