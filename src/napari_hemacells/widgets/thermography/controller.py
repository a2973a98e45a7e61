"""The behaviour of the thermogram panel: finds, measures and exports regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import pandas as pd

    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.widgets.canvas.thermogram_layers import ThermogramLayers
    from napari_hemacells.widgets.detect.panel import DetectPanel
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.thermography.panel import ThermogramPanel


class ThermogramController(QObject):
    """Finds, measures and exports the regions of the chosen thermogram.

    Parameters
    ----------
    panel
        The buttons and the table.
    detect
        The panel in which the image is chosen.
    shown
        The viewer's thermograms and regions.
    """

    def __init__(
        self,
        panel: ThermogramPanel,
        detect: DetectPanel,
        shown: ThermogramLayers,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._panel, self._detect, self._shown, self._voice = panel, detect, shown, voice
        self._table: pd.DataFrame | None = None
        self._measured_key = ""
        self.jobs = JobRunner(self)
        panel.find_requested.connect(self.find)
        panel.measure_requested.connect(self.measure)
        panel.export_requested.connect(self.export)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)
        self.jobs.stopped.connect(self._stopped)

    def update(self) -> None:
        """Show the panel for a thermogram, and enable its buttons."""
        key = self._detect.chosen_image
        thermal = self._shown.is_thermogram(key)
        self._panel.setVisible(thermal)
        self._detect.offer_detector(offered=not thermal)
        if key != self._measured_key and self._table is not None:
            self._table = None
            self._panel.show_table(None)
        blocked = (
            "Wait until the running task has finished." if self.jobs.running("detect") else ""
        )
        self._panel.set_state(blocked=blocked, outlined=self._shown.has_outlines(key))

    def find(self) -> None:
        """Find body, breasts and hot spots of the displayed frame."""
        self._panel.say("")
        key = self._detect.chosen_image
        read = None if key is None else self._shown.celsius_maker(key)
        if key is None or read is None:
            return

        def steps() -> Generator[Progress, None, Any]:
            from napari_hemacells.core.thermography.regions import find_regions
            from napari_hemacells.core.thermography.regions.measure import measure_regions

            yield Progress(0, 1, "Finding the breasts")
            regions = find_regions(read())
            return regions, measure_regions(regions), key, True

        self.jobs.start("detect", steps)
        self.update()

    def measure(self) -> None:
        """Measure the outlines as edited by the user."""
        self._panel.say("")
        self._voice.attempt(self._measure)
        self.update()

    def export(self, file: Path) -> None:
        """Write the region table."""
        from napari_hemacells.core.thermography.regions.measure import write_table

        table = self._table
        self._panel.say("")
        if table is not None and self._voice.attempt(lambda: write_table(table, file)):
            self._panel.say(f"Written: {file}.")

    def _measure(self) -> None:
        key = self._detect.chosen_image
        read = None if key is None else self._shown.celsius_maker(key)
        if key is None or read is None:
            return
        outlines = self._shown.outlines(key)

        def steps() -> Generator[Progress, None, Any]:
            from napari_hemacells.core.thermography.regions import regions_from_outlines
            from napari_hemacells.core.thermography.regions.measure import measure_regions

            yield Progress(0, 1, "Measuring")
            regions = regions_from_outlines(read(), outlines)
            return regions, measure_regions(regions), key, False

        self.jobs.start("detect", steps)

    def _returned(self, _kind: str, result: tuple[Any, ...]) -> None:
        regions, table, key, outlined = result
        if outlined:
            self._detect.choose_source(self._shown.show(regions, key))
            self._voice.say("Check the outlines and correct them by hand, then press Measure.")
        else:
            self._shown.show_hot_spots(regions, key)
        self._table, self._measured_key = table, key
        self._panel.show_table(table)
        self.update()

    def _refused(self, _kind: str, error: HemaCellsError) -> None:
        self._voice.warn(str(error))

    def _failed(self, _kind: str, error: Exception) -> None:
        self._voice.fail(f"The regions could not be found: {error}")

    def _stopped(self, _kind: str) -> None:
        self.update()
