"""Files and folders are there whole or not at all, however a write ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files import fsio
from napari_hemacells.core.files.fsio import (
    atomic_folder,
    atomic_path,
    discard,
    hold,
    in_use,
    recover,
    reserve_folder,
    sweep,
    write_bytes,
)

if sys.platform == "win32":
    pytest.skip("signals and locks on folders are POSIX", allow_module_level=True)

CHILD = """
import os, pathlib, signal, sys
from napari_hemacells.core.files import fsio

kind, path, step = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
calls = 0

def counted(real):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call

for name in ("replace", "rename", "open", "fsync", "mkdir", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
pathlib.Path.replace = lambda self, target: os.replace(self, target)
if kind == "folder":
    with fsio.atomic_folder(path) as new:
        (new / "a").write_text("new")
        (new / "b").write_text("new")
else:
    fsio.write_bytes(path, b"new")
print("done", calls)
"""


def killed_at(kind: str, path: Path, step: int) -> bool:
    """Save in a process that is killed at this step; whether it came so far."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, kind, str(path), str(step)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode in {0, -9}, ended.stderr
    return ended.returncode == -9


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


OLD, NEW = {"a": "old", "c": "old"}, {"a": "new", "b": "new"}


def save_new(folder: Path) -> None:
    with atomic_folder(folder) as new:
        for name, text in NEW.items():
            (new / name).write_text(text)


def old_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in OLD.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_killed_at_any_step_the_old_or_the_new_is_whole(tmp_path, kind):
    step = 0
    killed = True
    while killed:
        step += 1
        place = tmp_path / str(step)
        place.mkdir()
        path = old_folder(place) if kind == "folder" else place / "file"
        if kind == "file":
            path.write_text("old")
        killed = killed_at(kind, path, step)
        if kind == "folder":
            recover(path)
            assert content(path) in (OLD, NEW), step
        else:
            assert path.read_text() in {"old", "new"}, step
            sweep(place)
        assert [entry.name for entry in place.iterdir()] == [path.name], step
    assert step > (12 if kind == "folder" else 5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "I/O error")])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_rename_that_is_cut_off_leaves_the_old_folder(
    tmp_path, monkeypatch, error, when, number
):
    folder = old_folder(tmp_path)
    real, calls = Path.replace, []

    def interrupted(self, target):
        calls.append(target)
        if len(calls) != number:
            return real(self, target)
        if when == "after":
            real(self, target)
        raise error

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        save_new(folder)
    # The second rename had happened: then the new one is what lies there, whole.
    assert content(folder) == (NEW if (when, number) == ("after", 2) else OLD)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_rename_that_keeps_failing_says_where_the_old_folder_is(tmp_path, monkeypatch):
    folder = old_folder(tmp_path)
    real, calls = Path.replace, []

    def failing(self, target):
        calls.append(target)
        if len(calls) == 1:
            return real(self, target)
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        with (
            pytest.raises(StorageError, match=r"is safe in .*\.old” and comes back"),
            atomic_folder(folder) as new,
        ):
            (new / "a").write_text("new")
    assert not folder.exists()
    recover(folder)
    assert content(folder) == OLD
    assert list(tmp_path.iterdir()) == [folder]


def test_the_next_save_brings_the_old_folder_back_first(tmp_path):
    folder = old_folder(tmp_path)
    folder.rename(tmp_path / ".model.01234567.old")
    with pytest.raises(RuntimeError), atomic_folder(folder):
        raise RuntimeError
    assert content(folder) == OLD


def test_leftovers_are_swept_and_other_hidden_files_are_not(tmp_path):
    gone = [".a.json.01234567.part", "cells/.k.tif.89abcdef.part", "cells/.p.npz.4711.part",
            "cells/.6ac89aeb68364eb6-d18db221c0352a5d-ab_c1234.tmp"]  # fmt: skip
    kept = [".hidden", "cells/.syncthing.abcdefgh.tmp", "cells/a.part", "other/.a.01234567.part"]
    for name in gone + kept:
        write_bytes(tmp_path / name, b"1")
    (tmp_path / "cells" / ".m.01234567.part").mkdir()
    (tmp_path / "models" / ".m.01234567.old").mkdir(parents=True)
    (tmp_path / "cells" / ".n.01234567.old").mkdir()
    (tmp_path / "cells" / "n").mkdir()
    sweep(tmp_path, ["cells", "models", "missing"])
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {*kept, "cells", "cells/n", "models", "models/m", "other"}


def test_what_is_being_written_is_not_swept(tmp_path):
    with atomic_path(tmp_path / "file") as temporary:
        assert in_use(temporary)
        temporary.write_bytes(b"1")
        sweep(tmp_path)
        assert temporary.exists()
    with atomic_folder(tmp_path / "folder") as temporary:
        sweep(tmp_path)
        assert temporary.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_in_the_middle_of_its_exchange_is_left_to_the_one_who_saves(
    tmp_path, monkeypatch
):
    folder = old_folder(tmp_path)
    old, new = tmp_path / ".model.01234567.old", tmp_path / ".model.01234567.part"
    folder.rename(old)
    new.mkdir()
    monkeypatch.setattr(fsio.time, "sleep", lambda _: None)
    with hold(new):
        recover(folder)
        sweep(tmp_path)
        assert old.exists()
        assert new.exists()
    recover(folder)
    assert content(folder) == OLD


def test_where_nobody_can_tell_who_holds_a_file_its_age_does(tmp_path, monkeypatch):
    monkeypatch.setattr(fsio, "_lock", lambda _: None)
    young, aged = tmp_path / ".a.01234567.part", tmp_path / ".b.01234567.part"
    for file in (young, aged):
        file.write_bytes(b"")
    os.utime(aged, (0, 0))
    (tmp_path / ".model.01234567.old").mkdir()
    (tmp_path / ".model.01234567.part").mkdir()
    sweep(tmp_path)
    assert young.exists()
    assert not aged.exists()
    assert (tmp_path / "model").is_dir()  # to wait a day for a model would be too long


def test_a_link_to_a_folder_is_discarded_and_not_what_it_points_to(tmp_path):
    folder = old_folder(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(folder)
    discard(link)
    assert not link.is_symlink()
    assert content(folder) == OLD


def test_two_that_begin_in_one_second_have_a_folder_each(tmp_path):
    made = {reserve_folder(tmp_path / "models", "classifier-%Y%m%d-%H%M%S") for _ in range(5)}
    assert len(made) == 5
    assert all(folder.is_dir() for folder in made)


def test_a_folder_that_cannot_be_reserved_is_a_sentence(tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(StorageError, match="was not made"):
        reserve_folder(tmp_path / "models" / "more", "%Y")


@pytest.mark.parametrize("write", ["file", "folder"])
def test_what_is_cleared_up_before_it_is_held_is_made_again(tmp_path, monkeypatch, write):
    """Another program that opens the project clears up just after the hidden file was made."""
    hold, struck = fsio.hold, []

    def strike_first(path):
        if not struck:
            struck.append(path)
            fsio.sweep(tmp_path)
            assert not path.exists()
        return hold(path)

    monkeypatch.setattr(fsio, "hold", strike_first)
    if write == "file":
        fsio.write_bytes(tmp_path / "project.json", b"all of it")
        assert (tmp_path / "project.json").read_bytes() == b"all of it"
    else:
        with fsio.atomic_folder(tmp_path / "model") as folder:
            (folder / "weights").write_bytes(b"all of it")
        assert (tmp_path / "model" / "weights").read_bytes() == b"all of it"
    assert len(struck) == 1
