from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import training_jobs as jobs
from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.subprocess_job import SubprocessJobError


def drive(run: SubprocessJob):
    """All reports and the result."""
    steps, reports = run.reports(), []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as end:
            return reports, end.value


def started(run: SubprocessJob):
    """The generator, once the job has told its first report."""
    steps = run.reports()
    for report in steps:
        if report.phase == "train":
            return steps, report
    raise AssertionError("no report")


def resident(process: str) -> int:
    """Bytes of memory that a process uses."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_reports_come_back_in_order_and_then_the_result() -> None:
    reports, result = drive(SubprocessJob(jobs.count, 5))
    told = [report.step for report in reports if report.phase == "train"]
    assert list(dict.fromkeys(told)) == [0, 1, 2, 3, 4]
    assert reports[-1].losses == {"total": 0.2}
    assert result == "counted to 5"


def test_child_is_another_process_that_inherited_nothing_heavy() -> None:
    _, about = drive(SubprocessJob(jobs.tell_about_itself, None, threads=1))
    assert about["pid"] != os.getpid()
    assert about["heavy"] == []
    assert about["threads"] == "1"


@pytest.mark.parametrize(
    ("job", "error", "words"),
    [
        (jobs.refuse, TrainingError, "use a lower rate"),
        (jobs.stumble, TrainingError, "KeyError: 'sides'"),
        (jobs.fill_the_disk, StorageError, "free some space"),
        (jobs.fill_the_memory, TrainingError, "memory is not large enough"),
    ],
)
def test_failure_of_the_job_is_a_sentence_with_its_traceback(job, error, words) -> None:
    with pytest.raises(error, match=words) as caught:
        drive(SubprocessJob(job, None))
    assert isinstance(caught.value.__cause__, SubprocessJobError)
    assert "training_jobs.py" in str(caught.value.__cause__)


def test_cancel_from_another_thread_ends_the_process() -> None:
    run = SubprocessJob(jobs.sleep, 60.0)
    steps, report = started(run)
    begin = time.monotonic()
    threading.Thread(target=run.cancel).start()
    with pytest.raises(TrainingError, match="cancelled"):
        list(steps)
    assert time.monotonic() - begin < 30  # the job sleeps a minute
    assert gone(int(report.message))


def test_closing_the_reports_ends_the_process() -> None:
    run = SubprocessJob(jobs.sleep, 60.0)
    steps, report = started(run)
    steps.close()
    assert not run.is_alive
    assert gone(int(report.message))


def test_cancel_before_the_start_starts_nothing() -> None:
    run = SubprocessJob(jobs.count, 5)
    run.cancel()
    with pytest.raises(TrainingError, match="before it began"):
        next(run.reports())
    assert run.pid is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_child_is_an_error_with_advice() -> None:
    run = SubprocessJob(jobs.sleep, 60.0)
    steps, report = started(run)
    os.kill(int(report.message), signal.SIGKILL)
    with pytest.raises(TrainingError, match=r"memory was full.*last checkpoint"):
        list(steps)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_the_child_is_not_the_parents_and_gone_after() -> None:
    before = resident("self")
    run = SubprocessJob(jobs.hold, 200)
    steps, report = started(run)
    held = resident(report.message)
    steps.close()
    assert held > 200 << 20
    assert resident("self") - before < 50 << 20
    assert gone(int(report.message))


PARENT = """
import sys, training_jobs
from napari_hemacells.core.train import SubprocessJob
for report in SubprocessJob(training_jobs.sleep, 60.0).reports():
    if report.phase == "train":
        print(report.message, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_child_ends_when_its_parent_is_killed(tmp_path) -> None:
    # The script has no `if __name__ == "__main__"`: a child that ran it again would print twice.
    script = tmp_path / "unguarded.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while not gone(child) and time.monotonic() < end:
        time.sleep(0.02)
    parent.stdout.close()
    assert gone(child)


def test_job_of_the_main_script_is_refused() -> None:
    def job(_):
        yield

    job.__module__ = "__main__"
    with pytest.raises(TypeError, match="importable"):
        SubprocessJob(job, None)
