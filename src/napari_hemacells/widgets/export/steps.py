"""The steps of an export: each format is written from a snapshot of the session."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.files.fsio import file_name, storage_error
from napari_hemacells.core.types import Cells, CropSpec, Prediction, Progress, SmearImage
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session.project_table import project_table_steps, request_project_table
from napari_hemacells.session.triage import request_triage, triage_steps
from napari_hemacells.widgets.export.file_names import reserve_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Annotation, Palette
    from napari_hemacells.core.store.bundle import Bundle
    from napari_hemacells.core.types import Embeddings
    from napari_hemacells.session import Session
    from napari_hemacells.session.project_table import ProjectTableRequest
    from napari_hemacells.session.triage import TriageRequest
    from napari_hemacells.widgets.export.panel import ExportFormat, ExportRequest


@dataclass(frozen=True, eq=False)
class ExportSnapshot:
    """A snapshot of the session, so that annotation can continue during the export."""

    image: SmearImage
    cells: Cells
    annotations: dict[int, Annotation]
    prediction: Prediction | None
    palette: Palette
    embeddings: Embeddings | None
    bundle: Bundle | None
    model: str = ""
    calibration: str = ""
    project: ProjectTableRequest | None = None
    triage: TriageRequest | None = None

    @cached_property
    def table(self) -> pd.DataFrame:
        """The cells of the image, made once for all who write it; read only."""
        from napari_hemacells.core.store.tables import cells_table

        return cells_table(self.image, self.cells, self.annotations, self.prediction, self.palette)

    @cached_property
    def displayed(self) -> dict[int, str]:
        """The class that is shown for each cell."""
        from napari_hemacells.core.store.tables import shown_classes

        return shown_classes(self.cells, self.annotations, self.prediction, self.palette)

    @cached_property
    def overlay(self) -> NDArray[np.uint8]:
        """The image with its cells, drawn once for the picture and the report."""
        from napari_hemacells.core.store.overlay import class_overlay

        return class_overlay(self.image, self.cells, self.displayed, self.palette)

    @property
    def spec(self) -> CropSpec:
        """The crops in use."""
        return CropSpec() if self.embeddings is None else self.embeddings.spec


def take_snapshot(session: Session) -> ExportSnapshot | None:
    """A snapshot of the session; ``None`` without an image and its cells."""
    if session.image is None or session.cells is None:
        return None
    return ExportSnapshot(
        session.image,
        session.cells,
        session.annotations,
        session.prediction,
        session.palette,
        session.embeddings,
        session.make_bundle(session.image.name) if has_model(session) else None,
        "" if session.live.model is None else session.live.model.bundle.name,
        "" if session.live.latest is None else session.live.latest.head.calibration.reason,
        request_project_table(session),
        request_triage(session),
    )


def has_model(session: Session) -> bool:
    """Whether there is a classifier to save: not while it goes by the detector's vectors too."""
    return session.prediction is not None and session.embeddings is not None


class ExportResult(NamedTuple):
    """The folder, the files and folders written into it, and a sentence on their names if any."""

    folder: Path
    written: list[Path]
    note: str


def export_steps(
    request: ExportRequest, now: ExportSnapshot
) -> Generator[Progress, None, ExportResult]:
    """Write the chosen files."""
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, request.folder, "Nothing was exported") from error
    stem = reserve_stem(request.folder, now.image)
    written = yield from _write_all(request, now, stem)
    usual = file_name(now.image.name)
    note = (
        ""
        if stem == usual
        else f" The files are called “{stem}”: “{usual}” is taken by another image of that name."
    )
    return ExportResult(request.folder, written, note)


def _write_all(
    request: ExportRequest, now: ExportSnapshot, stem: str
) -> Generator[Progress, None, list[Path]]:
    """Write the files, tables beside pictures; return their paths in the order asked for."""
    wanted = request.what
    lanes = ([what for what in wanted if what in _TABLES], [w for w in wanted if w not in _TABLES])
    with ThreadPoolExecutor(2, "export") as pool:
        coming = {
            pool.submit(partial(_write, what, now, request.folder, stem)): what
            for what in interleaved(*lanes)
        }
        try:
            done: dict[ExportFormat, tuple[Path, ...]] = {}
            while coming:
                yield Progress(len(done), len(wanted), "Exporting %v of %m")
                for future in wait(coming, _PATIENCE, FIRST_COMPLETED).done:
                    done[coming.pop(future)] = future.result()
        finally:
            pool.shutdown(cancel_futures=True)
    yield Progress(len(wanted), len(wanted), "Exporting %v of %m")
    return [path for what in wanted for path in done[what]]


def interleaved(first: list[ExportFormat], second: list[ExportFormat]) -> list[ExportFormat]:
    """Return the formats of two lists in turn: tables keep Python busy, pictures do not."""
    pairs = zip_longest(first, second)
    return [what for pair in pairs for what in pair if what is not None]


def _write(what: ExportFormat, now: ExportSnapshot, folder: Path, stem: str) -> tuple[Path, ...]:
    if what == "joint":
        return run_to_end(_joint_steps(now, folder))
    if what == "triage":
        return run_to_end(_triage_steps(now, folder))
    return (_WRITERS[what](now, folder, stem),)


def _joint_steps(now: ExportSnapshot, folder: Path) -> Generator[Progress, None, tuple[Path, ...]]:
    """Write the table of all images of the project; return its CSV and its workbook."""
    from napari_hemacells.core.store.workbook import write_joint_table

    if now.project is None:
        return ()
    return write_joint_table(folder, (yield from project_table_steps(now.project)))


def _triage_steps(
    now: ExportSnapshot, folder: Path
) -> Generator[Progress, None, tuple[Path, ...]]:
    """Write the triage of all images into a folder of its own; return page and table."""
    if now.triage is None:
        return ()
    target = folder / "triage"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, target, "The triage was not written") from error
    return (yield from triage_steps(now.triage, target))


def _csv(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.cells_file import write_csv

    path = folder / f"{stem}.cells.csv"
    write_csv(path, now.table)
    return path


def _labels(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import write_labels_tif

    path = folder / f"{stem}.labels.tif"
    write_labels_tif(path, now.cells)
    return path


def _overlay(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.overlay import with_legend, write_overlay

    path = folder / f"{stem}.overlay.png"
    write_overlay(path, with_legend(now.overlay, now.displayed, now.palette))
    return path


def _report(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.report import ReportInput, write_report

    path = folder / f"{stem}.report.html"
    write_report(
        path,
        ReportInput(
            now.image,
            now.cells,
            now.annotations,
            now.prediction,
            now.palette,
            now.spec,
            encoder=None if now.embeddings is None else now.embeddings.encoder,
            training_counts=None if now.bundle is None else now.bundle.training_counts,
            model=now.model,
            calibration=now.calibration,
            overlay=now.overlay,
        ),
    )
    return path


def _crops(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import write_crops

    target = folder / f"{stem}.crops"
    write_crops(target, now.image, now.cells, now.displayed, palette=now.palette, spec=now.spec)
    return target


def _coco(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import ClassifiedImage, write_coco

    path = folder / f"{stem}.coco.json"
    write_coco(path, [ClassifiedImage(now.image, now.cells, now.displayed)], now.palette)
    return path


def _bundle(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.bundle import save_bundle

    if now.bundle is None:
        raise BundleError("There is no model yet: give at least one cell a class under Annotate.")
    return save_bundle(folder / f"{stem}.model", now.bundle)


_PATIENCE = 0.2  # seconds after which an export looks whether it was cancelled
_TABLES: frozenset[ExportFormat] = frozenset({"csv", "joint", "coco", "bundle"})
_WRITERS: dict[ExportFormat, Callable[[ExportSnapshot, Path, str], Path]] = {
    "csv": _csv,
    "report": _report,
    "labels": _labels,
    "overlay": _overlay,
    "crops": _crops,
    "coco": _coco,
    "bundle": _bundle,
}
