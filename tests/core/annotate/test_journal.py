from __future__ import annotations

import copy
import errno
import os
import subprocess
import sys

import pytest

from napari_hemacells.core.annotate import Journal, SetLabels, open_history, read_journal
from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.types import CellRef

resource = pytest.importorskip("resource", reason="limits and /dev/full are POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project" / "journal.jsonl"


def written(path, count=3):
    with Journal(path) as journal:
        for number in range(count):
            journal.append({"number": number})
    return path.read_bytes()


def click(number=1, class_id="wbc"):
    return SetLabels(((CellRef("img", number), 1.0, 2.0),), class_id, "ann")


def test_records_come_back_in_order(path):
    written(path)
    with Journal(path) as journal:
        journal.append({"number": 3, "text": "µ “x”\n"})
        assert len(journal) == 4
        assert [r["number"] for r in journal.read()] == [0, 1, 2, 3]
        assert list(journal.read())[3]["text"] == "µ “x”\n"


def test_every_append_is_synced_to_the_disk(path, monkeypatch):
    with Journal(path) as journal:
        synced = []
        real = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), real(fd))
        )
        journal.append({"a": 1})
        assert synced == [path.stat().st_size]


@pytest.mark.parametrize("cut", [1, 5, 25])
def test_a_torn_last_line_is_cut_off_and_kept(path, cut):
    whole = written(path)
    torn = whole[:-cut]
    path.write_bytes(torn)
    with Journal(path) as journal:
        assert [r["number"] for r in journal.read()] == [0, 1]
        assert journal.torn > 0
        journal.append({"number": "new"})
    assert [r["number"] for r in read_journal(path)] == [0, 1, "new"]
    kept = path.with_name("journal.jsonl.torn").read_bytes()
    assert torn.endswith(kept[:-1])


def test_a_torn_first_line_starts_the_journal_again(path):
    path.parent.mkdir()
    path.write_bytes(b'{"crc":"00')
    assert len(written(path, 1).splitlines()) == 2


def test_a_last_line_full_of_zeros_is_cut_off(path):
    whole = written(path)
    path.write_bytes(whole + b"\0" * 4096)
    with Journal(path) as journal:
        assert len(journal) == 3
    assert path.read_bytes() == whole


def test_damage_in_the_middle_names_the_line_and_changes_nothing(path):
    damaged = written(path).replace(b'"number":1', b'"number":7')
    path.write_bytes(damaged)
    with pytest.raises(ProjectError, match=r"Line 3 of .* damaged"):
        Journal(path)
    assert path.read_bytes() == damaged


def test_a_missing_line_is_noticed(path):
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[3])
    with pytest.raises(ProjectError, match="Line 3"):
        Journal(path)


@pytest.mark.parametrize(
    ("header", "words"),
    [({"format": "other"}, "not a journal"),
     ({"format": "napari-hemacells journal", "version": 2}, "newer version")],
)  # fmt: skip
def test_another_format_or_a_newer_version_is_refused(path, header, words):
    from napari_hemacells.core.annotate.journal import encode

    path.parent.mkdir()
    path.write_bytes(encode(0, header))
    with pytest.raises(ProjectError, match=words):
        Journal(path)
    assert path.read_bytes() == encode(0, header)


def test_two_at_once_are_refused_until_the_first_lets_go(path):
    with Journal(path), pytest.raises(StorageError, match="open in another window"):
        Journal(path)
    Journal(path).close()


def test_another_process_is_refused(path):
    code = "import sys, pathlib; from napari_hemacells.core.annotate import Journal; "
    code += "Journal(pathlib.Path(sys.argv[1]))"
    with Journal(path):
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
    assert "StorageError" in other.stderr
    assert "open in another window or program" in other.stderr


def test_a_closed_journal_takes_nothing(path):
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(StorageError, match="closed"):
        journal.append({})


def refuse_after(monkeypatch, part, error=errno.ENOSPC):
    """Write the first part of a line, then fail, as a disk does that fills up."""
    real, calls = os.write, []

    def write(descriptor, data):
        calls.append(1)
        if len(calls) == 1 and part:
            return real(descriptor, bytes(data)[:part])
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("part", [0, 10, 60])
def test_a_full_disk_keeps_state_and_file_as_they_were(path, monkeypatch, part):
    history = open_history(path, "ann")
    history.do(click(1))
    state, content = copy.deepcopy(history.state), path.read_bytes()
    with monkeypatch.context() as patch:
        refuse_after(patch, part)
        with pytest.raises(StorageError, match=r"not saved: the disk .* is full"):
            history.do(click(2))
        assert history.state == state
        assert path.read_bytes() == content
        with pytest.raises(StorageError, match="is full"):
            history.undo()
        assert history.state == state
    history.do(click(3))  # space was freed
    history.undo()
    history.undo()
    assert not history.state.labels
    history.close()


def test_a_sync_that_fails_is_a_click_not_saved(path, monkeypatch):
    history = open_history(path, "ann")
    content = path.read_bytes()

    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="not saved"):
            history.do(click())
    assert not history.state.labels
    assert path.read_bytes() == content
    history.close()


def test_a_tail_that_cannot_be_cut_at_once_is_cut_before_the_next_line(path, monkeypatch):
    with Journal(path) as journal:
        with monkeypatch.context() as patch:
            refuse_after(patch, 10)
            patch.setattr(
                os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, ""))
            )
            with pytest.raises(StorageError, match="is full"):
                journal.append({"number": 0})
        journal.append({"number": 1})
        assert [r["number"] for r in journal.read()] == [1]


def test_a_real_limit_on_the_file_size(path):
    history = open_history(path, "ann")
    content = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 40, hard))
    try:
        with pytest.raises(StorageError, match="is full"):
            history.do(click())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == content
    history.do(click())
    assert len(history.state.labels) == 1
    history.close()


def test_a_full_device_in_the_place_of_the_file(path):
    with Journal(path) as journal:
        content = path.read_bytes()
        good, full = os.dup(journal._descriptor), os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._descriptor)
        with pytest.raises(StorageError, match="is full"):
            journal.append({"number": 0})
        os.dup2(good, journal._descriptor)
        assert path.read_bytes() == content
        journal.append({"number": 1})
        assert [r["number"] for r in journal.read()] == [1]
        os.close(good)
        os.close(full)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_a_sentence(path, monkeypatch, code):
    real = os.open

    def refuse(name, *args, **kwargs):
        if str(name).endswith("journal.jsonl"):
            raise OSError(code, os.strerror(code))
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match="may not be written to"):
        Journal(path)
    monkeypatch.undo()
    Journal(path).close()  # the lock was given back


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be saved"):
        Journal(tmp_path / "file" / "journal.jsonl")
