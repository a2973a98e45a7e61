"""Detection in the dock: by a detector or from a layer, with the cells found so far shown."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells import layers as ours
from napari_hemacells.core.pictures import whole_picture
from napari_hemacells.widgets.canvas.cell_colors import outline_width
from napari_hemacells.widgets.detect.panel import no_cells_reason

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells, PartCells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.detect.panel import DetectRequest
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.train_detector.controller import TrainDetectorController

_SHARE = 0.1  # of the time goes into showing what was found, at most
_SHORTEST, _LONGEST = 1.0, 5.0  # seconds between two looks, however fast parts come
LIVE_PIXELS = 2_000_000  # a field of view; more has several parts, whose maps are not kept
_TYPICAL = 40.0  # diameter in pixels where no cell tells it


class DetectionPreview(QObject):
    """Shows the cells on the canvas part by part while a detection runs.

    Parameters
    ----------
    session, bridge
        The session of the image, and the viewer to show the cells in.
    """

    def __init__(self, session: Session, bridge: ViewerBridge) -> None:
        super().__init__()
        self._session, self._bridge = session, bridge
        self._parts: list[PartCells] = []
        self._cost = self._shown = 0.0

    @property
    def count(self) -> int:
        """Cells found so far."""
        return sum(map(len, self._parts))

    def add(self, part: PartCells) -> None:
        """Show the cells of one more part of the image."""
        self._parts.append(part)
        image = self._session.image
        waited = time.monotonic() - self._shown
        pause = min(max(self._cost / _SHARE, _SHORTEST), _LONGEST)
        if image is None or not self.count or waited < pause:
            return
        started = time.monotonic()
        self._show(image)
        self._shown = time.monotonic()
        self._cost = self._shown - started

    def forget(self) -> None:
        """Remove the preview: the detection has ended."""
        self._parts, self._cost, self._shown = [], 0.0, 0.0
        self._bridge.clear_partial_cells()

    def _show(self, image: SmearImage) -> None:
        self._parts = [join_parts(self._parts)]  # the next look joins only what is new
        cells = cells_of(self._parts[0], image.shape)
        shades = ours.detected_colour_codes(cells, self._session.palette)
        self._bridge.show_partial_cells(cells, image.key, shades, outline_width(cells.diameter))


def join_parts(parts: list[PartCells]) -> PartCells:
    """Return the cells of some parts as one, with those on borders not yet joined."""
    import pandas as pd

    from napari_hemacells.core.cell_masks import PackedMasks
    from napari_hemacells.core.types import PartCells

    parts = [part for part in parts if len(part)]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return PartCells(parts[0].part, table, PackedMasks.concatenate([p.masks for p in parts]))


def cells_of(part: PartCells, shape: tuple[int, int]) -> Cells:
    """Return the cells of a part, numbered from 1 on."""
    from napari_hemacells.core.cell_masks import LazyLabels
    from napari_hemacells.core.types import Cells

    table = part.table
    ids = np.arange(1, len(table) + 1)
    sides = (table["max_row"] - table["min_row"])[table["class"] == "RBC"]
    diameter = float(sides.median()) if len(sides) else _TYPICAL
    return Cells(LazyLabels(shape, ids, part.masks), table.assign(label=ids), diameter)


class DetectController(QObject):
    """The behaviour of the step *Detect*.

    Signals
    -------
    changed
        A detection was requested: the buttons need an update.
    """

    changed = Signal()

    def __init__(
        self,
        session: Session,
        bridge: ViewerBridge,
        tasks: BackgroundTasks,
        training: TrainDetectorController,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._session, self._bridge = session, bridge
        self._tasks, self._training, self._voice = tasks, training, voice
        self.preview_layer = DetectionPreview(session, bridge)
        self._last: tuple[str, DetectRequest] | None = None  # image and request detected last
        tasks.found.connect(self.preview_layer.add)
        tasks.detected.connect(self._detected)
        tasks.jobs.stopped.connect(self._stopped)

    def detect(self, request: DetectRequest) -> None:
        """Detect cells, or read those of a layer."""
        image = self._session.image
        if image is None:
            return
        work = self._take if request.whole or request.source is not None else self._find
        self._voice.attempt(lambda: work(image, request))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the running task, and say what is kept."""
        count = self.preview_layer.count
        self._tasks.cancel()
        if count:
            self._voice.offer(
                f"Stopped. {count:,} cells were found so far: use them, or press Detect cells "
                "to find the others too.",
                f"&Use the {count:,} cells found so far",
                self.use_found,
            )
        else:
            self._voice.say("Stopped. Finished parts are kept.")

    def use_found(self) -> None:
        """Use the cells that were found before *Cancel*."""
        self._voice.say("")
        self._tasks.use_found()
        self.changed.emit()

    def redetect(self, request: DetectRequest) -> None:
        """Detect again at another sensitivity, where that takes no run of the network.

        Only a field of view whose cells were detected with the same parameters otherwise: the
        network's maps of it are kept.
        """
        image, last = self._session.image, self._last
        if image is None or last is None or self._session.cells is None:
            return
        key, before = last
        same = replace(before, params=request.params) == request and image.key == key
        fields = {"sensitivity": before.params.sensitivity}
        only_sensitivity = request.params.model_copy(update=fields) == before.params
        small = image.shape[0] * image.shape[1] <= LIVE_PIXELS
        if same and only_sensitivity and small and request != before:
            self._last = key, request
            regions = None
            if request.within is not None:
                regions = self._bridge.read_regions(request.within, image)
            self._tasks.detect(image, self._training.with_weights(request.params), regions)
            self.changed.emit()

    def _find(self, image: SmearImage, request: DetectRequest) -> None:
        self._last = None
        regions = None
        if request.within is not None:
            regions = self._bridge.read_regions(request.within, image)
        self._tasks.detect(image, self._training.with_weights(request.params), regions)
        if request.params.method == "learned":
            self._last = image.key, request
        self._voice.say("Cells appear as they are found; you can move around the image meanwhile.")

    def _take(self, image: SmearImage, request: DetectRequest) -> None:
        self._last = None
        if request.source is None:
            self._tasks.take(image, partial(whole_picture, image))
            return
        make = self._bridge.read_cells(request.source, image, request.params.cell_diameter)
        if make is None:
            self._voice.warn("That layer has been removed: choose another one.")
        else:
            self._tasks.take(image, make)

    def _stopped(self, kind: str) -> None:
        if kind == "keep":
            self.preview_layer.forget()
        elif kind == "detect":  # unless the cells are being saved: they are shown soon
            QTimer.singleShot(0, self._forget_preview)

    def _forget_preview(self) -> None:
        if not self._tasks.jobs.running("keep") and not self._tasks.jobs.running("detect"):
            self.preview_layer.forget()

    def _detected(self) -> None:
        cells = self._session.cells
        if cells is not None and not len(cells):
            self._voice.warn(no_cells_reason(self._session.image))
        else:
            whole = cells is not None and cells.source == "whole"
            self._voice.say(
                "Go on to Annotate, and give the picture a class."
                if whole
                else "Check the cells on the image, then go on to Annotate."
            )
