"""Fine-tuned models on the page: class, unknown, Grad-CAM; a model of thermograms."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.store import save_bundle
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.serve.classifiers import ServedModel, load_classifiers
from napari_hemacells.serve.uploads import Upload, read_picture

from .conftest import COLOURS, draw, make_model


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory) -> ServedModel:
    folder = tmp_path_factory.mktemp("trained")
    for name, colour in COLOURS.items():
        (folder / "cells" / name).mkdir(parents=True)
        for seed in range(24):
            Image.fromarray(draw(colour, seed)).save(folder / "cells" / name / f"{seed}.png")
    recipe = ClassifierConfig(
        arch="small_vgg", weights="none", size=32, frozen_epochs=0, epochs=3, rate=3e-3,
        lower=1.0, batch=16, device="cpu", schedule="one-cycle", zoom=1.0,
    )  # fmt: skip
    outcome = train(TrainJob(folder / "cells", folder / "run", recipe))
    return load_classifiers([outcome.model], "cpu")[0]


def picture(pixels: np.ndarray, name: str = "a.png"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return read_picture(Upload(name, stream.getvalue(), "model-1"))


def test_a_fine_tuned_model_says_class_and_heat(finetuned: ServedModel) -> None:
    about = finetuned.describe()
    assert about["heat"].startswith("Grad-CAM")
    assert [one["name"] for one in about["classes"]] == list(COLOURS)
    answer = finetuned.classify(picture(draw(COLOURS["violet"], 77)))
    # Three epochs teach little: what is tested is that the answer is the model's own.
    best = max(answer["classes"], key=lambda one: one["p"])
    assert (answer["nearest"], answer["confidence"]) == (best["name"], best["p"])
    assert answer["class"] in {best["name"], UNKNOWN}
    assert sum(one["p"] for one in answer["classes"]) == pytest.approx(1, abs=1e-4)
    heat = finetuned.heat(picture(draw(COLOURS["violet"], 77)))
    data = base64.b64decode(heat["heat"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as map_:
        assert np.ptp(np.asarray(map_.convert("HSV"))[..., 1]) > 50  # colour on grey


def test_a_picture_alone_is_the_same_as_among_others(finetuned: ServedModel) -> None:
    first = finetuned.classify(picture(draw(COLOURS["red"], 5)))
    finetuned.classify(picture(draw(COLOURS["violet"], 6)))
    assert finetuned.classify(picture(draw(COLOURS["red"], 5))) == first


def test_models_are_loaded_from_folders_and_named_without_paths(tmp_path, monkeypatch) -> None:
    made = make_model("mine")
    folder = save_bundle(tmp_path / "a model", made.bundle)
    monkeypatch.setattr(
        "napari_hemacells.core.encode.encoder_like", lambda info, device: made.encoder
    )
    (loaded,) = load_classifiers([folder], "cpu")
    assert loaded.id == "model-1"
    assert str(tmp_path) not in str(loaded.describe())
    assert loaded.classify(picture(draw(COLOURS["red"], 3)))["class"] == "red"


def test_the_bytes_are_gone_once_they_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image = picture(draw(COLOURS["red"], 3))
    assert image.path is None
    assert list(tmp_path.iterdir()) == []
