"""Files of projects and models are regular files, and no link is followed."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files import safe_files
from napari_hemacells.core.files.fsio import read_bytes
from napari_hemacells.core.files.safe_files import (
    check_readable,
    check_tree,
    copy_regular,
    is_regular,
    open_regular,
    open_stream,
)

if sys.platform == "win32":
    pytest.skip("pipes and unprivileged links are POSIX", allow_module_level=True)


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(b"untouched")
    return file


WRITING = os.O_RDWR | os.O_CREAT | os.O_APPEND


@pytest.mark.parametrize("flags", [os.O_RDONLY, WRITING])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_named_and_not_followed(tmp_path, secret, flags, exists):
    link = tmp_path / "link"
    target = secret if exists else tmp_path / "made"
    link.symlink_to(target)
    with pytest.raises(StorageError, match=r"link” is a link to another place"):
        open_regular(link, flags)
    assert secret.read_bytes() == b"untouched"
    assert target.exists() == exists


@pytest.mark.parametrize("flags", [os.O_RDONLY, WRITING])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("follow", [True, False])
def test_what_is_no_file_is_refused_at_once(tmp_path, flags, kind, follow):
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = safe_files.Path("/dev/zero")
    with pytest.raises(StorageError, match=f"is a {kind} and no file"):
        open_regular(path, flags, follow=follow)


def test_a_link_that_comes_just_before_opening_is_refused(tmp_path, secret, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"")
    real = os.open

    def swapped(name, *args, **kwargs):
        if str(name) == str(path):
            path.unlink()
            path.symlink_to(secret)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(StorageError, match="is a link"):
        open_regular(path, WRITING)
    assert secret.read_bytes() == b"untouched"


def test_a_pipe_that_comes_just_before_opening_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"")
    real = os.open

    def swapped(name, *args, **kwargs):
        path.unlink()
        os.mkfifo(path)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(StorageError, match="is a pipe"):
        open_regular(path)


def test_without_nofollow_it_is_looked_at_before(tmp_path, secret, monkeypatch):
    monkeypatch.setattr(safe_files, "_NOFOLLOW", 0)
    link = tmp_path / "link"
    link.symlink_to(secret)
    with pytest.raises(StorageError, match="is a link"):
        open_regular(link, WRITING)


def test_a_file_the_user_chose_may_be_a_link(tmp_path, secret):
    link = tmp_path / "link"
    link.symlink_to(secret)
    with open_stream(link, follow=True) as file:
        assert file.read() == b"untouched"


def test_what_is_open_waits_for_the_disk(secret):
    descriptor = open_regular(secret)
    assert os.get_blocking(descriptor)
    os.close(descriptor)


def test_reading_a_link_is_a_sentence(tmp_path, secret):
    link = tmp_path / "link"
    link.symlink_to(secret)
    with pytest.raises(StorageError, match="is a link"):
        read_bytes(link, 100)
    assert read_bytes(secret, 100) == b"untouched"


def test_without_the_right_to_read_it_says_so(tmp_path, secret, monkeypatch):
    def refuse(name, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match="may not be read: ask for the right"):
        read_bytes(secret, 100)


def test_whether_there_is_a_regular_file(tmp_path, secret):
    (tmp_path / "link").symlink_to(secret)
    assert is_regular(secret)
    assert not is_regular(tmp_path / "nothing")
    with pytest.raises(StorageError, match="is a link"):
        is_regular(tmp_path / "link")


def test_what_may_be_read_to_its_end(tmp_path, secret):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    check_readable(secret)
    check_readable(tmp_path)
    check_readable(tmp_path / "nothing")
    for name in ("pipe", "zero"):
        with pytest.raises(StorageError, match="and no file"):
            check_readable(tmp_path / name)


@pytest.mark.parametrize("where", ["cells", "cells/a/b", "project.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "broken link", "link to a folder"])
def test_a_link_anywhere_in_a_part_is_found(tmp_path, secret, where, kind):
    folder = tmp_path / "project"
    path = folder / where
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        targets = {"link": secret, "broken link": tmp_path / "no", "link to a folder": tmp_path}
        path.symlink_to(targets[kind])
    with pytest.raises(StorageError, match=f"{where}” is a (link|pipe)"):
        check_tree(folder, ["project.json", "cells"])
    check_tree(folder, ["models"])


def test_a_copy_leaves_links_behind(tmp_path, secret):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(b"1")
    (source / "a.lock").write_bytes(b"2")
    (source / "inner" / "link").symlink_to(secret)
    (source / "outer").symlink_to(tmp_path)
    os.mkfifo(source / "pipe")
    target.mkdir()
    left = copy_regular(source, target, shutil.ignore_patterns("*.lock"))
    assert left == [source / "inner" / "link", source / "outer", source / "pipe"]
    assert sorted(path.name for path in target.rglob("*")) == ["file", "inner"]
