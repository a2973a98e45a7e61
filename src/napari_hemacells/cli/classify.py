"""``hemacells classify IMAGE… --model BUNDLE --out DIR``: cells and their classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_hemacells.cli.batch import end, find_sources, run_batch
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.found import Found, find_cells
from napari_hemacells.cli.options import Images, JsonTarget, OutFolder, OwnCells, RunOptions
from napari_hemacells.cli.sources import Source
from napari_hemacells.cli.tally import count, in_words
from napari_hemacells.core.params import DetectParams, EncodeParams
from napari_hemacells.core.types import Prediction

if TYPE_CHECKING:
    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.store import Bundle

Model = Annotated[Path, typer.Option("--model", "-m", metavar="BUNDLE", help="A model bundle.")]
Overlay = Annotated[
    bool, typer.Option("--overlay", help="Write NAME.overlay.png too: the image in class colours.")
]
AnyScale = Annotated[
    bool,
    typer.Option(
        "--allow-other-scale",
        help="Classify even where the cells are much larger or smaller than the model's.",
    ),
]


@dataclass(frozen=True)
class Classifier:
    """A loaded model with the encoder it was made with."""

    bundle: "Bundle"
    head: "Head"
    encoder: "Encoder"
    batch_size: int
    any_scale: bool

    def predict(self, found: Found, reporter: Reporter) -> Prediction:
        """Return the classes of the image's cells.

        Raises
        ------
        BundleMismatchError
            If the cells are of another scale than the model's.
        """
        from napari_hemacells.core.encode import embed_steps
        from napari_hemacells.core.store import check

        spec, image, cells = self.bundle.spec, found.image, found.cells
        if not self.any_scale:
            check(self.bundle, self.encoder.info, spec, cells.diameter, image.pixel_size_um)
        steps = embed_steps(image, cells, spec, self.encoder, batch_size=self.batch_size)
        return self.head.predict(reporter.run(steps, f"Embedding {image.name}"))


def classify(
    images: Images,
    *,
    model: Model,
    out: OutFolder,
    cells: OwnCells = None,
    overlay: Overlay = False,
    allow_other_scale: AnyScale = False,
    json: JsonTarget = None,
    params: DetectParams,
    encode: EncodeParams,
    run: RunOptions,
) -> None:
    """Detect and classify the cells of images: NAME.cells.csv and NAME.labels.tif for each.

    Images of the same name are kept apart: the folder's name goes before theirs.
    """
    reporter = Reporter(quiet=run.quiet, json_to=json)
    folder = output_folder(out)
    classifier = load_classifier(model, encode, any_scale=allow_other_scale)

    def work(source: Source) -> dict[str, Any]:
        found = find_cells(source, cells, params, reporter)
        prediction = classifier.predict(found, reporter)
        written = _save(found, prediction, classifier.bundle, folder)
        if overlay:
            written["overlay"] = _draw(found, prediction, classifier.bundle, folder)
        told = f"{len(found.cells)} cells ({in_words(written['predicted'])})"
        reporter.tell(f"{source.path}: {told} → {written['csv']}")
        return {**found.describe(), **written}

    batch = run_batch(find_sources(images, reporter), work, reporter, debug=run.debug)
    reporter.finish({"model": str(model), **batch.to_dict()})
    end(batch)


def load_classifier(model: Path, encode: EncodeParams, *, any_scale: bool) -> Classifier:
    """Return the model with its encoder.

    Raises
    ------
    BundleError
        If the bundle is damaged, or was made with an encoder that is not here.
    """
    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import bundled_encoder
    from napari_hemacells.core.store import check, load_bundle

    bundle = load_bundle(model)
    encoder = bundled_encoder(encode.device)
    check(bundle, encoder.info, bundle.spec)
    head = Head.from_tensors(bundle.head_tensors, bundle.head_meta)
    return Classifier(bundle, head, encoder, encode.batch_size, any_scale)


def _save(found: Found, prediction: Prediction, bundle: "Bundle", folder: Path) -> dict[str, Any]:
    """Return what was found and where it was written."""
    from napari_hemacells.core.store import cells_table

    table = cells_table(found.image, found.cells, {}, prediction, bundle.palette, with_image=False)
    return {"predicted": count(table["predicted"]), **found.write(table, folder)}


def _draw(found: Found, prediction: Prediction, bundle: "Bundle", folder: Path) -> str:
    """Return where the overlay was written."""
    from napari_hemacells.core.store import class_overlay, shown_classes, write_overlay

    shown = shown_classes(found.cells, {}, prediction, bundle.palette)
    path = folder / f"{found.source.name}.overlay.png"
    overlay = class_overlay(found.image, found.cells, shown, bundle.palette, legend=True)
    write_overlay(path, overlay)
    return str(path)
