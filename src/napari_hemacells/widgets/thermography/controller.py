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
        # Of each frame that was measured, by layer and place in its stack.
        self._tables: dict[tuple[str, tuple[int, ...]], pd.DataFrame] = {}
        self._shown_table: pd.DataFrame | None = None
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
        self._shown.keep_to_sight(key)
        thermal = self._shown.is_thermogram(key)
        self._panel.setVisible(thermal)
        self._detect.offer_detector(offered=not thermal)
        table = self._table
        if table is not self._shown_table:
            self._shown_table = table
            self._panel.show_table(table)
        self._panel.name = self._shown.frame_name(key)
        blocked = (
            "Wait until the running task has finished." if self.jobs.running("detect") else ""
        )
        self._panel.set_state(blocked=blocked, outlined=self._shown.has_outlines(key))

    @property
    def _table(self) -> pd.DataFrame | None:
        """The table of the frame in sight; ``None`` if it was not measured."""
        key = self._detect.chosen_image
        return None if key is None else self._tables.get((key, self._shown.frame(key)))

    def find(self) -> None:
        """Find body, breasts and hot spots of the displayed frame."""
        self._panel.say("")
        key = self._detect.chosen_image
        read = None if key is None else self._shown.celsius_maker(key)
        if key is None or read is None:
            return
        frame = self._shown.frame(key)

        def steps() -> Generator[Progress, None, Any]:
            from napari_hemacells.core.thermography.regions import find_regions
            from napari_hemacells.core.thermography.regions.measure import measure_regions

            yield Progress(0, 1, "Finding the breasts")
            regions = find_regions(read())
            return regions, measure_regions(regions), (key, frame), True

        self.jobs.start("detect", steps)
        self.update()

    def measure(self) -> None:
        """Measure the outlines as edited by the user."""
        self._panel.say("")
        self._voice.attempt(self._measure)
        self.update()

    def export(self, file: Path) -> None:
        """Write the region table, with the name of the thermogram in its first column."""
        from napari_hemacells.core.thermography.regions.measure import write_table

        measured = self._table
        self._panel.say("")
        if measured is None:
            return
        table = measured.copy()
        table.insert(0, "thermogram", self._shown.frame_name(self._detect.chosen_image))
        if self._voice.attempt(lambda: write_table(table, file)):
            self._panel.say(f"Written: {file}.")

    def _measure(self) -> None:
        key = self._detect.chosen_image
        read = None if key is None else self._shown.celsius_maker(key)
        if key is None or read is None:
            return
        outlines, frame = self._shown.outlines(key), self._shown.frame(key)

        def steps() -> Generator[Progress, None, Any]:
            from napari_hemacells.core.thermography.regions import regions_from_outlines
            from napari_hemacells.core.thermography.regions.measure import measure_regions

            yield Progress(0, 1, "Measuring")
            regions = regions_from_outlines(read(), outlines)
            return regions, measure_regions(regions), (key, frame), False

        self.jobs.start("detect", steps)

    def _returned(self, _kind: str, result: tuple[Any, ...]) -> None:
        regions, table, (key, frame), outlined = result
        self._tables[key, frame] = table
        if outlined:
            source = self._shown.show(regions, key, frame)
            if (key, frame) == (self._detect.chosen_image, self._shown.frame(key)):
                self._detect.choose_source(source)
                self._voice.say("Check the outlines and correct them by hand, then press Measure.")
        else:
            self._shown.show_hot_spots(regions, key, frame)
            self._voice.say("Measured in the outlines as they are now.")
        self.update()

    def _refused(self, _kind: str, error: HemaCellsError) -> None:
        self._voice.warn(str(error))

    def _failed(self, _kind: str, error: Exception) -> None:
        self._voice.fail(f"The regions could not be found: {error}")

    def _stopped(self, _kind: str) -> None:
        self.update()
