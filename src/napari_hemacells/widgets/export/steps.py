"""The steps of an export: each format is written from a snapshot of the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.files.fsio import file_name, storage_error
from napari_hemacells.core.types import Cells, CropSpec, Prediction, Progress, SmearImage
from napari_hemacells.session.project_table import project_table_steps, request_project_table
from napari_hemacells.session.triage import request_triage, triage_steps
from napari_hemacells.widgets.export.file_names import reserve_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

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
    written: list[Path] = []
    for number, what in enumerate(request.what):
        yield Progress(number, len(request.what), "Exporting %v of %m")
        if what == "joint":
            written += yield from _joint_steps(now, request.folder)
        elif what == "triage":
            written += yield from _triage_steps(now, request.folder)
        else:
            written.append(_WRITERS[what](now, request.folder, stem))
    yield Progress(len(request.what), len(request.what), "Exporting %v of %m")
    usual = file_name(now.image.name)
    note = (
        ""
        if stem == usual
        else f" The files are called “{stem}”: “{usual}” is taken by another image of that name."
    )
    return ExportResult(request.folder, written, note)


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
    from napari_hemacells.core.store.tables import cells_table

    path = folder / f"{stem}.cells.csv"
    write_csv(
        path, cells_table(now.image, now.cells, now.annotations, now.prediction, now.palette)
    )
    return path


def _labels(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import write_labels_tif

    path = folder / f"{stem}.labels.tif"
    write_labels_tif(path, now.cells)
    return path


def _overlay(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.overlay import class_overlay, write_overlay

    path = folder / f"{stem}.overlay.png"
    write_overlay(
        path,
        class_overlay(now.image, now.cells, _displayed_classes(now), now.palette, legend=True),
    )
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
        ),
    )
    return path


def _crops(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import write_crops

    target = folder / f"{stem}.crops"
    write_crops(
        target, now.image, now.cells, _displayed_classes(now), palette=now.palette, spec=now.spec
    )
    return target


def _coco(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.export import ClassifiedImage, write_coco

    path = folder / f"{stem}.coco.json"
    write_coco(path, [ClassifiedImage(now.image, now.cells, _displayed_classes(now))], now.palette)
    return path


def _bundle(now: ExportSnapshot, folder: Path, stem: str) -> Path:
    from napari_hemacells.core.store.bundle import save_bundle

    if now.bundle is None:
        raise BundleError("There is no model yet: give at least one cell a class under Annotate.")
    return save_bundle(folder / f"{stem}.model", now.bundle)


def _displayed_classes(now: ExportSnapshot) -> dict[int, str]:
    from napari_hemacells.core.store.tables import shown_classes

    return shown_classes(now.cells, now.annotations, now.prediction, now.palette)


_WRITERS: dict[ExportFormat, Callable[[ExportSnapshot, Path, str], Path]] = {
    "csv": _csv,
    "report": _report,
    "labels": _labels,
    "overlay": _overlay,
    "crops": _crops,
    "coco": _coco,
    "bundle": _bundle,
}
