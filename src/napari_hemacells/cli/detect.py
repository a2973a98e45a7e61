"""``hemacells detect IMAGE… --out DIR``: table and label image of the cells of each image."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_hemacells.cli.batch import exit_with_status, find_sources, run_batch
from napari_hemacells.cli.console import Reporter, count_values, output_folder
from napari_hemacells.cli.image_job import DetectedImage, ImageJob, Record, ResultWriter
from napari_hemacells.cli.options import (
    CellsFile,
    CpuDevice,
    Images,
    JsonTarget,
    OutFolder,
    PlaneOptions,
    RunOptions,
    ShareOptions,
)
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Progress


@dataclass(frozen=True)
class DetectJob(ImageJob):
    """Table and label image of the detected cells."""

    @property
    def title(self) -> str:
        """The title of the job, for messages."""
        return "Detecting cells"

    def prepare(self) -> ResultWriter:
        """Return the function that writes the cells of an image."""
        self.prepare_detector()
        return self._finish

    def _finish(self, detected: DetectedImage) -> Generator[Progress, None, Record]:
        from napari_hemacells.core.store import detected_table

        detected.write(detected_table(detected.cells), self.folder)
        kinds = count_values(detected.cells.table["class"])
        yield Progress(1, 1, "Written")
        return {**detected.describe(), "by_class": kinds, **detected.files(self.out)}


def detect(
    images: Images,
    *,
    out: OutFolder,
    cells: CellsFile = None,
    json: JsonTarget = None,
    params: DetectParams,
    planes: PlaneOptions,
    device: CpuDevice = "auto",  # noqa: ARG001  # the same options for every command
    share: ShareOptions,
    run: RunOptions,
) -> None:
    """Detect the cells of images: NAME.cells.csv and NAME.labels.tif for each.

    Images of the same name are kept apart: the name of the folder is put in front.
    """
    reporter = Reporter(quiet=run.quiet, json_to=json)
    output_folder(out)
    job = DetectJob(
        Path.cwd(),
        out,
        with_absolute_weights(params),
        cells,
        share.skip_done,
        selection=planes.selection,
    )
    batch = run_batch(job, find_sources(images, reporter), reporter, share=share, debug=run.debug)
    reporter.finish(batch.to_dict())
    exit_with_status(batch)


def with_absolute_weights(params: DetectParams) -> DetectParams:
    """Return the parameters with the path of the weights made absolute, for other processes."""
    if params.weights is None:
        return params
    return params.model_copy(update={"weights": params.weights.absolute()})
