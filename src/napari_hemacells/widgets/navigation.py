"""Navigation to cells of any image of the project, open or not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError, ImageError
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import project_images
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import CellRef, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
    from napari_hemacells.widgets.canvas.layer_catalog import PlaneChoice
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge


class ImageLayer(NamedTuple):
    """An image, the layer that shows it (empty if none does), and its plane of a stack."""

    image: SmearImage
    layer: str
    place: tuple[int, ...] = ()


class Navigator(QObject):
    """Shows a cell in the middle of the canvas, opening its image first if necessary.

    Signals
    -------
    proposed
        Cells of the open image to review in the gallery, and how many more are elsewhere.
    image_opened
        Another image was opened for a cell.
    warning_emitted
        Why a cell cannot be shown.
    """

    proposed = Signal(object, int)
    image_opened = Signal()
    warning_emitted = Signal(str)

    def __init__(
        self, session: Session, bridge: ViewerBridge, canvas: CellLayerController
    ) -> None:
        super().__init__()
        self._session, self._bridge, self._canvas = session, bridge, canvas
        self.jobs = JobRunner(self)
        self._waiting: tuple[CellRef, ...] = ()
        self._review = False
        self.jobs.returned.connect(self._opened)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._refused)
        self._soon = QTimer(self)  # the gallery too begins anew when other cells are shown
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._arrived_elsewhere)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.cells, self._wait)

    def close(self) -> None:
        """Disconnect from the session."""
        self._subscriptions.drop()
        self.jobs.close()

    def go_to(self, ref: CellRef) -> None:
        """Show a cell of any image of the project."""
        self._go((ref,), review=False)

    def review(self, refs: Sequence[CellRef]) -> None:
        """Propose cells in the gallery, those of the open image first, and show the first."""
        here = None if self._session.image is None else self._session.image.key
        self._go(tuple(sorted(refs, key=lambda ref: ref.image_key != here)), review=True)

    def _go(self, refs: tuple[CellRef, ...], *, review: bool) -> None:
        if not refs or self._session.project is None:
            return
        self._waiting, self._review = refs, review
        key = refs[0].image_key
        if self._session.image is not None and self._session.image.key == key:
            self._arrived()
        else:
            project = self._session.project
            stored = project.image(key)
            planes = self._bridge.planes_named(stored.name, stored.shape)
            self.jobs.start(
                "open", partial(_find_image_steps, project, key, self._shown(), planes)
            )

    def _shown(self) -> list[tuple[str, tuple[int, int] | None, Callable[[], SmearImage]]]:
        """Return the layers that may show the image: key, shape, and what makes the image."""
        layers = []
        for choice in self._bridge.images():
            try:
                make = self._bridge.image_maker(choice.key)
            except ImageError:
                continue  # it has nothing at this position of the slider
            if make is not None:
                layers.append((choice.key, self._bridge.shape_of(choice.key), make))
        return layers

    def _opened(self, _kind: str, image_layer: ImageLayer) -> None:
        try:
            self._bridge.show_plane(image_layer.layer, image_layer.place)
            project_images.select_image(
                self._session, self._bridge, image_layer.image, image_layer.layer
            )
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))

    def _wait(self) -> None:
        """Continue after all subscribers have handled the new cells."""
        if self._waiting:
            self._soon.start(0)

    def _arrived_elsewhere(self) -> None:
        self.image_opened.emit()
        self._arrived()

    def _arrived(self) -> None:
        image, cells = self._session.image, self._session.cells
        if not self._waiting or image is None or cells is None:
            return
        if self._waiting[0].image_key != image.key:
            return
        refs, self._waiting = self._waiting, ()
        here = [ref.cell for ref in refs if ref.image_key == image.key]
        here = [cell for cell in here if cell in cells.position]
        if not here:
            self.warning_emitted.emit(
                "That cell does not exist any more: it was deleted, split or merged."
            )
            return
        if self._review:
            self.proposed.emit(here, len(refs) - len(here))
        self._canvas.go_to(here[0])

    def _refused(self, _kind: str, error: Exception) -> None:
        self._waiting = ()
        self.warning_emitted.emit(str(error))


def _find_image_steps(
    project: Project,
    key: str,
    shown: Sequence[tuple[str, tuple[int, int] | None, Callable[[], SmearImage]]],
    planes: Sequence[PlaneChoice] = (),
) -> Generator[Progress, None, ImageLayer]:
    """Return an image of a project: from a layer that shows it, or from its file."""
    from napari_hemacells.core.store.project_images import read_stored_image

    stored = project.image(key)
    for layer, shape, make in shown:
        yield Progress(0, 0, f"Opening {stored.name}")
        if shape == stored.shape:
            image = _try_make_image(make)
            if image is not None and image.key == key:
                return ImageLayer(image, layer)
    for plane in planes:
        image = _try_make_image(plane.make)
        if image is not None and image.key == key:
            return ImageLayer(image, plane.key, plane.place)
    return ImageLayer(read_stored_image(project, key), "")


def _try_make_image(make: Callable[[], SmearImage]) -> SmearImage | None:
    """Return the image of a layer; ``None`` if the layer shows no smear."""
    try:
        return make()
    except HemaCellsError:
        return None
