"""What becomes of the project's files is told, and what is seen is what is on the disk."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from made_up import make_cells
from napari_hemacells.core.annotate import open_history
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.store import Project, annotation_state
from napari_hemacells.session import Session

if sys.platform == "win32":
    pytest.skip("Windows lets nobody replace an open file", allow_module_level=True)


@pytest.fixture
def told(session):
    sentences = []
    session.events.noticed.connect(sentences.append)
    return sentences


def test_a_deleted_journal_is_written_anew_and_told(session, told):
    session.annotate([1, 2], session.palette.ids[0])
    session.project.journal_path.unlink()
    session.annotate([3], session.palette.ids[1])
    assert sorted(annotation_state(session.project).by_annotator["anna"]) == sorted(
        session.history.state.labels
    )
    assert len(told) == 1
    assert "none of your annotations is lost" in told[0]


def test_a_deleted_journal_is_there_after_closing(session, told):
    session.annotate([1, 2], session.palette.ids[0])
    project = session.project
    project.journal_path.unlink()
    session.close()
    assert len(annotation_state(project).by_annotator["anna"]) == 2
    assert len(told) == 1


def test_a_copy_is_made_of_the_journal_that_was_deleted(session, told, tmp_path):
    session.annotate([1, 2], session.palette.ids[0])
    session.project.journal_path.unlink()
    session.save_as(tmp_path / "copy")
    assert len(session.annotated) == 2


def test_what_another_computer_did_is_seen_at_once(session, told, tmp_path):
    key, path = session.image.key, session.project.journal_path
    session.annotate([1], session.palette.ids[0])
    shutil.copytree(session.project.folder, tmp_path / "elsewhere")
    other = Session("anna")
    other.use_project(Project.open(tmp_path / "elsewhere"))
    other.show_image(session.image)
    other.annotate([5], other.palette.ids[1])
    other.delete_cells([6])
    mask = mask_in_window(np.ones((3, 3), bool), (slice(56, 59), slice(0, 3)))
    added = other.add_cell(56, 1, None, Proposal("RBC", 0.5, mask.box, mask, "disc"))
    other.close()
    changed = []
    session.events.annotations.connect(changed.append)
    (tmp_path / "elsewhere" / path.name).replace(path)
    session.annotate([2], session.palette.ids[0])
    assert sorted(session.annotated) == [1, 2, 5]
    assert sorted(changed[0]) == [2, 5]
    assert 6 not in session.cells.ids
    assert added in session.cells.ids
    assert "Both were joined" in told[0]
    state = session.history.state
    session.close()
    assert open_history(path, "anna").state == state
    assert key in state.corrections


def test_a_torn_last_line_and_a_missing_journal_are_told(session, tmp_path):
    project = session.project
    session.annotate([1], session.palette.ids[0])
    session.close()
    with project.journal_path.open("ab") as file:
        file.write(b"torn")
    told, again = [], Session("anna")
    again.events.noticed.connect(told.append)
    again.use_project(Project.open(project.folder))
    again.close()
    assert len(told) == 1
    assert "was torn" in told[0]
    project.journal_path.unlink()
    again.use_project(Project.open(project.folder))
    again.close()
    assert "annotations of this project are missing" in told[1]


def test_the_damaged_project_of_an_image_is_told_and_its_journal_comes_back(
    image, monkeypatch, tmp_path
):
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path)
    session = Session("anna")
    session.open_image(image)
    session.set_cells(make_cells())
    session.annotate([1, 2], session.palette.ids[0])
    file = session.project.folder / "project.json"
    session.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(ProjectError, match=r"is damaged\. Nothing was changed"):
        session.open_image(image)
    assert session.project is None
    file.unlink()
    session.open_image(image)
    assert sorted(session.annotated) == [1, 2]
    assert len(session.cells) == len(make_cells())
    session.close()
