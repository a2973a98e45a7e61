"""``hemacells classify IMAGE… --model BUNDLE --out DIR``: detect and classify cells."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_hemacells.cli.batch import Batch, exit_with_status, find_sources, run_batch
from napari_hemacells.cli.classify_pictures import (
    WholePictures,
    check_whole_options,
    classify_whole,
    hint_at_whole,
)
from napari_hemacells.cli.console import Reporter, count_values, output_folder
from napari_hemacells.cli.detect import with_absolute_weights
from napari_hemacells.cli.image_job import DetectedImage, ImageJob, Record, ResultWriter
from napari_hemacells.cli.inputs import InputImage
from napari_hemacells.cli.joint_results import write_joint_results
from napari_hemacells.cli.options import (
    CellsFile,
    Images,
    JsonTarget,
    OutFolder,
    PlaneOptions,
    RunOptions,
    ShareOptions,
)
from napari_hemacells.core.encoder_names import with_absolute_path
from napari_hemacells.core.params import DetectParams, NetworkParams
from napari_hemacells.core.types import Cells, Prediction, Progress, SmearImage

if TYPE_CHECKING:
    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.types import Embeddings

Model = Annotated[
    Path, typer.Option("--model", "-m", metavar="BUNDLE", help="A saved model (its folder).")
]
Overlay = Annotated[
    bool,
    typer.Option(
        "--overlay",
        help="Also write NAME.overlay.png: the image with each cell in the colour of its class.",
    ),
]
EncoderOverride = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help=(
            "Where to find the encoder of the model if it is not found "
            "automatically, such as file:PATH?arch=NAME. Any other encoder is "
            "refused."
        ),
    ),
]
AllowOtherScale = Annotated[
    bool,
    typer.Option(
        "--allow-other-scale",
        help="Classify even if the cells are much larger or smaller than those of the model.",
    ),
]
FoldersAreGroups = Annotated[
    bool,
    typer.Option(
        "--folders-are-groups",
        help=(
            "In cells.csv and cells.xlsx, the group of a cell (its patient or slide) is the "
            "folder of its image."
        ),
    ),
]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole",
        help=(
            "Each picture is one cell: none is looked for. Folders are read with their "
            "sub-folders; one table, cells.csv, has a row per picture."
        ),
    ),
]


@dataclass(frozen=True)
class ClassifyJob(ImageJob):
    """Table and label image of the classified cells, and an overlay if requested.

    Attributes
    ----------
    bundle
        The model, read once and sent to the workers, which need not see its folder.
    encode
        Where and how crops are encoded.
    encoder
        Where the model's encoder is, if it is not found automatically.
    any_scale
        Whether cells of another scale than the model's are classified anyway.
    overlay
        Whether an overlay is drawn.
    """

    _: KW_ONLY
    bundle: "Bundle"
    encode: NetworkParams
    encoder: str | None = None
    any_scale: bool = False
    overlay: bool = False

    @property
    def title(self) -> str:
        """The title of the job, for messages."""
        return "Classifying cells"

    def prepare(self) -> ResultWriter:
        """Load detector, encoder and head; return the function that writes an image's classes.

        Raises
        ------
        BundleError
            If the encoder of the bundle is not available.
        """
        from napari_hemacells.core.store import check_compatible

        encoder = self._load_encoder()
        check_compatible(self.bundle, encoder.info, self.bundle.spec)
        head = self.bundle.head
        self.prepare_detector()
        return LoadedClassifier(self, head, encoder).finish

    def _load_encoder(self) -> "Encoder":
        from napari_hemacells.core import encode

        if self.encoder is None:
            return self.bundle.make_encoder(self.encode.device)
        return encode.load_encoder(self.encoder, self.encode.device)

    def find(self, source: InputImage, image: SmearImage) -> Generator[Progress, None, Cells]:
        """Return the cells; a thermogram without cells of the user counts as one cell."""
        if image.modality == "temperature" and self.own is None:
            from napari_hemacells.core.detect.sources import whole_frame

            return whole_frame(image.shape)
        return (yield from super().find(source, image))

    def settings(self) -> dict[str, Any]:
        """As plain JSON, all that the results depend on except the image."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.bundle.head_tensors.items()):
            digest.update(f"{name} {tensor.shape} {tensor.dtype}".encode() + tensor.tobytes())
        return {
            **super().settings(),
            "encode": self.encode.model_dump(mode="json"),
            "any_scale": self.any_scale,
            "overlay": self.overlay,
            "encoder": [self.bundle.encoder.name, self.bundle.encoder.sha256],
            "features": self.bundle.encoder.preprocessing.get("features"),
            "head": [digest.hexdigest(), self.bundle.head_meta],
            "classes": [
                [cell_class.id, cell_class.name, cell_class.colour]
                + ([cell_class.parent] if cell_class.parent else [])
                for cell_class in self.bundle.palette
            ],
        }


@dataclass(frozen=True)
class LoadedClassifier:
    """A job's model, loaded, with its encoder."""

    job: ClassifyJob
    head: "Head"
    encoder: "Encoder"

    def finish(self, detected: DetectedImage) -> Generator[Progress, None, Record]:
        """Classify an image's cells and write the results; yield progress, return the record."""
        prediction = yield from self.predict(detected)
        job, folder = self.job, self.job.folder
        predicted = save_classes(detected, prediction, job.bundle, folder)
        record = {**detected.describe(), "predicted": predicted, **detected.files(job.out)}
        if job.overlay:
            name = detected.file("overlay.png")
            _draw(detected, prediction, job.bundle, folder / name)
            record["overlay"] = str(job.out / name)
        return record

    def predict(self, detected: DetectedImage) -> Generator[Progress, None, Prediction]:
        """Return the classes of the image's cells; yield the progress.

        Raises
        ------
        BundleMismatchError
            If the cells are of another scale than the model's.
        """
        return self.classify(detected, (yield from self.embed(detected)))

    def embed(self, detected: DetectedImage) -> Generator[Progress, None, "Embeddings"]:
        """Return the embeddings of the image's cells; otherwise as :meth:`predict`."""
        from napari_hemacells.core.encode import embed_steps
        from napari_hemacells.core.store import check_compatible, check_modality

        job, image, cells = self.job, detected.image, detected.cells
        spec = job.bundle.spec
        check_modality(job.bundle, image.modality)
        if not job.any_scale:
            diameter = None if cells.source == "whole" else cells.diameter
            check_compatible(job.bundle, self.encoder.info, spec, diameter, image.pixel_size_um)
        size, like = job.encode.batch_size, job.bundle.encoder
        return (
            yield from embed_steps(image, cells, spec, self.encoder, batch_size=size, like=like)
        )

    def classify(self, detected: DetectedImage, embeddings: "Embeddings") -> Prediction:
        """Return the classes of embedded cells."""
        from napari_hemacells.core.classify import without_contradictions

        prediction = self.head.predict(embeddings)
        if len(prediction.class_ids) != 1:
            return prediction
        name = self.job.bundle.palette.by_id(prediction.class_ids[0]).name
        return without_contradictions(prediction, detected.cells, name)


def classify(
    images: Images,
    *,
    model: Model,
    out: OutFolder,
    whole: Whole = False,
    cells: CellsFile = None,
    overlay: Overlay = False,
    allow_other_scale: AllowOtherScale = False,
    folders_are_groups: FoldersAreGroups = False,
    encoder: EncoderOverride = None,
    json: JsonTarget = None,
    params: DetectParams,
    encode: NetworkParams,
    planes: PlaneOptions,
    share: ShareOptions,
    run: RunOptions,
) -> None:
    """Detect and classify the cells of images: NAME.cells.csv and NAME.labels.tif for each.

    All cells of all images together are in cells.csv and, with counts and their intervals, in
    cells.xlsx. With --whole, each picture is one cell, and these two are all that is written.

    A thermogram (text, numpy, float TIFF in °C) is classified as a whole. Images of the same
    name are kept apart: the name of the folder is put in front.
    """
    from napari_hemacells.core.store import load_bundle

    reporter = Reporter(quiet=run.quiet, json_to=json)
    encoder = None if encoder is None else with_absolute_path(encoder)
    if whole:
        check_whole_options(
            params,
            planes,
            cells=cells,
            overlay=overlay,
            cluster=share.scheduler is not None,
        )
        output_folder(out)
        pictures = WholePictures(
            images, out, load_bundle(model), encode, encoder, workers=share.workers or 0
        )
        classify_whole(pictures, reporter)
        return
    output_folder(out)
    job = ClassifyJob(
        Path.cwd(),
        out,
        with_absolute_weights(params),
        cells,
        share.skip_done,
        selection=planes.selection,
        bundle=load_bundle(model),
        encode=encode,
        encoder=encoder,
        any_scale=allow_other_scale,
        overlay=overlay,
    )
    sources = find_sources(images, reporter)
    hint: dict[str, Any] = {} if cells else hint_at_whole(sources, job.bundle, reporter)
    batch, joint = classify_all(
        job, sources, reporter, share=share, debug=run.debug, folders_are_groups=folders_are_groups
    )
    reporter.finish({"model": str(model), **batch.to_dict(), **hint, **joint})
    exit_with_status(batch)


def classify_all(
    job: ClassifyJob,
    sources: Sequence[InputImage],
    reporter: Reporter,
    *,
    share: ShareOptions,
    debug: bool,
    folders_are_groups: bool,
) -> tuple[Batch, dict[str, Any]]:
    """Do the job of each image and write the tables of all; return what worked, and the tables."""
    from napari_hemacells.core.store import other_kind_warning

    batch = run_batch(job, sources, reporter, share=share, debug=debug)
    kinds = {record["source"] == "whole" for record in batch.done}
    for sentence in {other_kind_warning(job.bundle, whole=kind) for kind in kinds} - {""}:
        reporter.warn(sentence)
    joint = write_joint_results(
        batch.done, job.bundle, job.out, reporter, folders_are_groups=folders_are_groups
    )
    return batch, joint


def save_classes(
    detected: DetectedImage, prediction: Prediction, bundle: "Bundle", folder: Path
) -> dict[str, int]:
    """Write table and label image; return the number of cells of each class."""
    from napari_hemacells.core.store import cells_table

    table = cells_table(
        detected.image, detected.cells, {}, prediction, bundle.palette, with_image=False
    )
    detected.write(table, folder)
    return count_values(table["class"])  # what the table shows: unknown cells are unknown here


def _draw(detected: DetectedImage, prediction: Prediction, bundle: "Bundle", path: Path) -> None:
    """Draw the cells in the colours of their classes."""
    from napari_hemacells.core.store import class_overlay, shown_classes, write_overlay

    shown = shown_classes(detected.cells, {}, prediction, bundle.palette)
    write_overlay(
        path, class_overlay(detected.image, detected.cells, shown, bundle.palette, legend=True)
    )
