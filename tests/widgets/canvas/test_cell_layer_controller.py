"""What the canvas says of the cell that is pointed at."""

import pytest
from napari.layers.labels import labels


@pytest.fixture
def told(canvas) -> list[str]:
    """What was said, the last at the end."""
    words: list[str] = []
    canvas.pointed_at.connect(words.append)
    return words


def test_words_about_a_cell_follow_the_prediction(canvas, session, classify, told):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    canvas.choose(4)
    assert told[-1] == "Cell 4: not classified yet"
    classify()
    assert told[-1] == "Cell 4: RBC"  # no percentage yet: two annotations


def test_glass_stays_glass_when_a_prediction_comes(canvas, session, classify, told):
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    canvas.choose(4)
    canvas._hovered(0)
    classify()
    assert told[-1] == ""
    assert canvas.current == 4


def test_next_goes_to_what_is_worth_most_and_back(canvas, session, upcoming):
    canvas.next()
    first = canvas.current
    assert first == upcoming.next_cell()
    canvas.next()
    assert canvas.current == upcoming.next_cell(after=first)
    canvas.previous()
    assert canvas.current == first


def test_the_way_back_leaves_out_cells_that_are_gone(canvas, session):
    for cell in (4, 7, 9):
        canvas.go_to(cell)
        canvas.next()
    session.delete_cells([9])
    canvas.previous()
    assert canvas.current == 7


def test_with_every_cell_labelled_there_is_no_next(qtbot, canvas, session):
    session.annotate(session.cells.ids.tolist(), "rbc")
    with qtbot.waitSignal(canvas.refused, timeout=0) as heard:
        canvas.next()
    assert "is annotated already" in heard.args[0]


def test_outlines_are_not_computed_for_colours_that_fill_the_cells(
    canvas, session, classify, monkeypatch
):
    """napari looks at every pixel for them: half a second for four megapixels."""
    layer = canvas._bridge.cells_layer
    assert layer.contour > 0  # newly detected cells
    computed = []
    monkeypatch.setattr(labels, "get_contours", lambda *_: computed.append(1) or 1 / 0)
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    assert layer.contour == 0
    assert not computed
