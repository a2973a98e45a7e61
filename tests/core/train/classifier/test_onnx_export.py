"""ONNX gives PyTorch's answers."""

import numpy as np
import onnx
import onnxruntime
import pytest

from made_up_discs import disc
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import onnx_export as export
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.types import Embeddings


@pytest.fixture(params=[1, 4], ids=["one view", "four turns"])
def bundle(job, request):
    return load_bundle(train(job(epochs=1, turns=request.param)).model)


def test_it_answers_as_the_bundle_does_for_any_number_of_crops(bundle, tmp_path):
    assert export.export_onnx(bundle, tmp_path / "m.onnx") <= 1e-4
    crops = np.stack([disc(name, 3) for name in ("red", "violet", "green", "red", "red")])
    encoder = bundle.make_encoder("cpu")
    here = bundle.head.predict(
        Embeddings(np.arange(5), encoder.encode(crops), encoder.info, bundle.spec, "")
    )
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    pictures = crops.transpose(0, 3, 1, 2).astype(np.float32)
    there = session.run(["probabilities"], {"pictures": pictures})[0]
    assert there == pytest.approx(here.probabilities, abs=1e-4)
    told = {one.key: one.value for one in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert told["classes"] == "red\nviolet"
    assert told["size"] == "32"


def test_other_answers_are_not_written(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(TrainingError, match="was not written"):
        export.export_onnx(bundle, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
