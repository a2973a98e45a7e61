"""The list of projects opened lately."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hemacells.core.store import Project
from napari_hemacells.core.store.recent import (
    KEPT,
    forget_project,
    recent_file,
    recent_projects,
    remember_project,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "recent-projects.json"


def test_the_latest_comes_first_and_each_once(tmp_path, file):
    one, two = (Project.create(tmp_path / name, name.upper()) for name in ("one", "two"))
    for project in (one, two, one):
        remember_project(project, file)
    listed = recent_projects(file)
    assert [entry.name for entry in listed] == ["ONE", "TWO"]
    assert listed[0].folder == one.folder
    assert all(entry.is_there and entry.when for entry in listed)


def test_another_name_is_noted_and_a_project_that_is_gone_is_known_as_such(tmp_path, file):
    project = Project.create(tmp_path / "one")
    remember_project(project, file)
    project.update(name="Smear of Monday")
    remember_project(project, file)
    (entry,) = recent_projects(file)
    assert entry.name == "Smear of Monday"
    project.folder.rename(tmp_path / "moved")
    assert not entry.is_there
    forget_project(project.folder, file)
    assert recent_projects(file) == ()
    assert (tmp_path / "moved/project.json").is_file()


def test_only_some_are_kept(tmp_path, file):
    for number in range(KEPT + 3):
        remember_project(Project.create(tmp_path / f"p{number}"), file)
    listed = recent_projects(file)
    assert len(listed) == KEPT
    assert listed[0].name == f"p{KEPT + 2}"


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_damaged_list_is_an_empty_one_and_can_be_written_again(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("recent")
    file = folder / "recent-projects.json"
    file.write_bytes(content)
    assert recent_projects(file) == ()
    remember_project(Project.create(folder / "one"), file)
    assert [entry.name for entry in recent_projects(file)] == ["one"]


@pytest.mark.parametrize(
    "content", ['{"projects": [{"name": 1}]}', "[" * 100_000, '{"projects": 3}']
)
def test_a_list_of_another_form_is_an_empty_one(file, content):
    file.write_text(content)
    assert recent_projects(file) == ()


def test_it_lies_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert recent_file().is_relative_to(tmp_path)
