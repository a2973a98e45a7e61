"""``hemacells triage IMAGE… --model BUNDLE --out DIR``: the cells that fit no known kind."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.cli.batch import Batch, exit_with_status, find_sources
from napari_hemacells.cli.classify import (
    AllowOtherScale,
    ClassifyJob,
    EncoderOverride,
    FoldersAreGroups,
    LoadedClassifier,
    Model,
    classify_all,
    save_classes,
)
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.detect import with_absolute_weights
from napari_hemacells.cli.image_job import DetectedImage, Record, ResultWriter
from napari_hemacells.cli.joint_results import image_names
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
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle
    from napari_hemacells.core.store.triage import TriageModel
    from napari_hemacells.core.store.triage_report import TriageReport

CROPS = "odd-cells"  # folder of the crops of an image: NAME.odd-cells


@dataclass(frozen=True)
class TriageJob(ClassifyJob):
    """What ``classify`` writes of an image, and its odd cells with their crops."""

    @property
    def title(self) -> str:
        """The title of the job, for messages."""
        return "Looking for odd cells"

    def prepare(self) -> ResultWriter:
        """As :meth:`ClassifyJob.prepare`, and learn the likeness from the model's own cells."""
        from napari_hemacells.core.store import check_compatible

        encoder = self._load_encoder()
        check_compatible(self.bundle, encoder.info, self.bundle.spec)
        head = self.bundle.head
        self.prepare_detector()
        return LoadedTriage(self, head, encoder).finish


@dataclass(frozen=True)
class LoadedTriage(LoadedClassifier):
    """A job's model, loaded, with its encoder and likeness."""

    @cached_property
    def model(self) -> "TriageModel":
        """What the cells are held against."""
        return triage_model(self.job.bundle)

    def finish(self, detected: DetectedImage) -> Generator[Progress, None, Record]:
        """Classify an image's cells, write them and the odd ones; return the record."""
        from napari_hemacells.core.classify.odd_ones import find_odd_ones
        from napari_hemacells.core.store import shown_classes
        from napari_hemacells.core.store.triage import write_triage

        embeddings = yield from self.embed(detected)
        prediction = self.classify(detected, embeddings)
        job, bundle = self.job, self.job.bundle
        predicted = save_classes(detected, prediction, bundle, job.folder)
        file = detected.file("triage.json")
        written = write_triage(
            job.folder / file,
            job.folder / detected.file(CROPS),
            detected.image,
            embeddings,
            cells=detected.cells,
            shown=shown_classes(detected.cells, {}, prediction, bundle.palette),
            prediction=prediction,
            odd_ones=find_odd_ones(embeddings, prediction, self.head, self.model.support),
            model=self.model,
        )
        return {
            **detected.describe(),
            "predicted": predicted,
            "odd": len(written.odd),
            **detected.files(job.out),
            "triage": str(job.out / file),
        }


def triage_model(bundle: "Bundle") -> "TriageModel":
    """Return what cells are held against: the annotated cells of a model, and their likeness."""
    from napari_hemacells.core.classify import SupportSet
    from napari_hemacells.core.classify.verification import fit_likeness
    from napari_hemacells.core.store.triage import TriageModel

    if not len(bundle.vectors):
        return TriageModel(bundle.palette, None, None)
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    labels = [names[label] for label in bundle.labels]
    return TriageModel(
        bundle.palette,
        fit_likeness(bundle.vectors, labels, encoder=bundle.encoder),
        SupportSet(bundle.vectors, bundle.labels),
    )


def triage(
    images: Images,
    *,
    model: Model,
    out: OutFolder,
    cells: CellsFile = None,
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
    """List the cells that fit no known kind, for a second look by an expert.

    Writes triage.html and triage.csv: the counts of the known kinds, the odd cells, what each
    resembles most, and a crop of each. Beside them all that classify writes, and the crops in
    NAME.odd-cells. It is no diagnosis.
    """
    from napari_hemacells.core.store import load_bundle
    from napari_hemacells.core.store.triage_report import odd_sentence, write_triage_report

    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    job = TriageJob(
        Path.cwd(),
        out,
        with_absolute_weights(params),
        cells,
        share.skip_done,
        selection=planes.selection,
        bundle=load_bundle(model),
        encode=encode,
        encoder=None if encoder is None else with_absolute_path(encoder),
        any_scale=allow_other_scale,
    )
    batch, joint = classify_all(
        job,
        find_sources(images, reporter),
        reporter,
        share=share,
        debug=run.debug,
        folders_are_groups=folders_are_groups,
    )
    result: dict[str, Any] = {"model": str(model), **batch.to_dict(), **joint}
    if batch.done:
        report = make_report(batch, job, folders_are_groups=folders_are_groups)
        page, table = write_triage_report(out, report)
        reporter.tell(f"{odd_sentence(report.images)} → {page}, {table.name}")
        result |= {
            "report": str(page),
            "odd_table": str(table),
            "odd": sum(len(image.triage.odd) for image in report.images),
        }
    reporter.finish(result)
    exit_with_status(batch)


def make_report(batch: Batch, job: TriageJob, *, folders_are_groups: bool) -> "TriageReport":
    """Return the report of the images that worked.

    Raises
    ------
    StorageError
        What was written of an image is missing.
    """
    from napari_hemacells.core.store.triage import read_triage
    from napari_hemacells.core.store.triage_report import (
        TriagedImage,
        TriageReport,
        likeness_in_words,
        odd_in_words,
    )

    bundle = job.bundle
    names = {cell_class.id: cell_class.name for cell_class in bundle.palette}
    known = triage_model(bundle)
    images = tuple(
        TriagedImage(
            name.label,
            name.group,
            read_triage(job.out / Path(record["triage"]).name),
            job.out / Path(record["triage"]).name.replace(".triage.json", f".{CROPS}"),
        )
        for name, record in zip(
            image_names(batch.done, folders_are_groups=folders_are_groups),
            batch.done,
            strict=True,
        )
    )
    return TriageReport(
        images,
        bundle.palette,
        bundle.name,
        {names[key]: count for key, count in bundle.training_counts.items()},
        bundle.encoder.seen,
        likeness_in_words(known.likeness),
        odd_in_words(images),
        tuple(f"{source.path}: {error}" for source, error in batch.failed),
    )
