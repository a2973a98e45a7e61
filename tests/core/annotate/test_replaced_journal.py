"""A journal deleted, replaced or linked while it is open: no click is lost or lied about."""

from __future__ import annotations

import copy
import os
import shutil
import sys

import pytest

from napari_hemacells.core.annotate import (
    AddClass,
    DeleteClass,
    Journal,
    SetLabels,
    open_history,
    read_journal,
    replay,
)
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.types import CellRef

if sys.platform == "win32":
    pytest.skip("Windows lets nobody replace an open file", allow_module_level=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project" / "journal.jsonl"


@pytest.fixture
def history(path):
    history = open_history(path, "ann")
    for number in (1, 2, 3):
        history.do(click(number))
    yield history
    history.close()


def click(number=1, class_id="wbc", annotator="ann"):
    return SetLabels(((CellRef("img", number), 1.0, 2.0),), class_id, annotator)


def cells(path, annotator="ann"):
    state = replay(read_journal(path), annotator)
    return sorted(state.annotations_of_image("img"))


def delete(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def older(path):
    lines = path.read_bytes().splitlines(keepends=True)
    other = path.with_name("other")
    other.write_bytes(b"".join(lines[:-2]))
    other.replace(path)


def same(path):
    other = path.with_name("other")
    shutil.copyfile(path, other)
    other.replace(path)


def damaged(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def something_else(path):
    path.unlink()
    path.write_text("Dear diary\n" * 100)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_link(path):
    path.unlink()
    (path.parent.parent / "secret").write_bytes(b"untouched")
    path.symlink_to(path.parent.parent / "secret")


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


WAYS = [delete, empty, cut, older, same, damaged, something_else, a_folder, a_link, one_bit]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("then", ["click", "undo", "close"])
def test_every_click_is_on_the_disk_again(path, history, way, then):
    way(path)
    if then == "click":
        history.do(click(4))
    elif then == "undo":
        history.undo()
    history.close()
    assert cells(path) == {"click": [1, 2, 3, 4], "undo": [1, 2], "close": [1, 2, 3]}[then]
    assert bool(history.notices) == (way is not same)
    secret = path.parent.parent / "secret"
    assert not secret.exists() or secret.read_bytes() == b"untouched"
    assert open_history(path, "ann").state == history.state


@pytest.mark.parametrize("way", [damaged, something_else, a_folder, a_link, one_bit])
def test_what_lay_in_its_place_is_kept_and_named(path, history, way):
    way(path)
    before = path.read_bytes() if path.is_file() and not path.is_symlink() else None
    history.do(click(4))
    kept = path.with_name("journal.jsonl.replaced")
    assert os.path.lexists(kept)
    assert before is None or kept.read_bytes() == before
    assert "is kept as “journal.jsonl.replaced”" in history.notices[0]
    assert "none of your annotations is lost" in history.notices[0]


def test_clicks_of_another_computer_are_joined(path, history):
    elsewhere = path.with_name("elsewhere.jsonl")
    shutil.copyfile(path, elsewhere)
    with_other = open_history(elsewhere, "bob")
    new = with_other.state.palette.new_class("Blast", class_id="blast")
    with_other.do(AddClass(new))
    with_other.do(click(7, "blast", "bob"))
    with_other.do(click(2, "rbc", "ann"))
    with_other.close()
    history.do(click(4))
    history.do(click(2, "platelets"))
    elsewhere.replace(path)
    history.do(click(5, "blast"))  # a class that only the other one has
    assert cells(path) == [1, 2, 3, 4, 5]
    assert cells(path, "bob") == [7]
    assert history.state.labels[CellRef("img", 2)].class_id == "platelets"
    assert "yours count" in history.notices[0]
    assert history.undo() is not None
    assert history.undo() is None  # steps from before the other's are not taken back
    history.close()
    assert open_history(path, "ann").state == history.state


def test_a_step_that_does_not_fit_any_more_is_kept_and_told(path, history):
    elsewhere = path.with_name("elsewhere.jsonl")
    shutil.copyfile(path, elsewhere)
    with_other = open_history(elsewhere, "ann")
    with_other.do(DeleteClass("platelets"))
    with_other.close()
    history.do(click(4, "platelets"))
    elsewhere.replace(path)
    history.do(click(5))
    assert cells(path) == [1, 2, 3, 5]
    assert "1 of your steps did not fit" in history.notices[0]
    assert cells(path.with_name("journal.jsonl.own")) == [1, 2, 3, 4]


def test_classes_of_one_name_in_two_journals_are_one(path, history):
    new = history.state.palette.new_class("Band", class_id="band")
    history.do(AddClass(new))
    history.do(click(4, "band"))
    path.unlink()
    path.with_name("journal.jsonl.lock").unlink()
    other = open_history(path, "bob")
    other.do(AddClass(other.state.palette.new_class("Band", class_id="other")))
    other.do(click(9, "other", "bob"))
    other.close()
    history.do(click(5))
    assert cells(path) == [1, 2, 3, 4, 5]
    assert cells(path, "bob") == [9]
    labels = history.state.labels
    assert labels[CellRef("img", 4)].class_id == "other"  # one class, by its name
    assert [one.name for one in history.state.palette].count("Band") == 1
    assert history.state.palette.by_id(labels[CellRef("img", 1)].class_id).name == "WBC"


def test_a_folder_that_is_gone_is_a_click_not_saved(path, history):
    state = copy.deepcopy(history.state)
    path.parent.rename(path.parent.with_name("moved"))
    with pytest.raises(StorageError, match=r"not saved: .* is not there any more"):
        history.do(click(4))
    assert history.state == state
    path.parent.with_name("moved").rename(path.parent)
    history.do(click(4))
    assert cells(path) == [1, 2, 3, 4]
    assert not history.notices


def test_a_backup_by_hard_links_is_not_written_to(path, history):
    backup = path.with_name("backup")
    os.link(path, backup)
    history.do(click(4))
    assert cells(backup) == [1, 2, 3]
    assert cells(path) == [1, 2, 3, 4]
    history.close()
    os.link(path, path.with_name("second"))
    again = open_history(path, "ann")
    again.do(click(5))
    again.close()
    assert cells(path.with_name("second")) == [1, 2, 3, 4]
    assert not history.notices


def test_a_disk_that_is_full_at_that_moment_loses_nothing(path, history, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("napari_hemacells.core.files.fsio._sync_file", full)
        with pytest.raises(StorageError, match="is full"):
            history.do(click(4))
    history.do(click(4))
    assert cells(path) == [1, 2, 3, 4]


def test_an_unnoticed_journal_is_not_appended_to(path):
    with Journal(path) as journal:
        journal.append({"number": 0})
        path.unlink()
        with pytest.raises(StorageError, match="another program has changed"):
            journal.append({"number": 1})


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.jsonl.torn", "journal.jsonl.lock"])
@pytest.mark.parametrize("exists", [True, False])
def test_links_in_a_received_folder_write_nowhere(path, name, exists):
    secret = path.parent.parent / "secret"
    path.parent.mkdir()
    if name != "journal.jsonl":
        open_history(path, "ann").close()
        with path.open("ab") as file:
            file.write(b"text of the sender")
        path.with_name("journal.jsonl.lock").unlink(missing_ok=True)
    if exists:
        secret.write_bytes(b"untouched")
    (path.parent / name).symlink_to(secret)
    with pytest.raises(StorageError, match=f"{name}” is a link"):
        open_history(path, "ann")
    assert secret.exists() == exists
    assert not exists or secret.read_bytes() == b"untouched"


def test_a_torn_last_line_is_told(path):
    open_history(path, "ann").close()
    with path.open("ab") as file:
        file.write(b'{"crc":"0')
    history = open_history(path, "ann")
    assert "was torn" in history.notices[0]
    assert "journal.jsonl.torn" in history.notices[0]
    history.close()
