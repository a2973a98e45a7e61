"""What to look at next: at once what is known, in full from a thread."""

import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.widgets.gallery import review_queue as what_is_next


@pytest.fixture
def taught(session, classify):
    """Two cells have a class, all others a prediction."""
    session.annotate([1], "rbc")
    session.annotate([2], "wbc")
    classify()
    return session


def up_to_date(qtbot, upcoming, order="active"):
    qtbot.waitUntil(lambda: upcoming.best(order).current)


def test_without_cells_nothing_is_next(upcoming, session):
    session.show_image(make_image(seed=5))
    assert upcoming.next_cell() is None
    assert upcoming.best("active") == ([], True)


def test_the_order_is_found_while_the_hand_rests(qtbot, upcoming, taught):
    up_to_date(qtbot, upcoming)
    queue = taught.queue("active")
    assert upcoming.best("active").cells == queue
    assert upcoming.next_cell() == queue[0]
    assert upcoming.next_cell(after=queue[0]) == queue[1]


def test_next_is_answered_before_any_order_is_found(upcoming, taught, slowly):
    known = upcoming.best("active")
    assert not known.current
    assert sorted(known.cells) == list(range(3, 31))
    assert upcoming.next_cell() == known.cells[0]


def test_a_click_takes_its_cell_out_at_once(qtbot, upcoming, taught, slowly):
    slowly.set()
    up_to_date(qtbot, upcoming)
    slowly.clear()
    queue = taught.queue("active")
    taught.annotate([queue[0]], "platelets")
    assert upcoming.next_cell() == queue[1]
    assert not upcoming.best("active").current
    taught.undo()
    assert upcoming.best("active") == (queue, True)


def test_deleted_cells_are_not_next(qtbot, upcoming, taught, slowly):
    slowly.set()
    up_to_date(qtbot, upcoming)
    slowly.clear()
    queue = taught.queue("active")
    taught.delete_cells([queue[0]])
    assert upcoming.next_cell() == queue[1]


def test_orders_that_need_no_ranking_are_told_at_once(qtbot, upcoming, taught, slowly):
    with qtbot.waitSignal(upcoming.ranked, timeout=0) as told:
        upcoming.ask("slide")
    assert told.args == ["slide", False]
    assert upcoming.best("slide") == (list(range(1, 31)), True)


def test_what_is_asked_while_a_ranking_runs_is_ranked_with_what_is_known_then(
    qtbot, upcoming, taught, slowly
):
    upcoming.ask("active")
    taught.annotate([3], "platelets")
    upcoming.ask("active")
    with qtbot.waitSignal(upcoming.ranked):
        slowly.set()
    assert upcoming.best("active") == (taught.queue("active"), True)


def test_other_cells_drop_a_ranking_under_way(qtbot, upcoming, taught, slowly):
    upcoming.ask("active")
    assert upcoming.jobs.running("rank")
    with qtbot.assertNotEmitted(upcoming.ranked):
        taught.set_cells(make_cells(5))
        slowly.set()
        qtbot.wait(50)
    assert sorted([*upcoming.best("active").cells, *taught.annotated]) == taught.cells.ids.tolist()


def test_a_ranking_that_fails_is_told_in_a_sentence(qtbot, upcoming, taught, monkeypatch):
    def fail(_requests):
        yield
        raise ValueError("no such thing")

    monkeypatch.setattr(what_is_next, "_rank_steps", fail)
    with qtbot.waitSignal(upcoming.failed) as told:
        upcoming.ask("active")
    assert "no such thing" in told.args[0]
    assert upcoming.next_cell() is not None


def test_new_embeddings_are_ranked_without_being_asked(qtbot, upcoming, session):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    assert not upcoming.best("active").current
    up_to_date(qtbot, upcoming)
