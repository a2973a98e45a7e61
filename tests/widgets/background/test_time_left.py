"""The time left, by a clock that the tests set."""

import pytest

from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.tasks import format_progress
from napari_hemacells.widgets.background.time_left import TimeLeft, format_time_left


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_said_before_enough_steps_and_seconds(clock):
    left = TimeLeft(clock)
    said = []
    for done in range(6):
        said.append(left.after("detect", done, 20))
        clock.now += 1.0
    assert said[:3] == [None] * 3
    assert said[3:] == [pytest.approx(20 - done) for done in (3, 4, 5)]


def test_fast_steps_say_nothing_until_two_seconds_are_over(clock):
    left = TimeLeft(clock)
    for done in range(10):
        assert left.after("detect", done, 1000) is None
        clock.now += 0.1


def test_it_follows_the_latest_steps_and_runs_down_within_a_step(clock):
    left = TimeLeft(clock)
    for done in range(10):
        left.after("detect", done, 30)
        clock.now += 1.0
    for done in range(10, 15):
        left.after("detect", done, 30)
        clock.now += 20.0
    slow = left.after("detect", 15, 30)
    assert slow == pytest.approx(15 * 20)
    clock.now += 7.0
    assert left.after("detect", 15, 30) == pytest.approx(slow - 7)


def test_another_task_or_total_starts_anew(clock):
    left = TimeLeft(clock)
    for done in range(5):
        left.after("detect", done, 10)
        clock.now += 5.0
    assert left.after("detect", 5, 10) is not None
    assert left.after("detect", 0, 40) is None
    assert left.after("embed", 1, 40) is None
    assert left.after("embed", 0, 40) is None
    assert left.after("embed", 40, 40) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "a few seconds left"),
        (17.2, "about 15 s left"),
        (18.0, "about 20 s left"),
        (57.4, "about 55 s left"),
        (58.0, "about 1 min left"),
        (125.0, "about 2 min left"),
        (3900.0, "about 1 h 5 min left"),
    ],
)
def test_in_words(seconds, words):
    assert format_time_left(seconds) == words


def test_the_progress_message_holds_the_time_left():
    report = Progress(120, 1500, "Embedding cells")
    assert format_progress(report, "x", 21.0) == "Embedding cells 120/1,500, about 20 s left"
    assert format_progress(report, "x") == "Embedding cells 120/1,500"
    assert format_progress(Progress(0, 0), "Finding cells", 21.0) == "Finding cells"
