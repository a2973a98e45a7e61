"""The panel of two cells, and what is asked and answered around it."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import make_embeddings
from napari_hemacells.core.classify.likeness_words import Verdict
from napari_hemacells.core.types import CellRef
from napari_hemacells.session.likeness import CellComparison, PickedCell
from napari_hemacells.widgets.compare.controller import LikenessController
from napari_hemacells.widgets.compare.panel import ComparePanel

PATIENCE = 60_000


def picked(cell: int, name: str = "smear") -> PickedCell:
    crop = np.full((16, 16, 3), 10 * cell, np.uint8)
    return PickedCell(
        CellRef(name, cell), f"Cell {cell}, {name}", "RBC (yours)", np.ones(4), "one", crop
    )


@pytest.fixture
def panel(qtbot) -> ComparePanel:
    panel = ComparePanel()
    qtbot.addWidget(panel)
    panel.restyle()
    panel.show()
    return panel


@pytest.fixture
def likeness(session, qtbot, panel):
    controller = LikenessController(session)
    controller.panel = panel
    yield controller
    controller.close()


@pytest.fixture
def annotated(session, classify):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    for kind in (0, 1):
        cells = [cell for cell in session.cells.ids.tolist() if cell % 3 == kind][:5]
        session.annotate(cells, session.palette.ids[kind])
    classify()
    return session


def test_the_panel_says_what_to_do_next(panel):
    assert "press C" in panel.basis.text()
    assert not panel.clear.isEnabled()
    panel.show_cells(picked(3), None)
    assert "other cell" in panel.verdict.text()
    assert panel.first.title.text() == "Cell 3, smear"
    assert panel.clear.isEnabled()
    assert not panel.scale.isVisible()


def test_the_panel_shows_distance_verdict_and_basis(panel):
    panel.show_cells(picked(3), picked(4, "<b>a name</b> that is long"))
    verdict = Verdict(0.75, 1.1, "alike", 0.87)
    panel.show_comparison(CellComparison(verdict, "32 annotated cells of 4 kinds."))
    assert panel.verdict.text() == "Same kind, 87% sure"
    assert "0.75" in panel.figures.text()
    assert "1.10" in panel.figures.text()
    assert panel.basis.text() == "32 annotated cells of 4 kinds."
    assert panel.scale.isVisible()
    assert panel.second.title.text().startswith("Cell 4, <b>")  # letter by letter
    assert not panel.grab().isNull()
    panel.show_cells(None, None)
    assert not panel.scale.isVisible()


def test_two_cells_one_after_the_other_or_at_once(likeness, panel, annotated, qtbot):
    likeness.compare([21])
    assert [cell.ref.cell for cell in likeness.picked] == [21]
    refusals = []
    likeness.refused.connect(refusals.append)
    likeness.compare([21])
    assert "picked already" in refusals[-1]
    likeness.compare([24])
    qtbot.waitUntil(lambda: "kind" in panel.verdict.text(), timeout=PATIENCE)
    assert panel.verdict.text() in {"Very alike: same kind", "Alike: same kind"}
    assert "%" not in panel.verdict.text()  # two kinds are too few for that
    assert "Not tested on other kinds" in panel.basis.text()
    likeness.compare([23, 25, 24])  # the last two
    assert [cell.ref.cell for cell in likeness.picked] == [25, 24]
    assert panel.verdict.text() == "Unlike: different kinds"  # known at once
    likeness.compare([3])  # a third one begins anew
    assert [cell.ref.cell for cell in likeness.picked] == [3]
    likeness.clear()
    assert likeness.picked == ()


def test_without_a_cell_or_its_embedding_it_says_what_is_missing(likeness, session):
    refusals = []
    likeness.refused.connect(refusals.append)
    likeness.compare([])
    likeness.compare([3])
    likeness.order([])
    likeness.order([3])
    likeness.order([3], whole_project=True)
    likeness.next_odd()
    assert len(refusals) == 6
    assert "Choose a cell" in refusals[0]
    assert "embedded" in refusals[1]
    assert "Give a few cells a class" in refusals[-1]


def test_the_order_of_the_image_comes_once_it_is_known(likeness, annotated, qtbot):
    answers = []
    likeness.ordered.connect(lambda cells, count: answers.append((cells, count)))
    likeness.order([21])
    qtbot.waitUntil(lambda: len(answers) == 1, timeout=PATIENCE)
    likeness.order([22, 25])
    assert len(answers) == 2  # the index is there: no thread
    cells, count = answers[1]
    assert count == 2
    assert cells[:2] == [22, 25]
    assert sorted(cells) == annotated.cells.ids.tolist()


def test_the_odd_ones_are_gone_through_both_ways(likeness, annotated, qtbot):
    shown, queues, said = [], [], []
    likeness.go_to.connect(shown.append)
    likeness.odd_found.connect(lambda cells, called: queues.append((cells, called)))
    likeness.said.connect(said.append)
    likeness.next_odd()
    qtbot.waitUntil(lambda: bool(shown), timeout=PATIENCE)
    cells, called = queues[0]
    assert called
    assert {cell % 3 for cell in cells} == {2}
    assert shown == [cells[0]]
    likeness.next_odd()
    likeness.next_odd()
    likeness.next_odd(-1)
    assert shown[1:] == [cells[1], cells[2], cells[1]]
    annotated.annotate([cells[2]], annotated.palette.ids[2])
    likeness.next_odd()
    assert shown[-1] == cells[3]  # the annotated one is passed over
    annotated.annotate(cells, annotated.palette.ids[2])
    likeness.next_odd()
    assert "all odd cells" in said[-1]


def test_other_cells_forget_what_was_found(likeness, annotated, qtbot):
    shown = []
    likeness.go_to.connect(shown.append)
    likeness.next_odd()
    qtbot.waitUntil(lambda: bool(shown), timeout=PATIENCE)
    annotated.set_cells(annotated.cells)
    assert not likeness.shows_odd
    assert annotated.odd_ones is not None  # of the image, until they are found anew
