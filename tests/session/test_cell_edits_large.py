"""The cells of a large image are masks, not a label image: corrections come out the same."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.annotate import ORIGIN
from napari_hemacells.core.cell_masks import LazyLabels, PackedMasks
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.errors import AnnotationError, CellsError
from napari_hemacells.core.store import Project


def as_masks(cells):
    """The same cells without a label image."""
    masks = PackedMasks.of([cells.mask_of(cell) for cell in cells.ids.tolist()])
    return replace(cells, labels=LazyLabels(cells.labels.shape, cells.ids, masks))


@pytest.fixture
def pair(tmp_path, new_session):
    """Two sessions with the same cells: painted, and as masks."""
    image, cells = make_image(), make_cells()
    sessions = []
    for name, one in (("painted", cells), ("masks", as_masks(cells))):
        session = new_session(Project.create(tmp_path / name))
        session.show_image(image)
        session.set_cells(one)
        sessions.append(session)
    return sessions


def squares(row: int, col: int) -> Proposal:
    """A square cell around a point well inside the 64 × 64 image."""
    window = slice(row - 2, row + 3), slice(col - 2, col + 3)
    mask = mask_in_window(np.ones((5, 5), bool), window)
    return Proposal("RBC", 0.4, mask.box, mask, "network")


def act(session, dice: random.Random) -> None:
    """One correction or its undo; what cannot be done is passed over."""
    ids = session.cells.ids.tolist()
    row, col, chosen = dice.randrange(4, 60), dice.randrange(4, 60), dice.sample(ids, 2)
    middle = session.cells.centres[session.cells.position[chosen[0]]] + 0.25
    line = ((middle[0], middle[1] - 9), (middle[0], middle[1] + 9))
    steps = (
        lambda: session.add_cell(row, col, None, squares(row, col)),
        lambda: session.delete_cells(chosen),
        lambda: session.split_cell(chosen[0], line),
        lambda: session.merge_cells(chosen),
        session.undo,
        session.redo,
    )
    try:
        dice.choice(steps)()
    except (CellsError, AnnotationError):
        return


def agree(painted, masks) -> bool:
    """Whether table and every pixel are the same."""
    columns = [name for name in painted.cells.table if name != ORIGIN]
    same = painted.cells.table[columns].equals(masks.cells.table[columns])
    return same and np.array_equal(painted.cells.labels, np.asarray(masks.cells.labels))


@pytest.mark.parametrize("seed", range(4))
def test_corrections_of_masks_are_those_of_a_label_image(pair, new_session, seed):
    painted, masks = pair
    dice = random.Random(seed), random.Random(seed)
    for _ in range(20):
        act(painted, dice[0])
        act(masks, dice[1])
        assert agree(painted, masks)
    assert isinstance(masks.cells.labels, LazyLabels)
    folder, image = masks.project.folder, masks.image
    masks.close()
    again = new_session(Project.open(folder))
    again.show_image(image)
    assert isinstance(again.cells.labels, LazyLabels)
    assert agree(painted, again)
