"""A project that was moved to another computer brings its adapted encoder along."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from napari_hemacells.core.encode.weights_store import store_weights, weights_folder
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.selfsupervised import encoder_store
from napari_hemacells.session import Session
from napari_hemacells.session.state import project_encoder_name

WEIGHTS = b"weights that were adapted"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Where this computer keeps what is the user's."""
    place = tmp_path / "data"
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(place))
    return place


@pytest.fixture
def project(tmp_path):
    """A project that looks at cells with an encoder on the shelf, and has a copy of it."""
    made = Project.create(tmp_path / "project")
    job = encoder_store.new_job(made, "bundled")
    job.out.write_bytes(WEIGHTS)
    made.update(encoder_name=f"adapted:{store_weights(job.out)}")
    return made


def test_on_the_shelf_it_is_taken_from_there(project):
    assert project_encoder_name(project) == project.content.encoder_name


def elsewhere(data, monkeypatch, other):
    """Go on at another computer, where nothing of this one's is."""
    shutil.rmtree(data)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(other))


def test_another_shelf_is_given_the_projects_copy(project, data, tmp_path, monkeypatch):
    other = tmp_path / "another computer"
    elsewhere(data, monkeypatch, other)
    session = Session("anna")
    session.use_project(project)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert session.live.encoder == f"adapted:{weights_folder() / digest}.safetensors"
    assert (other / "encoders" / f"{digest}.safetensors").read_bytes() == WEIGHTS
    session.close()


def test_a_shelf_that_cannot_be_written_is_no_hindrance(project, data, tmp_path, monkeypatch):
    (tmp_path / "full").write_bytes(b"no folder")
    elsewhere(data, monkeypatch, tmp_path / "full")
    name = project_encoder_name(project)
    assert name.startswith(f"adapted:{project.folder}")


def test_weights_that_are_nowhere_keep_their_name_and_are_told_later(project, data):
    (own,) = encoder_store.list_encoders(project)
    own.write_bytes(b"other weights")
    (weights_folder() / f"{hashlib.sha256(WEIGHTS).hexdigest()}.safetensors").unlink()
    assert project_encoder_name(project) == project.content.encoder_name


def test_other_encoders_are_left_alone(project):
    project.update(encoder_name="imagenet")
    assert project_encoder_name(project) == "imagenet"
