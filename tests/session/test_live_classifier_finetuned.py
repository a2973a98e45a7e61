"""A model with an encoder of its own is taken over, and keeps it when it is saved again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import INFO, make_embeddings
from napari_hemacells.core.errors import BundleMismatchError
from napari_hemacells.session import run_classification

OWN = replace(INFO, name="finetuned.tiny", sha256="f" * 64)


@pytest.fixture
def finetuned(session):
    """The session's model, as if its encoder had been trained and were inside it."""
    for column, class_id in enumerate(session.palette.ids):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    assert session.accept(run_classification(session.request()))
    tensors = {"trunk.weight": np.ones(3, np.float32)}
    return replace(session.make_bundle("tiny"), encoder=OWN, encoder_tensors=tensors)


def test_its_encoder_is_taken_over_and_old_vectors_are_dropped(session, finetuned):
    session.load_model(finetuned)
    assert session.live.embeddings is None
    assert session.live.bundle.encoder == OWN


def test_saved_again_it_still_holds_its_encoder(session, finetuned):
    session.load_model(finetuned)
    vectors = replace(make_embeddings(session.image, session.cells), encoder=OWN)
    assert session.set_embeddings(vectors)
    assert session.accept(run_classification(session.request()))
    again = session.make_bundle("again")
    assert list(again.encoder_tensors) == ["trunk.weight"]
    assert again.encoder == OWN


def test_without_its_weights_it_is_refused(session, finetuned):
    with pytest.raises(BundleMismatchError, match="encoder"):
        session.load_model(replace(finetuned, encoder_tensors={}))
