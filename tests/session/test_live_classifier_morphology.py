"""Size, colour and nucleus beside the network's numbers: asked for, and kept in a model."""

from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import feature_scaling_of
from napari_hemacells.core.encode.morphology import append_features, measure_cells
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.store import Project, load_bundle, save_bundle
from napari_hemacells.session import run_classification

MEASURED = ClassifyParams(measured=True)


def with_features(session, like=None):
    plain = make_embeddings(session.image, session.cells)
    return append_features(plain, measure_cells(session.image, session.cells), like)


def taught(session):
    session.set_params(MEASURED)
    session.set_embeddings(with_features(session))
    for column, class_id in enumerate(session.palette.ids):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    assert session.accept(run_classification(session.request()))
    return session


def test_other_vectors_are_asked_for_and_only_then(session):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    told = MagicMock()
    session.events.embeddings.connect(told)
    session.set_params(ClassifyParams(head="prototype"))
    assert session.embeddings is not None
    session.set_params(MEASURED)
    assert session.embeddings is None
    assert told.call_count == 1


def test_a_model_brings_its_features_to_another_session(session, new_session, tmp_path):
    path = save_bundle(tmp_path / "model", taught(session).make_bundle("measured"))
    other = new_session(Project.create(tmp_path / "other"))
    other.show_image(make_image(8))
    other.set_cells(make_cells())
    other.set_embeddings(make_embeddings(other.image, other.cells))
    bundle = load_bundle(path)
    assert feature_scaling_of(bundle.encoder)["names"][0] == "size"
    other.load_model(bundle)
    assert other.embeddings is None  # plain vectors are of no use to it
    embeddings = with_features(other, bundle.encoder)
    assert embeddings.encoder == bundle.encoder
    other.set_embeddings(embeddings)
    assert other.accept(run_classification(other.request()))
    expected = session.live.latest.head.predict(embeddings)
    np.testing.assert_allclose(other.prediction.probabilities, expected.probabilities, rtol=1e-6)


def test_a_loaded_model_keeps_its_vectors_whatever_is_ticked(session, tmp_path):
    path = save_bundle(tmp_path / "model", taught(session).make_bundle("measured"))
    session.load_model(load_bundle(path))
    session.set_params(ClassifyParams())
    assert session.embeddings is not None
