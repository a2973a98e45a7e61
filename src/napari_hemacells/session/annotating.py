"""Undoable changes of the session: annotations, classes and corrections of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core import annotate
from napari_hemacells.core.annotate import Annotation
from napari_hemacells.core.annotate.class_table import with_class_table
from napari_hemacells.core.annotate.not_a_cell import standing_class
from napari_hemacells.core.errors import AnnotationError, CellsError
from napari_hemacells.core.types import CellRef
from napari_hemacells.session.cell_edits import (
    CellsChange,
    EditContext,
    add_cell_action,
    delete_cells_action,
    merge_cells_action,
    split_cell_action,
)
from napari_hemacells.session.consensus_cells import TakenCells, consensus_action
from napari_hemacells.session.state import SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Action, CorrectCells, Palette
    from napari_hemacells.core.annotate.class_table import ListedClass
    from napari_hemacells.core.detect.proposal import Proposal
    from napari_hemacells.core.detect.split import Line


NOT_EMBEDDED = "Choose a cell that is embedded already: wait until the progress bar is gone."
NOT_EDITABLE = (
    "Each picture of the folder is one cell, and nothing is cut out of it. Give it a class of its "
    "own, such as “artefact”, or take its file out of the folder."
)


class SessionEditor(SessionState):
    """Changes of annotations, classes and cells, each one undoable step.

    Every change goes through the project's history, which writes the journal first and then
    changes the state: what is shown is already on disk.
    """

    # --- annotations -------------------------------------------------------------------------

    @property
    def active_class(self) -> str | None:
        """The active class: the one that a click assigns."""
        return self._active

    @active_class.setter
    def active_class(self, class_id: str | None) -> None:
        if class_id is not None:
            self.palette.by_id(class_id)
        if class_id != self._active:
            self._active = class_id
            self.events.active_class.emit(class_id)

    def annotate(self, cells: Iterable[int], class_id: str | None) -> None:
        """Assign a class to these cells; ``None`` removes their annotation. One undoable step."""
        image, table = self._need_image(), self._need_cells()
        places = []
        for cell in cells:
            if cell not in table.position:
                raise AnnotationError(
                    f"There is no cell {cell} in this image any more. Choose another cell."
                )
            row, col = table.centres[table.position[cell]]
            places.append((CellRef(image.key, int(cell)), float(row), float(col)))
        if places:
            # A cell that is given its class again is confirmed; another class starts anew.
            again = {ref for ref, _, _ in places if self.annotated.get(ref.cell) == class_id}
            self.live.confirmed -= {ref for ref, _, _ in places}
            self.live.confirmed |= again if class_id is not None else set()
            annotator = self._need_history().state.annotator
            self._execute(annotate.SetLabels(tuple(places), class_id, annotator))

    def mark_not_a_cell(self, cells: Iterable[int]) -> None:
        """Give these cells the standing class *Not a cell*; it joins the palette once it is used.

        They are in no count, and what they look like is remembered for later projects.
        """
        chosen = [cell for cell in cells if cell in self._need_cells().position]
        if not chosen:
            return
        standing = standing_class(self.palette)
        if standing.id not in self.palette:
            self._execute(annotate.AddClass(standing))
        self.annotate(chosen, standing.id)

    def take_classes(self, names: Mapping[int, str]) -> int:
        """Take over classes that are known by name, as of folders or a table; return how many.

        Cells that the user has annotated keep their class. Names that are no classes yet become
        some; the classes of a new project that nobody has used make room for them. Undoing it
        once takes the annotations back.
        """
        cells = self._need_cells()
        fresh = {cell: name for cell, name in names.items()
                 if cell in cells.position and cell not in self.annotated}  # fmt: skip
        if not fresh:
            return 0
        history, image = self._need_history(), self._need_image()
        used = {annotation.class_id for annotation in history.state.labels.values()}
        palette = annotate.palette_with(self.palette, sorted(set(fresh.values())), used)
        if palette != self.palette:
            self._execute(annotate.SetPalette(palette))
        annotator, now = history.state.annotator, annotate.utc_now()
        known = {name: self.palette.by_name(name) for name in set(fresh.values())}
        ids = {name: one.id for name, one in known.items() if one is not None}
        entries = []
        for cell, name in fresh.items():
            row, col = cells.centres[cells.position[cell]]
            word = Annotation(ids[name], float(row), float(col), annotator, now)
            entries.append((CellRef(image.key, cell), annotator, word))
        self._execute(annotate.RestoreLabels(tuple(entries)))
        return len(entries)

    def take_consensus(
        self, positions: NDArray[np.float64], names: Sequence[str], diameter: float | None = None
    ) -> TakenCells:
        """Make cells of the points on which several annotators agree. One undoable step.

        Points in cells that are there mark these; the user's own annotations stay. Names that are
        no classes yet become some.

        Parameters
        ----------
        positions, names
            ``(n, 2)`` row and column, and the class of each; empty for none.
        diameter
            Of new cells, where the image has no cells yet; estimated where not given.

        Raises
        ------
        CellsError
            The image is a folder of pictures, which are cells already.
        """
        from napari_hemacells.core.detect import empty_cells, estimate_diameter

        self._need_editable()
        if self.cells is None:
            image = self._need_image()
            size = diameter or estimate_diameter(image)
            self.set_cells(empty_cells(image.shape, size, "points"))
        history = self._need_history()
        wanted = sorted({name for name in names if name})
        used = {annotation.class_id for annotation in history.state.labels.values()}
        palette = annotate.palette_with(self.palette, wanted, used) if wanted else self.palette
        if palette != self.palette:
            self._execute(annotate.SetPalette(palette))
        ids = {cell_class.name.casefold(): cell_class.id for cell_class in self.palette}
        class_ids = [ids.get(name.casefold()) for name in names]
        action, taken = consensus_action(self._desk(), positions, class_ids)
        if action is not None:
            self._execute(action)
        return taken

    def cell_near(self, row: float, col: float) -> int:
        """Id of the cell whose centre is nearest to a point, 0 if none is within a radius."""
        cells = self.cells
        if cells is None or not len(cells):
            return 0
        apart = np.hypot(*(cells.centres - (row, col)).T)
        nearest = int(apart.argmin())
        return int(cells.ids[nearest]) if apart[nearest] <= max(cells.diameter, 1.0) / 2 else 0

    def similar(self, cells: Iterable[int], count: int | None = None) -> list[int]:
        """Ids of the other cells of the image, the most alike to these first.

        Parameters
        ----------
        count
            How many; all if not given.

        Raises
        ------
        AnnotationError
            Before the cells are embedded, or without a cell.
        """
        from napari_hemacells.core.classify.similarity import make_index

        embeddings = self.embeddings
        rows = [] if embeddings is None else [embeddings.rows[cell] for cell in cells
                                              if cell in embeddings.rows]  # fmt: skip
        if embeddings is None or not rows:
            raise AnnotationError(NOT_EMBEDDED)
        order, _ = make_index([embeddings]).order(rows)
        others = order[len(set(rows)) :]
        return [int(cell) for cell in embeddings.ids[others[:count]]]

    # --- corrections of the detection --------------------------------------------------------

    def add_cell(
        self,
        row: float,
        col: float,
        class_id: str | None = None,
        proposal: Proposal | None = None,
    ) -> int:
        """Add a cell at a point, optionally with a class, and return its id. One undoable step.

        Parameters
        ----------
        proposal
            From :func:`~.core.detect.click_proposal.propose_cell`, where it was made already (in a
            thread).

        Raises
        ------
        CellsError
            Outside the image, or where a cell is already.
        """
        from napari_hemacells.core.detect.click_proposal import propose_cell

        self._need_editable()
        image, cells = self._need_image(), self._need_cells()
        step = add_cell_action(
            self._desk(), proposal or propose_cell(image, cells, (row, col)), class_id
        )
        self._execute(step)
        return step.added[-1].cell

    def delete_cells(self, ids: Iterable[int]) -> None:
        """Delete cells and their annotations. One undoable step."""
        self._execute(delete_cells_action(self._desk(), list(ids)))

    def split_cell(self, cell: int, line: Line | None = None) -> tuple[int, ...]:
        """Split a cell in two, along a line or where two cells touch; return the new ids.

        Raises
        ------
        CellsError
            The line does not cross the cell, or it is too small.
        """
        from napari_hemacells.core.detect.split import split_cell

        desk = self._desk()
        desk.record(cell)
        step = split_cell_action(
            desk, cell, split_cell(self._need_image(), desk.cells, cell, line)
        )
        self._execute(step)
        return tuple(record.cell for record in step.added)

    def merge_cells(self, ids: Iterable[int]) -> int:
        """Merge cells into one and return its id; a class that all of them share is kept.

        Raises
        ------
        CellsError
            Fewer than two cells.
        """
        from napari_hemacells.core.detect.split import merge_cells

        desk, chosen = self._desk(), sorted(set(ids))
        for cell in chosen:
            desk.record(cell)
        step = merge_cells_action(desk, chosen, merge_cells(desk.cells, chosen))
        self._execute(step)
        return step.added[0].cell

    @property
    def can_edit_cells(self) -> bool:
        """Whether cells can be added, deleted, split and merged: not the pictures of a folder."""
        return self.image is None or self.image.sheet is None

    def _need_editable(self) -> None:
        if not self.can_edit_cells:
            raise CellsError(NOT_EDITABLE)

    def _desk(self) -> EditContext:
        self._need_editable()
        return EditContext(self._need_image().key, self._need_cells(), self._need_history().state)

    # --- classes -----------------------------------------------------------------------------

    def add_class(self, name: str, colour: str | None = None, *, parent: str | None = None) -> str:
        """Add a class with the next free colour and key, make it active and return its id.

        Parameters
        ----------
        parent
            Id of the class that it is within, its kind.
        """
        new = self.palette.new_class(_on_one_line(name), colour, parent=parent)
        self._execute(annotate.AddClass(new))
        self.active_class = new.id
        return new.id

    def rename_class(self, class_id: str, name: str) -> None:
        """Rename the class; its annotations belong to its id and stay."""
        self._execute(annotate.RenameClass(class_id, _on_one_line(name)))

    def recolour_class(self, class_id: str, colour: str) -> None:
        """Set the colour (``#rrggbb``) of the class."""
        self._execute(annotate.RecolourClass(class_id, colour))

    def set_class_key(self, class_id: str, key: int | None) -> None:
        """Set the key (1 to 9) of the class."""
        self._execute(annotate.SetClassKey(class_id, key))

    def set_class_parent(self, class_id: str, parent: str | None) -> None:
        """Put the class within another one, its kind; ``None``: within none."""
        if self.palette.by_id(class_id).parent != parent:
            self._execute(annotate.SetClassParent(class_id, parent))

    def read_classes(self, rows: Sequence[ListedClass]) -> None:
        """Take over classes of a table; none goes, and undo restores all as they were."""
        palette = with_class_table(self.palette, rows)
        if palette != self.palette:
            self._execute(annotate.SetPalette(palette))

    def delete_class(self, class_id: str) -> None:
        """Remove the class and its annotations; undo restores both."""
        self._execute(annotate.DeleteClass(class_id))

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self.history is not None and self.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self.history is not None and self.history.can_redo

    def undo(self) -> bool:
        """Undo the last step; return whether there was one."""
        return self._emit_changes(self._need_history().undo)

    def redo(self) -> bool:
        """Redo the step last undone; return whether there was one."""
        return self._emit_changes(self._need_history().redo)

    def _execute(self, action: Action) -> None:
        history = self._need_history()
        self._emit_changes(lambda: history.do(action))

    def _emit_changes(self, change: Callable[[], Action | None]) -> bool:
        """Make a change through the history, then emit exactly what it changed."""
        palette, before = self.palette, self.annotated
        corrections = self._need_history().state.corrections
        action = None
        try:
            action = change()
        finally:  # what another program wrote into the journal is there even if this is refused
            if self._need_history().state.corrections is not corrections:
                self._show_joined_cells()
            self._emit_difference(palette, before, action)
            self._tell_notices()
        return action is not None

    def _emit_difference(
        self, palette: Palette, before: dict[int, str], action: Action | None
    ) -> None:
        if self.palette is not palette:
            if self._active not in self.palette:
                self._active = self.palette.ids[0] if self.palette.ids else None
                self.events.active_class.emit(self._active)
            self.events.palette.emit()
        if isinstance(action, annotate.CorrectCells):
            self._apply_correction(action)
        after = self.annotated
        changed = [cell for cell in before | after if before.get(cell) != after.get(cell)]
        regrouped = self.palette.parents != palette.parents
        if changed or regrouped or self.palette.ids != palette.ids:
            self.live.invalidate()
            self.events.annotations.emit(tuple(changed))

    def _show_joined_cells(self) -> None:
        """Show the cells as two joined journals have them."""
        project, image = self._need_project(), self.image
        if image is not None and self.cells is not None and project.has_cells(image.key):
            cells = project.load_cells(image.key)
            self._put_cells(annotate.apply_corrections(cells, self._corrections(image.key)))

    def _apply_correction(self, action: CorrectCells) -> None:
        if self.image is not None and action.image_key == self.image.key:
            self._exchange_cells(CellsChange.of(action), action.added)


def _on_one_line(name: str) -> str:
    """Line breaks and tabs of a pasted name become blanks: a name is one line in every table."""
    return " ".join(name.split())
