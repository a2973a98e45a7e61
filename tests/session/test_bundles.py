"""A session's model goes to the next image, or is refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import INFO, make_cells, make_embeddings, make_image
from napari_hemacells.core.errors import AnnotationError, BundleMismatchError
from napari_hemacells.core.store import Project, load_bundle, save_bundle
from napari_hemacells.core.types import LearnedFrom
from napari_hemacells.session import run_classification


@pytest.fixture
def trained(session):
    """A session with three clicks a class and their answer."""
    for column, class_id in enumerate(session.palette.ids):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    assert session.accept(run_classification(session.request()))
    return session


@pytest.fixture
def bundle_path(trained, tmp_path):
    return save_bundle(tmp_path / "model", trained.make_bundle("mine"))


@pytest.fixture
def other(new_session, tmp_path, bundle_path):
    """Another project with another image, as of another day."""
    session = new_session(Project.create(tmp_path / "other"))
    session.show_image(make_image(8))
    session.set_cells(make_cells())
    return session


def test_a_model_classifies_another_image_as_the_same_head_does(trained, other, bundle_path):
    embeddings = make_embeddings(other.image, other.cells, seed=5)
    other.load_model(load_bundle(bundle_path))
    other.set_embeddings(embeddings)
    assert other.accept(run_classification(other.request()))
    expected = trained.live.latest.head.predict(embeddings)
    np.testing.assert_allclose(other.prediction.probabilities, expected.probabilities, rtol=1e-6)
    other.show_nearest(nearest=True)  # of thirty cells that are new to it, it knows little
    assert other.counts() == dict.fromkeys(other.palette.ids, (0, 10))


def test_clicks_add_to_a_loaded_model(other, bundle_path):
    other.set_embeddings(make_embeddings(other.image, other.cells, seed=5))
    other.load_model(load_bundle(bundle_path))
    fourth = other.add_class("Smudge")
    other.annotate([30], fourth)
    request = other.request()
    assert len(request.support) == 10
    assert set(request.support.labels) == set(other.palette.ids)


def test_classes_of_the_model_replace_unused_ones_and_keep_used_ones(trained, other, tmp_path):
    bundle = trained.make_bundle("renamed")
    first = bundle.palette.ids[0]
    renamed = replace(bundle, palette=bundle.palette.rename(first, "Erythrocyte"))
    path = save_bundle(tmp_path / "renamed", renamed)
    mine = other.add_class("Lymphocyte")
    other.add_class("never used")
    other.annotate([4], mine)
    other.load_model(load_bundle(path))
    assert [one.name for one in other.palette] == ["Erythrocyte", "WBC", "Platelets", "Lymphocyte"]
    assert other.annotated == {4: mine}
    other.undo()
    assert [one.name for one in other.palette][-1] == "never used"


def test_a_class_of_the_same_name_is_the_same_class(trained, other, tmp_path):
    bundle = trained.make_bundle("elsewhere")
    old = bundle.palette.ids[1]
    foreign = replace(
        bundle,
        palette=type(bundle.palette)(
            tuple(replace(c, id="f00d" if c.id == old else c.id) for c in bundle.palette)
        ),
        labels=tuple("f00d" if label == old else label for label in bundle.labels),
        head_meta={
            **bundle.head_meta,
            "class_ids": ["f00d" if c == old else c for c in bundle.head_meta["class_ids"]],
        },
    )
    path = save_bundle(tmp_path / "foreign", foreign)
    other.annotate([2], old)
    other.load_model(load_bundle(path))
    assert other.palette.ids == trained.palette.ids
    assert other.live.model.head.class_ids == trained.palette.ids


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoder": replace(INFO, sha256="1" * 64)}, "encoder"),
        ({"diameter": 60.0}, "factor of"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_and_nothing_changes(
    trained, other, tmp_path, change, reason
):
    other.set_embeddings(make_embeddings(other.image, other.cells))
    path = save_bundle(tmp_path / "unfit", replace(trained.make_bundle("unfit"), **change))
    palette = other.palette
    with pytest.raises(BundleMismatchError, match=reason):
        other.load_model(load_bundle(path))
    assert other.live.model is None
    assert other.palette is palette


def test_there_is_no_model_before_there_is_a_click(session):
    with pytest.raises(AnnotationError, match="annotate at least one cell"):
        session.make_bundle()


def test_a_bundle_holds_every_cell_that_taught(trained, bundle_path):
    bundle = load_bundle(bundle_path)
    assert bundle.training_counts == dict.fromkeys(trained.palette.ids, 3)
    assert bundle.diameter == trained.cells.diameter


def test_a_model_with_other_crops_asks_for_embeddings_of_such_crops(trained, other, tmp_path):
    other.set_embeddings(make_embeddings(other.image, other.cells))
    bundle = trained.make_bundle("wider")
    wider = replace(bundle, spec=bundle.spec.with_context(2.0))
    told = []
    other.events.embeddings.connect(lambda: told.append(other.embeddings))
    other.load_model(load_bundle(save_bundle(tmp_path / "wider", wider)))
    assert told == [None]
    assert other.request() is None
    again = make_embeddings(other.image, other.cells)
    other.set_embeddings(replace(again, spec=wider.spec))
    assert other.request().head.class_ids == trained.palette.ids


def test_a_model_of_another_encoder_that_is_here_asks_for_its_embeddings(trained, other):
    from napari_hemacells.core.encode.builtin import imagenet_info

    other.set_embeddings(make_embeddings(other.image, other.cells))
    old = replace(trained.make_bundle("old"), encoder=imagenet_info())
    other.load_model(old)
    assert other.live.model.bundle.encoder == imagenet_info()
    assert other.embeddings is None


def test_a_model_says_when_it_learned_from_other_pictures(other, bundle_path):
    said = []
    other.events.noticed.connect(said.append)
    model = load_bundle(bundle_path)
    other.load_model(replace(model, learned_from=LearnedFrom("cells", diameter=20.0)))
    assert said == []
    other.load_model(replace(model, learned_from=LearnedFrom("pictures", context=1.6)))
    assert "learned from whole pictures of one cell each" in said[0]
    other.load_model(replace(model, learned_from=None))
    assert "does not say whether" in said[1]
    before = other.live.model
    of_heat = LearnedFrom("pictures", modality="temperature")
    with pytest.raises(BundleMismatchError, match="learned from thermograms"):
        other.load_model(replace(model, learned_from=of_heat))
    assert other.live.model is before
