from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_hemacells.core.classify.projection import project_pca, project_umap


@pytest.fixture
def groups():
    """Three groups of 20, far apart."""
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(3, 32))
    return (np.repeat(centres, 20, axis=0) + rng.normal(size=(60, 32))).astype(np.float32)


def apart(places):
    """Smallest distance between the groups' centres over the widest group."""
    groups = places.reshape(3, 20, 2)
    centres = groups.mean(axis=1)
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1)[np.triu_indices(3, 1)]
    return gaps.min() / np.linalg.norm(groups - centres[:, None], axis=-1).max()


def test_groups_stay_apart(groups):
    assert apart(project_pca(groups)) > 2


def test_few_or_equal_cells_have_places_too():
    for vectors in (np.zeros((0, 8)), np.zeros((3, 8)), np.ones((20, 8)), np.eye(1, 8)):
        places = project_pca(vectors.astype(np.float32))
        assert places.shape == (len(vectors), 2)
        assert np.isfinite(places).all()


def test_umap_is_asked_with_a_seed_and_few_dimensions(groups, monkeypatch):
    asked = {}

    class Umap:
        def __init__(self, **given):
            asked.update(given)

        def fit_transform(self, vectors):
            asked["shape"] = vectors.shape
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = Umap
    assert project_umap(groups, seed=3).shape == (60, 2)
    assert (asked["random_state"], asked["n_neighbors"]) == (3, 15)
    assert asked["shape"][1] <= 64


@pytest.mark.slow
def test_umap_keeps_groups_apart(groups):
    assert apart(project_umap(groups)) > 2
