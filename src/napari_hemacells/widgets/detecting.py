"""Detection asked for in the dock: by a detector, or from a layer; and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.widgets.finding import Finding

if TYPE_CHECKING:
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.detect_panel import DetectRequest
    from napari_hemacells.widgets.tasks import Tasks
    from napari_hemacells.widgets.train_run import TrainRun
    from napari_hemacells.widgets.voice import Voice


class Detecting(QObject):
    """What the step *Detect* asks for, done.

    Signals
    -------
    changed
        A detection was asked for: what is possible has changed.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        bridge: ViewerBridge,
        tasks: Tasks,
        training: TrainRun,
        voice: Voice,
    ) -> None:
        super().__init__()
        self._session, self._bridge = session, bridge
        self._tasks, self._training, self._voice = tasks, training, voice
        self.finding = Finding(session, bridge)
        tasks.found.connect(self.finding.add)
        tasks.detected.connect(self._detected)
        tasks.jobs.stopped.connect(self._stopped)

    def detect(self, request: DetectRequest) -> None:
        """Find cells, or take those of a layer."""
        image = self._session.image
        if image is None:
            return
        work = self._find if request.source is None else self._take
        self._voice.attempt(lambda: work(image, request))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop what runs, and say what is kept."""
        found = self.finding.count
        self._tasks.cancel()
        if found:
            self._voice.say(f"Stopped after {found:,} cells. Detect goes on from there.")
        else:
            self._voice.say("Stopped. What was done before is kept.")

    def _find(self, image: SmearImage, request: DetectRequest) -> None:
        regions = None
        if request.within is not None:
            regions = self._bridge.read_regions(request.within, image)
        self._tasks.detect(image, self._training.with_weights(request.params), regions)
        self._voice.say("Cells appear as they are found; you can look around meanwhile.")

    def _take(self, image: SmearImage, request: DetectRequest) -> None:
        if request.source is None:
            return
        make = self._bridge.read_cells(request.source, image, request.params.cell_diameter)
        if make is None:
            self._voice.warn("That layer is not there any more: choose another one.")
        else:
            self._tasks.take(image, make)

    def _stopped(self, kind: str) -> None:
        if kind == "detect":
            self.finding.forget()

    def _detected(self) -> None:
        cells = self._session.cells
        if cells is not None and not len(cells):
            self._voice.warn("No cells found: raise the sensitivity, or give the cell diameter.")
        else:
            self._voice.say("Check the cells on the image, then go on to Annotate.")
