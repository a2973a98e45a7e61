"""With which network the cells are looked at: asked for, kept in the project, never mixed."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import MagicMock

import pytest

from made_up import INFO, make_cells, make_embeddings, make_image
from napari_hemacells.core.errors import AnnotationError, StorageError
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.store import Project
from napari_hemacells.session import run_classification

OTHER = replace(INFO, name="other", sha256="1" * 64)


def by_other(session):
    """Embeddings as another network would give them."""
    return replace(make_embeddings(session.image, session.cells, seed=2), encoder=OTHER)


def click(session, cells=range(1, 7)):
    for cell in cells:
        session.annotate([cell], session.palette.ids[cell % 3])


def test_another_encoder_drops_the_vectors_and_no_annotation(session):
    click(session)
    told, settings = MagicMock(), MagicMock()
    session.events.embeddings.connect(told)
    session.events.settings.connect(settings)
    before = session.annotated
    session.set_encoder("imagenet")
    assert session.embeddings is None
    assert session.annotated == before
    assert session.request() is None
    assert told.call_count == settings.call_count == 1


def test_no_model_is_saved_of_a_head_on_vectors_of_another_encoder(session):
    click(session)
    session.accept(run_classification(session.request()))
    told = MagicMock()
    session.events.prediction.connect(told)
    session.set_encoder("imagenet")
    session.set_embeddings(by_other(session))
    assert session.prediction is None
    assert told.call_count == 1
    with pytest.raises(AnnotationError):
        session.make_bundle()


def test_the_same_encoder_keeps_the_vectors(session):
    session.set_encoder("bundled")
    assert session.embeddings is not None


def test_an_answer_that_was_under_way_is_late(session):
    click(session)
    late = run_classification(session.request())
    session.set_encoder("imagenet")
    assert not session.accept(late)


def test_cells_of_other_images_teach_only_by_the_same_encoder(session):
    click(session)
    session.show_image(make_image(8, "second"))
    session.set_cells(make_cells())
    session.set_embeddings(make_embeddings(session.image, session.cells))
    assert len(session.support().labels) == 6
    session.set_encoder("imagenet")
    session.set_embeddings(by_other(session))
    assert session.support() is None
    click(session, [1, 2])
    assert len(session.support().labels) == 2


def test_the_choice_is_taken_up_again_in_its_project(session, new_session, tmp_path):
    wanted = ClassifyParams(head="knn", measured=True)
    session.set_encoder("imagenet")
    session.set_params(wanted)
    folder = session.project.folder
    session.use_project(Project.create(tmp_path / "next"))
    assert (session.live.encoder, session.live.params) == ("bundled", ClassifyParams())
    again = new_session(Project.open(folder))
    assert (again.live.encoder, again.live.params) == ("imagenet", wanted)


def test_a_copy_of_a_project_keeps_its_choice_and_its_vectors(session, tmp_path):
    session.set_encoder("imagenet")
    session.set_embeddings(by_other(session))
    session.save_as(tmp_path / "copy")
    assert session.live.encoder == "imagenet"
    assert session.embeddings.encoder == OTHER


def test_a_loaded_model_keeps_its_own_encoder(session):
    click(session)
    session.accept(run_classification(session.request()))
    session.load_model(session.make_bundle("mine"))
    session.set_encoder("imagenet")
    assert session.embeddings.encoder == INFO
    session.drop_model()
    assert session.live.encoder == "imagenet"
    assert session.embeddings is None


def test_a_choice_that_cannot_be_kept_changes_nothing(session, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("napari_hemacells.core.files.fsio._sync_file", refuse)
    with pytest.raises(StorageError):
        session.set_encoder("imagenet")
    with pytest.raises(StorageError):
        session.set_params(ClassifyParams(measured=True))
    assert (session.live.encoder, session.live.params) == ("bundled", ClassifyParams())
    assert session.embeddings is not None
