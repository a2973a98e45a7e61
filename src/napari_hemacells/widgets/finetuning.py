"""Fine-tuning in the dock: its page, its behaviour, and the way to the cells it speaks of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_hemacells.core.errors import ImageError
from napari_hemacells.widgets.finetune_run import FineTuneRun
from napari_hemacells.widgets.going import Going

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.canvas import Canvas
    from napari_hemacells.widgets.main import HemaCellsWidget
    from napari_hemacells.widgets.tasks import Tasks
    from napari_hemacells.widgets.voice import Voice

_LAID_OUT_MS = 60


class FineTuning(QObject):
    """The page *Fine-tune the classifier* wired to the rest of the dock.

    ``run`` and ``going`` outlive the dock until their ``close`` is called, and hold nothing of it.
    """

    def __init__(
        self,
        view: HemaCellsWidget,
        session: Session,
        bridge: ViewerBridge,
        *,
        canvas: Canvas,
        tasks: Tasks,
        voice: Voice,
    ) -> None:
        super().__init__()
        self._view, self._session, self._tasks, self._voice = view, session, tasks, voice
        self._bridge = bridge
        opened = partial(images, session, bridge)
        self.run = FineTuneRun(session, view.finetune, opened, tasks.embedding)
        self.going = Going(session, bridge, canvas)
        view.classify.finetune_requested.connect(self.open)
        view.finetune.back_requested.connect(self.leave)
        self._part: QWidget | None = None
        self._soon = QTimer(self)  # when the page has been laid out
        self._soon.setSingleShot(True)
        self._soon.setInterval(_LAID_OUT_MS)
        self._soon.timeout.connect(self._scroll)
        view.finetune.sight_wanted.connect(self._scroll_soon)
        self.run.cell_wanted.connect(self.going.go_to)
        self.run.review_wanted.connect(self.going.review)
        self.run.choice.changed.connect(self._embed)
        self.going.proposed.connect(self._propose)
        self.run.said.connect(voice.say)
        for part in (self.run, self.going):
            part.warned.connect(voice.warn)

    def open(self) -> None:
        """Show the page."""
        self._view.show_finetuning(opened=True)

    def leave(self) -> None:
        """Show *Classify* again; a training goes on."""
        self._view.show_finetuning(opened=False)

    def _scroll_soon(self, part: QWidget) -> None:
        self._part = part
        self._soon.start()

    def _scroll(self) -> None:
        if self._part is not None:
            self._view.scroll_finetuning_to(self._part)

    def _propose(self, cells: list[int], elsewhere: int) -> None:
        """Show cells of the open image in the gallery, to be gone through by key."""
        gallery = self._view.gallery
        if gallery is None:
            return
        self._bridge.raise_dock(gallery)
        gallery.propose(cells)
        others = f"; {elsewhere:,} more are on other images" if elsewhere else ""
        self._voice.say(f"{len(cells):,} in the gallery{others}. Keys 1 to 9 give a class.")

    def _embed(self) -> None:
        """Ask for the vectors of another network; classes come after them."""
        if self._session.embeddings is None:
            self._tasks.embed()
        else:
            self._tasks.classify()


def images(session: Session, bridge: ViewerBridge) -> dict[str, SmearImage]:
    """Return the image being worked on, and small ones that other layers hold in memory."""
    found = {}
    for choice in bridge.images():
        try:
            image = bridge.read_image(choice.key) if bridge.is_quick(choice.key) else None
        except ImageError:
            continue  # another layer, which is no smear
        if image is not None:
            found[image.key] = image
    open_now = session.image
    return found if open_now is None else {**found, open_now.key: open_now}
