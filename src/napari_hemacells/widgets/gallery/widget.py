"""The review gallery: crops of the image's cells in a queue, annotated by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import (
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.widgets.gallery.bar import GalleryBar
from napari_hemacells.widgets.gallery.model import (
    ALL_CELLS,
    PROPOSED,
    GalleryModel,
)
from napari_hemacells.widgets.gallery.project_cells import ProjectCellsView
from napari_hemacells.widgets.gallery.view import GalleryView, Thumbnails
from napari_hemacells.widgets.plain_text import PlainLabel
from napari_hemacells.widgets.subscriptions import SeenUpdates, Subscriptions, is_seen
from napari_hemacells.widgets.wording import about_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.session import Session
    from napari_hemacells.session.likeness import LikeThis
    from napari_hemacells.widgets.gallery.review_queue import ReviewQueue

SIDE = 80


class _QueueRefresh(NamedTuple):
    """What to do with a requested queue once it is ready."""

    keep_selection: bool = False
    if_untouched: bool = False  # nothing moves once the user has gone on labelling


_DEFAULT_REFRESH = _QueueRefresh()
_TO_LABEL = {"active", "uncertain"}
_FIRST_CELLS = (
    "No cell is annotated yet. Begin with these cells, which differ most from one another."
)


class GalleryWidget(QWidget):
    """Crops to review: keys 1 to 9 give a class and move on, 0 removes the class.

    The queue keeps its order until it is refreshed (R), until another order or filter is chosen,
    or, in the order *Most useful next*, until every visible crop is annotated.

    Signals
    -------
    cell_activated
        Id of the cell whose crop was clicked, to be shown on the canvas.
    elsewhere_activated
        A cell of any image of the project was clicked, to be shown in its image.
    similar_requested
        Order cells by likeness to these ids; whether those of all images.
    compare_requested
        Compare these cells.
    odd_requested
        The next odd cell (1), or the one before (-1).
    refused
        Why an annotation was not made, as a sentence.
    """

    cell_activated = Signal(int)
    elsewhere_activated = Signal(object)
    similar_requested = Signal(list, bool)
    compare_requested = Signal(list)
    odd_requested = Signal(int)
    refused = Signal(str)

    def __init__(
        self, session: Session, upcoming: ReviewQueue, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._upcoming = session, upcoming
        self._waiting = True  # the queue is made when it is first seen
        self._wish: _QueueRefresh | None = None
        self._labels_before = session.annotated
        self._thumbnails = Thumbnails(session)
        self.model = GalleryModel(session, self)
        self.bar = GalleryBar(SIDE)
        self.view = GalleryView(self.model, self._thumbnails)
        self.view.set_side(SIDE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        self.hint = PlainLabel(_FIRST_CELLS)
        self.hint.setWordWrap(True)
        layout.addWidget(self.bar)
        layout.addWidget(self.hint)
        self.project_view = ProjectCellsView(session)
        self.project_view.set_side(SIDE)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.project_view)
        layout.addWidget(self.pages, 1)
        self._connect()
        self._seen = SeenUpdates(self, self._make_queue_if_waiting)
        self._seen.due = True
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.project, self._forget_project)
        for signal in (events.project, events.image, events.cells):
            self._subscriptions.add(signal, self._start_over)
        for signal in (events.embeddings, events.prediction):
            self._subscriptions.add(signal, self._on_news)
        self._subscriptions.add(events.annotations, self._update_hint)
        self._subscriptions.add(events.palette, self._update_classes)
        self._update_classes()
        self._update_texts()

    def _connect(self) -> None:
        self.bar.order_changed.connect(self._set_order)
        self.bar.filter_changed.connect(self._set_filter)
        self.bar.side_changed.connect(self._set_side)
        self.bar.refresh_requested.connect(self.refresh)
        self.view.refresh_requested.connect(self.refresh)
        self.bar.similar.clicked.connect(lambda: self._ask_similar(everywhere=False))
        self.view.similar_requested.connect(lambda shift: self._ask_similar(everywhere=shift))
        for wish in (self.bar.compare.clicked, self.view.compare_requested):
            wish.connect(self._ask_compare)
        self.bar.odd.clicked.connect(lambda: self.odd_requested.emit(1))
        self.view.odd_requested.connect(self.odd_requested)
        self.bar.back.clicked.connect(self.leave_project)
        self.project_view.cell_clicked.connect(self.elsewhere_activated)
        self.view.key_pressed.connect(self.press)
        self.view.cell_clicked.connect(self.cell_activated)
        self.model.outdated_changed.connect(self.bar.refresh.setEnabled)
        self.model.modelReset.connect(self._update_texts)
        self.model.rowsRemoved.connect(self._update_texts)
        self._upcoming.ranked.connect(self._ranked)
        self._upcoming.failed.connect(self._not_ranked)
        selection = self.view.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(self._update_texts)

    # --- user input --------------------------------------------------------------------------

    def press(self, digit: int) -> None:
        """Give the chosen crops the class of this key and move on; 0 removes their class."""
        rows = self.view.chosen()
        class_id = self._class_of(digit)
        if not rows or (digit and class_id is None):
            return
        try:
            self._session.annotate([self.model.cell_at(row) for row in rows], class_id)
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return
        if digit:
            self._move_on(rows[-1])

    def repaint_pictures(self) -> None:
        """Paint the crops again: pictures of a folder were read meanwhile."""
        viewport = self.view.viewport()
        if viewport is not None:
            viewport.update()

    def refresh(self) -> None:
        """Refresh the queue; the chosen cells stay chosen if they are still in it."""
        self._make_queue(_QueueRefresh(keep_selection=True))

    @property
    def is_sorting(self) -> bool:
        """Whether a requested queue is pending; the previous one is shown until then."""
        return self._wish is not None

    def propose_next(self, count: int) -> None:
        """Propose the most informative cells that are known at once."""
        self.propose(self._upcoming.best("active").cells[:count])

    def chosen_cells(self) -> list[int]:
        """Return the ids of the chosen crops of this image."""
        return [self.model.cell_at(row) for row in self.view.chosen()]

    def show_order(self, order: QueueOrder) -> None:
        """Show all cells in this order."""
        combo = self.bar.order
        self.bar.filter.setCurrentIndex(0)
        combo.setCurrentIndex(combo.findData(order))
        self.view.choose(0)
        self.view.setFocus()

    def _ask_similar(self, *, everywhere: bool) -> None:
        self.similar_requested.emit(
            self.chosen_cells(), everywhere or self.bar.everywhere.isChecked()
        )

    def _ask_compare(self) -> None:
        self.compare_requested.emit(self.chosen_cells())

    def show_similar(self, cells: Sequence[int], picked: int = 1) -> None:
        """Show these cells in their order of likeness; the first ones were picked."""
        name = f"Like {cells[0]}" if picked == 1 else f"Like {picked} cells"
        self.propose(cells, name)

    def show_project(self, found: LikeThis) -> None:
        """Show cells of all images in their order of likeness."""
        self.project_view.show_found(found)
        self.pages.setCurrentWidget(self.project_view)
        self._show_page()

    def leave_project(self) -> None:
        """Show the cells of the open image again."""
        self.pages.setCurrentWidget(self.view)
        self._show_page()

    @property
    def shows_project(self) -> bool:
        """Whether cells of all images are shown."""
        return self.pages.currentWidget() is self.project_view

    def _show_page(self) -> None:
        elsewhere = self.shows_project
        for widget in (self.bar.order, self.bar.direction, self.bar.filter, self.bar.refresh):
            widget.setEnabled(not elsewhere)
        self.bar.back.setVisible(elsewhere)
        self._update_texts()

    def propose(self, cells: Sequence[int], title: str = "Proposed") -> None:
        """Show only these cells for annotation; the first is chosen."""
        self.leave_project()
        self.model.proposed = tuple(cells)
        self.bar.offer_proposed(len(cells), title)
        self.model.only = PROPOSED
        self._make_queue()
        self.view.choose(0 if cells else -1)
        self.view.setFocus()

    def select_cell(self, cell: int) -> None:
        """Choose the crop of a cell on request of the canvas, without an event."""
        self._make_queue_if_waiting()
        self.view.choose(self.model.row_of(cell))

    def _class_of(self, digit: int) -> str | None:
        if digit == 0 or self._session.history is None:
            return None
        holder = self._session.palette.by_key(digit)
        if holder is None:
            self.refused.emit(
                f"No class has the key {digit}. Give the key to a class in the palette."
            )
        return None if holder is None else holder.id

    def _move_on(self, row: int) -> None:
        """Choose the next crop that is not annotated; after a whole page, of a fresh queue.

        Only a queue that is ready at once is used: a later one would put another crop under a key
        that is just being pressed.
        """
        page = self.view.rows_in_sight()
        done = bool(page) and all(self._is_annotated(page_row) for page_row in page)
        if (
            done
            and self.model.order in _TO_LABEL
            and self.model.only != PROPOSED
            and not self.model.descending
        ):
            self._show_known()
            row = -1
        rows = range(row + 1, self.model.rowCount())
        following = next((next_row for next_row in rows if not self._is_annotated(next_row)), row)
        self.view.choose(following)

    def _is_annotated(self, row: int) -> bool:
        return self.model.shown(self.model.cell_at(row)).annotated

    def _set_order(self, order: str, descending: bool) -> None:
        self.model.order, self.model.descending = cast("QueueOrder", order), descending
        self._make_queue()

    def _set_filter(self, only: str) -> None:
        self.model.only = only
        self._make_queue()

    def _set_side(self, side: int) -> None:
        self._thumbnails.clear()
        self.view.set_side(side)
        self.project_view.set_side(side)

    # --- updaters ----------------------------------------------------------------------------

    def _forget_project(self) -> None:
        self.project_view.clear()
        self.leave_project()

    def _start_over(self) -> None:
        self._thumbnails.clear()
        self.model.proposed = ()
        self.bar.offer_proposed(0)
        self.model.clear()
        self._labels_before = self._session.annotated
        self._make_queue_when_seen(_DEFAULT_REFRESH)

    @property
    def _untouched(self) -> bool:
        """Whether nothing was annotated since these cells came, so that the order may change."""
        return self._session.annotated == self._labels_before

    def _on_news(self) -> None:
        if self._untouched and self.model.only != PROPOSED:
            self._make_queue_when_seen(_QueueRefresh(keep_selection=True, if_untouched=True))

    def _make_queue_when_seen(self, wish: _QueueRefresh) -> None:
        self._waiting = True
        if is_seen(self):
            self._make_queue(wish)
        else:
            self.model.clear()
            self._seen.due = True

    def _make_queue_if_waiting(self) -> None:
        if self._waiting:
            self._make_queue()

    def _make_queue(self, wish: _QueueRefresh = _DEFAULT_REFRESH) -> None:
        """Show the queue in the chosen order, at once or when it is ready."""
        self._waiting = False
        if self.model.only == PROPOSED:
            self._put(self.model.proposed, current=True)
            return
        self._wish = wish
        self._upcoming.ask(self.model.order, descending=self.model.descending)
        self._update_texts()

    def _ranked(self, order: str, descending: bool) -> None:
        wish, self._wish = self._wish, None
        self._update_texts()  # also where the crops stay, as somebody has gone on labelling
        if wish is None or (order, descending) != (self.model.order, self.model.descending):
            return
        if self._untouched or not wish.if_untouched:
            self._show_known(keeps_chosen=wish.keep_selection)

    def _not_ranked(self, why: str) -> None:
        if self._wish is not None:
            self._show_known()
            self.refused.emit(f"{why} They are ordered by their own uncertainty.")

    def _show_known(self, *, keeps_chosen: bool = False) -> None:
        """Show the best queue known now, and whether it is up to date."""
        chosen = [self.model.cell_at(row) for row in self.view.chosen()] if keeps_chosen else []
        self._put(*self._upcoming.best(self.model.order, descending=self.model.descending))
        self.view.choose_rows([row for row in map(self.model.row_of, chosen) if row >= 0])

    def _put(self, cells: Sequence[int], current: bool) -> None:
        self._wish = None
        self.model.show_queue(cells, current=current)
        self.view.scrollToTop()

    def _update_classes(self) -> None:
        is_open = self._session.history is not None
        self.bar.show_classes(self._session.palette.classes if is_open else ())

    def _update_texts(self, *_: object) -> None:
        total = 0 if self._session.cells is None else len(self._session.cells)
        shown, chosen = self.model.rowCount(), len(self.view.chosen())
        text = f"{shown:,} cells" if shown == total else f"{shown:,} of {total:,} cells"
        text = f"{text}, {chosen:,} chosen" if chosen > 1 else text
        self.bar.count.setText("Sorting …" if self.is_sorting else self._worded(text))
        embedded = self._session.embeddings is not None
        for button in (self.bar.similar, self.bar.compare):
            button.setEnabled(chosen > 0 and embedded and not self.shows_project)
        self.bar.odd.setEnabled(self._session.prediction is not None)
        found = self.project_view.cells.found
        if self.shows_project and found is not None:
            images = (
                "1 image"
                if len(found.cells.images) == 1
                else (f"{len(found.cells.images):,} images")
            )
            self.bar.count.setText(f"{len(found.order):,} cells of {images}, most alike first")
        self.view.empty_text = self._worded(self._why_empty(total))
        self.bar.refresh.setEnabled(self.model.outdated and not self.shows_project)
        self._update_hint()

    def _worded(self, text: str) -> str:
        image = self._session.image
        thermogram = image is not None and image.modality == "temperature"
        return about_regions(text) if thermogram else text

    def _update_hint(self, _cells: object = None) -> None:
        """Explain the first cells as long as nothing is annotated."""
        session = self._session
        fresh = session.prediction is None and not session.annotated
        fresh = fresh and session.embeddings is not None
        self.bar.show_start(nothing_labelled=fresh)
        self.hint.setVisible(fresh and self.model.order in _TO_LABEL)

    def _why_empty(self, total: int) -> str:
        if self._session.image is None:
            return "Open an image: its cells are shown here for review."
        if total == 0:
            return "There are no cells in this image yet: detect them first."
        if self.is_sorting:
            return "The cells are being sorted."
        if self.model.only != ALL_CELLS:
            only = self.bar.filter.currentText()
            return f"No cell under “{only}” in this order: choose another filter or order."
        return "No cell is left to review in this order: choose another order or filter."

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a low, wide size that leaves room for the canvas."""
        return QSize(720, 200)
