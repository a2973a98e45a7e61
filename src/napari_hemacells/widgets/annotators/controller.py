"""Several annotators in the dock: reads their points, shows the consensus, takes it over."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_hemacells.core.consensus import (
    AnnotatorPoints,
    Consensus,
    ConsensusMethod,
    joined_points,
    make_consensus,
    points_from_rows,
    read_annotator_points,
    read_project_points,
    summarise,
)
from napari_hemacells.core.consensus.points import NOT_SURE
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.annotators.panel import METHOD_NAMES
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.canvas.annotator_layers import AnnotatorLayers, annotator_colour
from napari_hemacells.widgets.native_libraries import single_blas_thread
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import pandas as pd

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.annotators.panel import AnnotatorsPanel
    from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.message_bar import Notifier

_PAUSE_MS = 60  # after the last move of the slider
_SIZE = 0.9  # of a ring, in the distance that is used
_LEAST_SIZE = 12.0  # pixels


class ConsensusRequest(NamedTuple):
    """What a consensus is made of."""

    points: AnnotatorPoints
    method: ConsensusMethod
    radius: float | None
    image: str


def reading_steps(
    files: Sequence[Path], projects: Sequence[Path]
) -> Generator[Progress, None, list[AnnotatorPoints]]:
    """Return the points of files, and those of projects together."""
    yield Progress(0, 0, "Reading points")
    parts = [read_annotator_points(file) for file in files]
    if projects:
        parts.append(read_project_points(projects))
    return parts


def consensus_steps(
    request: ConsensusRequest,
) -> Generator[Progress, None, tuple[ConsensusRequest, Consensus, dict[str, Any]]]:
    """Return the consensus and its figures."""
    yield Progress(0, 0)
    points = request.points
    if request.radius is not None and request.method != "reliability":
        # Nothing is learnt from other images: only the one in sight is waited for.
        points = points.of_images([request.image])
    with single_blas_thread():
        made = make_consensus(points, request.method, radius=request.radius)
        return request, made, summarise(made)


class AnnotatorsController(QObject):
    """The behaviour of the section *Several annotators*.

    Parameters
    ----------
    canvas
        Goes to the cells on which people disagree, and annotates them.
    """

    def __init__(
        self,
        panel: AnnotatorsPanel,
        session: Session,
        bridge: ViewerBridge,
        voice: Notifier,
        canvas: CellLayerController,
    ) -> None:
        super().__init__()
        self.panel, self._session, self._bridge = panel, session, bridge
        self._voice, self._canvas = voice, canvas
        self.layers = AnnotatorLayers(bridge)
        self._read: list[AnnotatorPoints] = []  # of files
        self._projects: list[Path] = []
        self._of_projects: list[AnnotatorPoints] = []
        self._of_layers: list[AnnotatorPoints] = []
        self.points: AnnotatorPoints | None = None
        self.consensus: Consensus | None = None
        self._shown_image = ""
        self._at = -1  # of the disagreements
        self.jobs = JobRunner(self)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE_MS)
        self._soon.timeout.connect(self._start)
        panel.files_chosen.connect(self.read_files)
        panel.projects_chosen.connect(self.read_projects)
        panel.layers_requested.connect(self._offer_layers)
        panel.layers_chosen.connect(self.read_layers)
        panel.settings_changed.connect(self._soon.start)
        panel.take_requested.connect(self.take_over)
        panel.next_requested.connect(self.next_disagreement)
        panel.clear_requested.connect(self.clear)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.image, self._image_changed)
        # Not a method of self, which knows the dock.
        self.close_callbacks = (self._subscriptions.drop, self._soon.stop, self.jobs.close)

    # --- reading -----------------------------------------------------------------------------

    def read_files(self, files: Sequence[Path]) -> None:
        """Read the points of files, beside those that are there."""
        self.jobs.start("read", partial(reading_steps, list(files), []))

    def read_projects(self, folders: Sequence[Path]) -> None:
        """Read everybody's annotations in projects, beside those that are there."""
        self._projects = list(dict.fromkeys([*self._projects, *folders]))
        self.jobs.start("folders", partial(reading_steps, [], self._projects))

    def read_layers(self, keys: Sequence[str]) -> None:
        """Take each of these Points layers as one annotator's points on this image."""
        image = self._session.image
        if image is None:
            self._voice.warn("Choose an image under Detect first: the points belong to it.")
            return
        rows = []
        for key in keys:
            layer = self._bridge.layer(key)
            name = "" if layer is None else layer.name
            rows += [
                (image.name, name, *point) for point in self.layers.read_points(key, image.key)
            ]
        self._of_layers = [points_from_rows(rows)] if rows else []
        self._points_changed()

    def _offer_layers(self) -> None:
        self.panel.show_layer_choices(self.layers.point_layers())

    def clear(self) -> None:
        """Forget the points and take them out of the viewer; cells stay."""
        self._soon.stop()
        self.jobs.cancel("consensus")
        self._read, self._projects = [], []
        self._of_projects, self._of_layers = [], []
        self.points = self.consensus = None
        self.layers.clear()
        self.panel.show_layer_choices(())
        self.panel.show_points((), (), "")

    def _points_changed(self) -> None:
        parts = [*self._read, *self._of_projects, *self._of_layers]
        if not parts:
            self.clear()
            return
        if not self._voice.attempt(lambda: self._join(parts)) or self.points is None:
            return
        points = self.points
        counts = np.bincount(points.annotator, minlength=len(points.annotators))
        self.panel.show_points(
            [
                (name, annotator_colour(at), int(counts[at]))
                for at, name in enumerate(points.annotators)
            ],
            points.images,
            self._matching_image(points),
        )
        self._start()

    def _join(self, parts: list[AnnotatorPoints]) -> None:
        self.points = joined_points(parts)

    def _matching_image(self, points: AnnotatorPoints) -> str:
        """The name under which the points know the image in use; the only one, or none."""
        image = self._session.image
        if image is not None:
            for name in points.images:
                if image.name in {name, PurePath(name).stem} or PurePath(image.name).stem == name:
                    return name
        return points.images[0] if len(points.images) == 1 else ""

    def _image_changed(self) -> None:
        if self.points is not None:
            self.layers.clear()
            if self._of_layers:  # they were on the image before
                self._of_layers = []
            self._points_changed()

    # --- the consensus -----------------------------------------------------------------------

    def request(self) -> ConsensusRequest | None:
        """What to make a consensus of now; ``None`` without points on this image."""
        points, image = self.points, self.panel.image.currentText()
        if points is None or image not in points.images:
            return None
        points = points.without_annotators(self.panel.left_out)
        return ConsensusRequest(points, self.panel.chosen_method, self.panel.radius, image)

    def _start(self) -> None:
        request = self.request()
        if request is not None and len(request.points.of_images([request.image])):
            self.jobs.start("consensus", partial(consensus_steps, request))
            return
        self.consensus = None
        if self.points is None:
            return
        self.layers.clear()
        reason = (
            "Choose the image that the points are on."
            if request is None
            else "There is no point on this image: tick an annotator, or choose another image."
        )
        self.panel.show_result(reason, "", 0, reason=reason)

    def _returned(self, kind: str, result: Any) -> None:
        if kind == "read":
            self._read += result
            self._points_changed()
        elif kind == "folders":
            self._of_projects = result
            self._points_changed()
        elif kind == "consensus":
            self._show(*result)

    def _refused(self, kind: str, error: Exception) -> None:
        if kind == "folders":
            self._projects = self._projects if self._of_projects else []
        self._voice.warn(str(error))

    def _failed(self, _kind: str, error: Exception) -> None:
        self._voice.fail(f"The points could not be compared ({error}). Your cells are safe.")

    def _show(
        self, request: ConsensusRequest, consensus: Consensus, summary: dict[str, Any]
    ) -> None:
        image = self._session.image
        if image is None:
            self._voice.warn("Choose an image under Detect first: the points belong to it.")
            return
        self.consensus, self._shown_image, self._at = consensus, request.image, -1
        points = consensus.points
        here = points.image == points.images.index(request.image)
        colours = [annotator_colour(at) for at in points.annotator[here].tolist()]
        table = self._of_image(consensus.candidates)
        doubts = self.disagreements()
        table = table.assign(open=table.index.isin(doubts.index))
        table = table.drop(columns=["image", "points", "annotators"])
        distance = float(consensus.distance[points.images.index(request.image)])
        size = max(_SIZE * distance, _LEAST_SIZE)
        self.layers.show(image.key, (points.position[here], colours), table, size)
        self.panel.show_distance(distance)
        aside = request.image in consensus.set_aside
        self.panel.show_result(
            format_result(table, len(doubts), set_aside=aside),
            format_agreement(summary),
            len(doubts),
            reason=_nothing_to_take(table, set_aside=aside),
        )

    def _of_image(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table["image"] == self._shown_image]

    def disagreements(self) -> pd.DataFrame:
        """Candidates of this image on which people disagree, the most doubtful first."""
        if self.consensus is None:
            raise RuntimeError("There is no consensus yet.")
        return self._of_image(self.consensus.disagreements)

    # --- what is done with it ----------------------------------------------------------------

    def take_over(self) -> None:
        """Make the consensus cells of the session, with their classes."""
        consensus = self.consensus
        if consensus is None:
            return
        cells = self._of_image(consensus.candidates)
        cells = cells[cells["kept"]]
        names = ["" if name == NOT_SURE else str(name) for name in cells["class"]]
        positions = cells[["row", "column"]].to_numpy(dtype=float)

        def take() -> None:
            taken = self._session.take_consensus(positions, names)
            before = len(cells) - taken.added
            self._voice.say(
                f"{taken.added:,} new cells and {before:,} that were there; {taken.annotated:,} "
                f"got a class ({METHOD_NAMES[consensus.method]}). Ctrl+Z takes it back."
            )

        self._voice.attempt(take)

    def next_disagreement(self) -> None:
        """Go to the next cell on which people disagree, the most doubtful first."""
        if self.consensus is None:
            return
        doubts = self.disagreements()
        if doubts.empty:
            return
        self._at = (self._at + 1) % len(doubts)
        row = doubts.iloc[self._at]
        place = (float(row["row"]), float(row["column"]))
        cell = self._session.cell_near(*place)
        if cell:
            self._canvas.labelling = True  # in this step too: the keys decide about this cell
            self._canvas.go_to(cell)
        self.layers.look_at(*place)
        said = format_votes(self.consensus, int(doubts.index[self._at]))
        keys = ", ".join(f"{c.key} for {c.name}" for c in self._session.palette if c.key)
        todo = f"Press {keys}" if cell else "Take the cells over, or add it with A"
        kept = "kept" if row["kept"] else "rejected"
        self._voice.say(
            f"Disagreement {self._at + 1:,} of {len(doubts):,}: {row['votes']} of "
            f"{row['annotators']} marked it{said}; {kept}. {todo}."
        )


def _nothing_to_take(table: pd.DataFrame, *, set_aside: bool) -> str:
    if set_aside:
        return "This image is set aside: choose another method."
    return "" if table["kept"].any() else "Nothing is kept as a cell: choose another method."


def format_result(table: pd.DataFrame, doubts: int, *, set_aside: bool) -> str:
    """``52 cells: alive 40, dead 12; 5 rejected; 9 to look at``."""
    if set_aside:
        return (
            "Set aside: the annotators marked different numbers of cells on this image. Choose "
            "another method to use it."
        )
    kept = table[table["kept"]]
    counts = kept["class"].value_counts()
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items() if name)
    counted = f"{len(kept):,} {'cell' if len(kept) == 1 else 'cells'}"
    rejected = len(table) - len(kept)
    return f"{counted}{': ' if parts else ''}{parts}; {rejected:,} rejected; {doubts:,} to look at"


def format_agreement(summary: dict[str, Any]) -> str:
    """``Where cells are: 0.82 (0.78 to 0.85). Classes: alpha 0.89 …``."""
    images = summary["images_with_several_annotators"]
    parts = []
    for key, name in (
        ("detection_agreement", "Agreement on where cells are"),
        ("alpha_classes", "On classes, Krippendorff's alpha"),
    ):
        figure = summary[key]
        if figure["value"] is None:
            continue
        between = (
            "" if figure["low"] is None else f" ({figure['low']:.2f} to {figure['high']:.2f})"
        )
        parts.append(f"{name}: {figure['value']:.2f}{between}")
    counted = f"{images:,} {'image' if images == 1 else 'images'} with several annotators"
    return f"{'. '.join(parts)}. {counted}." if parts else ""


def format_votes(consensus: Consensus, candidate: int) -> str:
    """What the annotators called a candidate: ``, 2 alive, 1 dead``; empty without classes."""
    points = consensus.points
    said = points.response[consensus.cell == candidate]
    counts = [(name, int((said == at).sum())) for at, name in enumerate(points.classes)]
    return "".join(f", {count} {name}" for name, count in counts if count)
