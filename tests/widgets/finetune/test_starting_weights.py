"""What the network starts from is said before the start, and refused where it cannot be had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up import INFO
from napari_hemacells.core.train.classifier import ClassifierConfig, model_zoo
from napari_hemacells.widgets.finetune.form import IN_USE
from napari_hemacells.widgets.finetune.starting_weights import (
    ModelInUse,
    StartingWeights,
    words_for_the_form,
)

WAIT = 60_000


@pytest.fixture
def beginning(qtbot):
    beginning = StartingWeights()
    yield beginning
    beginning.close()


def answer(beginning, qtbot, recipe):
    """Ask, and return the sentence and whether it is a refusal."""
    told = []
    beginning.found.connect(lambda words, refused: told.append((words, refused)))
    beginning.ask(recipe)
    qtbot.waitUntil(lambda: bool(told) and not told[-1][0].startswith("Looking"), timeout=WAIT)
    return told[-1]


def test_bundled_encoder_and_scratch_are_said(beginning, qtbot):
    words, refused = answer(beginning, qtbot, ClassifierConfig())
    assert words.startswith("Starts from the bundled encoder")
    assert not refused
    words, refused = answer(beginning, qtbot, ClassifierConfig(arch="small_vgg", weights="none"))
    assert words.startswith("Starts from scratch: small_vgg")
    assert not refused


def test_weights_out_of_reach_are_refused_without_words_of_the_command(
    beginning, qtbot, monkeypatch
):
    def unreachable(_address):
        raise OSError

    monkeypatch.setattr(model_zoo.weights_store, "check_reachable", unreachable)
    monkeypatch.setattr(model_zoo.timm_files, "find_file", lambda _config: None)
    words, refused = answer(beginning, qtbot, ClassifierConfig(arch="resnet18"))
    assert refused
    assert "not on this computer" in words
    assert "from scratch" in words
    assert "--" not in words


def test_missing_file_is_refused(beginning, qtbot, tmp_path):
    recipe = ClassifierConfig(arch="resnet18", weights=str(tmp_path / "none.pth"))
    words, refused = answer(beginning, qtbot, recipe)
    assert refused
    assert "There is no weights file" in words


def test_other_architecture_of_a_model_is_refused_in_words_of_the_form():
    words = "The model “a” is a network resnet18, not vgg16: leave --arch out or say --arch x."
    assert words_for_the_form(words).endswith("not vgg16: choose other starting weights.")


def test_model_in_use_is_kept_beside_the_trainings(session, classify):
    for column, class_id in enumerate(session.palette.ids[:3]):
        session.annotate([cell for cell in range(1, 13) if cell % 3 == column], class_id)
    classify()
    in_use = ModelInUse(session)
    recipe = ClassifierConfig(weights=IN_USE)
    assert not in_use.has_network
    own = replace(INFO, name="finetuned.tiny", sha256="f" * 64)
    bundle = replace(
        session.make_bundle("tiny"), encoder=own, encoder_tensors={"w": np.ones(2, np.float32)}
    )
    session.adopt_model(bundle, {})
    assert in_use.has_network
    folder = session.project.folder / "models" / f"start-{'f' * 16}"
    assert in_use.put_into(recipe).weights == str(folder)
    assert (folder / "bundle.json").is_file()
    assert in_use.put_into(ClassifierConfig()).weights == "auto"
