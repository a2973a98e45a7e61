"""Labels that models which have not seen the cell doubt."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up_discs import add_discs, disc
from napari_hemacells.core.encode.colour_histogram import ColourHistogram
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.dataset import Example
from napari_hemacells.core.train.classifier.label_noise import (
    check_embedding_labels,
    check_labels_steps,
    check_out_of_fold,
    out_of_fold_probabilities,
    rank_suspects,
    write_suspects,
)
from napari_hemacells.core.train.classifier.results import read_suspects
from napari_hemacells.core.types.progress import run_to_end


def clouds(n=300, classes=3, flipped=15, seed=0):
    """Vectors around a centre a class; some labels are moved to the next class."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, n)
    vectors = random.normal(0, 1, (n, 20))
    vectors[np.arange(n), truth] += 6
    wrong = random.choice(n, flipped, replace=False)
    given = truth.copy()
    given[wrong] = (given[wrong] + 1) % classes
    return vectors, truth, given, wrong


def as_items(given, groups=None):
    names = ["a", "b", "c"]
    return [
        Example(Path(f"/x/{n}.png"), names[one], groups[n] if groups else "", f"{n}.png")
        for n, one in enumerate(given)
    ]


def test_flipped_labels_come_first_with_the_true_class():
    vectors, truth, given, wrong = clouds()
    found = check_embedding_labels(vectors, as_items(given))
    first = [int(one.key) for one in found.suspects[:15]]
    assert set(first) == set(wrong.tolist())
    assert all(one.suggested == "abc"[truth[int(one.key)]] for one in found.suspects[:15])
    assert len(found.suspects) == 300
    assert 10 <= found.flagged <= 20
    assert [one.score for one in found.suspects] == sorted(one.score for one in found.suspects)


def test_right_labels_are_not_flagged():
    vectors, _, given, _ = clouds(flipped=0)
    assert check_embedding_labels(vectors, as_items(given)).flagged == 0


def test_no_head_has_seen_the_cell():
    """Vectors that say nothing: whoever had learned a cell by heart would know it."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 200)
    said = out_of_fold_probabilities(random.normal(size=(200, 300)), targets)
    assert 0.35 < np.mean(said.probabilities.argmax(axis=1) == targets) < 0.65


def test_whole_groups_are_held_out():
    """The group alone gives the class away, but never that of a group not seen."""
    targets = np.repeat([0, 1], 60)
    groups = [f"patient{n // 10}" for n in range(120)]
    vectors = np.zeros((120, 12))
    vectors[np.arange(120), np.arange(120) // 10] = 1.0
    alone = out_of_fold_probabilities(vectors, targets)
    together = out_of_fold_probabilities(vectors, targets, groups=groups)
    assert together.grouped
    assert not alone.grouped
    assert np.mean(alone.probabilities.argmax(axis=1) == targets) == 1.0
    assert np.mean(together.probabilities.argmax(axis=1) == targets) < 0.7


def test_a_class_from_one_group_is_judged_cell_by_cell():
    vectors, _, given, _ = clouds(60, flipped=0)
    groups = [f"patient{one}" for one in given]
    found = check_embedding_labels(vectors, as_items(given, groups))
    assert "cells, whatever their group" in found.method


def test_two_cells_a_class_are_enough():
    vectors = np.array([[0.0], [0.1], [5.0], [5.1]])
    found = check_embedding_labels(vectors, as_items([0, 0, 1, 1]))
    assert len(found.suspects) == 4


def test_a_table_of_suspects_is_read_back(tmp_path):
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2]])
    suspects = rank_suspects(as_items([0, 0, 1, 0]), ["a", "b"], said)
    write_suspects(tmp_path / "s.csv", suspects)
    again = read_suspects(tmp_path / "s.csv")
    assert [one.name for one in again] == ["1.png", "2.png", "3.png", "0.png"]
    assert again[0].suggested == "b"
    assert again == suspects


def test_a_folder_is_checked_by_any_encoder(tmp_path):
    for name in ("red", "violet"):
        add_discs(tmp_path, name, 20)
    Image.fromarray(disc("violet", 99)).save(tmp_path / "red" / "wrong.png")
    (tmp_path / "red" / "broken.png").write_bytes(b"no picture")
    found = run_to_end(check_labels_steps(tmp_path, ColourHistogram()))
    assert found.suspects[0].name == "red/wrong.png"
    assert found.suspects[0].suggested == "violet"
    assert len(found.suspects) == 41
    assert any("broken.png" in one for one in found.unreadable)
    assert "colour" in found.method


def test_a_training_without_folds_is_refused(tmp_path, job):
    from napari_hemacells.core.train.classifier.pipeline import train

    done = train(job(epochs=0))
    with pytest.raises(TrainingError, match="--folds"):
        check_out_of_fold(done.folder)


def test_without_cleanlab_it_says_how_to_get_it(monkeypatch):
    honest = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("cleanlab"):
            raise ImportError(name)
        return honest(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    vectors, _, given, _ = clouds(30, flipped=0)
    with pytest.raises(TrainingError, match=r"pip install 'napari-hemacells\[report\]'"):
        check_embedding_labels(vectors, as_items(given))


@pytest.mark.realdata
def test_flipped_labels_of_pbc_come_first(shared_data, tmp_path):
    """By an encoder that has never seen a blood cell; 5 % flipped, the first 8 % looked at."""
    import csv

    from napari_hemacells.core.encode import imagenet_encoder

    random = np.random.default_rng(0)
    folders = sorted(one for one in (shared_data / "pbc").iterdir() if one.is_dir())
    files = [file for one in folders for file in sorted(one.glob("*.jpg"))[:50]]
    labels = [file.parent.name for file in files]
    wrong = random.choice(len(files), round(0.05 * len(files)), replace=False)
    for place in wrong:
        others = [one.name for one in folders if one.name != labels[place]]
        labels[place] = str(random.choice(others))
    with (tmp_path / "noisy.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label"), *zip(files, labels, strict=True)])
    found = run_to_end(check_labels_steps(tmp_path / "noisy.csv", imagenet_encoder("cpu")))
    first = {one.path for one in found.suspects[: round(0.08 * len(files))]}
    assert len(first & {files[place] for place in wrong}) >= 0.8 * len(wrong)
