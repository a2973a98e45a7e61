"""The results page: of a new training, of the model in use, of a training of the command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.finetune.steps import TrainingPages, read_pages
from napari_hemacells.widgets.native_libraries import without_triton

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.core.train.classifier.results import CropPrediction, EvaluationResults
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune.panel import FineTunePanel

_MODEL = "model"


class ResultsPage(QObject):
    """Opens results, and computes the heat maps of the crops that are listed.

    Signals
    -------
    said, warning_emitted
        A sentence for the message bar.
    """

    said = Signal(str)
    warning_emitted = Signal(str)

    def __init__(
        self, session: Session, panel: FineTunePanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._panel = session, panel
        self.jobs = JobRunner(self)
        self._report: Path | None = None
        self._heat: dict[tuple[Path, str], NDArray[np.uint8]] = {}
        panel.result_requested.connect(self.show_in_use)
        panel.open_requested.connect(self.ask)
        panel.result.report_requested.connect(self._open_report)
        panel.result.heat_requested.connect(self.heat)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)

    def close(self) -> None:
        """Stop; late answers are ignored."""
        self.jobs.close()

    def show_in_use(self) -> None:
        """Show the training results of the model in use."""
        project = self._session.project
        if project is not None and project.classifier is not None:
            self.open(project.classifier)

    def ask(self) -> None:
        """Ask for the folder of a training, also one made by the command, and show its results."""
        chosen = QFileDialog.getExistingDirectory(
            self._panel, "Results of a training (the folder that was given with --out)"
        )
        if chosen:
            self.open(Path(chosen))

    def open(self, folder: Path) -> None:
        """Show the results in the folder of a training, or of the model in it."""
        self.jobs.start("read", partial(_read_steps, folder))

    def show(self, pages: TrainingPages) -> None:
        """Show the results of a training."""
        self._report, result = pages.report, self._panel.result
        result.show_findings(pages.findings, report=pages.report is not None)
        result.show_charts(pages.searches, pages.balance)
        result.show()

    def heat(self, results: EvaluationResults, items: tuple[CropPrediction, ...]) -> None:
        """Show the heat maps of these pictures, as soon as they are computed."""
        known = {item.key: self._heat.get((results.folder, item.name)) for item in items}
        self._panel.result.show_heat({key: one for key, one in known.items() if one is not None})
        missing = tuple(item for item in items if known[item.key] is None)
        if missing:
            self.said.emit("Looking where the network looked …")
            self.jobs.start("heat", partial(_heat_steps, results, missing))

    def _returned(self, kind: str, answer: Any) -> None:
        if kind == "read":
            self.show(answer)
            self._panel.scroll_requested.emit(self._panel.result)
            return
        folder, pictures, keys = answer
        for name, picture in pictures.items():
            self._heat[folder, name] = picture
        self._panel.result.show_heat({keys[name]: one for name, one in pictures.items()})
        self.said.emit("Heat maps: yellow spoke most for the predicted class.")

    def _refused(self, kind: str, error: HemaCellsError) -> None:
        if kind == "heat":
            self._panel.result.heat.setChecked(False)
        self.warning_emitted.emit(str(error))

    def _failed(self, kind: str, error: Exception) -> None:
        if kind == "heat":
            self._panel.result.heat.setChecked(False)
        self.warning_emitted.emit(f"These results cannot be shown ({error}).")

    def _open_report(self) -> None:
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))


def _read_steps(folder: Path) -> Generator[Progress, None, TrainingPages]:
    yield Progress(0, 0, "Reading the results")
    if folder.name == _MODEL and not (folder / "figures.json").is_file():
        folder = folder.parent
    return read_pages(folder)


def _heat_steps(
    results: EvaluationResults, items: tuple[CropPrediction, ...]
) -> Generator[Progress, None, tuple[Path, dict[str, NDArray[np.uint8]], dict[str, str]]]:
    from napari_hemacells.core.errors import TrainingError
    from napari_hemacells.core.train.classifier.report.galleries import ReportCrops

    yield Progress(0, 0, "Looking where the network looked")
    frame = results.run.get("frame")
    if frame is None:
        raise TrainingError(
            "How the pictures of this training were cut is not known, so there are no heat maps: "
            "train again to have them."
        )
    with without_triton():
        from napari_hemacells.core.train.classifier.report.heatmaps import gradcam_overlays

        pictures = gradcam_overlays(results, items, ReportCrops(frame))
    return results.folder, pictures, {item.name: item.key for item in items}
