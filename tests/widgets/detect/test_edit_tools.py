"""Correcting cells on the canvas: tools, keys, chosen cells; no window, no network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.canvas.markers import MARKER
from napari_hemacells.widgets.detect import edit_tools
from napari_hemacells.widgets.detect.edit_bar import EditBar, EditState
from napari_hemacells.widgets.detect.edit_tools import (
    CellEditor,
    format_edit_counts,
    most_crossed_cell,
)

GLASS = (30, 50)


@pytest.fixture
def corrector(canvas, session, monkeypatch):
    """A corrector whose proposals are squares of 5 pixels, made in its thread as ever."""

    def square(image, cells, point, **_):
        row, col = (int(at) for at in point)
        if cells.labels[row, col]:
            raise CellsError("A cell is here already.")
        window = slice(row - 2, row + 3), slice(col - 2, col + 3)
        mask = mask_in_window(np.ones((5, 5), bool), window)
        return Proposal("RBC", 0.5, mask.box, mask, "network")

    def without_network(image, cells, point, weights):
        yield Progress(0, 0)
        return square(image, cells, point)

    monkeypatch.setattr(edit_tools, "proposal_steps", without_network)
    made = CellEditor(session, canvas._bridge, canvas)
    made.heard = []
    made.refused.connect(made.heard.append)
    yield made
    made.close()


def event(viewer, row, col, modifiers=(), button=1, pos=(0, 0)):
    return SimpleNamespace(
        type="mouse_press", pos=pos, position=(row, col), button=button, modifiers=modifiers
    )


def press(viewer, row, col, *, to=None, **kwargs):
    """Press at a place of the image, drag to another, release."""
    one = event(viewer, row, col, **kwargs)
    mouse_press_callbacks(viewer, one)
    if to is not None:
        one.type, one.pos, one.position, one.is_dragging = "mouse_move", (50, 0), to, True
        mouse_move_callbacks(viewer, one)
    one.type = "mouse_release"
    mouse_release_callbacks(viewer, one)


def add(corrector, qtbot, session, do):
    count = len(session.cells)
    do()
    qtbot.waitUntil(lambda: len(session.cells) > count, timeout=10_000)


def test_with_the_tool_a_click_adds_a_cell_that_is_seen_at_once(
    corrector, canvas, session, viewer, qtbot
):
    corrector.take("add")
    add(corrector, qtbot, session, lambda: press(viewer, *GLASS))
    layer = canvas._bridge.cells_layer
    assert layer.data[GLASS] == 31
    assert layer.get_color(31)[3] > 0
    assert canvas.current == 31


def test_the_key_adds_where_the_pointer_is(corrector, canvas, session, viewer, qtbot):
    canvas._bridge.pointer.place = GLASS
    add(corrector, qtbot, session, lambda: canvas.act("add"))
    assert session.cells.labels[GLASS] == 31


def test_alt_click_adds_whatever_the_tool(corrector, session, viewer, qtbot):
    add(corrector, qtbot, session, lambda: press(viewer, *GLASS, modifiers=("Alt",)))
    assert session.annotated == {}


def test_quick_clicks_are_all_added_and_each_knows_the_one_before(
    corrector, canvas, session, qtbot
):
    for place in (GLASS, (40, 20), (40, 40), (40, 20)):
        canvas._bridge.pointer.place = place
        canvas.act("add")
    qtbot.waitUntil(lambda: bool(corrector.heard), timeout=10_000)
    assert len(session.cells) == 33
    assert corrector.heard == ["A cell is here already."]


def test_an_added_cell_has_the_active_class_where_that_is_wanted(
    corrector, canvas, session, qtbot
):
    session.active_class = session.palette.ids[1]
    corrector.set_label_new_cells(True)
    canvas._bridge.pointer.place = GLASS
    add(corrector, qtbot, session, lambda: canvas.act("add"))
    assert session.annotated == {31: session.palette.ids[1]}


def test_delete_takes_the_cell_under_the_pointer(corrector, canvas, session, viewer):
    canvas._bridge.pointer.events.hovered.emit(4)
    canvas.act("delete")
    assert 4 not in session.cells.position
    assert not (canvas._bridge.cells_layer.data == 4).any()
    assert canvas.current == 0
    canvas.act("undo")
    assert (canvas._bridge.cells_layer.data == 4).sum() == 36


def test_shift_clicks_choose_cells_for_the_next_action(corrector, canvas, session, viewer):
    for cell in (4, 5, 6, 5):
        row, col = session.cells.centres[cell - 1]
        press(viewer, row, col, modifiers=("Shift",))
    assert corrector.chosen == [4, 6]
    assert canvas._bridge.find(MARKER).visible
    canvas.act("delete")
    assert not {4, 6} & set(session.cells.ids.tolist())
    assert corrector.chosen == []


def test_merge_wants_two_cells(corrector, canvas, session):
    canvas.choose(4)
    canvas.act("merge")
    assert "two cells" in corrector.heard[0]
    corrector.toggle_selection(4)
    corrector.toggle_selection(5)
    canvas.act("merge")
    assert session.cells.table["origin"].tolist().count("merged") == 1


def test_a_drag_with_the_split_tool_cuts_and_does_not_move_the_image(
    corrector, canvas, session, viewer
):
    layer = canvas._bridge.cells_layer
    corrector.take("split")
    assert not layer.mouse_pan
    press(viewer, 2.5, -3.0, to=(2.5, 9.0))
    assert 1 not in session.cells.position
    assert len(session.cells) == 31
    canvas.act("let go")
    assert layer.mouse_pan
    press(viewer, 2.5, 10.0, to=(2.5, 20.0))
    assert len(session.cells) == 31


def test_a_line_over_glass_is_refused_with_a_reason(corrector, session):
    corrector.split_along(((40.0, 2.0), (40.0, 30.0)))
    assert "crosses no cell" in corrector.heard[0]
    assert most_crossed_cell(session.cells, ((2.0, 2.0), (2.0, 5.0))) == 1


def test_while_annotating_a_click_labels_and_chooses_nothing(corrector, canvas, session, viewer):
    canvas.labelling = True
    press(viewer, *session.cells.centres[2])
    assert corrector.chosen == []
    assert 3 in session.annotated


def test_another_image_puts_the_tool_down(corrector, canvas, session):
    corrector.take("add")
    corrector.toggle_selection(4)
    session.set_cells(session.cells)
    assert (corrector.tool, corrector.chosen, canvas.has_tool) == ("", [], False)


def test_the_tally_counts_what_was_made_by_hand(corrector, session):
    assert format_edit_counts(session.cells) == ""
    session.merge_cells([1, 2])
    session.merge_cells([3, 4])
    assert format_edit_counts(session.cells) == "By hand: 2 merged."


STATE = EditState(
    has_cells=True, tool="", chosen=0, with_class=False, class_name="RBC", tally="",
    can_undo=False,
)  # fmt: skip


@pytest.fixture
def bar(qtbot):
    bar = EditBar(undo=True)
    qtbot.addWidget(bar)
    return bar


def test_disabled_buttons_say_why(bar):
    bar.show_state(STATE._replace(has_cells=False))
    for button in (bar.add_button, bar.delete_button, bar.split_button, bar.merge_button):
        assert not button.isEnabled()
        assert "detect them first" in button.toolTip()
    bar.show_state(STATE._replace(chosen=1))
    assert bar.delete_button.isEnabled()
    assert "Shift-click" in bar.merge_button.toolTip()


def test_split_acts_on_chosen_cells_and_is_a_tool_without_any(bar, qtbot):
    bar.show_state(STATE._replace(chosen=1))
    with qtbot.waitSignal(bar.action_requested) as asked:
        bar.split_button.click()
    assert asked.args == ["split"]
    bar.show_state(STATE)
    with qtbot.waitSignal(bar.tool_requested) as taken:
        bar.split_button.click()
    assert taken.args == ["split"]
