import threading

import pytest

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.background.workers import JobRunner


@pytest.fixture
def jobs(qtbot):
    jobs = JobRunner()
    yield jobs
    jobs.close()


def counting(n):
    for done in range(n):
        yield Progress(done, n)
    return n


def test_steps_report_and_return(jobs, qtbot):
    heard = []
    jobs.progressed.connect(lambda kind, progress: heard.append((kind, progress.done)))
    with qtbot.waitSignal(jobs.returned) as found:
        jobs.start("embed", lambda: counting(3))
    assert found.args == ["embed", 3]
    assert heard == [("embed", 0), ("embed", 1), ("embed", 2)]
    assert not jobs.busy


def test_a_refusal_is_not_an_error(jobs, qtbot):
    def refuse():
        yield Progress(0, 1)
        raise ImageError("This image is empty.")

    with qtbot.assertNotEmitted(jobs.failed), qtbot.waitSignal(jobs.refused) as refused:
        jobs.start("detect", refuse)
    assert str(refused.args[1]) == "This image is empty."


@pytest.mark.parametrize("error", [RuntimeError, KeyError])
def test_the_unexpected_is_told_too(jobs, qtbot, error):
    def fail():
        yield Progress(0, 1)
        raise error("out of memory")

    with qtbot.waitSignal(jobs.failed) as failed:
        jobs.start("embed", fail)
    assert "out of memory" in str(failed.args[1])
    assert not jobs.running("embed")


def waiting(gate, result):
    yield Progress(0, 1)
    assert gate.wait(10)
    return result


def test_a_replaced_job_is_not_heard(jobs, qtbot):
    gate, heard = threading.Event(), []
    jobs.returned.connect(lambda _kind, result: heard.append(result))
    jobs.start("detect", lambda: waiting(gate, "old"))
    with qtbot.waitSignal(jobs.returned):
        jobs.start("detect", lambda: counting(1))
    gate.set()
    qtbot.wait(50)
    assert heard == [1]


def test_cancel_stops_at_the_next_step_unheard(jobs, qtbot):
    gate = threading.Event()
    jobs.start("embed", lambda: waiting(gate, "done"))
    with qtbot.waitSignal(jobs.stopped):
        assert jobs.cancel("embed")
    assert not jobs.cancel("embed")
    with qtbot.assertNotEmitted(jobs.returned, wait=50):
        gate.set()


def test_long_jobs_do_not_hold_back_a_short_one(jobs, qtbot):
    """On two cores Qt would run two at a time: tiles and an embedding hold all else back."""
    gate = threading.Event()
    try:
        for kind in ("tiles", "embed", "train", "map"):
            jobs.start(kind, lambda: waiting(gate, None))
        with qtbot.waitSignal(jobs.returned, timeout=10_000) as returned:
            jobs.start("heat", lambda: counting(2))
        assert returned.args == ["heat", 2]
    finally:
        gate.set()
